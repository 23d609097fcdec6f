"""Exchanges over real sockets: as little of an HTTP/1.1 client as tests of a server need.

Rules of this file:

- One connection, kept for the next request where the server keeps it; a new one where it does not.
- What the server sends is not judged: a response that cannot be read raises, with what was read.
- Follows RFC 9112.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from vivace.errors import BrokenResourceError, RemoteProtocolError
from vivace.http.headers import Headers
from vivace.testing.outgoing import Outgoing

__all__ = ["Sockets"]

_LARGEST_HEAD: Final = 1_048_576
_PIECE: Final = 65_536

_Place = tuple[str, int, bool]
"""Host, port, and whether it is encrypted."""


class Sockets:
    """A server that listens somewhere.

    Args:
        unix: The path of its Unix socket; else host and port are those of each URL.
        verify: Believe only certificates that the system's authorities vouch for.
        takes_broken: Give what came of a response in chunks that broke off, as if that were all of it.
    """

    def __init__(self, unix: str | None = None, *, verify: bool = True, takes_broken: bool = False) -> None:
        self._takes_broken = takes_broken
        self._unix = unix
        self._verify = verify
        self._idle: dict[_Place, _Connection] = {}

    async def start(self) -> None:
        """Nothing: connections are opened when they are needed."""

    async def stop(self) -> None:
        """Close the connections that were kept."""
        for connection in self._idle.values():
            await connection.close()
        self._idle.clear()

    async def send(self, request: Outgoing) -> "SocketExchange":
        """Send a request; returns when the head of the response is there.

        Raises:
            ConnectionError: Nobody listens, or the server closed without an answer.
            RemoteProtocolError: The answer is no HTTP.
        """
        place = self._place(request.url)
        kept = self._idle.pop(place, None)
        if kept is not None:
            try:
                return await self._exchange(kept, place, request)
            except ConnectionError:  # the server closed it meanwhile
                await kept.close()
        return await self._exchange(await self._open(place), place, request)

    async def open_websocket(self, request: Outgoing, subprotocols: Sequence[str], compress: bool) -> Any:
        """Ask for a WebSocket, on a connection of its own; a `Link`, or the exchange that refuses it."""
        from vivace.testing.socket_link import SocketLink, as_handshake

        asking = as_handshake(request, subprotocols, compress)
        place = self._place(asking.url)
        connection = await self._open(place)
        exchange = await self._exchange(connection, place, asking)
        return (
            SocketLink(connection.reader, connection, exchange.headers)
            if exchange.status == 101
            else exchange
        )

    def _place(self, url: str) -> "_Place":
        """Where a URL leads."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise ValueError(f"{url}: the test client speaks http and https, not {parts.scheme}")
        secure = parts.scheme == "https"
        return parts.hostname or "127.0.0.1", parts.port or (443 if secure else 80), secure

    async def _exchange(
        self, connection: "_Connection", place: "_Place", request: Outgoing
    ) -> "SocketExchange":
        exchange = SocketExchange(connection, request.method, lambda: self._keep(place, connection))
        exchange.takes_broken = self._takes_broken
        try:
            await connection.write(request)
            await exchange.begin()
        except BaseException:
            await connection.close()
            raise
        return exchange

    def _keep(self, place: "_Place", connection: "_Connection") -> bool:
        """Keep a connection for the next request; False if another is kept already."""
        return self._idle.setdefault(place, connection) is connection

    async def _open(self, place: "_Place") -> "_Connection":
        host, port, secure = place
        if self._unix is not None:
            reader, writer = await asyncio.open_unix_connection(self._unix, limit=_LARGEST_HEAD)
        else:
            context = self._context() if secure else None
            reader, writer = await asyncio.open_connection(host, port, limit=_LARGEST_HEAD, ssl=context)
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _Connection(reader, writer)

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if not self._verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class _Connection:
    """A connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer
        self._upload: asyncio.Task[None] | None = None

    async def write(self, request: Outgoing) -> None:
        """Send head and body; a body in pieces goes on while the response is read."""
        names = request.names
        pairs = request.headers.to_pairs()
        fields = b"".join(b"%b: %b\r\n" % (names.get(name) or name.title(), value) for name, value in pairs)
        head = f"{request.method} {request.target} HTTP/1.1\r\n".encode("ascii") + fields + b"\r\n"
        if isinstance(request.body, bytes):
            self._writer.write(head + request.body)
            await self._writer.drain()
            return
        self._writer.write(head)
        self._upload = asyncio.create_task(self._write_pieces(request))

    async def _write_pieces(self, request: Outgoing) -> None:
        assert not isinstance(request.body, bytes)
        async for piece in request.body:
            if piece:
                self._writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await self._writer.drain()
        self._writer.write(b"0\r\n\r\n")

    async def send(self, data: bytes) -> None:
        """Send octets, after the server has taken most of those before."""
        self._writer.write(data)
        await self._writer.drain()

    @property
    def uploading(self) -> bool:
        """The body of the request is still on its way."""
        return self._upload is not None and not self._upload.done()

    async def close(self) -> None:
        """Close it, also in the middle of something."""
        if self._upload is not None:
            self._upload.cancel()
            await asyncio.wait((self._upload,))
            if not self._upload.cancelled():
                self._upload.exception()
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return


class SocketExchange:
    """One request in flight; see `vivace.testing.inprocess.Exchange`.

    Attributes:
        takes_broken: A response in chunks that breaks off is taken for complete.
    """

    takes_broken = False

    def __init__(self, connection: _Connection, method: str, keep: Callable[[], bool]) -> None:
        self._connection = connection
        self._reader = connection.reader
        self._method = method
        self._keep = keep
        self._left = 0
        self._framing = "length"
        self._ended = False
        self._keeps = False
        self.status = 0
        self.headers = Headers()
        self.http_version = ""

    async def begin(self) -> None:
        """Read the head of the response, after interim ones."""
        while self.status < 200 and self.status != 101:
            await self._read_head()
        connection = ",".join(self.headers.get_all("connection")).lower()
        self._keeps = self.http_version == "HTTP/1.1" and "close" not in connection
        coding = (self.headers.get("transfer-encoding") or "").lower()
        length = self.headers.get("content-length")
        if self._method == "HEAD" or self.status in (101, 204, 304):
            self._ended = True
        elif "chunked" in coding:
            self._framing = "chunked"
        elif length is not None:
            self._left = int(length)
        else:
            self._framing, self._keeps = "close", False

    async def _read_head(self) -> None:
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError(f"closed by the server after {error.partial!r}") from error
        first, *lines = head[:-4].split(b"\r\n")
        words = first.decode("latin-1").split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
            raise RemoteProtocolError(f"no status line: {first!r:.200}")
        self.http_version, self.status = words[0], int(words[1])
        pairs = [line.partition(b":") for line in lines]
        self.headers = Headers.from_raw([(name.lower(), value.strip()) for name, _, value in pairs])

    async def receive(self) -> bytes:
        """The next piece of the response; ``b""`` at its end.

        Raises:
            BrokenResourceError: The response broke off.
        """
        if self._ended:
            return b""
        try:
            piece = await self._read_piece()
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            if self.takes_broken and self._framing == "chunked":
                self._ended, self._keeps = True, False
                return b""
            raise BrokenResourceError("the response broke off before its end") from error
        self._ended = not piece
        return piece

    async def _read_piece(self) -> bytes:
        if self._framing == "chunked":
            return await self._read_chunk()
        if self._framing == "close":
            return await self._reader.read(_PIECE)
        if not self._left:
            return b""
        piece = await self._reader.read(min(self._left, _PIECE))
        if not piece:
            raise asyncio.IncompleteReadError(b"", self._left)
        self._left -= len(piece)
        return piece

    async def _read_chunk(self) -> bytes:
        size = int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16)
        if size:
            return (await self._reader.readexactly(size + 2))[:-2]
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass  # trailers are not shown
        return b""

    async def close(self) -> None:
        """Keep the connection if the response was read whole, else close it."""
        reusable = self._ended or (self._framing == "length" and not self._left)
        if not (reusable and self._keeps and not self._connection.uploading and self._keep()):
            await self._connection.close()
