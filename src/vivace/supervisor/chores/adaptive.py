"""The chore that follows the load: it measures what workers do and lets the fleet have more or fewer.

Rules of this file:

- Nobody is asked: times of processors are the system's, the rest is on the scoreboard.
- A worker's share is that of one processor, for its loop is one thread; or of its threads, if more of them
  are in use; and it is whole when its loop comes to its turns late: then requests wait.
- There are no more than there is memory for: each new one may come to weigh as much as the heaviest does.
"""

import logging
from collections.abc import Callable
from typing import Final

from vivace.supervisor.fleet.fleet import Fleet
from vivace.supervisor.fleet.handle import State, WorkerHandle
from vivace.supervisor.fleet.scaling import Change, Load, Scaler
from vivace.supervisor.ipc.scoreboard import Scoreboard
from vivace.supervisor.system.cgroup import free_memory
from vivace.supervisor.system.procfs import processor_time, proportional_memory

__all__ = ["LATE", "LOOK_EVERY", "Scaling"]

logger = logging.getLogger("vivace")

LOOK_EVERY: Final = 0.5
"""Seconds between two looks."""
LATE: Final = 0.05
"""Seconds by which a loop is late when requests wait for their turns."""


class Scaling:
    """Asks a `Scaler` and does what it says.

    Args:
        scaler: Decides.
        fleet: Has the workers.
        board: Where they say how they fare.
        change: Called with what is to be done, and the time.
        measure: Tells the seconds of processor time that a process has used.
        weigh: Tells the memory of a process in octets; 0 if that cannot be told.
        free: Tells the memory that is left, in octets; None if that cannot be told.

    Attributes:
        due: See `Chore`.
        threads: THREADS of the app.
    """

    def __init__(
        self,
        scaler: Scaler,
        fleet: Fleet,
        board: Scoreboard,
        change: Callable[[Change, float], object],
        measure: Callable[[int], float | None] = processor_time,
        weigh: Callable[[int], int] = proportional_memory,
        free: Callable[[], int | None] = free_memory,
    ) -> None:
        self.due = 0.0
        self.threads = 0
        self._scaler = scaler
        self._fleet = fleet
        self._board = board
        self._change = change
        self._measure = measure
        self._weigh = weigh
        self._free = free
        self._full = False
        self._used: dict[int, tuple[float, float]] = {}

    def look(self, now: float) -> None:
        """See `Chore`."""
        self.due = now + LOOK_EVERY
        fleet = self._fleet
        workers = list(fleet.workers.values())
        serving = sorted((w for w in workers if w.state is State.READY), key=lambda w: w.ready or 0.0)
        used, self._used = self._used, {w.pid: (now, self._measure(w.pid) or 0.0) for w in serving}
        loads = {w.pid: self._load_of(w, used.get(w.pid)) for w in serving}
        settled = fleet.booted and not fleet.restarting and not fleet.coming
        settled = settled and len(serving) == fleet.size and not any(w.reason for w in serving)
        change = self._scaler.decide(loads, fleet.size, now, settled=settled)
        if change is not None and not change.leaving:
            change = self._afford(change)
        if change is not None:
            self._change(change, now)

    def _afford(self, change: Change) -> Change | None:
        """As much of a growth as there is memory for; None: nothing of it."""
        free = self._free()
        heaviest = max((self._weigh(pid) for pid in self._fleet.workers), default=0)
        more = change.size - self._fleet.size
        room = more if free is None or not heaviest else min(free // heaviest, more)
        full, self._full = self._full, room <= 0
        if self._full and not full:
            logger.warning("workers are busy, but there is no memory for another (%d MiB)", heaviest >> 20)
        return None if self._full else change._replace(size=self._fleet.size + room)

    def _load_of(self, worker: WorkerHandle, before: tuple[float, float] | None) -> Load:
        now, used = self._used[worker.pid]
        passed = now - before[0] if before is not None else 0.0
        share = (used - before[1]) / passed if before is not None and passed > 0 else 0.0
        reading = self._board.read(worker.slot, worker.pid)
        if reading is None:
            return Load(min(max(share, 0.0), 1.0))
        if reading.lag > LATE or reading.late(now) > 1.0:
            share = 1.0
        elif self.threads:
            share = max(share, reading.threads_busy / self.threads)
        return Load(min(max(share, 0.0), 1.0), reading.active)
