"""Calls that go on long after their time: what cannot be ended ends with its process, which is replaced.

Rules of this file:

- It is looked at from a thread, for the loop may be what is held up.
- Who is in the middle of a call that still has time is not disturbed: a process ends when all it has is over.
"""

import contextlib
import faulthandler
import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Final

__all__ = ["STUCK", "watch_overdue"]

logger = logging.getLogger("vivace.error")

STUCK: Final = 10.0
"""Seconds behind its time for which a call may go on that nobody waits for."""
_PACE: Final = 1.0


def watch_overdue(name: str, stuck: Callable[[], int], end: Callable[[], object] | None = None) -> None:
    """Let this process end when all that it has is stuck.

    Args:
        name: Of the pool.
        stuck: How many calls are, if all are that run here; else 0.
        end: Ends the process; None: SIGKILL.
    """

    def look() -> None:
        pause = threading.Event()
        while not (count := stuck()):
            pause.wait(_PACE)
        logger.critical("pool %s: %d calls go on beyond their time and cannot be ended; their process ends",
                        name, count)  # fmt: skip
        with contextlib.suppress(RuntimeError, OSError):  # there is no place to write to
            faulthandler.dump_traceback()
        (end or _die)()

    threading.Thread(target=look, name="vivace-overdue", daemon=True).start()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
