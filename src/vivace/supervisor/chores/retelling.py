"""Events that nobody heard yet are told again: who tells of alarms may just be starting.

Rules of this file:

- A second's patience; nothing is asked of the system while nothing waits.
"""

import time
from typing import Final

from vivace.server.logs.notes import notes

__all__ = ["EVERY", "Retelling"]

EVERY: Final = 1.0
"""Seconds between two tries."""


class Retelling:
    """Tries again, as a chore of the supervisor."""

    def __init__(self) -> None:
        self._next = 0.0

    @property
    def due(self) -> float:
        """When to try, monotonic seconds; infinity: nothing waits."""
        if not notes.waits:
            return float("inf")
        self._next = self._next or time.monotonic() + EVERY
        return self._next

    def look(self, now: float) -> None:
        """Try."""
        self._next = 0.0
        notes.flush()
