"""HEAD, OPTIONS and TRACE as the settings want them: what is answered where no route declares it.

Rules of this file:

- A route that declares the method goes first; the list of OPTIONS names what the path has.
- TRACE is off unless asked for, and gives back no field that may hold a secret (RFC 9110 section 9.3.8).
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from vivace.ext.errors import InitError
from vivace.ext.words import split_words
from vivace.framework.response import HTTPResponse, empty

if TYPE_CHECKING:
    from vivace.framework.app import Vivace
    from vivace.framework.request import Request

__all__ = ["answer_methods"]


def answer_methods(
    app: "Vivace[Any, Any]",
    *,
    head: bool = True,
    options: bool = True,
    trace: bool = False,
    all_methods: bool = True,
    trace_excluded: str | Iterable[str] = ("authorization", "cookie"),
) -> None:
    """Say what an app answers where no route declares it.

    Args:
        app: The app.
        head: HEAD, by the handler of GET.
        options: OPTIONS, by the methods of the path.
        trace: TRACE, by the request itself.
        all_methods: Whether TRACE may be answered at all.
        trace_excluded: The fields that TRACE leaves out.

    Raises:
        InitError: `trace` without `all_methods`.
    """
    if trace and not all_methods:
        raise InitError(
            "Cannot use apply(..., auto_trace=True) if TRACE is not an allowed HTTP method. "
            "Make sure apply(..., all_http_methods=True) has been set."
        )
    methods: dict[str, Callable[..., Any] | None] = {}
    if head:
        methods["HEAD"] = None
    if options:
        methods["OPTIONS"] = _answer_options
    if trace:
        methods["TRACE"] = _Trace(trace_excluded)
    app.answer_automatically(methods)


async def _answer_options(_request: "Request", allowed: str) -> HTTPResponse:
    others = [method for method in allowed.split(", ") if method != "OPTIONS"]
    return empty(headers={"Allow": ",".join((*others, "OPTIONS"))})


class _Trace:
    """Answers TRACE with the head of the request.

    Args:
        excluded: The names of the fields that are left out.
    """

    def __init__(self, excluded: str | Iterable[str]) -> None:
        self._excluded = frozenset(name.lower().encode("latin-1") for name in split_words(excluded))

    async def __call__(self, request: "Request", allowed: str) -> HTTPResponse:
        del allowed
        head = request.head
        start = f"{head.method} {head.target.decode('latin-1')} HTTP/{head.http_version}\r\n"
        lines = (line for line in request.raw_headers.split(b"\r\n") if line)
        kept = (line + b"\r\n" for line in lines if line.partition(b":")[0].lower() not in self._excluded)
        body = b"%b%b\r\n" % (start.encode("latin-1"), b"".join(kept))
        return HTTPResponse(body, content_type="message/http")
