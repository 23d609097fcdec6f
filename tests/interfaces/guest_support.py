"""A server of ASGI in memory: what it is asked and told can be looked at."""

import asyncio
from collections.abc import Sequence
from typing import Any

from vivace import Vivace

__all__ = ["GuestServer", "call", "make_scope"]

Fields = Sequence[tuple[bytes, bytes]]


def make_scope(method: str = "GET", path: str = "/", fields: Fields = (), **more: Any) -> dict[str, Any]:
    """A scope as servers make it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": None,
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"guest.test"), *fields],
        "client": ("192.0.2.1", 50000),
        "server": ("192.0.2.2", 8000),
        **more,
    }


class GuestServer:
    """The server's side of one scope.

    Args:
        scope: What the app is called with.
        body: What the client sends; None: it waits.

    Attributes:
        asked: How often the app called `receive`.
        events: What `receive` will give.
        sent: What the app has sent.
        refuses: What `send` raises instead of taking anything.
    """

    def __init__(self, scope: dict[str, Any], body: Sequence[bytes] | None = ()) -> None:
        self.scope = scope
        self.asked = 0
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.refuses: Exception | None = None
        self._changed = asyncio.Event()
        if body is not None:
            self.give(*body)

    def give(self, *pieces: bytes) -> None:
        """Let the client send the rest of its body."""
        for piece in pieces:
            self.events.put_nowait({"type": "http.request", "body": piece, "more_body": True})
        self.events.put_nowait({"type": "http.request"})

    def leave(self) -> None:
        """Let the client go."""
        self.events.put_nowait({"type": "http.disconnect"})

    async def receive(self) -> dict[str, Any]:
        self.asked += 1
        self._changed.set()
        return await self.events.get()

    async def send(self, message: Any) -> None:
        await asyncio.sleep(0)
        if self.refuses is not None:
            raise self.refuses
        self.sent.append(message)
        self._changed.set()

    async def until(self, condition: Any) -> None:
        """Wait until `condition()` holds."""
        while not condition():
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 10)

    async def run(self, app: Any) -> None:
        """Call the app."""
        await asyncio.wait_for(app(self.scope, self.receive, self.send), 10)

    @property
    def status(self) -> int:
        """Of the response; 0 while there is none."""
        starts = [message["status"] for message in self.sent if message["type"] == "http.response.start"]
        assert len(starts) <= 1
        return starts[0] if starts else 0

    @property
    def fields(self) -> dict[bytes, bytes]:
        """Of the response."""
        return dict(next(m["headers"] for m in self.sent if m["type"] == "http.response.start"))

    @property
    def body(self) -> bytes:
        """Of the response."""
        return b"".join(m.get("body", b"") for m in self.sent if m["type"] == "http.response.body")

    @property
    def ended(self) -> bool:
        """Whether the response is complete."""
        bodies = [m for m in self.sent if m["type"] == "http.response.body"]
        return bool(bodies) and not bodies[-1].get("more_body", False)


async def call(
    app: Vivace[Any, Any], scope: dict[str, Any] | None = None, body: Sequence[bytes] = ()
) -> GuestServer:
    """One request to an app, and what came of it."""
    server = GuestServer(scope or make_scope(), body)
    await server.run(app)
    return server
