"""What Sanic logs when a server starts and stops, for programs and tests that look for it.

Rules of this file:

- Vivace says by itself that it serves. These records are made where somebody looks at the loggers: where they
  have handlers that no app has made, or the root logger has some.
"""

import logging
import os
from typing import Any, Final

from vivace.compat.sanic.constants import VERSION
from vivace.compat.sanic.formatter import AutoFormatter

__all__ = ["log_after", "log_before"]

logger: Final = logging.getLogger("sanic.root")
server_logger: Final = logging.getLogger("sanic.server")


def log_before(app: Any, stage: str) -> None:
    """Log what belongs before the listeners of a stage."""
    if app.asgi or not _is_looked_at():
        return
    if stage == "before_server_start":
        if app.config.MOTD:
            _greet(app)
        server_logger.info("Starting worker [%s]", os.getpid())
    elif stage == "before_server_stop":
        server_logger.info("Stopping worker [%s]", os.getpid())


def log_after(app: Any, stage: str) -> None:
    """Log what belongs after the listeners of a stage."""
    if app.asgi or not _is_looked_at():
        return
    if stage == "after_server_start":
        server_logger.info("Worker ready [%s]", os.getpid())
    elif stage == "after_server_stop":
        server_logger.info("Worker complete [%s]", os.getpid())
        logger.info("Server Stopped")


def _greet(app: Any) -> None:
    state = app.state
    place = {"host": state.host or "127.0.0.1", "port": state.port, "unix": state.unix}
    secure = {"ssl": app.config.TLS_CERT or app.config.TLS_FOLDERS or None}
    logger.info("Sanic v%s", VERSION)
    logger.info("Goin' Fast @ %s", app.get_server_location({**place, **secure}))
    app.motd(place)


def _is_looked_at() -> bool:
    if logger.propagate and logging.root.handlers:
        return True
    return any(not isinstance(handler.formatter, AutoFormatter) for handler in logger.handlers)
