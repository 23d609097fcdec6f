"""Log lines written by a thread: with LOGGING a slow disk or console does not hold requests up.

Rules of this file:

- The handlers of the loggers stay as they are; in front of them stands a queue while the server runs.
- A full queue loses nothing: the record is written at once, by who logs it.
"""

import logging
import queue
from logging.handlers import QueueHandler, QueueListener
from typing import TYPE_CHECKING, Any, Final

from vivace.ext.extension import Extension

if TYPE_CHECKING:
    from vivace.ext.extend import Extend

__all__ = ["LoggingExtension"]

_OURS: Final = ("", "vivace", "vivace.error", "vivace.server", "vivace.access", "vivace.app")


class _Queue(QueueHandler):
    """Puts records into a queue.

    Args:
        records: The queue.
        handlers: Those that write in the end.
    """

    def __init__(self, records: "queue.Queue[Any]", handlers: list[logging.Handler]) -> None:
        super().__init__(records)
        self._handlers = handlers

    def enqueue(self, record: logging.LogRecord) -> None:
        """Leave `record` to the thread; write it here if there is no room."""
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            for handler in self._handlers:
                if record.levelno >= handler.level:
                    handler.handle(record)

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """The record as it is: it stays within this process."""
        return record


class _Listener(QueueListener):
    """Writes what is in the queue, and all of it before it ends."""

    def enqueue_sentinel(self) -> None:
        """Say where the end is: after what still waits."""
        self.queue.put(None)  # type: ignore[attr-defined,unused-ignore]


class LoggingExtension(Extension):
    """LOGGING, LOGGERS and LOGGING_QUEUE_MAX_SIZE."""

    name = "logging"

    def included(self) -> bool:
        """LOGGING."""
        return bool(self.config.LOGGING)

    def startup(self, bootstrap: "Extend") -> None:
        """Let the queues begin and end with the server."""
        del bootstrap
        self._replaced: list[tuple[logging.Logger, list[logging.Handler], QueueListener]] = []
        self.app.register_listener(self._begin, "before_server_start", priority=1)
        self.app.register_listener(self._end, "after_server_stop", priority=-1)

    def _begin(self, _app: Any) -> None:
        for name in dict.fromkeys((*_OURS, *self.config.LOGGERS)):
            logger = logging.getLogger(name)
            handlers = list(logger.handlers)
            if handlers:
                records: queue.Queue[Any] = queue.Queue(self.config.LOGGING_QUEUE_MAX_SIZE)
                listener = _Listener(records, *handlers, respect_handler_level=True)
                logger.handlers[:] = [_Queue(records, handlers)]
                listener.start()
                self._replaced.append((logger, handlers, listener))

    def _end(self, _app: Any) -> None:
        while self._replaced:
            logger, handlers, listener = self._replaced.pop()
            logger.handlers[:] = handlers
            listener.stop()
