# cython: language_level=3, annotation_typing=False
"""A stream meets a WSGI app (PEP 3333).

Rules of this file:

- A request without a body takes no task, no future and no coroutine unless its response is streamed.
- THREADS is the number of requests that the app is called with at a time; 0: one, on the loop's own thread,
  and nothing else happens in the worker meanwhile.
- A body is received before a thread is taken; see `wsgi_input`.
"""

import asyncio
import contextvars
import io
from collections.abc import Coroutine
from typing import Any

from vivace.config import Config
from vivace.errors import HTTPException
from vivace.interfaces.environ import EnvironMaker
from vivace.interfaces.pool import ThreadPool, open_pool
from vivace.interfaces.wsgi_call import TEXT_FIELDS, HostedApp, WsgiCall
from vivace.interfaces.wsgi_input import LiveInput, ReceivedBody, receive_body
from vivace.interfaces.wsgi_reply import send_pieces, send_stretch
from vivace.protocols.events import RequestReceived
from vivace.protocols.stream import Stream

__all__ = ["WsgiInterface"]


class WsgiInterface:
    """The interface of a WSGI app.

    Args:
        app: A WSGI callable.
        config: The settings to serve with.
        root_path: The path under which the app is mounted.

    Raises:
        ConfigError: ROOT_PATH cannot be used.
    """

    __slots__ = (
        "_environs",
        "_hosted",
        "_max_size",
        "_request_seconds",
        "_spool_size",
        "_threads",
        "cancels",
    )

    def __init__(self, app: Any, config: Config, root_path: str = "") -> None:
        self.cancels = False
        self._environs = EnvironMaker(config, root_path)
        self._hosted = HostedApp(app, contextvars.copy_context(), config.WSGI_BUFFER_SIZE)
        self._max_size = config.REQUEST_MAX_SIZE or -1
        self._request_seconds = config.REQUEST_TIMEOUT
        self._spool_size = config.WSGI_SPOOL_SIZE
        self._threads = config.THREADS

    def __call__(self, stream: Stream) -> Coroutine[Any, Any, None] | None:
        """Answer one request."""
        return self._serve(stream, stream.head)

    def _serve(self, stream: Stream, head: RequestReceived) -> Coroutine[Any, Any, None] | None:
        if head.has_body:
            return self._receive(stream)
        hosted = self._hosted
        call = WsgiCall(hosted, stream, self._environs.make(stream, head))
        pool = hosted.pool
        if pool is None:
            return answer_inline(call)
        pool.submit(call)
        return None

    async def before_start(self) -> None:
        """Make the pool; its threads start with the first requests."""
        self._environs.open()
        self._hosted.context = contextvars.copy_context()
        if self._threads:
            self._hosted.pool = open_pool(self._threads)

    async def after_start(self) -> None:
        """Nothing: WSGI knows no such moment."""

    async def before_stop(self) -> None:
        """Nothing: WSGI knows no such moment."""

    async def after_stop(self) -> None:
        """End the threads."""
        pool = self._hosted.pool
        if pool is not None:
            self._hosted.pool = None
            await pool.close()

    async def _receive(self, stream: Stream) -> None:
        """Answer a request that has a body."""
        hosted = self._hosted
        disk = self._spool_size if hosted.pool is not None else -1
        try:
            stream.limit_body(self._max_size, self._request_seconds)
            body = await receive_body(stream, hosted.buffer_size, disk)
        except HTTPException as error:
            if not (stream.disconnected or stream.response_started):
                stream.respond(error.status_code, TEXT_FIELDS, f"{error}\n".encode())
            return
        call = WsgiCall(hosted, stream, self._environs.make(stream, stream.head))
        call.take_upload(body.file)
        if body.complete and stream.head.chunked:
            # As the decoding of chunks ends (RFC 9112 section 7.1.3): many apps know a body by its length.
            call.environ["CONTENT_LENGTH"] = str(body.size)
            call.environ.pop("HTTP_TRANSFER_ENCODING", None)
        if hosted.pool is not None:
            await _run_in_pool(call, hosted.pool, body)
        elif (rest := answer_inline(call)) is not None:
            await rest


async def _run_in_pool(call: WsgiCall, pool: ThreadPool, body: ReceivedBody) -> None:
    """Let a thread answer, and receive meanwhile what is missing of the body."""
    call.done = pool.loop.create_future()
    feeder = None
    if not body.complete:
        call.input = LiveInput(pool.loop, body.file)
        call.take_upload(io.BufferedReader(call.input))
        feeder = pool.loop.create_task(call.input.feed(call.stream))
    pool.submit(call)
    try:
        await call.done
    finally:
        if feeder is not None:
            feeder.cancel()


def answer_inline(call: WsgiCall) -> Coroutine[Any, Any, None] | None:
    """Call the app at once; what remains to be done when its response is not known whole."""
    call.begin()
    if call.failure is None and (call.sent or call.body is None):
        return _go_on_inline(call)
    call.answer()
    if call.open:
        call.finish()
    return None


async def _go_on_inline(call: WsgiCall) -> None:
    try:
        if call.stretch is not None:
            await send_stretch(call)
        else:
            await send_pieces(call, _InlinePieces(call))
    finally:
        call.close()


class _InlinePieces:
    """The pieces of a response that are made on the loop's thread: each leaves before the next is made."""

    __slots__ = ("_call", "_first")

    def __init__(self, call: WsgiCall) -> None:
        self._call = call
        self._first = True

    async def next_data(self) -> bytes | None:
        """The next piece, behind what was given to ``write`` meanwhile; None at the end."""
        call = self._call
        if self._first:
            self._first = False
            piece: bytes | None = call.first or call.step()
        else:
            await asyncio.sleep(0)
            piece = call.step()
        call.sent = True
        written, call.written = call.written, None
        if written:
            return b"".join(written) + (piece or b"")
        return piece

    def sent(self, count: int) -> None:
        """Nobody waits for that."""
