# cython: language_level=3, annotation_typing=False
"""A connection that became a WebSocket: the asyncio protocol around `protocols.ws`, and what handlers see.

Rules of this file:

- All messages of an arrival are handed up together, and what a listener answers to them leaves in one write.
  Of what a handler sends in one turn of the loop the first leaves at once, the rest together.
- Who does not take its messages is not read: not beyond WEBSOCKET_MAX_QUEUE of them, nor a message's greatest
  size. Who does not read is not written to, beyond the high-water mark; after WRITE_TIMEOUT it is dropped.
- A message is on its way when `send` returns; awaiting it waits for a client that is behind.
- What many get is made into octets once (`push`); a client that is behind gets none of it.
- What came before the end is still taken in order; then whoever waits gets WebsocketClosed.
- The handler of a client that was lost is cancelled unless it is just about to learn that; that of one that
  said good-bye gets a moment to find out and to clean up.
- A close is answered once, when the handler has asked for what comes next or a moment later, and the
  connection is ended by us; one of ours waits WEBSOCKET_CLOSE_TIMEOUT. Behind an error the client gets a
  moment to read why (RFC 6455 section 7.1.1).
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Final, cast

from vivace.errors import ClientDisconnected, WebsocketClosed
from vivace.protocols.broadcast import OWN, Broadcast, variant_of
from vivace.protocols.completed import COMPLETED
from vivace.protocols.deflate import Deflate
from vivace.protocols.socket import Listener, Watcher
from vivace.protocols.ws import Closed, Failed, Ping, Pong, WsConnection
from vivace.server.settings import WebSocketSettings
from vivace.server.state import ServerState
from vivace.server.ws_closing import closed_error, closing_turn, end_writing, lifetime, outlive
from vivace.server.ws_pings import Pings
from vivace.server.ws_silence import ASK, LOST, judge_silence, next_look

__all__ = ["WebSocket"]

logger = logging.getLogger("vivace.server")

# What it is doing, in the order of its life; not the phases of requests (`server.phase`).
OPEN: Final = 0
ENDING: Final = 1
"""The client has closed or broken a rule: what came before may still be answered, then it is told."""
CLOSING: Final = 2
"""Our close is out and its answer is awaited."""
SHUT: Final = 3
"""Nothing is read any more: the connection ends when what was written is out, or a moment later."""
CLOSED: Final = 4

ANSWER_GRACE: Final = 0.5
"""Seconds in which a handler may answer what came before the client's close."""
BATCH_SIZE: Final = 65_536
"""Octets gathered at most before they are written."""
LINGER_SIZE: Final = 262_144
"""Octets thrown away at most after a client broke a rule; then it is left to read, or to wait."""


class WebSocket:
    """An open WebSocket; see `vivace.protocols.socket.Socket`.

    Args:
        state: What it shares with the other connections of the worker.
        settings: What holds for it.
        client: The peer's address.
        deflate: The compression that was agreed upon.
        subprotocol: What was chosen.

    Attributes:
        deadline: When `check` has to act.
        phase: What it is doing.
        slot: Where it lies in the wheel of deadlines.
        stream: None: no request is under way.
        task: Its handler.
        writer: The writing side.
    """

    __slots__ = (
        "__weakref__",
        "_batch",
        "_deflate",
        "_discarded",
        "_expires",
        "_gathered",
        "_gone",
        "_heard",
        "_last",
        "_limit",
        "_listener",
        "_pinged",
        "_pings",
        "_queue",
        "_queued",
        "_reader",
        "_settings",
        "_transport",
        "_variant",
        "_waiter",
        "_watcher",
        "_wrote",
        "_ws",
        "client",
        "close_code",
        "close_reason",
        "deadline",
        "phase",
        "read_paused",
        "slot",
        "state",
        "stream",
        "subprotocol",
        "task",
        "writer",
    )

    def __init__(
        self,
        state: ServerState,
        settings: WebSocketSettings,
        client: tuple[str, int] | None = None,
        deflate: Deflate | None = None,
        subprotocol: str | None = None,
    ) -> None:
        self.state = state
        self._settings = settings
        self.client = client
        self.subprotocol = subprotocol
        self.stream = None
        self.slot: set[Any] | None = None
        self.task: asyncio.Task[Any] | None = None
        self.writer: Any = None
        self.phase = OPEN
        self.close_code = 0
        self.close_reason = ""
        self.read_paused = False
        self._ws = WsConnection(settings.limits, deflate)
        self._transport: Any = None
        self._queue: deque[Any] | None = None
        self._queued = 0
        self._limit = max(settings.limits.max_message, state.input_buffer)
        self._waiter: asyncio.Future[None] | None = None
        self._reader: _Reader | None = None
        self._gone: asyncio.Future[None] | None = None
        self._listener: Listener | None = None
        self._batch: list[bytes] | None = None
        self._pings: Pings | None = None
        self._watcher: Watcher | None = None
        self._deflate = deflate
        self._variant = variant_of(deflate)
        self._last: Closed | Failed | None = None
        self._gathered = 0
        self._wrote = False
        self._discarded = 0
        self._heard = state.now
        self._pinged = 0.0
        self._expires = state.now + lifetime(settings)
        self.deadline = float("inf")

    # -- what the connection before it and asyncio call -----------------------------------------------

    def take_over(self, transport: Any, writer: Any, rest: bytes, ended: bool) -> None:
        """Go on where the connection was that made the handshake.

        Args:
            transport: Ours from now on.
            writer: Its writing side.
            rest: What came behind the handshake.
            ended: The peer has shut down its sending side.
        """
        self._transport = transport
        self.writer = writer
        transport.set_protocol(self)
        self.state.connections.add(cast("Any", self))
        self._schedule(self._next_look(self.state.now))
        if self.state.draining:
            self.drain()
        if rest:
            self.state.loop.call_soon(self.data_received, rest)
        if ended:
            self.state.loop.call_soon(self.eof_received)

    def data_received(self, data: bytes) -> None:
        """Octets came."""
        self._heard = self.state.now
        if self.phase >= SHUT or self._last is not None:
            self._discard(data)
            return
        events = self._ws.receive_data(data)
        if self._listener is not None:
            if self._batch is None:
                self._batch = []
            try:
                self._take_in(events)
            finally:
                self._flush()
        else:
            self._take_in(events)

    def eof_received(self) -> bool:
        """The peer ended the connection, with or without a close; False closes ours."""
        if self.phase == ENDING:
            return True
        if self.phase < SHUT:
            self._lose()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._lose()
        self.phase = CLOSED
        self.state.connections.discard(cast("Any", self))
        self.state.deadlines.remove(self)
        self.writer.close()
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def pause_writing(self) -> None:
        """The transport holds more than the high-water mark."""
        self.writer.pause()

    def resume_writing(self) -> None:
        """The transport has room again."""
        self.writer.resume()
        self._read_on()
        if self._watcher is not None:
            self._watcher.resumed()

    # -- what comes in --------------------------------------------------------------------------------

    def _take_in(self, events: list[Any]) -> None:
        """Hand on what was told; pongs and the answer to a close leave at once."""
        for event in events:
            kind = event.__class__
            if kind is not str and kind is not bytes:
                self._note(event)
            elif self.phase != OPEN:
                continue
            elif self._listener is not None:
                self._call(self._listener, event)
            else:
                if self._queue is None:
                    self._queue = deque()
                self._queue.append(event)
                self._queued += len(event)
        if self._queue:
            self._wake()
            if len(self._queue) >= self._settings.max_queue or self._queued > self._limit:
                self._pause_reading()
        if self.writer.paused:
            self._pause_reading()

    def _note(self, event: Any) -> None:
        """Anything but a message."""
        if isinstance(event, Ping):
            answers = self._ws.take_answers()
            if answers:
                self._write(answers)
        elif isinstance(event, Pong):
            if self._pings is not None:
                self._pings.answer(event.data)
        elif self.phase == CLOSING:
            self._last = event
            self._conclude()
        else:
            self._last = event
            self.phase = ENDING
            if self._listener is not None or (self._waiter is not None and not self._queue):
                self._conclude()
            else:
                self.state.loop.call_later(ANSWER_GRACE, self._conclude)

    def _conclude(self) -> None:
        """Answer the close of the client, or say what was wrong, and end the connection."""
        event = self._last
        if event is None or self.phase > CLOSING:
            return
        self._last = None
        self._end(event.code, event.reason)
        if isinstance(event, Closed):
            # The code comes back as an acknowledgement; a reason of the client's is not repeated to it.
            self._write(self._ws.send_close(event.code))
            self._flush()
            self.phase = SHUT
            self._transport.close()
        else:
            logger.debug("a WebSocket of %s was closed with %d: %s", self.client, event.code, event.reason)
            self._write(self._ws.send_close(event.code, event.reason))
            self._flush()
            self._shut_down()

    def _call(self, listener: Listener, message: str | bytes) -> None:
        try:
            listener(message)
        except WebsocketClosed:
            pass
        except Exception:
            logger.exception("the listener of a WebSocket failed")
            self.start_close(1011, "the server failed")

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def _end(self, code: int, reason: str) -> None:
        """It is closed for a reason; only the first one counts."""
        if not self.close_code:
            self.close_code = code
            self.close_reason = reason
        self._tell_ended()
        if self._pings is not None:
            self._pings.give_up()
        task = self.task
        if task is not None and not task.done():
            outlive(self.state, task)
        self.task = None
        self._wake()

    def _lose(self) -> None:
        """The client is gone without a close, unless the end was known before."""
        if self.close_code and self.task is None:
            return
        if self._last is not None:
            self._end(self._last.code, self._last.reason)
            return
        task = self.task
        waits = self._waiter is not None and not self._waiter.done()
        knows = waits or bool(self._queue) or self._gone is not None
        known = self.phase != OPEN
        self._end(1006, "")
        if task is not None and not task.done() and self.state.cancels and not (knows or known):
            task.cancel()

    # -- reading --------------------------------------------------------------------------------------

    def _pause_reading(self) -> None:
        if not self.read_paused and self.phase == OPEN:
            self.read_paused = True
            self._transport.pause_reading()

    def _read_on(self) -> None:
        """Read on if reading had stopped and the handler and the client have taken enough."""
        if not self.read_paused or self.writer.paused:
            return
        if self.phase == OPEN and self._queue:
            half = self._settings.max_queue // 2
            if len(self._queue) > half or self._queued > self._limit // 2:
                return
        self.read_paused = False
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _take(self) -> Any:
        """The next message of the queue."""
        assert self._queue is not None
        message = self._queue.popleft()
        self._queued -= len(message)
        if self.read_paused:
            self._read_on()
        return message

    def _await_message(self) -> "asyncio.Future[None]":
        """What is done when there is a message, or none will come."""
        if self._waiter is not None and not self._waiter.done():
            raise RuntimeError("another task waits for the next message of this WebSocket already")
        self._flush()
        self._waiter = self.state.loop.create_future()
        return self._waiter

    def _closed_error(self) -> WebsocketClosed:
        return closed_error(self.close_code, self.close_reason)

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.phase > ENDING or self.close_code != 0

    def _is_over(self) -> bool:
        """Whether no message will come; asked by who has dealt with all that came."""
        if self._last is not None:
            self._conclude()
        return self.phase != OPEN or self.close_code != 0

    async def recv(self, timeout: float | None = None) -> str | bytes | None:
        """The next message; None if none came within `timeout` seconds."""
        while not self._queue:
            if self._is_over():
                raise self._closed_error()
            waiter = self._await_message()
            try:
                if timeout is None:
                    await waiter
                else:
                    async with asyncio.timeout(timeout):
                        await waiter
            except TimeoutError:
                return None
            finally:
                if self._waiter is waiter:
                    self._waiter = None
        message: str | bytes = self._take()
        return message

    def take(self, most: int) -> list[Any]:
        """Messages that have come."""
        return [self._take() for _ in range(min(most, len(self._queue or ())))]

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """The messages; ends when it is closed."""
        if self._reader is None:
            self._reader = _Reader(self)
        return cast("AsyncIterator[str | bytes]", self._reader)

    def listen(self, listener: Listener) -> None:
        """Hand every message to a function."""
        self._listener = listener
        while self._queue:
            self._call(listener, self._take())
        if self._last is not None:
            self._conclude()

    # -- sending --------------------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        """Write behind what was gathered; a second time in a turn of the loop, gather."""
        if self._batch is None:
            if not self._wrote or len(data) > BATCH_SIZE:
                self._wrote = True
                self.writer.write(data)
                return
            self._batch = []
            self.state.loop.call_soon(self._flush)
        self._batch.append(data)
        self._gathered += len(data)
        if self._gathered > BATCH_SIZE:
            self._flush()

    def _flush(self) -> None:
        """Write what was gathered."""
        batch = self._batch
        self._wrote = False
        if batch is not None:
            self._batch = None
            self._gathered = 0
            if batch:
                self.writer.write(batch[0] if len(batch) == 1 else b"".join(batch))

    def send(self, message: str | bytes | bytearray | memoryview) -> Awaitable[None]:
        """Send a message."""
        if self.phase > ENDING or self.close_code:
            raise self._closed_error()
        kind = message.__class__
        if kind is str:
            data = self._ws.send_text(cast("str", message))
        elif kind is bytes:
            data = self._ws.send_bytes(cast("bytes", message))
        else:
            data = self._send_other(message)
        self._write(data)
        if not self.writer.paused:
            return COMPLETED
        return self._drained()

    def _send_other(self, message: Any) -> bytes:
        if isinstance(message, str):
            return self._ws.send_text(str(message))
        if isinstance(message, (bytes, bytearray, memoryview)):
            return self._ws.send_bytes(bytes(message))
        raise TypeError(f"a message is str (text) or bytes (binary), not {type(message).__name__}")

    async def _drained(self) -> None:
        try:
            await self.writer.drained()
        except ClientDisconnected:
            raise self._closed_error() from None

    def push(self, broadcast: Broadcast) -> bool:
        """Send messages that many get, unless the client is behind."""
        if self.phase > ENDING or self.close_code:
            return True
        if self.writer.paused:
            return False
        if self._variant != OWN:
            data = broadcast.octets(self._variant, self._deflate)
            if self._batch is None:
                self.writer.write(data)
            else:
                self._write(data)
            return True
        for one in broadcast.messages:
            self._write(self._ws.send_text(one.message) if one.text else self._ws.send_bytes(one.message))
        return True

    def watch(self, watcher: Watcher | None) -> None:
        """Tell what happens to it."""
        self._watcher = watcher

    def _tell_ended(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.ended()

    async def ping(self, data: bytes = b"") -> "asyncio.Future[float]":
        """Ask for a sign of life; what is returned gives the seconds until it came."""
        if self.closed:
            raise self._closed_error()
        if self._pings is None:
            self._pings = Pings(self.state.loop)
        payload = data or os.urandom(4)
        self._pings.check(payload)
        self._write(self._ws.send_ping(payload))
        return self._pings.expect(payload)

    async def pong(self, data: bytes = b"") -> None:
        """Give a sign of life unasked."""
        if self.closed:
            raise self._closed_error()
        self._write(self._ws.send_pong(data))

    # -- closing --------------------------------------------------------------------------------------

    def start_close(self, code: int = 1000, reason: str = "") -> None:
        """Begin to close; the rest goes by itself."""
        if self.closed:
            return
        if self._last is not None:
            self._conclude()
            return
        self._write(self._ws.send_close(code, reason))
        self.phase = CLOSING
        self._queue = None
        self._queued = 0
        self._read_on()
        self._schedule(self.state.now + self._settings.close_timeout + self.state.deadlines.tick)
        self.close_code = code
        self.close_reason = reason
        self._tell_ended()
        self._wake()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close, and wait until it is."""
        self.start_close(code, reason)
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Return when the connection is gone."""
        if self.phase == CLOSED:
            return
        if self._gone is None:
            self._gone = self.state.loop.create_future()
        await asyncio.shield(self._gone)

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _shut_down(self) -> None:
        """Close our side; the client gets a moment to read why."""
        self.phase = SHUT
        if end_writing(self._transport):
            self._read_on()
            self._schedule(self.state.now + self.state.settings.linger_timeout + self.state.deadlines.tick)

    def _discard(self, data: bytes) -> None:
        self._discarded += len(data)
        if self._discarded > LINGER_SIZE and not self.read_paused:
            # To close now would reset the connection, and the reason might be lost with it.
            self.read_paused = True
            self._transport.pause_reading()

    # -- what the server does with connections --------------------------------------------------------

    def drain(self) -> None:
        """The server stops: close with 1001, or with 1012 if it is restarted, each when its turn has come."""
        wait, code, why = closing_turn(self.state)
        if wait < self.state.deadlines.tick:
            self.start_close(code, why)
        else:
            self.state.loop.call_later(wait, self.start_close, code, why)

    def hurry(self, window: float) -> None:
        """The server stops, and who waits has a while for a request: nobody here will ask for anything."""
        self.drain()

    def expire_idle(self, now: float) -> None:
        """Nothing: its close has a time-out of its own."""

    def spare(self) -> int:
        """How readily it can be given up: it never is."""
        return -1

    def shed(self) -> None:
        """Make room."""
        self.abort()

    # -- time -----------------------------------------------------------------------------------------

    def _schedule(self, when: float) -> None:
        self.deadline = when
        self.state.deadlines.add(self, when)

    def _next_look(self, now: float) -> float:
        due = next_look(self._settings, self._heard, self._pinged, self._expires)
        return min(due, now + self.state.deadlines.horizon)

    def check(self, now: float) -> float:
        """Act on what is due; when to look again (monotonic seconds), or 0.0 when it is over."""
        if self.phase == CLOSED:
            return 0.0
        stalled = self.writer.stalled(now)
        if stalled and 0 < self.state.settings.write_timeout <= stalled:
            logger.debug("a WebSocket of %s was dropped: it takes nothing of what is sent", self.client)
            self.abort()
            return 0.0
        if self.phase == ENDING:
            return now + self.state.deadlines.tick
        if self.phase != OPEN:
            if now < self.deadline:
                return min(self.deadline, now + self.state.deadlines.horizon)
            self.abort()
            return 0.0
        self._keep_alive(now)
        if now >= self._expires and self._ws.is_between_messages():
            self.start_close(1012, "this connection has reached its age: connect anew")
        self.deadline = self._next_look(now) if self.phase == OPEN else self.deadline
        return max(self.deadline, now + self.state.deadlines.tick)

    def _keep_alive(self, now: float) -> None:
        """Ping a client that is silent; give it up if it stays so. One that is not read cannot be heard."""
        if self._pinged and (self._heard >= self._pinged or self.read_paused):
            self._pinged = 0.0
        verdict = judge_silence(self._settings, self._heard, self._pinged, now)
        if verdict == LOST:
            self._end(1006, "no sign of life after a ping")
            self._write(self._ws.send_close(1011, "no sign of life after a ping"))
            self._flush()
            self._shut_down()
        elif verdict == ASK:
            self._pinged = now
            self._write(self._ws.send_ping(b""))


class _Reader:
    """The iterator of a WebSocket, and what each of its steps awaits: one object for all messages."""

    __slots__ = ("_socket",)

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    def __aiter__(self) -> "_Reader":
        return self

    def __anext__(self) -> "_Reader":
        return self

    def __await__(self) -> "_Reader":
        return self

    def __iter__(self) -> "_Reader":
        return self

    def __next__(self) -> Any:
        """Give the next message as the result of the step, or what has to be waited for."""
        socket = self._socket
        if socket._queue:
            raise StopIteration(socket._take())
        if socket._is_over():
            raise StopAsyncIteration
        future: Any = socket._await_message()
        # Says to a task that it was awaited, not yielded by mistake: what Future.__await__ does.
        future._asyncio_future_blocking = True
        return future
