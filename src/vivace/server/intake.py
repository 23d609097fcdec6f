# cython: language_level=3, annotation_typing=False
"""The receiving half of a connection: bodies of requests, what is thrown away, and when reading stops.

Rules of this file:

- Reading pauses while more waits than somebody takes; it goes on when half of it was taken.
- An unread rest of a body is skipped if it is small; else the connection ends with the response.
- Whose turn it is, the client's or the handler's, is said by `deadline`; `timeouts` acts on it.
- The other half is `vivace.server.connection`, which answers; the few calls up to it are named below.
"""

from typing import Any, Final

from vivace.errors import ClientDisconnected, ProtocolError
from vivace.protocols.events import DataReceived, EndOfMessage
from vivace.protocols.h1 import H1Connection
from vivace.server.body import Body
from vivace.server.phase import CLOSED, DRAIN, FAILING, HANDLER, IDLE
from vivace.server.state import ServerState
from vivace.server.stream import Stream

__all__ = ["Intake"]

DRAIN_SIZE: Final = 65_536
"""Octets of an unread body that are skipped to keep a connection; with more to come it is closed."""
DRAIN_TIMEOUT: Final = 1.0
"""Seconds for that; and for the request of a connection that came just when the server stops."""
CANCEL_GRACE: Final = 1.0
"""Seconds a handler has that was cancelled, or whose body failed, before the server answers in its place."""
LINGER_SIZE: Final = 262_144
"""Octets thrown away at most after our side was shut down; then the client is left to read, or to wait."""


class Intake:
    """What a connection receives, and its state; `Connection` adds what it answers.

    Attributes:
        client: The peer's address; None on a Unix socket.
        deadline: When `check` has to act, monotonic seconds; infinity: not by itself.
        memo: What the interface keeps with the connection.
        phase: What it is doing; see `vivace.server.phase`.
        read_paused: Reading has stopped until somebody takes what was read.
        scheme: ``http`` or ``https``.
        slot: Where it lies in the wheel of deadlines.
        state: What it shares with the other connections of the worker.
        stream: The request that is being answered; None between two.
        writer: The writing side; None before the transport is there.
    """

    __slots__ = (
        "__weakref__",
        "_continue",
        "_discarded",
        "_eof",
        "_h1",
        "_last",
        "_server",
        "_transport",
        "client",
        "deadline",
        "memo",
        "phase",
        "read_paused",
        "scheme",
        "slot",
        "state",
        "stream",
        "writer",
    )

    def __init__(
        self,
        state: ServerState,
        client: tuple[str, int] | None = None,
        server: tuple[str, int] | None = None,
        scheme: str = "http",
    ) -> None:
        self.state = state
        self.client = client
        self._server = server
        self.scheme = scheme
        self._h1 = H1Connection(state.settings.h1)
        self._transport: Any = None
        self.memo: Any = None
        self.stream: Stream | None = None
        self._last: Stream | None = None
        self.phase = IDLE
        self._continue = False
        self._eof = False
        self.read_paused = False
        self._discarded = 0
        self.slot: set[Any] | None = None
        self.writer: Any = None
        self.deadline = 0.0

    # -- what the answering half does -----------------------------------------------------------------

    def _advance(self) -> None:
        raise NotImplementedError

    def check(self, now: float) -> float:
        """Act on what is due; when to look again, or 0.0 when the connection is over."""
        raise NotImplementedError

    def answer_for(self, stream: Stream, status: int, message: str) -> None:
        """Answer in place of a handler that cannot, and close."""
        raise NotImplementedError

    def lose(self, stream: Stream) -> None:
        """Nobody is there for this stream's answer any more."""
        raise NotImplementedError

    def shut_down(self) -> None:
        """Close our side; the other gets a moment to read what was sent."""
        raise NotImplementedError

    def abort(self) -> None:
        """Drop the connection."""
        raise NotImplementedError

    # -- the body of a request ------------------------------------------------------------------------

    def _feed(self, stream: Stream, body: Body) -> None:
        """Hand arrived pieces of the body to the stream."""
        h1 = self._h1
        before = body.received
        try:
            while True:
                event = h1.next_event()
                if isinstance(event, DataReceived):
                    body.feed(event.data, self.state.now)
                elif isinstance(event, EndOfMessage):
                    body.finish()
                    self._continue = False
                    self._let_handler_run(stream)
                    return
                else:
                    break
        except ProtocolError as error:
            self._break_off(stream, body, error)
            return
        if body.received != before:
            self._continue = False
        if body.buffered > self.state.input_buffer:
            self._pause_reading()
            self._let_handler_run(stream)
        else:
            self._read_on(body)

    def _read_on(self, body: Body) -> None:
        """Read on if reading had stopped and the app has taken enough; then it is the client's turn again."""
        if self.read_paused and body.buffered <= self.state.input_buffer // 2 and not body.complete:
            body.restart_clock(self.state.now)
            self._resume_reading()
            if self.phase == HANDLER:
                self.deadline = float("inf")

    def _let_handler_run(self, stream: Stream) -> None:
        """RESPONSE_TIMEOUT counts from here: it is the handler that is waited for, not the client."""
        if self.phase == HANDLER and not stream.response_started:
            self.deadline = self.state.now + self.state.handler_time

    def _break_off(self, stream: Stream, body: Body, error: ProtocolError) -> None:
        """The body cannot be continued: bad framing, or the client left in the middle of it."""
        if self._eof:
            self.lose(stream)
            self._transport.close()
            return
        if self.state.refuse is not None and not stream.response_started:
            self._blame(body, error)
            return
        body.fail(ClientDisconnected(str(error)))
        if not stream.response_started:
            self.answer_for(stream, error.status_hint, str(error))
        else:
            self.abort()
        self.lose(stream)

    def _blame(self, body: Body, error: ProtocolError) -> None:
        """Let the handler learn what is wrong with the body, and answer; if it does not, we do."""
        if body.error is None:
            self.give_up_body(error)
            self.phase = FAILING
            self.deadline = self.deadline_in(CANCEL_GRACE)
            self.state.deadlines.add(self, self.deadline)

    def want_body(self) -> None:
        """The app asked for the body: tell a client that waits for that (RFC 9110 section 10.1.1)."""
        if self._continue:
            self._continue = False
            if self.stream is not None and not self.stream.response_started:
                self.deadline = float("inf")
                self.writer.write(self._h1.send_informational(100, ()))

    def body_taken(self, body: Body) -> None:
        """The app took a piece."""
        if self.stream is not None:
            self._read_on(body)

    def _skip_body(self, body: Body) -> None:
        """The response is out and the body is not: skip a small rest to keep the connection, else close."""
        if not self._h1.keep_alive or self._continue:
            self.shut_down()
            return
        self.phase = DRAIN
        self._discarded = 0
        body.fail(ClientDisconnected("the response was complete before the body"))
        self.deadline = self.deadline_in(DRAIN_TIMEOUT)
        self.state.deadlines.add(self, self.deadline)
        self._resume_reading()
        self._skip()

    def _skip(self) -> None:
        h1 = self._h1
        try:
            event = h1.next_event()
            while isinstance(event, DataReceived):
                self._discarded += len(event.data)
                event = h1.next_event()
        except ProtocolError:
            self.shut_down()
            return
        if isinstance(event, EndOfMessage):
            if self.state.draining:
                self.shut_down()
                return
            h1.next_cycle()
            self.phase = IDLE
            self.deadline = self.state.now + self.state.idle_time
            # Not at once: this may run within the task of the request before.
            self.state.loop.call_soon(self._advance)
        elif self._discarded > DRAIN_SIZE:
            self.shut_down()

    def _discard(self, data: bytes) -> None:
        if self.phase == DRAIN:
            self._h1.receive_data(data)
            self._skip()
            return
        self._discarded += len(data)
        if self._discarded > LINGER_SIZE:
            # To close now would reset the connection, and the answer might be lost with it.
            self._pause_reading()

    def _watch_half_close(self, stream: Stream, written: int) -> None:
        wait = self.state.settings.half_close_timeout
        self.state.loop.call_later(wait, self._half_closed, stream, written)

    def _half_closed(self, stream: Stream, written: int) -> None:
        """Cancel the handler unless the client has been seen to take octets since."""
        if self.stream is not stream or self.phase == CLOSED:
            return
        flushed = self.writer.left()
        if flushed > written:
            self._watch_half_close(stream, flushed)
            return
        self.lose(stream)
        self._transport.close()

    def _before_response(self, body: Body) -> None:
        """Say ``Connection: close`` in time when the rest of the body will not be read."""
        if body.complete:
            return
        rest = self.stream.head.content_length - body.received if self.stream is not None else 0
        if self._continue or rest > DRAIN_SIZE or body.error is not None:
            self._h1.close_after()

    def deadline_in(self, seconds: float) -> float:
        """The monotonic time `seconds` from now, never early."""
        return self.state.now + seconds + self.state.deadlines.tick

    def unread(self) -> int:
        """Octets that were received and not parsed."""
        return self._h1.buffered

    def waits_for_body(self) -> bool:
        """Whether it is the client's turn to send something of the body."""
        return not (self.read_paused or self._continue)

    def give_up_body(self, error: Exception) -> None:
        """Nothing more of the body is waited for; the handler learns why and answers."""
        if self.stream is not None and self.stream.body is not None:
            self.stream.body.fail(error)
        self._h1.close_after()

    # -- reading --------------------------------------------------------------------------------------

    def _pause_reading(self) -> None:
        if not self.read_paused:
            self.read_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self.read_paused:
            self.read_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
