"""The access log of tests through the alias: records of ``sanic.access``, as programs look for them.

Rules of this file:

- One record a request, with the extras that Sanic's formatters take; secrets of the query stay masked.
- A server that runs for real writes its own access log, which costs a request far less.
"""

import logging
import time
from typing import TYPE_CHECKING

from vivace.server.access import AccessLog

if TYPE_CHECKING:
    from vivace.server.stream import Stream

__all__ = ["RecordedAccess"]

logger = logging.getLogger("sanic.access")


class RecordedAccess(AccessLog):
    """Logs each request as a record."""

    def __init__(self) -> None:
        super().__init__(json=False)

    def record(self, client: "tuple[str, int] | None", stream: "Stream") -> None:
        """Log a request whose response is complete or was cut."""
        head = stream.head
        place = f"http://{head.host.decode('latin-1')}{head.target.decode('latin-1')}"
        took = (time.perf_counter() - stream.started_at) * 1000
        extra = {
            "host": f"{client[0]}:{client[1]}" if client is not None else "unix",
            "request": f"{head.method} {place}",
            "status": stream.status,
            "byte": stream.sent,
            "duration": f"{took:4.1f}ms",
        }
        logger.info("", extra=extra)

    def record_refused(self, client: "tuple[str, int] | None", status: int, reason: str) -> None:
        """Log a message that was refused before it was a request."""
        host = f"{client[0]}:{client[1]}" if client is not None else "unix"
        extra = {"host": host, "request": reason, "status": status, "byte": 0, "duration": " 0.0ms"}
        logger.info("", extra=extra)
