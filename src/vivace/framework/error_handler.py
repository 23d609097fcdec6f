"""From an exception to a response: the app's own handlers, else a page.

Rules of this file:

- A blueprint's handlers come before the app's; among them the nearest ancestor of the exception wins.
- Client errors (and 503) are not logged unless NOISY_EXCEPTIONS; everything else is, with its traceback.
- A handler that fails itself is logged, and the client gets a bare 500.
"""

import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vivace.errors import BadRequest, DeclarationError, HTTPException, RemoteProtocolError
from vivace.framework.handler import check_positional, function_name, source_of
from vivace.framework.pages import error_page
from vivace.framework.response import TEXT, HTTPResponse, coerce

if TYPE_CHECKING:
    from vivace.framework.request import Request

__all__ = ["ErrorHandler"]

logger = logging.getLogger("vivace.error")


class ErrorHandler:
    """Knows what to answer to which exception; subclass it and override `default` for another look."""

    def __init__(self) -> None:
        self._handlers: dict[tuple[type[BaseException], str], Callable[..., Any]] = {}
        self._found: dict[tuple[type[BaseException], str], Callable[..., Any] | None] = {}

    def add(self, exception: type[BaseException], handler: Callable[..., Any], blueprint: str = "") -> None:
        """Let `handler` answer `exception` and what derives from it.

        Args:
            exception: A class of exceptions.
            handler: Called with the request and the exception; returns what a route's handler may return.
            blueprint: Only for the routes of the blueprint of this name.

        Raises:
            ConfigError: `exception` has a handler already, or `handler` cannot be called so.
        """
        if BaseException not in getattr(exception, "__mro__", ()):
            raise DeclarationError(f"exception handler for {exception!r}: expected an exception class")
        check_positional(handler, 2, "exception handler", "(request, exception)")
        other = self._handlers.get((exception, blueprint))
        if other is not None and other is not handler:
            raise DeclarationError(
                f"two handlers for {exception.__name__}: {function_name(other)} ({source_of(other)}) and "
                f"{function_name(handler)} ({source_of(handler)})"
            )
        self._handlers[exception, blueprint] = handler
        self._found.clear()

    def lookup(self, exception: BaseException, blueprint: str = "") -> Callable[..., Any] | None:
        """The handler for `exception` in a route of `blueprint`, None if there is none."""
        key = (type(exception), blueprint)
        if key not in self._found:
            self._found[key] = self._search(type(exception), blueprint)
        return self._found[key]

    def _search(self, kind: type[BaseException], blueprint: str) -> Callable[..., Any] | None:
        for scope in (blueprint, "") if blueprint else ("",):
            for ancestor in kind.__mro__:
                handler = self._handlers.get((ancestor, scope))
                if handler is not None:
                    return handler
        return None

    async def response(self, request: "Request", exception: Exception) -> HTTPResponse:
        """The response for `exception`; never raises."""
        if isinstance(exception, RemoteProtocolError):
            exception = BadRequest(str(exception), exception.status_hint)
        blueprint = request.route.blueprint if request.route is not None else ""
        handler = self.lookup(exception, blueprint)
        try:
            if handler is None:
                return self.default(request, exception)
            result = handler(request, exception)
            if result is not None and inspect.isawaitable(result):
                result = await result
            return self.default(request, exception) if result is None else coerce(result)
        except Exception:
            logger.exception("the exception handler failed at %s %s", request.method, request.path)
            return HTTPResponse(b"An error occurred while handling an error", 500, None, TEXT)

    def default(self, request: "Request", exception: Exception) -> HTTPResponse:
        """Log `exception` and make the page for it."""
        self.log(request, exception)
        config = request.app.config
        return error_page(request, exception, config.FALLBACK_ERROR_FORMAT, config.DEBUG)

    @staticmethod
    def log(request: "Request", exception: Exception) -> None:
        """Write the traceback, unless the exception is quiet."""
        quiet = isinstance(exception, HTTPException) and exception.quiet
        if not quiet or request.app.config.NOISY_EXCEPTIONS:
            logger.error(
                "exception in %s %s (%s)",
                request.method,
                request.path,
                request.name or "no route",
                exc_info=exception,
            )
