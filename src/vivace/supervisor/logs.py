"""Where log records go: to standard error, as text for people and as JSON lines for machines.

Rules of this file:

- A handler is attached to the root logger only if the app has attached none: its own configuration wins.
  So it does for a single logger: what a handler of its own writes to a console is not written twice.
- Standard error is for the log, standard output for the access log, which has its own writer.
- One record is one line of JSON, whatever the message holds; text keeps tracebacks readable.
- Loggers: `vivace` (start, stop, processes), `vivace.error` (what a handler raised), `vivace.server`.
"""

import logging
import sys
import time
from typing import Any, Final

import msgspec

from vivace.config import Config

__all__ = ["JSONFormatter", "attach_logging", "detach_logging", "reopen_files", "wants_json"]

logger = logging.getLogger("vivace")

_TEXT: Final = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"


class JSONFormatter(logging.Formatter):
    """A record as one line of JSON: time (UTC), level, logger, pid, message, and an exception if any."""

    def format(self, record: logging.LogRecord) -> str:
        """One line without its end."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = record.stack_info
        clean = {k: _encodable(v) if isinstance(v, str) else v for k, v in fields.items()}
        return msgspec.json.encode(clean).decode()


class _OurHandler(logging.StreamHandler[Any]):
    """Known as ours, so that it can be taken away again; silent about what the app shows by itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write `record`: not if a handler of its own logger writes it to a console."""
        return not _is_shown(record) and bool(super().filter(record))


def _is_shown(record: logging.LogRecord) -> bool:
    logger = logging.getLogger(record.name)
    while logger.parent is not None:
        for handler in logger.handlers:
            console = isinstance(handler, logging.StreamHandler) and not isinstance(
                handler, logging.FileHandler
            )
            if console and record.levelno >= handler.level and handler.filter(record):
                return True
        logger = logger.parent
    return False


def wants_json(config: Config) -> bool:
    """Whether records are written as JSON lines."""
    if config.LOG_FORMAT == "auto":
        return sys.stderr is None or not sys.stderr.isatty()
    return config.LOG_FORMAT == "json"


def attach_logging(config: Config) -> None:
    """Let records be seen, unless the app has arranged that itself."""
    logging.getLogger("vivace").setLevel(logging.DEBUG if config.DEBUG else logging.INFO)
    root = logging.getLogger()
    if root.handlers or sys.stderr is None:
        return
    handler = _OurHandler(sys.stderr)
    handler.setFormatter(JSONFormatter() if wants_json(config) else _text_formatter())
    root.addHandler(handler)
    root.setLevel(logging.INFO)


def _text_formatter() -> logging.Formatter:
    """Text with the clock of the access log: UTC, so that lines of both can be put in order."""
    made = logging.Formatter(_TEXT, "%Y-%m-%dT%H:%M:%S")
    made.converter = time.gmtime
    return made


def detach_logging() -> None:
    """Take our handler away, so that an app that is imported next finds the root logger as Python left it."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, _OurHandler):
            root.removeHandler(handler)
            root.setLevel(logging.WARNING)


def reopen_files() -> None:
    """Let every handler that writes to a file open it anew: somebody has moved it away."""
    found = {id(handler): handler for logger in _loggers() for handler in logger.handlers}
    for handler in found.values():
        if isinstance(handler, logging.FileHandler) and handler.stream is not None:
            handler.acquire()
            try:
                handler.flush()
                handler.stream.close()
                handler.mode = handler.mode.replace("w", "a")
                handler.stream = handler._open()
            except OSError as error:
                logger.warning("the log %s cannot be opened anew: %s", handler.baseFilename, error)
            finally:
                handler.release()


def _loggers() -> list[logging.Logger]:
    made = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    return [logging.root, *made]


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
