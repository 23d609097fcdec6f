"""Exchanges with an app in this process: no socket, and the app's own code path from the first line on.

Rules of this file:

- The app is called as a foreign server would call it (ASGI 3), its life around all requests.
- A response is handed on piece by piece: an app that sends waits until the test has taken the piece.
- What an app raises is raised in the test; what a Vivace app answers with its page for errors that nobody
  handles counts as raised too, unless the client was told to leave it.
- Follows the ASGI specification: lifespan 2.0, HTTP 2.5.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, MutableMapping, Sequence
from contextvars import ContextVar
from typing import Any, Final
from urllib.parse import unquote_to_bytes, urlsplit

from vivace.errors import BrokenResourceError, HTTPException, StartupError
from vivace.framework.app import Vivace
from vivace.http.headers import Headers
from vivace.testing.outgoing import Outgoing

__all__ = ["LEAVE_TIME", "Exchange", "InProcess", "unhandled", "unhandled_late"]

LEAVE_TIME: Final = 5.0
"""Seconds that an app gets to end its work for a client that has left, before it is cancelled."""

Message = MutableMapping[str, Any]

unhandled: ContextVar[list[BaseException] | None] = ContextVar("unhandled", default=None)
"""Where the exceptions go of which an app made its page for errors that nobody handles."""
unhandled_late: ContextVar[list[BaseException] | None] = ContextVar("unhandled_late", default=None)
"""The same for those that came too late for a page: the handler of a WebSocket."""


class InProcess:
    """An app that is called directly.

    Args:
        app: A Vivace app or another ASGI 3 app.
        raise_exceptions: Raise in the test what the app did not handle; else it gets the answer.
        client: The address that the app sees as its peer.
    """

    def __init__(
        self, app: Any, raise_exceptions: bool = True, client: tuple[str, int] | None = None
    ) -> None:
        self._app = app
        self._raise = raise_exceptions
        self._client = client or ("127.0.0.1", 50000)
        self._to_life: asyncio.Queue[Message] = asyncio.Queue()
        self._from_life: asyncio.Queue[Message] = asyncio.Queue()
        self._life: asyncio.Task[None] | None = None
        self._restore: Callable[[], None] | None = None
        self._state: dict[str, Any] = {}

    async def start(self) -> None:
        """Begin the app's life.

        Raises:
            StartupError: It could not start.
        """
        self._life = asyncio.create_task(self._live(), name="vivace-test-life")
        answer = await self._ask_life("lifespan.startup")
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            await self._life
            raise StartupError(f"the app did not start: {answer.get('message', '')}", stage="test")
        if self._raise and isinstance(self._app, Vivace):
            self._restore = _watch(self._app)

    async def stop(self) -> None:
        """End the app's life."""
        if self._restore is not None:
            self._restore()
            self._restore = None
        if self._life is not None and not self._life.done():
            await self._ask_life("lifespan.shutdown")
        if self._life is not None:
            await self._life
            self._life = None

    async def _live(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        try:
            await self._app(scope, self._to_life.get, self._from_life.put)
        except Exception:  # an app that knows no lifespan says so by raising
            if isinstance(self._app, Vivace):
                raise

    async def _ask_life(self, what: str) -> Message | None:
        """Tell the app a moment of its life; its answer, None if it ended without one."""
        assert self._life is not None
        await self._to_life.put({"type": what})
        answer = asyncio.ensure_future(self._from_life.get())
        await asyncio.wait((answer, self._life), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        return None if self._from_life.empty() else self._from_life.get_nowait()

    async def send(self, request: Outgoing) -> "Exchange":
        """Send a request; returns when the head of the response is there.

        Raises:
            Exception: Whatever the app raised.
        """
        exchange = Exchange(request)
        scope = self._scope(request)
        try:
            await exchange.begin(self._app, scope, raises=self._raise)
        except BaseException:  # the test's time-out too
            await exchange.close()
            raise
        return exchange

    async def open_websocket(self, request: Outgoing, subprotocols: Sequence[str], compress: bool) -> Any:
        """Ask for a WebSocket; a `Link`, or the exchange that refuses it. There is nothing to compress."""
        from vivace.testing.asgi_link import AsgiLink

        scope = self._scope(request)
        del scope["method"]
        scope |= {
            "type": "websocket",
            "scheme": "wss" if scope["scheme"] == "https" else "ws",
            "subprotocols": list(subprotocols),
            "extensions": {"websocket.http.response": {}},
        }
        link = AsgiLink(self._raise)
        try:
            await link.begin(self._app, scope)
        except BaseException:
            await link.close()
            raise
        return link

    def _scope(self, request: Outgoing) -> dict[str, Any]:
        path, _, query = request.target.partition("?")
        parts = urlsplit(request.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.5"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": parts.scheme,
            "path": unquote_to_bytes(path).decode("utf-8", "surrogateescape"),
            "raw_path": path.encode("ascii"),
            "query_string": query.encode("ascii"),
            "root_path": "",
            "headers": request.headers.to_pairs(),
            "client": self._client,
            "server": (parts.hostname or "", port),
            "state": dict(self._state),
            "extensions": {},
        }


class Exchange:
    """One request in flight.

    Attributes:
        status: Of the response.
        headers: Of the response.
        http_version: Always ``HTTP/1.1``.
    """

    http_version = "HTTP/1.1"

    def __init__(self, request: Outgoing) -> None:
        self._pieces = _pieces(request.body)
        self._uploaded = False
        self._sent: asyncio.Queue[Message] = asyncio.Queue(1)
        self._closed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._unhandled: list[BaseException] = []
        self._raises = True
        self._ended = False
        self.status = 0
        self.headers = Headers()

    async def begin(self, app: Any, scope: dict[str, Any], *, raises: bool) -> None:
        """Call the app and wait for the head of its response."""
        self._raises = raises
        self._task = asyncio.create_task(self._run(app, scope), name="vivace-test-request")
        message = await self._next()
        while message is not None and message["type"] != "http.response.start":
            message = await self._next()
        if self._raises and self._unhandled:
            raise self._unhandled[0]
        if message is None:
            raise BrokenResourceError("the app gave no answer")
        self.status = message["status"]
        self.headers = Headers.from_raw([(bytes(k).lower(), bytes(v)) for k, v in message["headers"]])

    async def _run(self, app: Any, scope: dict[str, Any]) -> None:
        unhandled.set(self._unhandled)
        await app(scope, self._receive, self._sent.put)

    async def _receive(self) -> Message:
        """What the app gets: the body of the request, then the news that the client is gone."""
        if not self._closed.is_set():
            piece = await anext(self._pieces, b"") if not self._uploaded else b""
            self._uploaded, uploaded = not piece, self._uploaded
            if not uploaded:
                return {"type": "http.request", "body": piece, "more_body": bool(piece)}
        await self._closed.wait()
        return {"type": "http.disconnect"}

    async def _next(self) -> Message | None:
        """The next message of the app; None if it has returned without one."""
        assert self._task is not None
        message = asyncio.ensure_future(self._sent.get())
        try:
            await asyncio.wait((message, self._task), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not message.done():
                message.cancel()
        if message.done() and not message.cancelled():
            return message.result()
        if not self._sent.empty():
            return self._sent.get_nowait()
        self._raise_failure()
        return None

    def _raise_failure(self) -> None:
        assert self._task is not None
        failure = None if self._task.cancelled() else self._task.exception()
        if failure is not None and (self._raises or isinstance(failure, BrokenResourceError)):
            raise failure

    async def receive(self) -> bytes:
        """The next piece of the response; ``b""`` at its end.

        Raises:
            BrokenResourceError: The response broke off.
        """
        while not self._ended:
            message = await self._next()
            if message is None:
                raise BrokenResourceError("the response broke off: the app returned before its end")
            if message["type"] == "http.response.body":
                self._ended = not message.get("more_body", False)
                if message.get("body"):
                    return bytes(message["body"])
        return b""

    async def close(self) -> None:
        """Leave: an app that still works for this request learns that its client is gone."""
        self._closed.set()
        if self._task is None:
            return
        until = asyncio.get_running_loop().time() + LEAVE_TIME
        while not self._task.done():
            if asyncio.get_running_loop().time() > until:
                self._task.cancel()
            waiting = asyncio.ensure_future(self._sent.get())
            await asyncio.wait((waiting, self._task), timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        if self._ended:
            self._raise_failure()
        elif not self._task.cancelled():
            self._task.exception()  # noted: the test left before the end and does not care


async def _pieces(body: bytes | AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """The body piece by piece; no piece is empty."""
    if not isinstance(body, bytes):
        async for piece in body:
            if piece:
                yield piece
    elif body:
        yield body


def _watch(app: Vivace[Any, Any]) -> Callable[[], None]:
    """Note what the app's error handler makes its page of; what takes the watch away again."""
    handler = app.error_handler
    default, late = handler.default, handler.late

    def noting(request: Any, exception: Exception) -> Any:
        found = unhandled.get()
        if found is not None and not isinstance(exception, HTTPException):
            found.append(exception)
        return default(request, exception)

    def noting_late(request: Any, exception: BaseException) -> None:
        found = unhandled_late.get()
        if found is not None:
            found.append(exception)
        late(request, exception)

    def restore() -> None:
        vars(handler).pop("default", None)
        vars(handler).pop("late", None)

    vars(handler).update(default=noting, late=noting_late)
    return restore
