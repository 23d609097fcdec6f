"""The same greeting for servers that host apps: ASGI, and granian's own interface."""

from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
FIELDS = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"13")]


async def asgi(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": FIELDS})
    await send({"type": "http.response.body", "body": b"Hello, World!"})


class Rsgi:
    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        protocol.response_str(200, [("content-type", "text/plain; charset=utf-8")], "Hello, World!")


rsgi = Rsgi()
