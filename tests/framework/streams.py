"""A stream in memory: what an app does with it can be looked at afterwards."""

import asyncio
import os
from collections.abc import Sequence
from typing import Any

from vivace import Vivace
from vivace.errors import ClientDisconnected, LocalProtocolError, PayloadTooLarge
from vivace.framework.request import Request
from vivace.http.headers import Headers
from vivace.protocols.events import RequestReceived

Fields = Sequence[tuple[bytes, bytes]]


def make_head(
    method: str = "GET",
    target: str = "/",
    headers: Sequence[tuple[str, str]] = (),
    *,
    host: str = "localhost",
    length: int = 0,
) -> RequestReceived:
    path, _, query = target.encode("latin-1").partition(b"?")
    block = b"".join(f"{name.lower()}: {value}\r\n".encode("latin-1") for name, value in headers)
    return RequestReceived(
        method,
        target.encode("latin-1"),
        path,
        query,
        "1.1",
        None,
        host.encode("latin-1"),
        length if length > 0 else -1,
        length != 0,
        length < 0,
        True,
        False,
        False,
        block,
    )


class FakeStream:
    """Implements `vivace.protocols.stream.Stream`.

    Attributes:
        status: What was answered; 0 if nothing.
        fields: With which fields.
        body: With which content.
        pieces: In which pieces it was sent.
        complete: The response was ended.
        aborted: The connection was dropped.
    """

    def __init__(self, head: RequestReceived, body: Sequence[bytes] = ()) -> None:
        self.head = head
        self.scheme = "http"
        self.tls = None
        self.client: tuple[str, int] | None = ("127.0.0.1", 50000)
        self.server: tuple[str, int] | None = ("127.0.0.1", 8000)
        self.disconnected = False
        self.timed_out = False
        self.response_started = False
        self.incoming: list[bytes | Exception] = list(body)
        self.size = sum(map(len, body))
        self.status = 0
        self.fields = Headers()
        self.pieces: list[bytes] = []
        self.complete = False
        self.aborted = False
        self.limit = (-1, 0.0)
        self.seconds = -1.0
        self.gone = asyncio.Event()
        self.leaving = asyncio.Event()
        self.memo: Any = None

    @property
    def body(self) -> bytes:
        return b"" if self.head.method == "HEAD" else b"".join(self.pieces)

    async def receive(self) -> bytes:
        await asyncio.sleep(0)
        if not self.incoming:
            return b""
        item = self.incoming.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def limit_body(self, size: int, seconds: float) -> None:
        self.limit = (size, seconds)
        if 0 <= size < self.size:
            raise PayloadTooLarge("Request body exceeds the size limit")

    def limit_time(self, seconds: float) -> None:
        self.seconds = seconds

    def _begin(self, status: int, fields: Fields) -> None:
        if self.response_started:
            raise LocalProtocolError("the response was started before")
        self.response_started = True
        self.status = status
        self.fields = Headers.from_raw(list(fields))

    def respond(self, status: int, fields: Fields, body: bytes) -> None:
        self._begin(status, fields)
        self.pieces.append(body)
        self.complete = True

    def inform(self, status: int, fields: Fields) -> None:
        pass

    def start(self, status: int, fields: Fields) -> None:
        self._begin(status, fields)

    async def send(self, data: bytes) -> None:
        if self.disconnected:
            raise ClientDisconnected("the client is gone")
        if self.complete or not self.response_started:
            raise LocalProtocolError("nothing can be sent")
        announced = self.fields.get("content-length")
        if announced is not None and len(self.body) + len(data) > int(announced):
            raise LocalProtocolError("more than announced")
        self.pieces.append(data)

    async def send_file(self, file: int, offset: int, count: int) -> None:
        data = os.pread(file, count, offset)
        assert len(data) == count
        await self.send(data)

    async def end(self, trailers: Fields = ()) -> None:
        announced = self.fields.get("content-length")
        if announced is not None and self.head.method != "HEAD" and len(self.body) < int(announced):
            raise LocalProtocolError("less than announced")
        self.complete = True

    async def wait_disconnected(self) -> None:
        await self.gone.wait()

    async def wait_draining(self) -> None:
        await self.leaving.wait()

    def open_websocket(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    def abort(self) -> None:
        self.aborted = True
        self.disconnected = True


def make_app(name: str = "app", **options: Any) -> Vivace:
    return Vivace(name, **options)


async def ask(
    app: Vivace[Any, Any],
    method: str = "GET",
    target: str = "/",
    headers: Sequence[tuple[str, str]] | dict[str, str] = (),
    body: bytes | Sequence[bytes] = b"",
    *,
    host: str = "localhost",
) -> FakeStream:
    """Send one request to an app and return the stream that it was answered on."""
    app.finalize()
    pieces = [body] if isinstance(body, bytes) else list(body)
    pieces = [piece for piece in pieces if piece]
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
    head = make_head(method, target, pairs, host=host, length=sum(map(len, pieces)))
    stream = FakeStream(head, pieces)
    await app.handle_stream(stream)
    return stream


def make_request(
    app: Vivace[Any, Any] | None = None,
    method: str = "GET",
    target: str = "/",
    headers: Sequence[tuple[str, str]] = (),
    *,
    host: str = "localhost",
) -> Request:
    """A request outside of an app's dispatching."""
    return Request(app or make_app(), FakeStream(make_head(method, target, headers, host=host)), None, {})
