"""sanic.logging.formatter: how records look, for people and for machines.

Rules of this file:

- A class is told by its attributes what a line is made of, so that a program can subclass and change them.
- Colours and columns are for a terminal; elsewhere a line is plain text.
"""

import logging
import os
import sys
import time
from itertools import zip_longest
from json import dumps
from typing import Any, ClassVar, Final

from vivace.config.setting import FALSE

__all__ = [
    "AutoAccessFormatter",
    "AutoFormatter",
    "DebugAccessFormatter",
    "DebugFormatter",
    "JSONAccessFormatter",
    "JSONFormatter",
    "LegacyAccessFormatter",
    "LegacyFormatter",
    "ProdAccessFormatter",
    "ProdFormatter",
]

_USUAL: Final = frozenset(
    {*vars(logging.makeLogRecord({})), "asctime", "color_message", "ident", "message", "right", "taskName"}
)
_ON_TERMINAL: Final = sys.stdout is not None and sys.stdout.isatty()
_NO_COLOR: Final = os.environ.get("SANIC_NO_COLOR", "false").lower() not in FALSE
_COLORS: Final = {"DEBUG": "\033[34m", "WARNING": "\033[33m", "ERROR": "\033[31m", "CRITICAL": "\033[31m"}
_END: Final = "\033[0m"
_MAIN: Final = "Main "


class AutoFormatter(logging.Formatter):
    """A line for people: who, when, how bad, what.

    Attributes:
        ATTY: Lines go to a terminal.
        NO_COLOR: They have no colours all the same.
        LOG_EXTRA: What was given as ``extra`` is written below the message.
        IDENT: Which process it is.
        DATE_FORMAT: Of the time.
        IDENT_LIMIT: The columns that `IDENT` takes on a terminal.
        MESSAGE_START: The column of the message on a terminal.
        PREFIX_FORMAT: What comes before the message; ``{limit}`` and ``{start}`` lead to the columns.
        MESSAGE_FORMAT: The message.
    """

    SETUP: ClassVar[bool] = False
    ATTY: ClassVar[bool] = _ON_TERMINAL
    NO_COLOR: ClassVar[bool] = _NO_COLOR
    LOG_EXTRA: ClassVar[bool] = os.environ.get("SANIC_LOG_EXTRA", "true").lower() not in FALSE
    IDENT: ClassVar[str] = os.environ.get("SANIC_WORKER_IDENTIFIER", _MAIN) or _MAIN
    DATE_FORMAT: ClassVar[str] = "%Y-%m-%d %H:%M:%S %z"
    IDENT_LIMIT: ClassVar[int] = 5
    MESSAGE_START: ClassVar[int] = 42
    PREFIX_FORMAT: ClassVar[str] = "%(ident)s{limit} %(asctime)s %(levelname)s: {start}"
    MESSAGE_FORMAT: ClassVar[str] = "%(message)s"

    def __init__(self, *args: Any) -> None:
        columns = self.ATTY and not self.NO_COLOR
        prefix = self.PREFIX_FORMAT.format(
            limit=f"\033[{self.IDENT_LIMIT + 1}G" if columns else "",
            start=f"\033[{self.MESSAGE_START}G" if columns else "",
        )
        own = (f"{prefix}{self.MESSAGE_FORMAT}", self.DATE_FORMAT)  # where dictConfig gives None, too
        given: list[Any] = [one or default for one, default in zip_longest(args[:2], own)]
        super().__init__(given[0], given[1])

    def format(self, record: logging.LogRecord) -> str:
        """The line, and below it the traceback and what was given as ``extra``."""
        shown = logging.makeLogRecord(vars(record))
        shown.ident = self._identify()
        shown.right = ""
        shown.levelname = self.level_name(record)
        line = super().format(shown)
        extra = extra_of(record) if self.LOG_EXTRA else {}
        return "\n".join([line, *(f"{key}={value}" for key, value in extra.items())])

    def _identify(self) -> str:
        """A worker is named by its place, which is known after this module was imported."""
        slot = os.environ.get("VIVACE_SLOT", "")
        return f"Srv {slot} " if slot.isdecimal() and self.IDENT == _MAIN else self.IDENT

    def level_name(self, record: logging.LogRecord) -> str:
        """How bad, coloured on a terminal."""
        color = _COLORS.get(record.levelname, "") if self.ATTY and not self.NO_COLOR else ""
        name = self.short_level(record.levelname)
        return f"{color}{name}{_END}" if color else name

    def short_level(self, name: str) -> str:
        """The name of a level."""
        return name


def extra_of(record: logging.LogRecord) -> dict[str, Any]:
    """What was given to a record as ``extra``."""
    return {key: value for key, value in vars(record).items() if key not in _USUAL}


class DebugFormatter(AutoFormatter):
    """A line for developers: without the date."""

    IDENT_LIMIT = 5
    MESSAGE_START = 23
    DATE_FORMAT = "%H:%M:%S"

    def short_level(self, name: str) -> str:
        """The name of a level in five letters."""
        return {"WARNING": "WARN", "CRITICAL": "CRIT"}.get(name, name)


class ProdFormatter(AutoFormatter):
    """A line for production."""


class LegacyFormatter(AutoFormatter):
    """A line as it was before Sanic 24.12."""

    PREFIX_FORMAT = "%(asctime)s [%(process)s] [%(levelname)s] "
    DATE_FORMAT = "[%Y-%m-%d %H:%M:%S %z]"


class AutoAccessFormatter(AutoFormatter):
    """A line for a request."""

    MESSAGE_FORMAT = "%(host)s %(request)s %(right)s%(status)s %(byte)s %(duration)s"


class LegacyAccessFormatter(AutoAccessFormatter):
    """A line for a request as it was before Sanic 24.12."""

    PREFIX_FORMAT = "%(asctime)s - (%(name)s)[%(levelname)s][%(host)s]: "
    MESSAGE_FORMAT = "%(request)s %(message)s %(status)s %(byte)s"


class DebugAccessFormatter(AutoAccessFormatter):
    """A line for a request, for developers."""

    IDENT_LIMIT = 5
    MESSAGE_START = 23
    DATE_FORMAT = "%H:%M:%S"
    LOG_EXTRA = False


class ProdAccessFormatter(AutoAccessFormatter):
    """A line for a request, for production."""

    IDENT_LIMIT = 5
    MESSAGE_START = 42
    PREFIX_FORMAT = "%(ident)s{limit}|%(asctime)s %(levelname)s: {start}"
    LOG_EXTRA = False


class JSONFormatter(AutoFormatter):
    """A record as an object of JSON.

    Attributes:
        FIELDS: The attributes of a record that are written besides time, level and message.
    """

    ATTY = False
    NO_COLOR = True
    FIELDS: ClassVar[list[str]] = ["name", "levelno", "pathname", "module", "filename", "lineno"]

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        found = self.to_dict(record)
        if record.exc_info:
            found["exc_info"] = self.formatException(record.exc_info)
        if self.LOG_EXTRA:
            found.update(extra_of(record))
        return dumps(found, separators=(",", ":"), default=str)

    def to_dict(self, record: logging.LogRecord) -> dict[str, Any]:
        """What is written of every record."""
        base = {
            "timestamp": time.strftime("%Y-%m-%d %H:%M:%S %z", self.converter(record.created)),
            "level": record.levelname,
            "message": record.getMessage(),
        }
        return base | {name: getattr(record, name) for name in self.FIELDS if hasattr(record, name)}


class JSONAccessFormatter(JSONFormatter):
    """A request as an object of JSON."""

    FIELDS = ["host", "request", "status", "byte", "duration"]  # noqa: RUF012  # as in its base

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        return dumps(self.to_dict(record), separators=(",", ":"), default=str)
