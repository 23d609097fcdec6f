"""sanic.log: the loggers, their configuration and the words about what is going away.

Rules of this file:

- The loggers have the names that programs configure; their records reach the handlers of the root logger,
  to which Vivace attaches one if the program has none.
"""

import logging
import sys
import warnings
from enum import StrEnum
from typing import Any, Final

__all__ = [
    "LOGGING_CONFIG_DEFAULTS",
    "Colors",
    "VerbosityFilter",
    "access_logger",
    "deprecation",
    "error_logger",
    "logger",
    "server_logger",
    "websockets_logger",
]

logger = logging.getLogger("sanic.root")
error_logger = logging.getLogger("sanic.error")
access_logger = logging.getLogger("sanic.access")
server_logger = logging.getLogger("sanic.server")
websockets_logger = logging.getLogger("sanic.websockets")

_COLORED: Final = sys.stdout is not None and sys.stdout.isatty()
_STANDARD: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Colors(StrEnum):
    """Escape sequences of a terminal; empty where standard output is none."""

    END = "\033[0m" if _COLORED else ""
    BOLD = "\033[1m" if _COLORED else ""
    BLUE = "\033[34m" if _COLORED else ""
    GREEN = "\033[32m" if _COLORED else ""
    PURPLE = "\033[35m" if _COLORED else ""
    CYAN = "\033[36m" if _COLORED else ""
    RED = "\033[31m" if _COLORED else ""
    YELLOW = "\033[33m" if _COLORED else ""
    GREY = "\033[90m" if _COLORED else ""
    SANIC = "\033[95m" if _COLORED else ""


class VerbosityFilter(logging.Filter):
    """Leaves out records whose ``verbosity`` is above that of the server."""

    verbosity = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written."""
        return int(getattr(record, "verbosity", 0)) <= self.verbosity


def deprecation(message: str, version: float) -> None:
    """Warn of what goes away with a version."""
    warnings.warn(f"[DEPRECATION v{version}] {message}", DeprecationWarning, stacklevel=3)


def _handler(stream: str) -> dict[str, Any]:
    return {"class": "logging.StreamHandler", "formatter": "generic", "stream": f"ext://sys.{stream}"}


def _logger(name: str, handler: str) -> dict[str, Any]:
    return {"level": "INFO", "handlers": [handler], "propagate": False, "qualname": name}


LOGGING_CONFIG_DEFAULTS: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {
        "sanic.root": _logger("sanic.root", "console"),
        "sanic.error": _logger("sanic.error", "error_console"),
        "sanic.access": _logger("sanic.access", "access_console"),
        "sanic.server": _logger("sanic.server", "console"),
        "sanic.websockets": _logger("sanic.websockets", "console"),
    },
    "handlers": {
        "console": _handler("stdout"),
        "error_console": _handler("stderr"),
        "access_console": _handler("stdout"),
    },
    "formatters": {"generic": {"format": _STANDARD}, "access": {"format": _STANDARD}},
}
"""What programs start from that configure logging themselves; nothing is configured by it here."""
