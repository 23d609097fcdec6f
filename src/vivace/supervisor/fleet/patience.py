"""How long is waited for what: by the supervisor for its workers, and by each worker for itself.

Rules of this file:

- Whoever is asked knows the same times as who asks: a worker ends by itself before it would be killed.
"""

from typing import Final, NamedTuple

__all__ = ["AGAIN", "ECHO", "FORCED", "KILL_AFTER", "Patience"]

KILL_AFTER: Final = 3.0
"""Seconds after the graceful time when a worker that is still there is killed."""
ECHO: Final = 0.25
"""Seconds after a signal to stop in which another one says the same: a terminal sends Ctrl-C to everybody,
and whatever started us may pass it on."""
FORCED: Final = 2.0
"""Seconds that a forced stop gives the workers."""
AGAIN: Final = 0.5
"""Seconds until a worker that was starting when a stop began is asked once more."""


class Patience(NamedTuple):
    """How long is waited for what, in seconds.

    Attributes:
        graceful: GRACEFUL_SHUTDOWN_TIMEOUT.
        boot: BOOT_TIMEOUT, from the beginning of an import or a worker until it is done.
        idle: KEEP_ALIVE_TIMEOUT: for so long a worker that is replaced answers on connections it has.
        canary: For so long the first worker of new code must serve before others follow.
        delay: SHUTDOWN_DELAY: for so long a server that is to stop goes on.
        sockets: WEBSOCKET_RECYCLE_TIMEOUT: for so long a worker that is recycled waits for its WebSockets.
    """

    graceful: float
    boot: float = 60.0
    idle: float = 0.0
    canary: float = 1.0
    delay: float = 0.0
    sockets: float = 0.0
