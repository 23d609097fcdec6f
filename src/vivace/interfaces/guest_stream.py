"""One exchange over another server's ASGI connection: the other implementation of the stream.

Rules of this file:

- What is refused is what our own server refuses, by the same code (`render_head`); what the server frames or
  owns is not passed on: connection fields, Transfer-Encoding.
- The stream's `respond` and `start` are plain calls, ASGI's `send` is not: whole responses wait in `_outbox`
  until the handler returns, or until the next turn of the loop if it goes on; streamed ones are sent at once.
- Trailers are announced with the start in ASGI, so they go out only where a ``Trailer`` field names them.
- A client that leaves is looked for only while a handler takes longer than `WATCH_AFTER`; most requests cost
  no more than a timer.
- The task that is cancelled is the server's: `run` takes back what was asked for here, and nothing else.
- Follows the ASGI specification, HTTP & WebSocket 2.5 with its extensions, and `vivace.protocols.stream`.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

from vivace.errors import BrokenResourceError, ClientDisconnected, LocalProtocolError
from vivace.interfaces.guest_head import GuestHead
from vivace.interfaces.guest_input import GuestInput, Message, Receive
from vivace.interfaces.hosted import TEXT_FIELDS
from vivace.protocols.events import RequestReceived
from vivace.protocols.socket import USUAL, Socket, SocketOptions
from vivace.protocols.ws_handshake import Handshake
from vivace.server.interface import Interface
from vivace.server.stacks import StuckLog
from vivace.wire.chunk import FORBIDDEN_TRAILERS
from vivace.wire.field import check_field
from vivace.wire.response import WITH_CHUNKS, WITH_LENGTH, WITH_LENGTH_OF_GET, WITH_NOTHING, render_head

__all__ = ["FILE_PIECE", "WATCH_AFTER", "GuestStream", "Send"]

Send = Callable[[Message], Awaitable[None]]
"""Takes an event for the server."""

WATCH_AFTER: Final = 0.05
"""Seconds that a handler runs before anybody looks whether its client is still there."""
FILE_PIECE: Final = 262_144
"""Octets of a file that are read at a time, by a thread."""

_Fields = Sequence[tuple[bytes, bytes]]
_NOT_PASSED: Final = frozenset(
    (
        b"connection",
        b"content-length",  # put back as the rules of framing have it
        b"keep-alive",
        b"proxy-connection",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""Fields of a response that are the server's to send (RFC 9110 section 7.6.1)."""


class GuestStream:
    """One exchange; see `vivace.protocols.stream.Stream`, which documents what is not documented here.

    Args:
        scope: Of the type ``http``.
        receive: The server's.
        send: The server's.
        response_timeout: RESPONSE_TIMEOUT; 0: none.

    Attributes:
        complete: The response was handed over whole.
        status: The status of the response; 0 before it was chosen.
    """

    __slots__ = (
        "_aborted",
        "_announced",
        "_cancelled",
        "_cancels",
        "_extensions",
        "_failure",
        "_flush_soon",
        "_flushing",
        "_gone",
        "_input",
        "_loop",
        "_outbox",
        "_patience",
        "_receive",
        "_scope",
        "_send",
        "_silent",
        "_task",
        "_timer",
        "_to_send",
        "complete",
        "disconnected",
        "head",
        "memo",
        "response_started",
        "status",
        "timed_out",
    )

    def __init__(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send, response_timeout: float
    ) -> None:
        self.head: RequestReceived = GuestHead(scope)
        self.memo: Any = None
        self.complete = False
        self.disconnected = False
        self.response_started = False
        self.status = 0
        self.timed_out = False
        self._scope = scope
        self._extensions: dict[str, Any] = scope.get("extensions") or {}
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = None
        self._patience = response_timeout
        self._receive = receive
        self._input: GuestInput | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._outbox: list[Message] = []
        self._to_send = -1
        self._silent = False
        self._announced = False
        self._aborted = False
        self._cancelled = False
        self._cancels = True
        self._flush_soon: asyncio.Handle | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._gone: asyncio.Future[None] | None = None

    @property
    def scope(self) -> MutableMapping[str, Any]:
        """The scope as the other server gave it."""
        return self._scope

    @property
    def scheme(self) -> str:
        """``http`` or ``https``, as the server says."""
        return self._scope.get("scheme", "http")  # type: ignore[no-any-return]

    @property
    def tls(self) -> None:
        """What encrypts the connection is the server's."""
        return

    @property
    def client(self) -> tuple[str, int] | None:
        """The peer's address, as the server says."""
        return _address(self._scope.get("client"))

    @property
    def server(self) -> tuple[str, int] | None:
        """The server's address; None on a Unix socket."""
        return _address(self._scope.get("server"))

    # -- the exchange as a whole ------------------------------------------------------------------------

    async def run(self, interface: Interface) -> None:
        """Let `interface` answer, and see the exchange to its end; in the task in which the server called.

        Raises:
            BrokenResourceError: The response broke off; the server has to cut the connection.
        """
        self._task = task = asyncio.current_task()
        before = task.cancelling() if task is not None else 0
        self._cancels = interface.cancels
        self._timer = self._loop.call_later(WATCH_AFTER, self._look)
        try:
            await self._answer(interface)
        except asyncio.CancelledError:
            if not self._take_back(before):
                raise
            if self.timed_out and not self.disconnected:
                self.respond(503, TEXT_FIELDS, b"the response took too long\n")
                await self._flush()
        except ClientDisconnected:
            self._take_back(before)
        else:
            self._take_back(before)
        finally:
            self._stop()
        if self._aborted:
            raise BrokenResourceError("the response broke off: the log says why")

    async def _answer(self, interface: Interface) -> None:
        answer = interface(self)
        if answer is not None:
            await answer
        else:
            await self._until_gone()
        if not (self.complete or self.disconnected):
            if self.response_started:
                self.abort()
                return
            self.respond(500, TEXT_FIELDS, b"the application gave no answer\n")
        await self._flush()

    def _take_back(self, before: int) -> bool:
        """Take our own cancellations back; whether there is nothing left of those by others."""
        task = self._task
        ours = int(self._cancelled) + int(self.timed_out and not self.response_started)
        if not ours or task is None:
            return False
        for _ in range(min(ours, task.cancelling() - before)):
            task.uncancel()
        return task.cancelling() <= before

    def _stop(self) -> None:
        """Let go of whatever would call us later."""
        for handle in (self._timer, self._flush_soon):
            if handle is not None:
                handle.cancel()
        if self._flushing is not None:
            self._flushing.cancel()
        if self._input is not None:
            self._input.close()

    def _look(self) -> None:
        """The handler takes a while: from now on notice when the client leaves."""
        self._timer = None
        if self.complete or self.disconnected:
            return
        incoming = self._incoming()
        if self.head.has_body and not incoming.complete:
            self._timer = self._loop.call_later(WATCH_AFTER, self._look)
        elif self._patience > 0 and not self.response_started:
            self._timer = self._loop.call_later(self._patience, self._time_out)
        incoming.look_ahead()

    def limit_time(self, seconds: float) -> None:
        """Count from now, and other seconds than RESPONSE_TIMEOUT."""
        self._patience = seconds
        if not (self.complete or self.response_started):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(WATCH_AFTER, self._look)

    def _time_out(self) -> None:
        """RESPONSE_TIMEOUT is over, or the route's own time."""
        self._timer = None
        if not (self.response_started or self.disconnected):
            StuckLog().report(self, self._task, self._patience)
            self.timed_out = True
            self._cancel()

    def _cancel(self) -> bool:
        """Cancel the task of the exchange, unless it is the one that runs."""
        task = self._task
        if task is None or task is asyncio.current_task():
            return False
        return task.cancel()

    def _lose(self) -> None:
        """The client is gone: cancel what works for it, wake who waits."""
        if self.complete or self.disconnected:
            return
        self.disconnected = True
        self._outbox.clear()
        if self._input is not None:
            self._input.lose()
        self._let_go()
        self._cancelled = self._cancels and self._cancel()

    def _let_go(self) -> None:
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    async def wait_disconnected(self) -> None:
        """Return when the client is gone or the response is complete."""
        self._incoming().look_ahead()
        await self._until_gone()

    async def wait_draining(self) -> None:
        """Never return: other servers do not say when they stop."""
        await self._loop.create_future()

    async def _until_gone(self) -> None:
        if self.disconnected or self.complete:
            return
        if self._gone is None:
            self._gone = self._loop.create_future()
        await asyncio.shield(self._gone)

    def abort(self) -> None:
        """Give the exchange up, so that no one takes its response for complete."""
        if not (self.disconnected or self.complete):
            self._aborted = True
            self._lose()

    async def receive(self) -> bytes:
        """The next piece of the body; ``b""`` at its end."""
        return await self._incoming().receive() if self.head.has_body else b""

    def limit_body(self, size: int, seconds: float) -> None:
        """Bound the rest of the body."""
        if self.head.has_body:
            self._incoming().limit_body(size, seconds)

    def _incoming(self) -> GuestInput:
        """What the server sends; most requests end before anybody asks for it."""
        if self._input is None:
            self._input = GuestInput(self.head, self._receive, self._lose)
        return self._input

    # -- the response -----------------------------------------------------------------------------------

    def respond(self, status: int, fields: _Fields, body: bytes) -> None:
        """Send a whole response."""
        self._begin(status, fields, len(body))
        self._post({"type": "http.response.body", "body": b"" if self._silent else body})
        self._end()

    def inform(self, status: int, fields: _Fields) -> None:
        """Send an informational response: 103 where the server can; it sends ``100 Continue`` by itself."""
        if self.response_started or not 100 <= status < 200 or status == 101:
            raise LocalProtocolError(f"no interim response {status} can be sent now")
        for name, value in fields:
            check_field(name, value)
        if status == 103 and "http.response.early_hint" in self._extensions:
            links = [value for name, value in fields if name.lower() == b"link"]
            self._post({"type": "http.response.early_hint", "links": links})

    def open_websocket(
        self,
        handshake: Handshake,
        subprotocol: str | None = None,
        fields: _Fields = (),
        *,
        options: SocketOptions = USUAL,
    ) -> Socket:
        """Nothing: another server makes a scope of its own of a WebSocket."""
        raise LocalProtocolError("a request that another server took for HTTP cannot become a WebSocket")

    def start(self, status: int, fields: _Fields) -> None:
        """Begin a response whose body follows."""
        self._begin(status, fields, -1)

    async def send(self, data: bytes) -> None:
        """Send a piece of the body."""
        self._check_open()
        if self._silent:
            await self.end()
            return
        self._count(len(data))
        if data.__class__ is not bytes:
            data = bytes(data)
        if data or self._outbox:
            await self._deliver({"type": "http.response.body", "body": data, "more_body": True})

    async def send_file(self, file: int, offset: int, count: int) -> None:
        """Send a part of an open file: by the server if it can, else read by a thread."""
        self._check_open()
        if self._silent:
            return
        self._count(count)
        if "http.response.zerocopysend" in self._extensions:
            part = {"file": os.fdopen(file, "rb", 0, closefd=False), "offset": offset, "count": count}
            await self._deliver({"type": "http.response.zerocopysend", **part, "more_body": True})
            return
        end = offset + count
        while offset < end:
            self._check_open()
            size = min(end - offset, FILE_PIECE)
            data = await self._loop.run_in_executor(None, os.pread, file, size, offset)
            if not data:
                self.abort()
                raise BrokenResourceError("the file became shorter while it was sent")
            offset += len(data)
            await self._deliver({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, trailers: _Fields = ()) -> None:
        """Complete the response."""
        if self.complete:
            return
        self._check_open()
        if self._to_send > 0 and not self._silent:
            raise LocalProtocolError(f"the content is shorter than its Content-Length, by {self._to_send}")
        _check_trailers(trailers)
        self._outbox.append({"type": "http.response.body", "body": b"", "more_body": False})
        if self._announced:
            self._outbox.append({"type": "http.response.trailers", "headers": _lowered(trailers)})
        self._end()
        await self._deliver()

    def _begin(self, status: int, fields: _Fields, size: int) -> None:
        """Choose the head of the response; `size` is -1 if the content follows in pieces."""
        if self.response_started:
            raise LocalProtocolError("the response was started before: a request has one response")
        if status.__class__ is not int or not 200 <= status <= 999:
            raise LocalProtocolError(f"{status!r} is not the status of a final response")
        self.status = status
        head_only = self.head.method == "HEAD"
        framing, length = (WITH_LENGTH, size) if size >= 0 else (WITH_CHUNKS, 0)
        if status in (204, 304):
            framing = WITH_NOTHING
        elif head_only:
            framing, length = WITH_LENGTH_OF_GET, max(size, 0)
        elif status == 205:
            framing, length = WITH_LENGTH, 0
        self._to_send = render_head(b"", fields, b"", 0, framing, length, b"")[1]
        self._silent = head_only or status in (204, 205, 304)
        headers = [pair for pair in _lowered(fields) if pair[0] not in _NOT_PASSED]
        if self._to_send >= 0:
            headers.append((b"content-length", b"%d" % self._to_send))
        message: Message = {"type": "http.response.start", "status": status, "headers": headers}
        if size < 0 and self._takes_trailers() and any(name == b"trailer" for name, _ in headers):
            message["trailers"] = self._announced = True
        self.response_started = True
        if not self.disconnected:
            self._outbox.append(message)

    def _takes_trailers(self) -> bool:
        """Whether server and client take trailers (RFC 9110 section 6.5.1)."""
        if "http.response.trailers" not in self._extensions:
            return False
        return any(name == b"te" and b"trailers" in value.lower() for name, value in self.head.fields())

    def _check_open(self) -> None:
        if self.disconnected:
            raise ClientDisconnected("the client is gone")
        if self.complete and self.head.method == "HEAD":
            raise ClientDisconnected("the client asked for the head only and has it")
        if self.complete or not self.response_started:
            what = "is complete" if self.complete else "was not started"
            raise LocalProtocolError(f"nothing can be sent: the response {what}")

    def _count(self, size: int) -> None:
        if self._to_send >= 0:
            if size > self._to_send:
                raise LocalProtocolError(
                    f"the content is longer than its Content-Length, by {size - self._to_send}"
                )
            self._to_send -= size

    def _end(self) -> None:
        """The response is complete as far as the app is concerned."""
        self.complete = True
        self._let_go()

    # -- on the way out ---------------------------------------------------------------------------------

    def _post(self, message: Message) -> None:
        """Send what waits, and this, in the next turn of the loop unless the handler has returned by then."""
        if self.disconnected:
            return
        self._outbox.append(message)
        if self._flush_soon is None and self._flushing is None:
            self._flush_soon = self._loop.call_soon(self._begin_flushing)

    def _begin_flushing(self) -> None:
        self._flush_soon = None
        self._flushing = self._loop.create_task(self._empty())
        self._flushing.add_done_callback(self._on_flushed)

    def _on_flushed(self, flushing: "asyncio.Task[None]") -> None:
        self._flushing = None
        if not flushing.cancelled():
            self._failure = flushing.exception()

    async def _flush(self) -> None:
        """Send what waits; return when it is sent, whoever does it."""
        if self._flush_soon is not None:
            self._flush_soon.cancel()
            self._flush_soon = None
        while self._flushing is not None:
            await asyncio.wait((self._flushing,))
        if self._failure is not None:
            raise self._failure
        await self._empty()

    async def _deliver(self, *messages: Message) -> None:
        self._outbox += messages
        await self._flush()

    async def _empty(self) -> None:
        while self._outbox:
            try:
                await self._send(self._outbox.pop(0))
            except OSError as error:  # since version 2.4 of the specification
                self._lose()
                raise ClientDisconnected("the client is gone") from error


def _address(given: Any) -> tuple[str, int] | None:
    """A pair of host and port, unless it is the path of a Unix socket."""
    return (str(given[0]), int(given[1])) if given and given[1] is not None and given[0] else None


def _lowered(fields: _Fields) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in fields]


def _check_trailers(trailers: _Fields) -> None:
    for name, value in trailers:
        check_field(name, value)
        if name.lower() in FORBIDDEN_TRAILERS:
            raise LocalProtocolError(f"{name.decode('ascii')} may not stand in a trailer section")
