"""An ASGI app at a server of its own, and its client."""

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.server.support import Running, serving
from vivace.config import Config
from vivace.interfaces.asgi import AsgiInterface

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
PLAIN_500 = b"Internal Server Error\n"


def body(data: bytes = b"", more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


@contextlib.asynccontextmanager
async def hosting(app: App, root_path: str = "", **settings: Any) -> AsyncIterator[Running]:
    config = Config()
    config.update({"ACCESS_LOG": False, "LIFESPAN": "off", **settings})
    async with serving(AsgiInterface(app, config, root_path), config) as running:
        yield running


async def ask(running: Running, request: bytes) -> tuple[int, bytes, bytes]:
    client = await running.connect()
    await client.send(request)
    return await client.read_response()


async def get(running: Running, path: bytes = b"/", *fields: bytes) -> tuple[int, bytes, bytes]:
    return await ask(
        running, b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (path, b"".join(f + b"\r\n" for f in fields))
    )


async def all_of(receive: Receive) -> bytes:
    data: bytes = b""
    while True:
        message = await receive()
        data += message["body"]
        if not message["more_body"]:
            return data


def complaints(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(r.getMessage() + str(r.exc_info) for r in caplog.records if r.levelno >= logging.ERROR)


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    data = await all_of(receive)
    await send(START)
    await send(body(data))


def sends(*messages: Any) -> App:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app
