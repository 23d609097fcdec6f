"""The access log through the alias: records of ``sanic.access``, as programs and tests look for them.

Rules of this file:

- One record a request, with the extras that Sanic's formatters take; secrets of the query stay masked.
- A server that runs for real writes its own access log, which costs a request far less, unless the program
  has given the logger a handler, a filter or a level: then it is the program's business what becomes of it.
"""

import logging
import sys
from typing import TYPE_CHECKING

from vivace.compat.sanic.formatter import AutoAccessFormatter, DebugAccessFormatter, ProdAccessFormatter
from vivace.compat.sanic.log import VerbosityFilter
from vivace.server.access import AccessLog

if TYPE_CHECKING:
    from vivace.server.stream import Stream

__all__ = ["RecordedAccess", "is_configured", "shorten_lines"]

logger = logging.getLogger("sanic.access")


def is_configured() -> bool:
    """Whether the logger is another than what an app makes of it by itself."""
    plain = [h for h in logger.handlers if isinstance(h.formatter, AutoAccessFormatter) and not h.filters]
    return (
        len(plain) != 1
        or plain != logger.handlers
        or logger.level != logging.INFO
        or logger.disabled
        or not all(isinstance(one, VerbosityFilter) for one in logger.filters)
        or (logger.propagate and bool(logging.root.handlers))
    )


def shorten_lines(debug: bool) -> None:
    """Let handlers that an app has made write a line for a request, without the extras below it."""
    for handler in logger.handlers:
        if type(handler.formatter) is AutoAccessFormatter:
            handler.setFormatter(DebugAccessFormatter() if debug else ProdAccessFormatter())


def _logger() -> logging.Logger:
    """The logger, or what a test has put where Sanic would look for it."""
    module = sys.modules.get("sanic.http.http1")
    return logger if module is None else getattr(module, "access_logger", logger)


class RecordedAccess(AccessLog):
    """Logs each request as a record."""

    def __init__(self) -> None:
        super().__init__(json=False)

    def record(self, client: "tuple[str, int] | None", stream: "Stream", now: float) -> None:
        """Log a request whose response is complete or was cut."""
        head = stream.head
        place = f"http://{head.host.decode('latin-1')}{head.target.decode('latin-1')}"
        took = (now - stream.started_at) * 1000
        extra = {
            "host": f"{client[0]}:{client[1]}" if client is not None else "unix",
            "request": f"{head.method} {place}",
            "status": stream.status,
            "byte": stream.sent,
            "duration": f"{took:4.1f}ms",
        }
        _logger().info("", extra=extra)

    def record_refused(self, client: "tuple[str, int] | None", status: int, reason: str) -> None:
        """Log a message that was refused before it was a request."""
        host = f"{client[0]}:{client[1]}" if client is not None else "unix"
        extra = {"host": host, "request": "NONE http:///*", "status": status, "byte": 0, "duration": " 0.0ms"}
        _logger().info("", extra=extra)
