"""The places of workers: their numbers, and how long an empty one waits after a death.

Rules of this file:

- Pure: every call brings `now`, chance comes from a generator that is given.
- A number is free again only when the process that had it is gone: what is shared out by number (connections
  of a database) is never given twice.
- After the first death a place is filled at once, then after 0.5 s, 1 s, 2 s ... at most 15 s, each a fifth
  longer or shorter so that workers do not fall in step. A life of 30 s forgives all earlier deaths.
"""

import random
from collections.abc import Collection
from typing import Final

__all__ = ["FORGIVEN", "LONGEST_DELAY", "Slots", "delay_after"]

FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 15.0
FORGIVEN: Final = 30.0
"""Seconds of serving after which earlier deaths of a place do not count."""
_JITTER: Final = 0.2


class Slots:
    """Places by number from 0.

    Args:
        chance: Where the jitter comes from.
    """

    __slots__ = ("_chance", "_deaths", "_due")

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._deaths: dict[int, int] = {}
        self._due: dict[int, float] = {}

    def free(self, taken: Collection[int], now: float) -> int:
        """The lowest number that nobody has and that does not wait."""
        number = 0
        while number in taken or self._due.get(number, 0.0) > now:
            number += 1
        return number

    def waiting(self, now: float) -> int:
        """How many places wait."""
        return sum(due > now for due in self._due.values())

    def due_times(self, now: float) -> dict[int, float]:
        """Which places wait, and until when."""
        return {number: due for number, due in self._due.items() if due > now}

    def next_due(self, now: float) -> float | None:
        """When the next of them may be filled."""
        return min((due for due in self._due.values() if due > now), default=None)

    def died(self, number: int, lived: float, now: float) -> float:
        """A worker died without being asked to; how many seconds its place waits.

        Args:
            number: Of the place.
            lived: Seconds for which it served.
            now: The time.
        """
        deaths = 0 if lived >= FORGIVEN else self._deaths.get(number, 0)
        self._deaths[number] = deaths + 1
        if deaths == 0:
            return 0.0
        wait = delay_after(deaths, self._chance)
        self._due[number] = now + wait
        return wait

    def refused(self, number: int, now: float) -> float:
        """The system gave no process; how many seconds the place waits."""
        self._deaths.setdefault(number, 1)
        return self.died(number, 0.0, now)

    def forget(self) -> None:
        """New code: what happened to the old one does not count."""
        self._deaths.clear()
        self._due.clear()


def delay_after(deaths: int, chance: random.Random) -> float:
    """Seconds until the next start where so many deaths were not forgiven before the last one.

    Args:
        deaths: Without the last one; after the first of all the next start follows at once.
        chance: Where the jitter comes from.
    """
    if deaths == 0:
        return 0.0
    # The exponent is bounded, for a loop of crashes may last for days.
    wait = min(FIRST_DELAY * 2.0 ** min(deaths - 1, 20), LONGEST_DELAY)
    return wait * chance.uniform(1 - _JITTER, 1 + _JITTER)
