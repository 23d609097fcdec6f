"""Files whose touch restarts the app: for who deploys by ``touch reload.txt``.

Rules of this file:

- A file counts by its time. One that comes is touched; one that goes is not, since it may be on its way back.
"""

import logging
import os
from collections.abc import Callable
from typing import Final

from vivace.supervisor.chores.files import times_of

__all__ = ["TouchWatch"]

logger = logging.getLogger("vivace")

LOOK_EVERY: Final = 1.0
"""Seconds between two looks."""


class TouchWatch:
    """Asks for a restart when a file was touched.

    Args:
        files: TOUCH_RELOAD of the settings.
        restart: Called when one was.

    Attributes:
        due: When to look next; infinity if there is nothing to look at.
    """

    def __init__(self, files: str, restart: Callable[[], object]) -> None:
        self._files = [os.path.abspath(name) for name in files.split(os.pathsep) if name]
        self.due = 0.0 if self._files else float("inf")
        self._restart = restart
        self._seen = times_of(self._files)

    def look(self, now: float) -> None:
        """Restart once, however many were touched."""
        self.due = now + LOOK_EVERY
        before, self._seen = self._seen, times_of(self._files)
        touched = [name for name, time in self._seen.items() if time != before.get(name)]
        if touched:
            logger.info("%s was touched (TOUCH_RELOAD): the app is restarted", ", ".join(touched))
            self._restart()
