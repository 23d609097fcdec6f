"""A server on a free port around a handler of the test, and a raw client that says what it saw."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from vivace.config import Config
from vivace.protocols.stream import Stream
from vivace.server import Server, Tls, bind_tcp
from vivace.server.access import AccessLog

Handler = Callable[[Stream], Awaitable[None]]

TEXT = ((b"content-type", b"text/plain"),)


class HandlerInterface:
    """An interface whose app is one function of the stream; it notes the moments it was told of."""

    cancels = True

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.moments: list[str] = []

    async def __call__(self, stream: Stream) -> None:
        await self.handler(stream)

    async def before_start(self) -> None:
        self.moments.append("before_start")

    async def after_start(self) -> None:
        self.moments.append("after_start")

    async def before_stop(self) -> None:
        self.moments.append("before_stop")

    async def after_stop(self) -> None:
        self.moments.append("after_stop")


class Client:
    """A raw connection: writes octets, reads until a condition, knows when the server closed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def read_head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)

    async def read_response(self) -> tuple[int, bytes, bytes]:
        """Status, head and body of a response with a content length."""
        head = await self.read_head()
        size = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        body = await asyncio.wait_for(self.reader.readexactly(size), 10)
        return int(head.split(b" ")[1]), head, body

    async def read_all(self) -> bytes:
        """Everything until the server closes."""
        return await asyncio.wait_for(self.reader.read(), 10)

    def shut_down(self) -> None:
        self.writer.write_eof()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.writer.transport.abort()


class Running:
    """A started server."""

    def __init__(self, server: Server, port: int, interface: Any) -> None:
        self.server = server
        self.port = port
        self.interface = interface
        self.clients: list[Client] = []

    async def connect(self, context: ssl.SSLContext | None = None, name: str | None = None) -> Client:
        """A raw connection; with `context` an encrypted one to the host `name`."""
        options: dict[str, Any] = {"ssl": context, "server_hostname": name} if context else {}
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, **options))
        self.clients.append(client)
        return client

    async def exchange(self, data: bytes) -> bytes:
        """Send octets on a connection of their own; all that comes back until the server closes."""
        client = await self.connect()
        await client.send(data)
        return await client.read_all()


@contextlib.asynccontextmanager
async def running(
    handler: Handler, *, access: AccessLog | None = None, tls: Tls | None = None, **settings: Any
) -> AsyncIterator[Running]:
    """A server around `handler`, with `settings` over the defaults (no access log unless given)."""
    config = Config()
    config.update({"ACCESS_LOG": False, **settings})
    async with serving(HandlerInterface(handler), config, access=access, tls=tls) as started:
        yield started


@contextlib.asynccontextmanager
async def serving(
    interface: Any, config: Config, *, access: AccessLog | None = None, tls: Tls | None = None
) -> AsyncIterator[Running]:
    """A server around an interface."""
    (listener,) = bind_tcp("127.0.0.1", 0, 128)
    server = Server(interface, config, [listener], access=access, tls=tls)
    started = Running(server, listener.getsockname()[1], interface)
    try:
        await server.start()
        yield started
    finally:
        for client in started.clients:
            await client.close()
        server.force_stop()
        await server.stop()
        listener.close()


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def hello(stream: Stream) -> None:
    """Answers every request with its path."""
    stream.respond(200, TEXT, b"hello " + stream.head.path)


async def echo(stream: Stream) -> None:
    """Answers with the body it was sent."""
    parts = []
    while data := await stream.receive():
        parts.append(data)
    stream.respond(200, TEXT, b"".join(parts))
