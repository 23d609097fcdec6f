"""Where log records go: to standard error, as text or as JSON lines, or where LOG_TO says.

Rules of this file:

- A handler is attached to the root logger only if the app has attached none: its own configuration wins.
  So it does for a single logger: what a handler of its own writes to a console is not written twice.
- Where LOG_TO names places all goes there and nowhere else, whatever the app has arranged for itself.
- Standard error is for the log, standard output for the access log, which has its own writer.
- One record is one line of JSON, whatever the message holds; text keeps tracebacks readable.
- Loggers: `vivace` (start, stop, processes), `vivace.error` (what a handler raised), `vivace.server`.
"""

import io
import logging
import sys
from typing import Any

from vivace.config import Config
from vivace.server.logs.direct import DirectLog
from vivace.server.logs.handler import PlacesHandler, current, redaction_of, wants_json
from vivace.server.logs.notes import notes
from vivace.server.logs.schema import JSONFormatter, TextFormatter, place_process

__all__ = ["JSONFormatter", "attach_logging", "detach_logging", "reopen_files", "wants_json"]

logger = logging.getLogger("vivace")


class _OurHandler(logging.StreamHandler[Any]):
    """Known as ours, so that it can be taken away again; silent about what the app shows by itself.

    Args:
        stream: Standard error; what somebody has put in its place is written to as it is.
        size: Lines that may wait where it takes nothing.
    """

    def __init__(self, stream: Any, size: int) -> None:
        super().__init__(stream)
        file = _descriptor_of(stream)
        self._direct = DirectLog(file, size) if file >= 0 else None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record without waiting for whoever reads."""
        if self._direct is None:
            super().emit(record)
            return
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - as every handler of logging does
            self.handleError(record)
            return
        self._direct.write(record.levelno, text)

    def close(self) -> None:
        """Take there what waits, for a moment at most."""
        if self._direct is not None:
            self._direct.close()
        super().close()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write `record`: not if a handler of its own logger writes it to a console."""
        return not _is_shown(record) and bool(super().filter(record))


def _descriptor_of(stream: Any) -> int:
    """Of a stream that is Python's own; -1: another, or none that the system knows."""
    try:
        return int(stream.fileno()) if type(stream) is io.TextIOWrapper else -1
    except (OSError, ValueError):
        return -1


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


def attach_logging(config: Config, role: str = "", worker: int | None = None) -> None:
    """Let records be seen, unless the app has arranged that itself; take them where LOG_TO says in any case.

    Args:
        config: Complete.
        role: What this process is, for each line.
        worker: Its number, from 1, if it is a worker.

    Raises:
        ConfigError: A place of LOG_TO cannot be used.
    """
    if role:
        place_process(role, worker)
    level = config.LOG_LEVEL.upper()
    loud = config.DEBUG and "LOG_LEVEL" not in config.sources
    logging.getLogger("vivace").setLevel(logging.DEBUG if loud else level)
    logging.getLogger("vivace").addHandler(notes)
    root = logging.getLogger()
    if config.LOG_TO:
        if current() is None:
            root.addHandler(PlacesHandler(config))
            _let_through(root, level)
        return
    if root.handlers or sys.stderr is None:
        return
    handler = _OurHandler(sys.stderr, config.LOG_BUFFER)
    redaction = redaction_of(config)
    handler.setFormatter(JSONFormatter(redaction) if wants_json(config) else TextFormatter(redaction))
    root.addHandler(handler)
    root.setLevel(level)


def _let_through(root: logging.Logger, level: str) -> None:
    """Records of this level; an app that has set one of its own keeps it."""
    if root.level == logging.WARNING:
        root.setLevel(level)


def detach_logging() -> None:
    """Take our handler away, so that an app that is imported next finds the root logger as Python left it."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, (_OurHandler, PlacesHandler)):
            root.removeHandler(handler)
            handler.close()
            root.setLevel(logging.WARNING)


def reopen_files() -> None:
    """Let every handler that writes to a file open it anew: somebody has moved it away."""
    found = {id(handler): handler for logger in _loggers() for handler in logger.handlers}
    for handler in found.values():
        if isinstance(handler, PlacesHandler):
            handler.reopen()
        elif isinstance(handler, logging.FileHandler) and handler.stream is not None:
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
