"""What a supervisor does from time to time: look for changed files, for old and large workers.

Rules of this file:

- A chore says when it is due next and never blocks: what it reads is small and local.
- What the system does not tell is no reason to act.
- Memory is the proportional share (PSS): what workers share with their template is not counted for each.
"""

import os
import random
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from vivace.supervisor.handle import State, WorkerHandle
from vivace.supervisor.quota import Spread

__all__ = ["FileWatch", "Recycler", "proportional_memory"]

LOOK_EVERY: Final = 0.25
"""Seconds between two looks at the files of the app."""
WEIGH_EVERY: Final = 5.0
"""Seconds between two looks at the memory of workers."""
HEAVY_TIMES: Final = 3
"""So many looks in a row must find a worker too large."""
_SKIPPED: Final = frozenset({"__pycache__", "node_modules"})


class FileWatch:
    """Notices files that change.

    Args:
        folders: Whose files are looked at too, with those of their folders.

    Attributes:
        due: When to look next.
    """

    def __init__(self, folders: Iterable[str] = ()) -> None:
        self.due = 0.0
        self._folders = tuple(folders)
        self._files: frozenset[str] = frozenset()
        self._seen: dict[str, int] = {}

    def follow(self, files: Iterable[str]) -> None:
        """These files make the app from now on."""
        self._files = frozenset(files)
        self._seen = self._times()

    def look(self, now: float) -> tuple[str, ...]:
        """The files that changed, came or went since the last look."""
        self.due = now + LOOK_EVERY
        before, self._seen = self._seen, self._times()
        names = before.keys() | self._seen.keys()
        return tuple(sorted(name for name in names if before.get(name) != self._seen.get(name)))

    def _times(self) -> dict[str, int]:
        times = {}
        for name in (*self._files, *self._inside()):
            try:
                times[name] = os.stat(name).st_mtime_ns
            except OSError:
                continue
        return times

    def _inside(self) -> Iterable[str]:
        for folder in self._folders:
            for root, folders, names in os.walk(folder):
                folders[:] = [n for n in folders if n not in _SKIPPED and not n.startswith(".")]
                yield from (os.path.join(root, name) for name in names if not name.endswith(".pyc"))


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


def proportional_memory(pid: int) -> int:
    """The proportional set size of a process in octets; 0 if the system does not tell (proc(5))."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
