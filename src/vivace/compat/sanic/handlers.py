"""sanic.handlers: what answers exceptions, with the renderers of `sanic.errorpages`.

Rules of this file: only what differs from the handler of the framework.
"""

from typing import TYPE_CHECKING

from vivace.compat.sanic.errorpages import BaseRenderer, TextRenderer, exception_response
from vivace.framework import error_handler
from vivace.framework.pages import shows_details

if TYPE_CHECKING:
    from vivace.framework.request import Request
    from vivace.framework.response import HTTPResponse

__all__ = ["ErrorHandler"]


class ErrorHandler(error_handler.ErrorHandler):
    """Knows what to answer to which exception; subclass it and override `default` for another look.

    Args:
        base: Makes the page where the client takes none that could be offered.
    """

    def __init__(self, base: type[BaseRenderer] = TextRenderer) -> None:
        super().__init__()
        self.debug = False
        self.base = base

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
