"""What a client sees of an error: a page of plain text, JSON or HTML.

Rules of this file:

- The format is what Accept prefers; among what it takes alike, the route's goes first, then that of
  FALLBACK_ERROR_FORMAT, then JSON if the request came as JSON, then text.
- Nothing of an unknown exception is shown: a traceback goes to the log. In debug mode it is shown to a
  browser on this machine only: the peer and the host that it asked for must both be the loopback.
- Every word that comes from outside is escaped for its format.
"""

import traceback
from typing import TYPE_CHECKING, Any

from vivace.errors import InvalidHeader, SanicException, title_of
from vivace.framework.pages.formats import Problem, render_html, render_json, render_text
from vivace.framework.response import HTML, JSON, TEXT, HTTPResponse

if TYPE_CHECKING:
    from vivace.framework.request import Request

__all__ = ["choose_format", "error_page", "is_local", "shows_details"]

_RENDERERS = {"text": (render_text, TEXT), "json": (render_json, JSON), "html": (render_html, HTML)}
_MIMES = {"text/plain": "text", "application/json": "json", "text/html": "html"}
_LOOPBACK = frozenset(("", "127.0.0.1", "::1", "[::1]", "localhost"))


def error_page(request: "Request", error: Exception, fallback: str, debug: bool) -> HTTPResponse:
    """The response for `error`.

    Args:
        request: What failed.
        error: A `SanicException` says its status, message and fields; anything else is a 500 without details.
        fallback: FALLBACK_ERROR_FORMAT.
        debug: Whether details may be shown on this machine.
    """
    problem = _describe(request, error, debug and is_local(request))
    render, content_type = _RENDERERS[choose_format(request, fallback)]
    headers = error.headers if isinstance(error, SanicException) else None
    return HTTPResponse(render(problem), problem.status, headers, content_type)


def choose_format(request: "Request", fallback: str) -> str:
    """``text``, ``json`` or ``html``."""
    try:
        accept = request.accept
    except InvalidHeader:
        return "text"
    wanted = [name for name in (request.error_format, fallback) if name in _RENDERERS]
    if request.content_type.lower().startswith("application/json"):
        wanted.append("json")
    offered = [mime for name in (*wanted, "text") for mime, format_ in _MIMES.items() if format_ == name]
    return _MIMES.get(accept.match(*offered, *_MIMES).mime, "text")


def _describe(request: "Request", error: Exception, details: bool) -> Problem:
    problem = Problem(
        500, title_of(500), "The application encountered an unexpected error and could not continue."
    )
    if isinstance(error, SanicException):
        title = title_of(error.status_code)
        problem = Problem(error.status_code, title, error.message or title, context=error.context)
    if details:
        extra: dict[str, Any] = {"path": request.path, "args": request.query_args}
        if isinstance(error, SanicException) and error.extra:
            extra["extra"] = dict(error.extra)
        trace = "".join(traceback.format_exception(error)) if problem.status >= 500 else ""
        problem = problem._replace(debug=extra, traceback=trace)
    return problem


def shows_details(request: "Request") -> bool:
    """Whether the client may see why: the app is in debug mode, and both are on this machine."""
    return bool(request.app.config.DEBUG) and is_local(request)


def is_local(request: "Request") -> bool:
    """Whether the peer, and the host that it asked for, are this machine."""
    return request.ip in _LOOPBACK and request.server_name in _LOOPBACK
