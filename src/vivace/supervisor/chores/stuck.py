"""Workers none of whose threads comes back: they serve nobody any more, so others take their place.

Rules of this file:

- A thread cannot be stopped. What it worked for was answered in its place, with 503; if it is still there, it
  is late. One late thread is no reason to act; when all are, whatever arrives waits until it is 503 too.
- Nobody is killed for it: a new worker serves first, and the old one has the graceful time for the rest.
"""

from collections.abc import Callable
from typing import Final

from vivace.supervisor.fleet.fleet import Fleet
from vivace.supervisor.fleet.handle import State
from vivace.supervisor.ipc.scoreboard import Scoreboard

__all__ = ["StuckThreads"]

LOOK_EVERY: Final = 0.25
"""Seconds between two looks."""
LOOKS: Final = 2
"""So many in a row must find all threads late."""


class StuckThreads:
    """Replaces workers all of whose threads are late.

    Args:
        threads: THREADS of the settings; 0: the app runs on the loop, which is looked after elsewhere.
        board: Tells how many are late.
        fleet: Has the workers.
        recycle: Called with process id, reason and time.

    Attributes:
        due: When to look next; infinity if there is nothing to look for.
    """

    def __init__(
        self, threads: int, board: Scoreboard, fleet: Fleet, recycle: Callable[[int, str, float], object]
    ) -> None:
        self.due = 0.0 if threads else float("inf")
        self._threads = threads
        self._board = board
        self._fleet = fleet
        self._recycle = recycle
        self._found: dict[int, int] = {}

    def look(self, now: float) -> None:
        """Replace those that were so for `LOOKS` looks."""
        self.due = now + LOOK_EVERY
        before, self._found = self._found, {}
        for pid, worker in self._fleet.workers.items():
            reading = self._board.read(worker.slot, pid) if worker.state is State.READY else None
            if reading is not None and reading.threads_late >= self._threads:
                self._found[pid] = before.get(pid, 0) + 1
        for pid, times in self._found.items():
            if times == LOOKS:
                self._recycle(pid, f"threads late={self._threads} of {self._threads}", now)
