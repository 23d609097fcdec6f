"""WebSockets of tests with an app in this process: no socket, the scope ``websocket`` of ASGI.

Rules of this file:

- What an app sends is kept until the test takes it.
- What an app raises is raised in the test, when it looks for the next message or at the end of the block.
- Follows the ASGI specification, WebSocket 2.5 with denial responses.
"""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from vivace.http.headers import Headers
from vivace.protocols.ws import Closed
from vivace.testing.inprocess import LEAVE_TIME, unhandled, unhandled_late

__all__ = ["AsgiLink"]

Message = MutableMapping[str, Any]


class AsgiLink:
    """See `vivace.testing.websocket.Link`; before it is open it may turn out to be a refusal.

    Args:
        raises: Raise in the test what the app did not handle.

    Attributes:
        status: 101, or that of the refusal.
        headers: Of the same.
        http_version: Always ``HTTP/1.1``.
    """

    http_version = "HTTP/1.1"

    def __init__(self, raises: bool) -> None:
        self._raises = raises
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._failures: list[BaseException] = []
        self._denial: list[bytes] = []
        self.status = 0
        self.headers = Headers()
        self.subprotocol: str | None = None

    async def begin(self, app: Any, scope: dict[str, Any]) -> None:
        """Call the app, until it accepts or refuses."""
        self._to_app.put_nowait({"type": "websocket.connect"})
        self._task = asyncio.create_task(self._run(app, scope), name="vivace-test-websocket")
        message = await self._next()
        self._raise_failure()
        kind = "" if message is None else message["type"]
        if message is None or kind == "websocket.close":
            self.status = 403 if message is not None else 500
            return
        self.headers = Headers.from_raw([(bytes(k).lower(), bytes(v)) for k, v in message.get("headers", ())])
        if kind == "websocket.accept":
            self.status = 101
            self.subprotocol = message.get("subprotocol")
            return
        self.status = message["status"]
        while (piece := await self._next()) is not None:
            self._denial.append(bytes(piece.get("body", b"")))
            if not piece.get("more_body"):
                break

    async def _run(self, app: Any, scope: dict[str, Any]) -> None:
        unhandled.set(self._failures)
        unhandled_late.set(self._failures)
        await app(scope, self._to_app.get, self._from_app.put)

    async def _next(self) -> Message | None:
        """What the app sends next; None if it has returned without."""
        assert self._task is not None
        if self._from_app.empty() and not self._task.done():
            waiting = asyncio.ensure_future(self._from_app.get())
            try:
                await asyncio.wait((waiting, self._task), return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not waiting.done():
                    waiting.cancel()
            if not waiting.cancelled() and waiting.done():
                return waiting.result()
        return None if self._from_app.empty() else self._from_app.get_nowait()

    def _raise_failure(self) -> None:
        if self._task is not None and self._task.done() and not self._task.cancelled():
            error = self._task.exception()
            if error is not None and error not in self._failures:
                self._failures.append(error)
        if self._failures and self._raises:
            raise self._failures[0]

    async def receive(self) -> Any:
        """The next message, or how it ended; of a refusal the next piece, ``b""`` at its end."""
        if self.status != 101:
            return self._denial.pop(0) if self._denial else b""
        message = await self._next()
        if message is not None and message["type"] == "websocket.send":
            text = message.get("text")
            return text if text is not None else bytes(message["bytes"])
        self._raise_failure()
        if message is None:
            return Closed(1006, "")
        code, reason = message.get("code") or 1000, message.get("reason") or ""
        self._leave(code, reason)
        return Closed(code, reason)

    async def send(self, message: str | bytes) -> None:
        """Send a message."""
        text, octets = (message, None) if isinstance(message, str) else (None, bytes(message))
        self._to_app.put_nowait({"type": "websocket.receive", "text": text, "bytes": octets})

    def _leave(self, code: int, reason: str) -> None:
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})

    async def close(self, code: int = 1006, reason: str = "") -> None:
        """Close; of what the app still sends nothing is seen, as it would be with a server."""
        if self.status != 101:
            await self.finish()
            return
        self._leave(code, reason)
        self._from_app = asyncio.Queue()
        self._from_app.put_nowait({"type": "websocket.close", "code": code, "reason": reason})

    async def finish(self) -> None:
        """Wait until the app has come to its end for a client that is gone."""
        if self._task is None:
            return
        self._leave(1006, "")
        _, working = await asyncio.wait((self._task,), timeout=LEAVE_TIME)
        if working:
            self._task.cancel()
            await asyncio.wait((self._task,))
        self._raise_failure()
