"""sanic.log: the loggers, their configuration and the words about what is going away.

Rules of this file:

- The loggers have the names that programs configure. What Vivace logs under its own names arrives there, once
  the alias is installed: a handler, a level or a test of a program meets it where Sanic would log it.
- An app configures them unless it is told not to; it never touches other loggers.
"""

import copy
import logging
import logging.config
import sys
import warnings
from enum import StrEnum
from typing import Any, Final

__all__ = [
    "LOGGING_CONFIG_DEFAULTS",
    "Colors",
    "VerbosityFilter",
    "access_logger",
    "configure",
    "deprecation",
    "error_logger",
    "forward_records",
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

    verbosity: int = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written."""
        return int(getattr(record, "verbosity", 0)) <= self.verbosity


for _one in (logger, error_logger, access_logger, server_logger, websockets_logger):
    _one.addFilter(VerbosityFilter())
websockets_logger.setLevel(logging.WARNING)


class _Forward(logging.Filter):
    """Hands the records of one of our loggers on to one of Sanic's."""

    def __init__(self, target: logging.Logger) -> None:
        super().__init__()
        self._target = target

    def filter(self, record: logging.LogRecord) -> bool:
        """False: whatever is to be done with it, the other logger does."""
        if self._target.isEnabledFor(record.levelno):
            record.name = self._target.name
            self._target.handle(record)
        return False


_TARGETS: Final = {
    "vivace": logger,
    "vivace.app": logger,
    "vivace.error": error_logger,
    "vivace.server": server_logger,
    "vivace.testing": logger,
}


def forward_records() -> None:
    """Let what Vivace logs arrive at Sanic's loggers, in this process and those that it forks."""
    for name, target in _TARGETS.items():
        ours = logging.getLogger(name)
        if not any(isinstance(known, _Forward) for known in ours.filters):
            ours.addFilter(_Forward(target))
        ours.setLevel(logging.DEBUG)  # the other logger's level counts


def configure(log_config: dict[str, Any] | None) -> None:
    """Configure the loggers as an app asks for, or as `LOGGING_CONFIG_DEFAULTS` says by now."""
    config = copy.copy(log_config or LOGGING_CONFIG_DEFAULTS)
    formatters = config.get("formatters", {})
    config["formatters"] = {name: _resolved(given) for name, given in formatters.items()}
    logging.config.dictConfig(config)


def _resolved(formatter: dict[str, Any]) -> dict[str, Any]:
    """The same where the alias is not installed, so that the names of its modules cannot be imported."""
    place = str(formatter.get("class", "")).replace("sanic.logging.", "vivace.compat.sanic.", 1)
    return {**formatter, "class": place} if place.startswith("vivace.compat.sanic.") else formatter


def deprecation(message: str, version: float) -> None:
    """Warn of what goes away with a version."""
    warnings.warn(f"[DEPRECATION v{version}] {message}", DeprecationWarning, stacklevel=2)


def _handler(stream: Any, formatter: str = "generic") -> dict[str, Any]:
    return {"class": "logging.StreamHandler", "formatter": formatter, "stream": stream}


def _logger(name: str, handler: str) -> dict[str, Any]:
    return {"level": "INFO", "handlers": [handler], "propagate": True, "qualname": name}


LOGGING_CONFIG_DEFAULTS: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {
        "sanic.root": {"level": "INFO", "handlers": ["console"]},
        "sanic.error": _logger("sanic.error", "error_console"),
        "sanic.access": _logger("sanic.access", "access_console"),
        "sanic.server": _logger("sanic.server", "console"),
        "sanic.websockets": _logger("sanic.websockets", "console"),
    },
    "handlers": {
        "console": _handler(sys.stdout),
        "error_console": _handler(sys.stderr),
        "access_console": _handler(sys.stdout, "access"),
    },
    "formatters": {
        "generic": {"class": "sanic.logging.formatter.AutoFormatter"},
        "access": {"class": "sanic.logging.formatter.AutoAccessFormatter"},
    },
}
"""What programs start from that configure logging themselves, and what an app uses that does not."""
