"""What the framework tells of itself: its own signals around a request, for apps in which somebody listens.

Rules of this file:

- Made at `finalize` if a signal of ``http`` is heard, else never: a request of an app that listens to
  nothing meets none of this.
- The functions run before the request goes on; one that raises is an error of the request.
- Events of the connection (begin, read_head, send, complete) are told once per request: the framework sees
  exchanges, not octets.
"""

import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from vivace.errors import StartupError
from vivace.framework.middleware import Chain
from vivace.framework.signals import Event, SignalRouter

if TYPE_CHECKING:
    from vivace.framework.app import Vivace
    from vivace.framework.request import Request
    from vivace.framework.response import HTTPResponse

__all__ = ["Announcer", "announce_stage", "make_announcer"]

logger = logging.getLogger("vivace.error")


class Announcer:
    """Dispatches the signals around requests.

    Args:
        signals: Those of the app.
    """

    __slots__ = ("_heard", "_signals")

    def __init__(self, signals: SignalRouter) -> None:
        self._signals = signals
        self._heard = frozenset(event for event in Event if signals.is_heard(event.value))

    def hears(self, *events: Event) -> bool:
        """Whether one of these events is listened to."""
        return any(event in self._heard for event in events)

    async def tell(self, event: Event, **context: Any) -> None:
        """Dispatch one event if it is listened to."""
        if event in self._heard:
            await self._signals.dispatch(event, context=context, inline=True, fail_not_found=False)

    async def begin(self, request: "Request") -> None:
        """A request came and, if it has one, its route was found."""
        await self.tell(Event.HTTP_LIFECYCLE_BEGIN, conn_info=request.conn_info)
        await self.tell(Event.HTTP_LIFECYCLE_READ_HEAD, head=request.raw_headers)
        await self.tell(Event.HTTP_LIFECYCLE_REQUEST, request=request)
        await self.tell(Event.HTTP_LIFECYCLE_HANDLE, request=request)
        await self.tell(Event.HTTP_ROUTING_BEFORE, request=request)
        route = request.route
        if route is not None:
            await self.tell(
                Event.HTTP_ROUTING_AFTER,
                request=request,
                route=route,
                kwargs=request.match_info,
                handler=route.handler,
            )

    async def failed(self, request: "Request", error: BaseException) -> None:
        """A request ends with an exception."""
        await self.tell(Event.SERVER_EXCEPTION_REPORT, exception=error)
        await self.tell(Event.HTTP_LIFECYCLE_EXCEPTION, request=request, exception=error)

    async def sent(self, request: "Request", response: "HTTPResponse | None") -> None:
        """A response was handed over."""
        if response is not None:
            await self.tell(Event.HTTP_LIFECYCLE_SEND, data=response.body)
        await self.tell(Event.HTTP_LIFECYCLE_COMPLETE, conn_info=request.conn_info)

    def around(self, functions: Chain) -> Chain:
        """The middleware with its events around each function; as it is if nobody listens to them."""
        if not self.hears(Event.HTTP_MIDDLEWARE_BEFORE, Event.HTTP_MIDDLEWARE_AFTER):
            return functions
        return tuple((self._wrap(function), True) for function, _asynchronous in functions)

    def _wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def run(request: "Request", response: "HTTPResponse | None" = None) -> Any:
            await self.tell(Event.HTTP_MIDDLEWARE_BEFORE, request=request, response=response)
            result = function(request) if response is None else function(request, response)
            if inspect.isawaitable(result):
                result = await result
            after = result if response is None else response
            await self.tell(Event.HTTP_MIDDLEWARE_AFTER, request=request, response=after)
            return result

        return run


_STAGES: Final = {
    "before_server_start": Event.SERVER_INIT_BEFORE,
    "after_server_start": Event.SERVER_INIT_AFTER,
    "before_server_stop": Event.SERVER_SHUTDOWN_BEFORE,
    "after_server_stop": Event.SERVER_SHUTDOWN_AFTER,
}


async def announce_stage(app: "Vivace[Any, Any]", stage: str) -> None:
    """Dispatch the signal that belongs to a stage of the server's life, after its listeners.

    Raises:
        StartupError: What heard of a start failed.
    """
    event = _STAGES.get(stage)
    if event is None or not app.signal_router.is_heard(event.value):
        return
    context = {"app": app, "loop": app.loop}
    try:
        await app.dispatch(event, context=context, inline=True, fail_not_found=False)
    except Exception as error:
        if stage.endswith("_start"):
            raise StartupError(f"a signal handler of {event.value} failed: {error!r}", stage=stage) from error
        logger.exception("a signal handler of %s failed", event.value)


def make_announcer(signals: SignalRouter) -> Announcer | None:
    """Who tells of requests; None if nobody listens."""
    heard = (Event.SERVER_EXCEPTION_REPORT, *(e for e in Event if e.value.startswith("http.")))
    return Announcer(signals) if any(signals.is_heard(event.value) for event in heard) else None
