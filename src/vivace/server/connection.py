# cython: language_level=3, annotation_typing=False
"""An HTTP/1.1 connection: the asyncio protocol around `protocols.h1` that makes streams of its requests.

What it receives beside heads is the matter of its base, `vivace.server.intake`.

Rules of this file:

- One request at a time: what a client pipelines stays unparsed until the answer before it is out, and
  reading stops when it is more than `REQUEST_BUFFER_SIZE`. So answers are in order by construction.
- A response of known length leaves in one write. Nothing is computed per request that only an error,
  a body or the access log would need.
- `deadline` is only written down; `timeouts` acts on it when the wheel comes round (`deadlines`).
- A connection never just closes on a client that may still be sending: it shuts down writing, reads
  and discards for a moment, then closes (RFC 9112 section 9.6).
- The client gone means: the handler is cancelled. A client that only shut down its sending side gets
  `HALF_CLOSE_TIMEOUT` seconds for its answer; the two cannot be told apart sooner.
"""

import asyncio
import logging
import struct
import sys
from collections.abc import Coroutine, Sequence
from socket import SO_LINGER, SOL_SOCKET
from time import perf_counter
from typing import Any, Final, cast

from vivace.errors import ClientDisconnected, ProtocolError
from vivace.protocols.deflate import agree
from vivace.protocols.events import CONNECTION_CLOSED, NEED_DATA, RequestReceived
from vivace.protocols.socket import SocketOptions
from vivace.protocols.ws_handshake import Handshake, accept_fields
from vivace.server import files, timeouts
from vivace.server.body import Body
from vivace.server.flow import Writer
from vivace.server.intake import DRAIN_TIMEOUT, Intake
from vivace.server.phase import CLOSED, DRAIN, HANDLER, HEAD, IDLE, LINGER
from vivace.server.stream import Stream
from vivace.server.websocket import WebSocket
from vivace.wire.field import with_length

__all__ = ["Connection"]

logger = logging.getLogger("vivace.server")

_Fields = Sequence[tuple[bytes, bytes]]

JOIN_SIZE: Final = 16_384
"""A body up to this size is copied behind its head; a larger one is handed to the transport beside it."""

RETRY_AFTER: Final = 1
"""Seconds after which a client that was turned away for want of room may come again."""

_RESET: Final = struct.pack("ii", 1, 0)
_Task: Any = asyncio.Task
_EAGER: Final = sys.version_info >= (3, 12)


class Connection(Intake):
    """One accepted connection; an asyncio protocol by shape. Its attributes are those of `Intake`."""

    __slots__ = ()

    # -- what asyncio calls ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is ready."""
        state = self.state
        self._transport = transport
        self.writer = Writer(transport, state.settings.output_buffer)
        self.deadline = self.deadline_in(DRAIN_TIMEOUT) if state.closing else state.now + state.head_time
        state.deadlines.add(self, self.deadline)

    def data_received(self, data: bytes) -> None:
        """Octets came."""
        if self.phase >= DRAIN:
            self._discard(data)
            return
        self._h1.receive_data(data)
        stream = self.stream
        if stream is None:
            self._advance()
        elif stream.body is not None and not stream.body.complete:
            self._feed(stream, stream.body)
        elif self._h1.buffered > self.state.input_buffer:
            self._pause_reading()

    def eof_received(self) -> bool:
        """The peer shut down its sending side; True keeps ours open."""
        self._eof = True
        stream = self.stream
        if self.phase >= DRAIN:
            return False
        if stream is None and not self._h1.buffered:
            return False
        self._h1.receive_data(b"")
        if stream is None:
            self._advance()
        elif stream.body is not None and not stream.body.complete:
            self._feed(stream, stream.body)
        else:
            self._watch_half_close(stream, self.writer.left())
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: cancel what was done for it."""
        self.phase = CLOSED
        self.state.connections.discard(self)
        self.state.deadlines.remove(self)
        self.writer.close()
        if self.stream is not None:
            self.lose(self.stream)
        self._keep_background()

    def pause_writing(self) -> None:
        """The transport holds more than the high-water mark."""
        self.writer.pause()

    def resume_writing(self) -> None:
        """The transport has room again."""
        self.writer.resume()
        if self.stream is None and self.phase <= HEAD and (self._eof or self._h1.buffered):
            self._advance()

    # -- requests ---------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Look for the next request; called only between two requests, harmless otherwise."""
        if self.stream is not None or self.phase > HEAD:
            return
        if self.writer.paused:
            if self._h1.buffered > self.state.input_buffer:
                self._pause_reading()
            return
        try:
            event = self._h1.next_event()
        except ProtocolError as error:
            self.decline(error)
            return
        if event is NEED_DATA:
            self._await_head()
        elif event is CONNECTION_CLOSED:
            self._transport.close()
        else:
            self._begin(cast("RequestReceived", event))

    def _await_head(self) -> None:
        if self.phase == IDLE and self._h1.buffered:
            self.phase = HEAD
            self.deadline = self.state.now + self.state.head_time
        if self.read_paused:
            self._resume_reading()
        if self._eof:
            self._transport.close()

    def _begin(self, head: RequestReceived) -> None:
        state = self.state
        if state.active >= state.max_concurrent:
            self.refuse(503, "too many requests are in progress", RETRY_AFTER)
            return
        state.active += 1
        state.served += 1
        if state.note is not None:
            last = state.noted
            if last is None or head.path != last.path or head.method != last.method:
                state.noted = head
                state.note(head.method, head.path)
        body = Body(state.now) if head.has_body else None
        self.stream = stream = Stream(self, head, body)
        if state.timed:
            stream.started_at = perf_counter()
        self.phase = HANDLER
        if body is None:
            self.deadline = state.now + state.handler_time
        else:
            self._expect_body(stream, body)
            if self.stream is not stream:
                return
        if state.draining or not state.keep_alive:
            self._h1.close_after()
        if self._last is not None:
            self._keep_background()
        if self._eof:
            self._watch_half_close(stream, self.writer.left())
        try:
            answer = state.answer(stream)
        except Exception:
            logger.exception("the interface failed on %s %r", head.method, head.path)
            self._unfinished(stream)
            return
        if answer is None:
            return
        if _EAGER:
            stream.task = _Task(
                self._run(stream, answer), loop=state.loop, name="vivace-request", eager_start=True
            )
        else:
            stream.task = _Task(self._run(stream, answer), loop=state.loop, name="vivace-request")

    def _expect_body(self, stream: Stream, body: Body) -> None:
        state = self.state
        self._continue = stream.head.expect_continue
        self.deadline = state.now + state.handler_time if self._continue else float("inf")
        state.deadlines.add(self, state.now + state.deadlines.horizon)
        self._feed(stream, body)

    async def _run(self, stream: Stream, answer: Coroutine[Any, Any, None]) -> None:
        """The life of a request's task: whatever the interface does, the exchange comes to an end."""
        try:
            await answer
        except asyncio.CancelledError:
            if not (stream.timed_out or stream.disconnected or stream.complete):
                if not self.state.draining:
                    logger.exception("%s %r cancelled itself", stream.head.method, stream.head.path)
                self._unfinished(stream)
                raise
        except ClientDisconnected:
            pass
        except GeneratorExit:  # it heeded no cancellation, and the process ends
            raise
        except BaseException as error:
            logger.exception("the interface failed on %s %r", stream.head.method, stream.head.path)
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                self._unfinished(stream)
                raise
        if not stream.complete:
            self._unfinished(stream)
        if self._last is stream:
            self._last = None

    def _unfinished(self, stream: Stream) -> None:
        """The task ended and its response is not complete."""
        if self.stream is not stream or stream.disconnected:
            return
        if stream.response_started:
            self.break_off(stream)
        elif stream.timed_out:
            self.answer_for(stream, 503, "the response took too long")
        elif self.state.draining:
            self.answer_for(stream, 503, "the server is stopping")
        else:
            self.answer_for(stream, 500, "the application gave no answer")

    def _complete(self, stream: Stream) -> None:
        """The response was handed over whole: get ready for the next request or close."""
        state = self.state
        stream.complete = True
        if stream.gone is not None:
            stream.let_go()
        state.active -= 1
        if stream.status >= 500:
            state.errors += 1
        self.stream = None
        self._last = stream
        if stream.started_at:
            state.record(self.client, stream)
        h1 = self._h1
        body = stream.body
        if body is not None and not body.complete:
            self._skip_body(body)
        elif h1.keep_alive and not state.closing:
            more = h1.next_cycle()
            self.phase = IDLE
            self.deadline = state.now + state.idle_time
            if more or self._eof:
                state.loop.call_soon(self._advance)
            elif self.read_paused:
                self._resume_reading()
        else:
            self.shut_down()

    def _keep_background(self) -> None:
        """Hold on to a handler that goes on after its response was complete: the loop's reference is weak."""
        stream = self._last
        self._last = None
        task = stream.task if stream is not None else None
        if task is not None and not task.done():
            self.state.background.add(task)
            task.add_done_callback(self.state.background.discard)

    # -- responses, called by the stream ------------------------------------------------------------------

    def send_response(self, stream: Stream, status: int, fields: _Fields, body: bytes) -> None:
        """Write a whole response."""
        if self.stream is not stream:
            return
        if stream.body is not None:
            self._before_response(stream.body)
        size = len(body)
        if size > JOIN_SIZE:
            self._send_large(status, fields, body)
        else:
            data = self._h1.send_response(status, fields, body, self.state.date)
            self.writer.write(data)
        stream.response_started = True
        stream.status = status
        stream.sent = 0 if stream.head.method == "HEAD" else size
        self._complete(stream)

    def _send_large(self, status: int, fields: _Fields, body: bytes) -> None:
        h1 = self._h1
        fields = with_length(fields, len(body))
        head = h1.send_head(status, fields, self.state.date)
        data = h1.send_data(body)
        h1.send_end()
        self.writer.write_all((head, data) if data else (head,))

    def send_informational(self, status: int, fields: _Fields) -> None:
        """Write an informational response."""
        self.writer.write(self._h1.send_informational(status, fields))

    def send_head(self, stream: Stream, status: int, fields: _Fields) -> bytes:
        """The head of a streamed response, to be written with its first data."""
        if self.stream is not stream:
            return b""
        if stream.body is not None:
            self._before_response(stream.body)
        self.deadline = float("inf")
        return self._h1.send_head(status, fields, self.state.date)

    def send_data(self, stream: Stream, pending: bytes, data: bytes) -> None:
        """Write a piece of a streamed response behind what is pending."""
        frame = self._h1.frame_data(len(data))
        if frame is None:
            self.writer.write(pending)
            self._h1.send_end()
            self._complete(stream)
            return
        framed = frame[0] + data + frame[1] if frame[0] else data
        stream.sent += len(data)
        if pending and len(framed) > JOIN_SIZE:
            self.writer.write(pending)
            self.writer.write(framed)
        else:
            self.writer.write(pending + framed)

    def send_end(self, stream: Stream, pending: bytes, trailers: _Fields) -> None:
        """Complete a streamed response."""
        try:
            data = self._h1.send_end(trailers)
        except ProtocolError:
            self.writer.write(pending)
            self.close()
            raise
        self.writer.write(pending + data)
        self._complete(stream)

    async def send_file(self, stream: Stream, pending: bytes, file: int, offset: int, count: int) -> None:
        """Write a part of a file as the next piece of a streamed response."""
        frame = self._h1.frame_data(count)
        if frame is None:
            self.writer.write(pending)
            return
        self.writer.write(pending + frame[0])
        self.writer.sending_file = True
        try:
            await files.send_file(self, stream, file, offset, count)
        finally:
            self.writer.sending_file = False
        self.writer.write(frame[1])

    def open_websocket(
        self,
        stream: Stream,
        handshake: Handshake,
        subprotocol: str | None,
        fields: _Fields,
        options: SocketOptions,
    ) -> WebSocket:
        """Accept a WebSocket; what is received and sent from now on is its own matter."""
        state = self.state
        if self.stream is not stream:
            raise ClientDisconnected("the client left before its WebSocket was accepted")
        settings = state.settings.websocket.adapted(options)
        agreed = agree(handshake.extensions, settings.deflater) if settings.deflater is not None else None
        deflate, extension = agreed or (None, "")
        said = [*accept_fields(handshake, subprotocol, extension), *fields]
        self.writer.write(self._h1.send_upgrade(said, state.date))
        stream.response_started = stream.complete = True
        stream.status = 101
        stream.let_go()
        self.stream = None
        state.active -= 1
        if stream.started_at:
            state.record(self.client, stream)
        self._resume_reading()
        self.phase = CLOSED
        state.connections.discard(self)
        state.deadlines.remove(self)
        socket = WebSocket(state, settings, self.client, deflate, subprotocol)
        socket.task = stream.task or asyncio.current_task()
        socket.take_over(self._transport, self.writer, self._h1.take_rest(), self._eof)
        return socket

    def answer_for(self, stream: Stream, status: int, message: str) -> None:
        """Answer in place of a handler that cannot, and close."""
        try:
            data = self._h1.send_error(status, message.encode("ascii", "replace"), self.state.date)
        except ProtocolError:
            # A response had begun within the protocol and failed there: there is no way to another.
            self.lose(stream)
            self.abort()
            return
        stream.response_started = True
        stream.status = status
        self.writer.write(data)
        stream.complete = True
        self.state.active -= 1
        if status >= 500:
            self.state.errors += 1
        self.stream = None
        self._last = stream
        if stream.started_at:
            self.state.record(self.client, stream)
        self.shut_down()

    def decline(self, error: ProtocolError) -> None:
        """Let the interface answer a message that is no request, or do it; close then."""
        state = self.state
        if state.refuse is None or state.active >= state.max_concurrent:
            self.refuse(error.status_hint, str(error))
            return
        self._h1.begin_refusal()
        state.active += 1
        self.stream = stream = Stream(self, RequestReceived.refused(), None)
        self.phase = HANDLER
        self.deadline = state.now + state.handler_time
        if self._eof:
            self._watch_half_close(stream, self.writer.left())
        stream.task = _Task(
            self._run_refusal(stream, state.refuse(stream, error), str(error)),
            loop=state.loop,
            name="vivace-refusal",
        )

    async def _run_refusal(self, stream: Stream, answer: Coroutine[Any, Any, None], reason: str) -> None:
        await self._run(stream, answer)
        self.state.record_refused(self.client, stream.status, reason)

    def refuse(self, status: int, message: str, retry_after: int = 0) -> None:
        """Answer a message that is not a request we can serve by a line, and close."""
        self.state.record_refused(self.client, status, message)
        if status >= 500:
            self.state.errors += 1
        text = message.encode("ascii", "replace")
        self.writer.write(self._h1.send_error(status, text, self.state.date, retry_after))
        self.shut_down()

    # -- the end of the connection ------------------------------------------------------------------------

    def shut_down(self) -> None:
        """Close our side; the other gets a moment to read what was sent."""
        if self.phase >= LINGER:
            return
        self.phase = LINGER
        self._discarded = 0
        if self._eof or not self._transport.can_write_eof() or self._transport.is_closing():
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:
            self._transport.abort()
            return
        self._resume_reading()
        self.deadline = self.state.now + self.state.settings.linger_timeout + self.state.deadlines.tick
        self.state.deadlines.add(self, self.deadline)

    def lose(self, stream: Stream) -> None:
        """Nobody is there for this stream's answer any more: cancel what makes it, or let it end."""
        if self.stream is stream:
            self.stream = None
            self.state.active -= 1
            if stream.started_at:
                self.state.record(self.client, stream)
        stream.lose()
        task = stream.task
        if task is not None and not task.done():
            self._last = stream
            if self.state.cancels and not stream.timed_out:
                task.cancel()

    def transport(self) -> Any:
        """What the connection writes to; None when it is gone."""
        return self._transport

    def abort(self) -> None:
        """Drop the connection; what waits to be written is lost."""
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Drop the connection so that the kernel tells the client and keeps nothing for it."""
        socket = self._transport.get_extra_info("socket")
        if socket is not None:
            socket.setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
        self.abort()

    def break_off(self, stream: Stream) -> None:
        """Drop the connection so that the client can tell that the response is not whole."""
        if stream.head.http_version == "1.0":  # without a length, its end would be the end of the connection
            self.reset()
        else:
            self.abort()

    def announce_close(self) -> None:
        """Say with the response that is due, if there is still time, that it is the last one."""
        if self.stream is not None and not self.stream.response_started:
            self._h1.close_after()

    def drain(self) -> None:
        """The server stops: close now if idle, else with the response that is due."""
        if self._transport is None:
            return
        if self.phase == IDLE and not self._h1.buffered:
            self._transport.close()
        elif self.phase <= HEAD:
            self.deadline = min(self.deadline, self.deadline_in(DRAIN_TIMEOUT))
            self.state.deadlines.add(self, self.deadline)
        else:
            self.announce_close()

    def hurry(self, window: float) -> None:
        """The server stops: wait for a request until `window` seconds after the last one, and no longer."""
        state = self.state
        if self.phase > HEAD:
            self.announce_close()
        elif self._transport is not None:
            since = state.now
            if self.phase == IDLE and self.deadline < float("inf"):
                # In doubt whether it is the first request that is waited for: be late rather than early.
                sure = self.deadline > since + state.head_time
                allowed = state.idle_time if sure else min(state.idle_time, state.head_time)
                since = min(since, self.deadline - allowed)
            self.deadline = min(self.deadline, since + window + state.deadlines.tick)

    def expire_idle(self, now: float) -> None:
        """Act on the deadline of a connection without a request at once, not when the wheel comes round."""
        if self.phase <= HEAD and self._transport is not None and now >= self.deadline:
            self.check(now)

    def spare(self) -> int:
        """How readily it can be given up: 0 if it waits for a request, 1 for the rest of a head; else -1."""
        if self._transport is None or self.phase > HEAD or self.writer.left() < self.writer.written:
            return -1
        return self.phase

    def shed(self) -> None:
        """Make room: give up a connection that has no request."""
        self.phase = CLOSED
        self._transport.abort()

    # -- time -----------------------------------------------------------------------------------------------

    def look_at(self, when: float) -> None:
        """Make sure that `check` runs at `when`, if that is sooner than it would anyway."""
        state = self.state
        if when < state.now + state.deadlines.horizon:
            state.deadlines.add(self, when)

    def new_future(self) -> "asyncio.Future[None]":
        """A future of the worker's loop."""
        return self.state.loop.create_future()

    def tls(self) -> Any:
        """What encrypts the connection; None: nothing does."""
        return self._transport.get_extra_info("ssl_object") if self.scheme == "https" else None

    def server_address(self) -> tuple[str, int] | None:
        """Our own address; None on a Unix socket."""
        return self._server

    def check(self, now: float) -> float:
        """Act on what is due; when to look again, or 0.0 when the connection is over."""
        return timeouts.check(self, now)

    def close(self) -> None:
        """Close at once; what was written still goes out, and an incomplete response is seen to be cut."""
        self._transport.close()
