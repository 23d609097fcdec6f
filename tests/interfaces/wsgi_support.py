"""WSGI apps behind the server on a free port, and what their answers look like."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, cast

from tests.server.support import Client, Running, until
from vivace.config import Config
from vivace.interfaces.wsgi import WsgiInterface
from vivace.server import Server, bind_tcp

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], None]]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

TEXT = [("Content-Type", "text/plain")]


@contextlib.asynccontextmanager
async def serving(
    app: Any, threads: int = 2, *, root_path: str = "", **settings: Any
) -> AsyncIterator[Running]:
    """A server around a WSGI app, with `settings` over the defaults."""
    config = Config()
    config.update({"ACCESS_LOG": False, "THREADS": threads, **settings})
    (listener,) = bind_tcp("127.0.0.1", 0, 128)
    interface = WsgiInterface(app, config, root_path)
    server = Server(interface, config, [listener])
    await server.start()
    started = Running(server, listener.getsockname()[1], cast("Any", interface))
    try:
        yield started
    finally:
        for client in started.clients:
            await client.close()
        server.force_stop()
        await server.stop()
        listener.close()


def request(
    target: str = "/", method: str = "GET", *fields: str, close: bool = True, body: bytes = b""
) -> bytes:
    """The octets of a request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: here", *fields]
    if close:
        lines.append("Connection: close")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def split(reply: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, fields by lower-case name, and the body of a response that ended with its connection."""
    head, _, body = reply.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if fields.get("transfer-encoding") == "chunked":
        body = dechunk(body)
    return int(status.split(" ")[1]), fields, body


def dechunk(data: bytes) -> bytes:
    """The content of a chunked body, which has to be complete."""
    content = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            assert data == b"\r\n"
            return content
        content += data[:length]
        assert data[length : length + 2] == b"\r\n"
        data = data[length + 2 :]


async def ask(started: Running, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send a request on a connection of its own; the answer."""
    return split(await started.exchange(data))


async def is_closed(client: Client) -> bool:
    """Whether the server ends the connection, after what it still sends."""
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(client.reader.read(), 10)
    return True


class Body:
    """An iterable of pieces that knows what became of it."""

    def __init__(self, *pieces: Any) -> None:
        self.pieces = list(pieces)
        self.closed = 0
        self.given = 0

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        if not self.pieces:
            raise StopIteration
        self.given += 1
        piece = self.pieces.pop(0)
        if isinstance(piece, BaseException):
            raise piece
        return piece

    def close(self) -> None:
        self.closed += 1

    async def wait_closed(self) -> None:
        await until(lambda: self.closed)


def app_of(body: Any, *fields: tuple[str, str], status: str = "200 OK") -> App:
    """An app that answers with `body`."""

    def app(environ: Environ, start_response: StartResponse) -> Any:
        start_response(status, [*TEXT, *fields])
        return body

    return app
