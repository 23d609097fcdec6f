"""The handler of `logging` that takes records to the places of LOG_TO, and the access log with them.

Rules of this file:

- A record becomes a line where it is logged, for it may hold what changes; the rest the thread of each
  place does.
"""

import logging
import sys
import time

from vivace.config import Config
from vivace.config.places import parse_places
from vivace.config.redact import Redaction, names_in
from vivace.server.logs.places import make_place
from vivace.server.logs.schema import JSONFormatter, TextFormatter
from vivace.server.logs.shipper import Entry, Shipper

__all__ = ["PlacesHandler", "current", "redaction_of", "wants_json"]


def redaction_of(config: Config) -> Redaction:
    """What masks secrets, with the names of LOG_REDACT."""
    return Redaction(names_in(config.LOG_REDACT))


def wants_json(config: Config, stream_name: str = "stderr") -> bool:
    """Whether records are written as JSON lines.

    Args:
        config: Its LOG_FORMAT says, or leaves it to where they go.
        stream_name: Of `sys`: where they go if LOG_TO names no place.
    """
    if config.LOG_FORMAT != "auto":
        return config.LOG_FORMAT == "json"
    names = config.LOG_TO.split() or [stream_name]
    if any(name not in ("stdout", "stderr") for name in names):
        return True
    streams = [getattr(sys, name) for name in names]
    return any(stream is None or not stream.isatty() for stream in streams)


class PlacesHandler(logging.Handler):
    """Takes records to all places of LOG_TO.

    Args:
        config: Complete.
        app: What the server is called by those who receive.

    Attributes:
        json: Lines are JSON; else text.
        shippers: One for each place.

    Raises:
        ConfigError: A place cannot be used.
    """

    def __init__(self, config: Config, app: str = "vivace") -> None:
        super().__init__()
        self.json = wants_json(config)
        redaction = redaction_of(config)
        self.setFormatter(JSONFormatter(redaction) if self.json else TextFormatter(redaction))
        places = [make_place(place, app, config.LOG_KEY) for place in parse_places(config.LOG_TO.split())]
        self.shippers = [Shipper(place, config.LOG_BUFFER) for place in places]

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record to all places."""
        try:
            entry = Entry(record.created, record.levelno, self.format(record))
        except Exception:  # noqa: BLE001 - as every handler of logging does
            self.handleError(record)
            return
        for shipper in self.shippers:
            shipper.put(entry)

    def write(self, lines: str, count: int) -> None:
        """Hand lines of the access log to all places.

        Args:
            lines: Each with its end.
            count: How many.
        """
        entry = Entry(time.time(), logging.INFO, lines.rstrip("\n"), count)
        for shipper in self.shippers:
            shipper.put(entry)

    def reopen(self) -> None:
        """Open files anew."""
        for shipper in self.shippers:
            shipper.reopen()

    def close(self) -> None:
        """Take there what waits; a place that does not take it is not waited for long."""
        for shipper in self.shippers:
            shipper.close()
        self.shippers = []
        super().close()


def current() -> PlacesHandler | None:
    """The handler of this process, if LOG_TO names places."""
    return next((one for one in logging.getLogger().handlers if isinstance(one, PlacesHandler)), None)
