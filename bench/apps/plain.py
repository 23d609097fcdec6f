"""The same greeting for servers that host apps: ASGI, WSGI and granian's own interface.

The two standard ones count an upload too; the WSGI one also hands out files by wsgi.file_wrapper.
"""

import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

Message = dict[str, Any]
FIELDS = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"13")]
FIELDS_TEXT = [("content-type", "text/plain; charset=utf-8"), ("content-length", "13")]
FILES = Path(os.environ.get("BENCH_FILES", "."))


async def asgi(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/upload":
        content = await count(receive)
        fields = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": content})
        return
    await send({"type": "http.response.start", "status": 200, "headers": FIELDS})
    await send({"type": "http.response.body", "body": b"Hello, World!"})


async def count(receive: Callable[[], Awaitable[Message]]) -> bytes:
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body", False):
            return b"%d" % size


class Rsgi:
    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        protocol.response_str(200, [("content-type", "text/plain; charset=utf-8")], "Hello, World!")


rsgi = Rsgi()


def wsgi(environ: Message, start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/upload":
        content = count_input(environ["wsgi.input"])
        start_response("200 OK", [("content-type", "text/plain"), ("content-length", str(len(content)))])
        return [content]
    if path.startswith("/files/"):
        return send_file(environ, start_response, FILES / path[7:])
    start_response("200 OK", FIELDS_TEXT)
    return [b"Hello, World!"]


def count_input(source: Any) -> bytes:
    size = 0
    while piece := source.read(65536):
        size += len(piece)
    return b"%d" % size


def send_file(environ: Message, start_response: Callable[..., Any], path: Path) -> Iterable[bytes]:
    size = str(path.stat().st_size)
    start_response("200 OK", [("content-type", "application/octet-stream"), ("content-length", size)])
    file = path.open("rb")
    if wrapper := environ.get("wsgi.file_wrapper"):
        content: Iterable[bytes] = wrapper(file, 65536)
        return content
    return iter(lambda: file.read(65536), b"")
