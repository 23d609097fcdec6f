# cython: language_level=3, annotation_typing=False
"""One request and its response on a connection: the server's side of the seam.

Rules of this file:

- A stream holds the state of one exchange; octets, sockets and timers are the connection's.
- What most requests never need (a body, a streamed response) costs them nothing.
- After the client is gone everything that waits raises ClientDisconnected; nothing waits for ever.
- Follows `vivace.protocols.stream.Stream`, which documents each method.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vivace.errors import ClientDisconnected, LocalProtocolError, PayloadTooLarge
from vivace.protocols.events import RequestReceived
from vivace.protocols.socket import USUAL, Socket, SocketOptions
from vivace.protocols.ws_handshake import Handshake
from vivace.server.body import Body

if TYPE_CHECKING:
    from vivace.server.connection import Connection

__all__ = ["Stream"]

BURST_SIZE = 262_144
"""Octets streamed to a client that keeps up before other connections get their turn."""
SEND_COST = 1_024
"""What a piece counts for beside its octets, so that many small ones do not hold up others either."""

_Fields = Sequence[tuple[bytes, bytes]]


class Stream:
    """One exchange on a connection; see `vivace.protocols.stream.Stream`.

    Attributes:
        body: The state of the request's body; None if it has none.
        complete: The response was handed over whole.
        limit: What `limit_time` was given; not set, or 0.0, before.
        sent: Octets of the response's body so far.
        started_at: High-resolution time of the head's arrival; 0 when nobody wants to know.
        status: The status of the response; 0 before it was chosen.
        task: What answers it.
    """

    __slots__ = (
        "__weakref__",
        "_burst",
        "_connection",
        "_pending",
        "body",
        "complete",
        "disconnected",
        "gone",
        "head",
        "limit",
        "response_started",
        "sent",
        "started_at",
        "status",
        "task",
        "timed_out",
    )

    def __init__(self, connection: "Connection", head: RequestReceived, body: Body | None) -> None:
        self._connection = connection
        self.head = head
        self.body = body
        self._pending = b""
        self._burst = 0
        self.complete = False
        self.disconnected = False
        self.gone: asyncio.Future[None] | None = None
        self.response_started = False
        self.sent = 0
        self.started_at = 0.0
        self.status = 0
        self.task: asyncio.Task[None] | None = None
        self.timed_out = False

    @property
    def scheme(self) -> str:
        """``http`` or ``https``, as the connection is."""
        return self._connection.scheme

    @property
    def tls(self) -> Any:
        """The `ssl.SSLObject` of the connection; None if it is not encrypted."""
        return self._connection.tls()

    @property
    def protocol(self) -> Any:
        """The connection."""
        return self._connection

    @property
    def transport(self) -> Any:
        """What the connection writes to."""
        return self._connection.transport()

    @property
    def client(self) -> tuple[str, int] | None:
        """The peer's address; None on a Unix socket."""
        return self._connection.client

    @property
    def server(self) -> tuple[str, int] | None:
        """Our own address; None on a Unix socket."""
        return self._connection.server_address()

    @property
    def memo(self) -> Any:
        """What the interface keeps with the connection."""
        return self._connection.memo

    @memo.setter
    def memo(self, value: Any) -> None:
        self._connection.memo = value

    async def receive(self) -> bytes:
        """The next piece of the body; ``b""`` at its end."""
        body = self.body
        if body is None:
            return b""
        self._connection.want_body()
        while not body.chunks:
            if body.error is not None:
                raise body.error
            if body.complete:
                return b""
            if self.disconnected:
                raise ClientDisconnected("the client left before its body was complete")
            if body.waiter is None or body.waiter.done():
                body.waiter = self._connection.new_future()
            await body.waiter
        data: bytes = body.take()
        self._connection.body_taken(body)
        return data

    def limit_body(self, size: int, seconds: float) -> None:
        """Bound the rest of the body."""
        body = self.body
        if body is None:
            return
        if seconds > 0:
            body.deadline = self._connection.deadline_in(seconds)
            self._connection.look_at(body.deadline)
        body.limit = size
        if 0 <= size < max(self.head.content_length, body.received):
            body.fail(PayloadTooLarge("Request body exceeds the size limit"))
            raise PayloadTooLarge("Request body exceeds the size limit")

    def limit_time(self, seconds: float) -> None:
        """Bound the time until the response begins."""
        self.limit = seconds
        self._connection.limit_time(self, seconds)

    def respond(self, status: int, fields: _Fields, body: bytes) -> None:
        """Send a whole response in one write."""
        if self.response_started:
            raise LocalProtocolError("the response was started before: a request has one response")
        self._connection.send_response(self, status, fields, body)

    def inform(self, status: int, fields: _Fields) -> None:
        """Send an informational response."""
        if self.response_started:
            raise LocalProtocolError("an informational response cannot follow the final one")
        self._connection.send_informational(status, fields)

    def start(self, status: int, fields: _Fields) -> None:
        """Begin a response whose body follows."""
        if self.response_started:
            raise LocalProtocolError("the response was started before: a request has one response")
        self._pending = self._connection.send_head(self, status, fields)
        self.response_started = True
        self.status = status

    async def send(self, data: bytes) -> None:
        """Send a piece of the body."""
        self._check_open()
        self._connection.send_data(self, self._pending, data)
        self._pending = b""
        if self._connection.writer.paused:
            self._burst = 0
            await self._connection.writer.drained()
        else:
            self._burst += len(data) + SEND_COST
            if self._burst > BURST_SIZE:
                self._burst = 0
                await asyncio.sleep(0)

    async def send_file(self, file: int, offset: int, count: int) -> None:
        """Send a part of an open file."""
        self._check_open()
        pending = self._pending
        self._pending = b""
        await self._connection.send_file(self, pending, file, offset, count)

    async def end(self, trailers: _Fields = ()) -> None:
        """Complete the response."""
        if self.complete:
            return
        self._check_open()
        pending = self._pending
        self._pending = b""
        self._connection.send_end(self, pending, trailers)
        if self._connection.writer.paused and not self.disconnected:
            await self._connection.writer.drained()

    async def wait_disconnected(self) -> None:
        """Return when the client is gone."""
        if self.disconnected or self.complete:
            return
        if self.gone is None:
            self.gone = self._connection.new_future()
        await asyncio.shield(self.gone)

    async def wait_draining(self) -> None:
        """Return when the server stops, or another worker has taken the place of this one."""
        await self._connection.state.leaving.wait()

    def open_websocket(
        self,
        handshake: Handshake,
        subprotocol: str | None = None,
        fields: _Fields = (),
        *,
        options: SocketOptions = USUAL,
    ) -> Socket:
        """Accept a WebSocket."""
        if self.response_started:
            raise LocalProtocolError("the response was started before: a WebSocket is opened in its place")
        return self._connection.open_websocket(self, handshake, subprotocol, fields, options)

    def abort(self) -> None:
        """Drop the connection at once; nothing happens when the response is complete."""
        if not (self.disconnected or self.complete):
            self._connection.abort()

    def _check_open(self) -> None:
        if self.disconnected:
            raise ClientDisconnected("the client is gone")
        if self.complete and self.head.method == "HEAD":
            raise ClientDisconnected("the client asked for the head only and has it")
        if self.complete or not self.response_started:
            what = "is complete" if self.complete else "was not started"
            raise LocalProtocolError(f"nothing can be sent: the response {what}")

    def lose(self) -> None:
        """The client is gone: wake whoever waits."""
        self.disconnected = True
        if self.body is not None and not self.body.complete:
            self.body.fail(ClientDisconnected("the client left before its body was complete"))
        self.let_go()

    def let_go(self) -> None:
        """Wake who waits for the end of the exchange."""
        if self.gone is not None and not self.gone.done():
            self.gone.set_result(None)
