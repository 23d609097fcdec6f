"""A WebSocket client of the tests: raw octets, so that it can break every rule."""

import asyncio
from typing import Any

from tests.server.support import Client, Running
from vivace.protocols.stream import Stream
from vivace.protocols.ws import WsConnection, WsLimits
from vivace.protocols.ws_handshake import read_handshake

KEY = b"\x37\xfa\x21\x3d"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


class Peer:
    """The client's side of an open WebSocket."""

    def __init__(self, client: Client, head: bytes) -> None:
        self.client = client
        self.head = head
        self.ws = WsConnection(WsLimits(max_message=0), None, lambda: KEY)
        self.events: list[Any] = []

    async def send(self, *messages: str | bytes) -> None:
        """Send messages in one write."""
        sent = [self.ws.send_text(m) if isinstance(m, str) else self.ws.send_bytes(m) for m in messages]
        await self.client.send(b"".join(sent))

    async def recv(self) -> Any:
        """The next event; ConnectionError if the server closed."""
        while not self.events:
            data = await asyncio.wait_for(self.client.reader.read(65_536), 10)
            if not data:
                raise ConnectionError("the server closed the connection")
            self.events += self.ws.receive_data(data)
        return self.events.pop(0)

    async def close(self, code: int = 1000) -> int:
        """Close, and wait for the end; the code of the answer."""
        await self.client.send(self.ws.send_close(code))
        while True:
            event = await self.recv()
            if not isinstance(event, (str, bytes)) and hasattr(event, "code"):
                assert await self.client.read_all() == b""
                answer: int = event.code
                return answer


async def open_websocket(server: Running, extra: bytes = b"", behind: bytes = b"") -> Peer:
    """Open a WebSocket, with more fields, and octets that follow at once."""
    client = await server.connect()
    await client.send(HANDSHAKE + extra + b"\r\n" + behind)
    return Peer(client, await client.read_head())


def accept(stream: Stream, **options: Any) -> Any:
    """Accept the WebSocket of a stream."""
    return stream.open_websocket(read_handshake(stream.head), **options)


async def echo(stream: Stream) -> None:
    """Sends every message back."""
    socket = accept(stream)
    async for message in socket:
        await socket.send(message)


async def echo_by_recv(stream: Stream) -> None:
    """The same by `recv`."""
    socket = accept(stream)
    while True:
        await socket.send(await socket.recv())


async def echo_by_listener(stream: Stream) -> None:
    """The same by a function."""
    socket = accept(stream)
    socket.listen(socket.send)
    await socket.wait_closed()


ECHOES = {"for": echo, "recv": echo_by_recv, "listen": echo_by_listener}
