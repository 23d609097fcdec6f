"""From an exception to a response: the app's own handlers, else a page.

Rules of this file:

- A blueprint's handlers come before the app's; among them the nearest ancestor of the exception wins.
- What is not quiet is logged with its traceback; with NOISY_EXCEPTIONS everything is.
- A handler that fails itself, or would end the server by sys.exit(), is logged, and the client gets a bare
  500, or the page of the `SanicException` that a coroutine function raised.
- Names, arguments and texts are those that subclasses of Sanic's handler know.
"""

import inspect
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from vivace.errors import (
    BadRequest,
    DeclarationError,
    ExpectationFailed,
    HTTPException,
    PayloadTooLarge,
    RemoteProtocolError,
    RequestHeaderFieldsTooLarge,
    RequestTimeout,
    SanicException,
    URITooLong,
)
from vivace.framework.handler import check_positional, function_name, second_handler
from vivace.framework.pages import error_page, shows_details
from vivace.framework.response import TEXT, HTTPResponse

if TYPE_CHECKING:
    from vivace.framework.request import Request

__all__ = ["ErrorHandler"]

logger = logging.getLogger("vivace.error")


_FAILED = "An error occurred while handling an error"

Handler = Callable[..., Any]

_REFUSALS: Final[dict[int, type[HTTPException]]] = {
    408: RequestTimeout,
    413: PayloadTooLarge,
    414: URITooLong,
    417: ExpectationFailed,
    431: RequestHeaderFieldsTooLarge,
}


class ErrorHandler:
    """Knows what to answer to which exception; subclass it and override `default` for another look.

    Attributes:
        cached_handlers: By exception class and name of a route, None for all routes.
    """

    def __init__(self) -> None:
        self.cached_handlers: dict[tuple[type[BaseException], str | None], Handler] = {}
        self._found: dict[tuple[type[BaseException], str | None], Handler | None] = {}

    def add(
        self, exception: type[BaseException], handler: Handler, route_names: Iterable[str] | None = None
    ) -> None:
        """Let `handler` answer `exception` and what derives from it.

        Args:
            exception: A class of exceptions.
            handler: Called with the request and the exception; returns what a route's handler may return, or
                None for the page.
            route_names: Only for the routes of these full names; None: for all.

        Raises:
            ConfigError: `exception` has a handler already, or `handler` cannot be called so.
        """
        if BaseException not in getattr(exception, "__mro__", ()):
            raise DeclarationError(f"exception handler for {exception!r}: expected an exception class")
        check_positional(handler, 2, "exception handler", "(request, exception)")
        for name in [None] if route_names is None else route_names:
            self._add_one(exception, handler, name)
        self._found.clear()

    def _add_one(self, exception: type[BaseException], handler: Handler, name: str | None) -> None:
        other = self.cached_handlers.setdefault((exception, name), handler)
        if other is not handler:
            raise second_handler(exception, name, other, handler)

    def lookup(self, exception: BaseException, route_name: str | None = None) -> Handler | None:
        """The handler for `exception` in the route of that full name, None if there is none."""
        key = (type(exception), route_name)
        if key not in self._found:
            self._found[key] = self._search(type(exception), route_name)
        return self._found[key]

    def _search(self, kind: type[BaseException], route_name: str | None) -> Handler | None:
        for name in (route_name, None) if route_name else (None,):
            for ancestor in kind.__mro__:
                handler = self.cached_handlers.get((ancestor, name))
                if handler is not None:
                    return handler
        return None

    def refusal(self, error: RemoteProtocolError) -> HTTPException:
        """What a message that breaks the rules of HTTP is answered with, as if a handler had raised it.

        Args:
            error: What is wrong, and the status that fits.
        """
        kind = _REFUSALS.get(error.status_hint, BadRequest)
        return kind(str(error), error.status_hint)

    async def answer(self, request: "Request", exception: Any) -> HTTPResponse:
        """The response for `exception`, whatever `response` does; never raises."""
        try:
            result = self.response(request, exception)
            if inspect.isawaitable(result):
                result = await result
            if result is None:
                result = self.default(request, exception)
            return _coerce(request, result)
        except (Exception, SystemExit) as second:
            if isinstance(second, SanicException) and second is not exception:
                return self._last_page(request, second)
            logger.exception("the exception handler failed at %s", request.url)
            shown = f"Error while handling error: {second}\nStack: {traceback.format_exc()}"
            return _plain(shown if shows_details(request) else _FAILED)

    def _last_page(self, request: "Request", exception: SanicException) -> HTTPResponse:
        """The page for what a handler raised in the place of an answer."""
        try:
            return _coerce(request, self.default(request, exception))
        except (Exception, SystemExit):
            logger.exception("the error page failed at %s", request.url)
            return _plain(_FAILED)

    def response(self, request: "Request", exception: Any) -> HTTPResponse | Awaitable[Any]:
        """What the handler of `exception` gives, or the page; to be awaited if it is a coroutine."""
        handler = self.lookup(exception, request.name if request.route is not None else None)
        try:
            result = None if handler is None else handler(request, exception)
            return self.default(request, exception) if result is None else result
        except (Exception, SystemExit):
            name = function_name(handler) if handler is not None else "default"
            failure = f'Exception raised in exception handler "{name}" for uri: {request.url!r}'
            logger.exception("%s", failure)
            return _plain(failure if shows_details(request) else _FAILED)

    def default(self, request: "Request", exception: Exception) -> HTTPResponse:
        """Log `exception` and make the page for it."""
        self.log(request, exception)
        config = request.app.config
        return error_page(request, exception, config.FALLBACK_ERROR_FORMAT, config.DEBUG)

    @staticmethod
    def log(request: "Request", exception: Exception) -> None:
        """Write the traceback, unless the exception is quiet."""
        if not getattr(exception, "quiet", False) or request.app.config.NOISY_EXCEPTIONS:
            logger.error("Exception occurred while handling uri: %r", request.url, exc_info=exception)

    def late(self, request: "Request", exception: BaseException) -> None:
        """Write down an exception of which nobody can be told: an answer is on its way, or nobody waits."""
        logger.error(
            "exception in %s %s (%s)", request.method, request.path, request.name, exc_info=exception
        )


def _coerce(request: "Request", result: Any) -> HTTPResponse:
    response: HTTPResponse = type(request.app).coerce_result(result)
    return response


def _plain(text: str) -> HTTPResponse:
    return HTTPResponse(text.encode("utf-8", "backslashreplace"), 500, None, TEXT)
