"""Functions around the handlers: which run for a route, in which order, and how they are called.

Rules of this file:

- Order: like the layers of an onion, the higher priority outside; else what was declared first, be it on an
  app or on a blueprint. Request middleware runs from the outside, response middleware from the inside.
- The order and the kind of each function are found out at `finalize`; a request walks a tuple.
- Each kind runs once per request, also when there is no route or the handler failed.
"""

import inspect
import logging
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, NamedTuple

from vivace.errors import ServerError
from vivace.framework.handler import function_name, is_async, source_of
from vivace.framework.response import HTTPResponse

if TYPE_CHECKING:
    from vivace.framework.request import Request

__all__ = [
    "Chain",
    "MiddlewareSpec",
    "chain",
    "run_request_middleware",
    "run_response_middleware",
]

logger = logging.getLogger("vivace.error")

Chain = tuple[tuple[Callable[..., Any], bool], ...]
"""Functions in calling order, each with whether it is a coroutine function."""


class MiddlewareSpec(NamedTuple):
    """A registered middleware.

    Attributes:
        function: Called with the request, or with the request and the response.
        location: ``request`` or ``response``.
        priority: Higher is further outside.
        routes: Only for the routes of these names, with or without the name of the app; None: for all.
        order: Lower was declared earlier.
    """

    function: Callable[..., Any]
    location: str
    priority: int
    routes: AbstractSet[str] | None = None
    order: int = 0


def chain(specs: Iterable[MiddlewareSpec], location: str, route: str) -> Chain:
    """The functions for `location` in calling order.

    Args:
        specs: Of an app and a blueprint, in any order.
        location: ``request`` or ``response``.
        route: The full name of the route.
    """
    names = {route, route.partition(".")[2]}
    found = [spec for spec in specs if spec.location == location]
    found = [spec for spec in found if spec.routes is None or spec.routes & names]
    found.sort(key=lambda spec: (-spec.priority, spec.order))
    if location == "response":
        found.reverse()
    return tuple((spec.function, is_async(spec.function)) for spec in found)


async def run_request_middleware(request: "Request", functions: Chain) -> Any:
    """Run until one returns something, which is the answer; None or what is false: go on to the handler."""
    request.request_middleware_ran = True
    for function, asynchronous in functions:
        result = function(request)
        if asynchronous or (result is not None and inspect.isawaitable(result)):
            result = await result
        if result:
            return _expect_response(request, result, "request", function)
    return None


def _expect_response(
    request: "Request", result: Any, location: str, function: Callable[..., Any]
) -> HTTPResponse:
    """What a middleware returned, as a response.

    Raises:
        ServerError: It is none.
    """
    try:
        made: HTTPResponse = type(request.app).coerce_result(result)
    except ServerError as error:
        error.add_note(
            f"returned by the {location} middleware {function_name(function)} ({source_of(function)})"
        )
        raise
    return made


async def run_response_middleware(request: "Request", response: HTTPResponse) -> HTTPResponse:
    """Run until one returns another response, which is then sent.

    An exception in one is logged and ends the chain; what there is by then is sent.

    Raises:
        ServerError: One returned what is no response.
    """
    if request.response_middleware_ran:
        return response
    request.response_middleware_ran = True
    route = request.route
    functions = route.response_middleware if route is not None else request.app.response_chain
    for function, asynchronous in functions:
        try:
            result = function(request, response)
            if asynchronous or (result is not None and inspect.isawaitable(result)):
                result = await result
        except Exception:
            logger.exception("Exception occurred in one of response middleware handlers")
            return response
        if result:
            replacement = _expect_response(request, result, "response", function)
            if replacement is not response:
                response.close()
            return replacement
    return response
