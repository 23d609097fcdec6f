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
from vivace.interfaces.hosted import TEXT_FIELDS
from vivace.interfaces.inline import InlineQueue
from vivace.interfaces.pool import open_pool
from vivace.interfaces.wsgi_call import HostedApp, WsgiCall
from vivace.interfaces.wsgi_input import LiveInput, ReceivedBody, receive_body
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
        "_queue",
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
        self._queue: Any = None

    def __call__(self, stream: Stream) -> Coroutine[Any, Any, None] | None:
        """Answer one request."""
        return self._serve(stream, stream.head)

    def _serve(self, stream: Stream, head: RequestReceived) -> Coroutine[Any, Any, None] | None:
        if head.has_body:
            return self._receive(stream)
        call = WsgiCall(self._hosted, stream, self._environs.make(stream, head))
        self._queue.submit(call)
        return None

    async def before_start(self) -> None:
        """Make the pool; its threads start with the first requests."""
        self._environs.open()
        self._hosted.context = contextvars.copy_context()
        if self._threads:
            self._queue = self._hosted.pool = open_pool(self._threads)
        else:
            self._queue = InlineQueue(asyncio.get_running_loop())

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
        await self._await_answer(call, body)

    async def _await_answer(self, call: WsgiCall, body: ReceivedBody) -> None:
        """Let the app answer, and receive meanwhile what is missing of the body."""
        loop = asyncio.get_running_loop()
        call.done = loop.create_future()
        feeder = None
        if not body.complete:
            call.input = LiveInput(loop, body.file)
            call.take_upload(io.BufferedReader(call.input))
            feeder = loop.create_task(call.input.feed(call.stream))
        self._queue.submit(call)
        try:
            await call.done
        finally:
            if feeder is not None:
                feeder.cancel()
