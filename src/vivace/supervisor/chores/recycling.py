"""Which workers have lived long enough, or grew too large, to be replaced while they serve.

Rules of this file:

- It says when it is due next and never blocks: what it reads is small and local.
- What the system does not tell is no reason to act.
- Memory is the proportional share (PSS): what workers share with their template is not counted for each.
"""

import random
from collections.abc import Callable, Mapping
from typing import Final

from vivace.supervisor.fleet.handle import State, WorkerHandle
from vivace.supervisor.system.procfs import proportional_memory
from vivace.supervisor.workers.quota import Spread

__all__ = ["Recycler"]

WEIGH_EVERY: Final = 5.0
"""Seconds between two looks at the memory of workers."""
HEAVY_TIMES: Final = 3
"""So many looks in a row must find a worker too large."""


class Recycler:
    """Finds workers that have lived long enough, or grew too large.

    Args:
        lifetime: WORKER_MAX_LIFETIME in seconds; 0 is none.
        memory: WORKER_MAX_MEMORY in octets; 0 is none.
        weigh: Tells the memory of a process in octets, 0 if that cannot be told.

    Attributes:
        due: When to look next; infinity if there is nothing to look for.
    """

    def __init__(self, lifetime: float, memory: int, weigh: Callable[[int], int] | None = None) -> None:
        self.due = 0.0 if lifetime or memory else float("inf")
        self._lifetime = lifetime
        self._memory = memory
        self._weigh = weigh or proportional_memory
        self._spread = Spread(random.SystemRandom())
        self._ends: dict[int, float] = {}
        self._heavy: dict[int, int] = {}

    def look(self, workers: Mapping[int, WorkerHandle], now: float) -> list[tuple[int, str]]:
        """Process ids and reasons of the workers to be replaced."""
        serving = {pid: w for pid, w in workers.items() if w.state is State.READY and w.ready is not None}
        self._ends = {pid: self._ends.get(pid) or self._end_of(w) for pid, w in serving.items()}
        found = [
            (pid, f"age={now - (w.ready or now):.0f}s")
            for pid, w in serving.items()
            if self._is_old(pid, now)
        ]
        if self._memory:
            found += self._too_large(serving)
        self.due = now + WEIGH_EVERY if self._memory else float("inf")
        if self._lifetime:
            self.due = min([self.due, now + WEIGH_EVERY, *(e for e in self._ends.values() if e > now)])
        return found

    def _end_of(self, worker: WorkerHandle) -> float:
        return self._spread.over(self._lifetime) + (worker.ready or 0.0)

    def _is_old(self, pid: int, now: float) -> bool:
        return bool(self._lifetime) and self._ends[pid] <= now

    def _too_large(self, serving: Mapping[int, WorkerHandle]) -> list[tuple[int, str]]:
        found = []
        weights = {pid: self._weigh(pid) for pid in serving}
        self._heavy = {p: self._heavy.get(p, 0) + 1 for p, weight in weights.items() if weight > self._memory}
        for pid, times in self._heavy.items():
            if times >= HEAVY_TIMES:
                found.append((pid, f"memory pss={weights[pid] >> 20}M limit={self._memory >> 20}M"))
        return found
