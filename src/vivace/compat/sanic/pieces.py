"""Small functions and classes of Sanic's modules on top of what Vivace has.

Rules of this file: nothing is decided here; what does the work lives in the framework.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Final

from vivace.config import Config
from vivace.framework.response import HTTPResponse, encode_json
from vivace.http.dates import format_date, parse_date
from vivace.http.status import PHRASES

__all__ = [
    "DEFAULT_CONFIG",
    "SANIC_PREFIX",
    "Formatter",
    "Middleware",
    "MiddlewareLocation",
    "Signal",
    "format_http1_response",
    "json_dumps",
    "validate_file",
]

SANIC_PREFIX: Final = "SANIC_"
"""What the names of environment variables begin with that set Sanic's configuration."""
DEFAULT_CONFIG: Final[dict[str, Any]] = dict(Config())
"""Every setting at its default."""


def json_dumps(value: Any) -> str:
    """A value as JSON."""
    return encode_json(value).decode()


def format_http1_response(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The head of a response in HTTP/1.1."""
    phrase = PHRASES.get(status, "UNKNOWN").encode("ascii")
    fields = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, phrase, fields)


async def validate_file(
    request_headers: Mapping[str, str], last_modified: datetime | float
) -> HTTPResponse | None:
    """A 304 if the client's copy is as new as the file; None if it has to be sent.

    Args:
        request_headers: Of the request.
        last_modified: When the file was changed: a moment, or seconds since 1970.
    """
    stamp = last_modified.timestamp() if isinstance(last_modified, datetime) else float(last_modified)
    asked = parse_date(request_headers.get("if-modified-since") or "")
    if asked is None or int(stamp) > asked:
        return None
    shown = datetime.fromtimestamp(int(stamp), UTC).timestamp()
    return HTTPResponse(b"", 304, {"last-modified": format_date(shown)})


class Signal:
    """What a server and a program tell each other; see ``app.run(signal=)``.

    Attributes:
        stopped: The server stops.
    """

    stopped = False


class MiddlewareLocation(IntEnum):
    """When a middleware runs."""

    REQUEST = 1
    RESPONSE = 2


class Middleware:
    """A function that runs around handlers; apps take the function itself.

    Args:
        func: Called with the request, and the response if there is one.
        location: When.
        priority: Higher runs first.
    """

    def __init__(self, func: Callable[..., Any], location: MiddlewareLocation, priority: int = 0) -> None:
        self.func = func
        self.location = location
        self.priority = priority

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.func(*args, **kwargs)

    @classmethod
    def reset_count(cls) -> None:
        """Nothing: nothing is counted."""


class Formatter(logging.Formatter):
    """A record as one line of text."""

    def __init__(self, fmt: str | None = None, datefmt: str | None = None, *_: Any, **__: Any) -> None:
        super().__init__(fmt or "%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt)
