"""Chores in turn: when the next one is due, and what happens when one fails.

Rules of this file:

- A system without descriptors, memory or room on its disk ends no supervisor: what failed is said, once, and
  tried again later.
"""

import logging
from collections.abc import Iterable
from typing import Final

from vivace.supervisor.chores.housekeeping import Chore

__all__ = ["REST", "Rota"]

logger = logging.getLogger("vivace")

REST: Final = 1.0
"""Seconds after which a chore is tried again that the system did not let us do."""


class Rota:
    """Chores, each done when it is due.

    Args:
        chores: The first ones.
    """

    def __init__(self, chores: Iterable[Chore] = ()) -> None:
        self._chores = list(chores)
        self._resting: dict[Chore, float] = {}

    def add(self, *chores: Chore) -> None:
        """Do these too."""
        self._chores += chores

    @property
    def due(self) -> float:
        """When there is something to do, monotonic seconds."""
        return min(map(self._due_of, self._chores), default=float("inf"))

    def _due_of(self, chore: Chore) -> float:
        return max(chore.due, self._resting.get(chore, 0.0))

    def look(self, now: float) -> None:
        """Do what is due."""
        for chore in self._chores:
            if self._due_of(chore) <= now:
                self._do(chore, now)

    def _do(self, chore: Chore, now: float) -> None:
        try:
            chore.look(now)
        except OSError as error:
            if chore not in self._resting:
                logger.warning("the supervisor could not look after its workers: %s", error)
            self._resting[chore] = now + REST
        else:
            self._resting.pop(chore, None)
