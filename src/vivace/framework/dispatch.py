# cython: language_level=3, annotation_typing=False
"""The life of one exchange inside the framework: route, middleware, handler, middleware, answer.

Rules of this file:

- The short way (a static path, a coroutine function, no middleware, no body) does nothing that is not needed.
- Whatever happens there is one answer: the handler's, an error page, or a dropped connection when the
  answer had begun. Nothing but cancellation leaves `handle`.
- A body that the handler did not read is the server's business.
"""

import asyncio
import inspect
import logging
from collections.abc import Coroutine
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from vivace.errors import ClientDisconnected, RemoteProtocolError, ServiceUnavailable
from vivace.framework.announce import Announcer
from vivace.framework.middleware import Chain, run_request_middleware, run_response_middleware
from vivace.framework.mount import Mounted, MountTable
from vivace.framework.request import Request, current_request
from vivace.framework.response import HTTPResponse, coerce, content_fields, encode_json
from vivace.framework.route import ASYNC, BLOCKING, Route
from vivace.framework.router import Router
from vivace.framework.signals import Event
from vivace.framework.threads import HandlerThreads
from vivace.protocols.events import RequestReceived
from vivace.protocols.stream import Stream

if TYPE_CHECKING:
    from vivace.framework.app import Vivace

__all__ = ["Dispatcher"]

logger = logging.getLogger("vivace.error")

JSON_FIELDS = content_fields("application/json")


class Dispatcher:
    """Answers the requests of one app.

    Args:
        app: Given to requests.
        request_class: `Request` or a subclass.
    """

    __slots__ = (
        "_app",
        "_coerce",
        "_json_kind",
        "_plain_kind",
        "_pool",
        "_request_chain",
        "_request_class",
        "_router",
        "_signals",
        "_static",
        "_takes_values",
        "_tracks",
    )

    def __init__(self, app: "Vivace[Any, Any]", request_class: type[Request]) -> None:
        self._app = app
        self._request_class = request_class
        self._pool: HandlerThreads | None = None
        self._router: Router | None = None
        self._static: dict[bytes, dict[str, Route]] = {}
        self._request_chain: Chain = ()
        self._signals: Announcer | None = None
        self._tracks = app.tracks_requests
        self._plain_kind, self._json_kind = app.response_kinds
        self._coerce = app.coerce_result
        self._takes_values = app.coerce_result is coerce

    def update(self, router: Router, request_chain: Chain, announcer: Announcer | None = None) -> None:
        """Take over what `finalize` compiled; requests under way keep what they have."""
        self._signals = announcer
        self._router = router
        self._static = router.static
        self._request_chain = request_chain

    def take_router(self, router: Router) -> None:
        """Let another router find the routes."""
        self._router = router
        self._static = router.static

    def answer(self, mounts: MountTable, stream: Stream) -> Coroutine[Any, Any, None] | None:
        """Answer the request of `stream` by a route or a mount, whichever has the longer literal beginning.

        A static route of that very path wins at once, and any route on a tie. What no route answers, be it
        for its method, is left to the mount.
        """
        head = stream.head
        methods = self._static.get(head.path)
        if methods is None or head.method not in methods:
            mounted = mounts.find(head.path)
            if mounted is not None and not self._goes_before(mounted, head):
                return mounted.answer(stream)
        return self.handle(stream)

    def _goes_before(self, mounted: Mounted, head: RequestReceived) -> bool:
        """Whether a route answers rather than a mount."""
        assert self._router is not None
        route = self._router.find(head.path, head.method, head.host)
        return route is not None and _literal_size(route) >= len(mounted.prefix)

    async def handle(self, stream: Stream) -> None:
        """Answer the request of `stream`."""
        head = stream.head
        request: Any = None
        try:
            methods = self._static.get(head.path)
            route = methods.get(head.method) if methods is not None else None
            values: dict[str, Any] = {}
            if route is None:
                route, values = self._router.resolve(head.path, head.method, head.host)  # type: ignore[union-attr]
            request = self._request_class(self._app, stream, route, values)
            if self._tracks:
                current_request.set(request)
            if not route.plain or head.has_body:
                await self._serve(stream, request, route)
                return
            if values:
                result = await route.handler(request, **values)
            else:
                result = await route.handler(request)
            kind = result.__class__
            if request._response is not None:
                await self._finish(stream, request, result)
            elif (kind is self._plain_kind or kind is self._json_kind) and result.status == 200:
                stream.respond(200, result.wire_fields(), result.body)
            elif (kind is dict or kind is list) and self._takes_values:
                stream.respond(200, JSON_FIELDS, encode_json(result))
            else:
                await self._finish(stream, request, result)
        except Exception as error:  # noqa: BLE001  # it becomes a response
            await self._fail(stream, request, error)
        except asyncio.CancelledError as error:
            if stream.timed_out:
                await self._time_out(stream, request)
            elif asyncio.current_task().cancelling():  # type: ignore[union-attr]
                raise
            else:  # the handler raised it by itself
                await self._fail(stream, request, error)
        except SystemExit as error:
            await self._fail(stream, request, _refuse_exit(error))
        finally:
            if head.has_body and request is not None:
                request.release()

    async def refuse(self, stream: Stream, error: Exception) -> None:
        """Answer a message that is no request, in the words of the app."""
        request = self._request_class(self._app, stream, None, {})
        if self._tracks:
            current_request.set(request)
        await self._fail(stream, request, error)

    async def _serve(self, stream: Stream, request: Request, route: Route) -> None:
        """The long way: a body, middleware, or a handler that is no coroutine function."""
        signals = self._signals
        if signals is not None:
            await signals.begin(request)
        if route.buffered and stream.head.has_body:
            await request.receive_body()
            if signals is not None:
                await signals.tell(Event.HTTP_LIFECYCLE_READ_BODY, body=request.buffered_body)
        request.request_middleware_ran = True
        result = None
        if route.request_middleware:
            result = await run_request_middleware(request, route.request_middleware)
        if result is None:
            if signals is not None:
                await signals.tell(Event.HTTP_HANDLER_BEFORE, request=request)
            result = await self._call(request, route)
            if signals is not None:
                await signals.tell(Event.HTTP_HANDLER_AFTER, request=request)
        await self._finish(stream, request, result)

    async def _call(self, request: Request, route: Route) -> Any:
        """Run the handler, whatever its kind."""
        if route.kind == ASYNC:
            return await route.handler(request, **request.match_info)
        if route.kind == BLOCKING:
            result = await self._in_thread(route, request)
        else:
            result = route.handler(request, **request.match_info)
        return await result if inspect.isawaitable(result) else result

    async def _in_thread(self, route: Route, request: Request) -> Any:
        pool = self._pool
        if pool is None:
            count = self._app.config.THREADS
            if not count:
                return route.handler(request, **request.match_info)
            pool = self._pool = HandlerThreads(count)
        call = partial(copy_context().run, _run_blocking, route.handler, request, **request.match_info)
        return await pool.call(request._transport, call)

    async def _finish(self, stream: Stream, request: Request, result: Any) -> None:
        """Send what the handler (or a middleware in its place) returned."""
        opened = request.opened_response
        if opened is not None or stream.response_started:
            if result is not None and result is not opened:
                logger.error(
                    "The response object returned by the route handler will not be sent to client. "
                    "The request has already been responded to."
                )
            if opened is not None:
                await opened.eof()
            else:
                await stream.end()
            if self._signals is not None:
                await self._signals.sent(request, opened)
            return
        await self._send(stream, request, self._coerce(result))

    async def _send(self, stream: Stream, request: Request, response: HTTPResponse) -> None:
        try:
            response.prepare(request)
            if not request.response_middleware_ran:
                response = await run_response_middleware(request, response)
            if self._signals is None:
                await response.transmit(stream)
            else:
                await self._signals.tell(Event.HTTP_LIFECYCLE_RESPONSE, request=request, response=response)
                await response.transmit(stream)
                await self._signals.sent(request, response)
        finally:
            response.close()

    async def _time_out(self, stream: Stream, request: Request | None) -> None:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        if stream.complete:  # it took too long over its cancellation too, and was answered for
            return
        await self._fail(stream, request, ServiceUnavailable("Response Timeout"))

    async def _fail(self, stream: Stream, request: Request | None, error: BaseException) -> None:
        """Answer with an error, or end the connection if an answer had begun."""
        if isinstance(error, _Stopped):
            error = error.cause
        elif isinstance(error, RemoteProtocolError):
            error = self._app.error_handler.refusal(error)
        if request is None:
            request = self._request_class(self._app, stream, None, {})
        if isinstance(error, ClientDisconnected):
            return
        signals = self._signals
        result = None
        try:
            if signals is not None:
                if request.route is None:
                    await signals.begin(request)
                await signals.failed(request, error)
            if stream.response_started or stream.disconnected:
                self._give_up(stream, request, error)
                return
            if not request.request_middleware_ran:
                chain = request.route.request_middleware if request.route is not None else self._request_chain
                result = await run_request_middleware(request, chain)
        except Exception as second:  # noqa: BLE001  # the later error is the one to tell
            error = second
        except SystemExit as second:
            error = _refuse_exit(second)
        try:
            if result is None:
                response = await self._app.error_handler.answer(request, error)
            else:
                response = self._coerce(result)
            await self._send(stream, request, response)
        except ClientDisconnected:
            return
        except (Exception, SystemExit) as last:  # noqa: BLE001  # logged
            self._give_up(stream, request, last)

    def _give_up(self, stream: Stream, request: Request, error: BaseException) -> None:
        """Nothing better can be sent: log, and leave no answer that looks complete."""
        self._app.error_handler.late(request, error)
        if stream.disconnected:
            return
        if not stream.response_started:
            stream.respond(500, content_fields("text/plain; charset=utf-8"), b"Internal Server Error")
            return
        opened = request.opened_response
        if opened is None or opened.sender is None or not opened.sender.ended:
            stream.abort()

    def close(self) -> None:
        """End the threads once they are idle; a later request starts new ones."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None


class _Stopped(Exception):
    """StopIteration on its way out of a thread: no future can carry the exception itself."""

    def __init__(self, cause: StopIteration) -> None:
        super().__init__()
        self.cause = cause


def _refuse_exit(error: SystemExit) -> RuntimeError:
    refused = RuntimeError("a handler must not end the server by sys.exit()")
    refused.__cause__ = error
    return refused


def _run_blocking(handler: Any, request: Request, **values: Any) -> Any:
    try:
        return handler(request, **values)
    except StopIteration as error:
        raise _Stopped(error) from None


def _literal_size(route: Route) -> int:
    """The octets of a route's path before its first parameter; the slash at the end does not count."""
    size = 0
    for segment in route.segments:
        if not segment.literal:
            break
        size += len(segment.literal) + 1
    return size
