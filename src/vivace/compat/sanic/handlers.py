"""sanic.handlers: what answers exceptions, with the renderers of `sanic.errorpages`.

Rules of this file: only what differs from the handler of the framework.
"""

import logging
from typing import TYPE_CHECKING, Any, Final

from vivace.compat.sanic.errorpages import BaseRenderer, TextRenderer, exception_response
from vivace.errors import (
    HTTPException,
    MethodNotAllowed,
    PayloadTooLarge,
    RemoteProtocolError,
    RequestTimeout,
)
from vivace.framework import error_handler
from vivace.framework.handler import function_name
from vivace.framework.pages import shows_details
from vivace.framework.response import TEXT, HTTPResponse

if TYPE_CHECKING:
    from vivace.framework.request import Request

__all__ = ["ErrorHandler"]

_NO_PAGE: Final = ("DELETE", "HEAD", "PATCH", "PUT")
_HEAD_TOO_LARGE: Final = {431: 413, 414: 414}  # RFC 9112 section 3 asks for 414

logger = logging.getLogger("sanic.root")
error_logger = logging.getLogger("sanic.error")


class ErrorHandler(error_handler.ErrorHandler):
    """Knows what to answer to which exception; subclass it and override `default` for another look.

    Args:
        base: Makes the page where the client takes none that could be offered.
    """

    def __init__(self, base: type[BaseRenderer] = TextRenderer) -> None:
        super().__init__()
        self.debug = False
        self.base = base

    async def answer(self, request: "Request", exception: Any) -> "HTTPResponse":
        """The response for an exception; the page of a 405 is for methods that Sanic gives one to."""
        response = await super().answer(request, exception)
        if isinstance(exception, MethodNotAllowed) and request.method in _NO_PAGE:
            name = request.name if request.route is not None else None
            if self.lookup(exception, name) is None:
                return HTTPResponse(b"", response.status, exception.headers, TEXT)
        return response

    def refusal(self, error: RemoteProtocolError) -> HTTPException:
        """What a message that breaks the rules of HTTP is answered with, in Sanic's words if it has any."""
        status = error.status_hint
        if status in _HEAD_TOO_LARGE:
            return PayloadTooLarge("Request header exceeds the size limit", _HEAD_TOO_LARGE[status])
        return RequestTimeout() if status == RequestTimeout.status_code else super().refusal(error)

    def late(self, request: "Request", exception: BaseException) -> None:
        """Write down an exception that came when an answer was on its way, in Sanic's words."""
        error_logger.error("%s", exception, exc_info=exception)
        logger.error(
            'The error response will not be sent to the client for the following exception:"%s". '
            "A previous response has at least partially been sent.",
            exception,
        )
        handler = self.lookup(exception, request.name if request.route is not None else None)
        if handler is not None:
            logger.warning(
                "An error occurred while handling the request after at least some part of the response was "
                "sent to the client. The response from your custom exception handler %s will not be sent to "
                "the client. Exception handlers should only be used to generate the exception responses. If "
                "you would like to perform any other action on a raised exception, consider using a signal "
                'handler like `@app.signal("http.lifecycle.exception")`',
                function_name(handler),
            )

    def default(self, request: "Request", exception: Exception) -> "HTTPResponse":
        """Log `exception` and make the page for it."""
        self.log(request, exception)
        return exception_response(
            request,
            exception,
            debug=shows_details(request),
            fallback=request.app.config.FALLBACK_ERROR_FORMAT,
            base=self.base,
        )
