"""How many workers are needed: more when they are busy, fewer when they have idled for long.

Rules of this file:

- Pure: what workers are doing comes from outside, with the time.
- Growing is quick and in growing steps, for somebody waits; shrinking is slow and one by one, for it saves
  memory only. Between the two lies a wide band in which nothing happens.
- A worker that is being made is waited for before more are asked for: its start costs what the others need.
- Nobody who is busy is sent away; and nobody at all whose part the others could not take over.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

__all__ = ["BUSY", "GROW_AFTER", "IDLE", "SHARE_AFTER", "Change", "Load", "Scaler"]

BUSY: Final = 0.75
"""The mean share of their time above which workers are busy."""
IDLE: Final = 0.30
"""The mean share below which they idle."""
SHARE_AFTER: Final = 0.60
"""The mean share that the others may come to when one leaves."""
GROW_AFTER: Final = 2.0
"""Seconds for which workers are busy before there are more."""
STEPS_TOGETHER: Final = 10.0
"""Seconds within which a further step is twice the one before."""


class Load(NamedTuple):
    """What a worker is doing.

    Attributes:
        share: Of its time or of its threads, from 0 to 1, whichever is more in use.
        active: Requests in progress.
    """

    share: float
    active: int = 0


class Change(NamedTuple):
    """What is to be done.

    Attributes:
        size: The number of workers from now on.
        leaving: The process id of the worker that leaves, 0 if there are to be more.
        why: In words, for the log.
    """

    size: int
    leaving: int
    why: str


class Scaler:
    """Decides within bounds.

    Args:
        least: Workers at least.
        most: Workers at most.
        idle: Seconds for which they idle before one leaves.
    """

    def __init__(self, least: int, most: int, idle: float) -> None:
        self._least = least
        self._most = most
        self._idle = idle
        self._busy_since: float | None = None
        self._idle_since: float | None = None
        self._grown = float("-inf")
        self._step = 1

    def decide(self, loads: Mapping[int, Load], size: int, now: float, *, settled: bool) -> Change | None:
        """What to do, if anything.

        Args:
            loads: Of the workers that serve, by process ids, the youngest last.
            size: How many there are to be.
            now: Monotonic seconds.
            settled: All of them serve, and none is being replaced.
        """
        if not settled or not loads:
            self._busy_since = self._idle_since = None
            return None
        share = sum(load.share for load in loads.values()) / len(loads)
        self._busy_since = (self._busy_since or now) if share > BUSY else None
        self._idle_since = (self._idle_since or now) if share < IDLE else None
        if size < self._least:
            return Change(self._least, 0, "the least number of workers")
        if self._busy_since is not None and now - self._busy_since >= GROW_AFTER:
            return self._grow(share, size, now)
        if self._idle_since is not None and now - self._idle_since >= self._idle:
            return self._shrink(loads, share, size, now)
        return None

    def _grow(self, share: float, size: int, now: float) -> Change | None:
        if size >= self._most:
            return None
        self._step = self._step * 2 if now - self._grown <= STEPS_TOGETHER else 1
        self._grown = now
        self._busy_since = None
        return Change(min(size + self._step, self._most), 0, f"{share:.0%} busy for {GROW_AFTER:g} s")

    def _shrink(self, loads: Mapping[int, Load], share: float, size: int, now: float) -> Change | None:
        free = [pid for pid, load in loads.items() if not load.active]
        if size <= self._least or not free or share * size / (size - 1) > SHARE_AFTER:
            return None
        self._idle_since = now
        return Change(size - 1, free[-1], f"{share:.0%} busy, for {self._idle:g} s less than {IDLE:.0%}")
