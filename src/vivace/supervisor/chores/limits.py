"""The hard limits of workers: of the time that a loop is blocked, and of memory. Who is over them is killed.

Rules of this file:

- From outside: a worker that holds the interpreter, or a thread of it that does, cannot judge itself.
- A worker that somebody debugs is left alone, however long it stands still.
- What happened is said before it is done, with the stacks: faulthandler writes them in C, on a signal.
"""

import logging
import signal
from collections.abc import Callable
from typing import Final

from vivace.supervisor.chores.blocked import BlockJudge, Sign, Step, Verdict
from vivace.supervisor.fleet.fleet import Fleet
from vivace.supervisor.fleet.handle import State, WorkerHandle
from vivace.supervisor.generations.workforce import send_signal
from vivace.supervisor.ipc.scoreboard import Reading, Scoreboard
from vivace.supervisor.system.procfs import catches, is_traced, proportional_memory, resident_memory

__all__ = ["BlockGuard", "MemoryGuard"]

logger = logging.getLogger("vivace")

WEIGH_EVERY: Final = 0.5
"""Seconds between two looks at the memory of workers that have a hard limit."""
NEAR: Final = 0.9
"""The share of the limit at which a worker is near it."""
FAR: Final = 0.8
"""The share at which one that was near is so no more."""
NEAR_EVERY: Final = 5.0
"""Seconds between two looks at who is near."""

Condemn = Callable[[int, str, str, float], object]


class BlockGuard:
    """Ends workers whose loop does not turn.

    Args:
        board: Where workers say how they fare.
        fleet: Has them.
        condemn: Called with process id, name of the limit, reason and time: kill it.
    """

    def __init__(self, board: Scoreboard, fleet: Fleet, condemn: Condemn) -> None:
        self._board = board
        self._fleet = fleet
        self._condemn = condemn
        self._judge = BlockJudge(0.0)
        self._spared: set[int] = set()

    @property
    def due(self) -> float:
        """See `Chore`."""
        return self._judge.due

    def limit(self, seconds: float) -> None:
        """LOOP_TIMEOUT from now on; 0: none."""
        self._judge.limit = seconds

    def look(self, now: float) -> None:
        """See `Chore`."""
        readings = self._readings()
        signs = {pid: Sign(r.heartbeat, (r.served, r.newest)) for pid, r in readings.items()}
        self._spared &= readings.keys()
        for verdict in self._judge.look(signs, now):
            self._act(verdict, self._fleet.workers[verdict.pid], readings[verdict.pid], now)

    def _readings(self) -> dict[int, Reading]:
        serving = [(pid, w) for pid, w in self._fleet.workers.items() if w.state is State.READY]
        found = {pid: self._board.read(worker.slot, pid) for pid, worker in serving}
        return {pid: reading for pid, reading in found.items() if reading is not None and reading.heartbeat}

    def _act(self, verdict: Verdict, worker: WorkerHandle, reading: Reading, now: float) -> None:
        pid = verdict.pid
        if is_traced(pid):
            if pid not in self._spared:
                logger.warning("%s (pid %d) stands still; it is being debugged", worker.name, pid)
                self._spared.add(pid)
            return
        busy = f" while it served {reading.suspect}" if reading.suspect else ""
        what = f"its loop has not turned for {verdict.late:.1f} s{busy}"
        if verdict.step is Step.END:
            self._condemn(pid, "LOOP_TIMEOUT", what, now)
            return
        if verdict.step is Step.WARN:
            left = self._judge.limit - verdict.late
            logger.warning(
                "%s (pid %d): %s; it is killed in %.1f s; its stacks:", worker.name, pid, what, max(left, 0.0)
            )
        else:
            logger.warning("%s (pid %d): %s; its stacks:", worker.name, pid, what)
        if catches(pid, signal.SIGUSR2):
            send_signal(pid, signal.SIGUSR2)


class MemoryGuard:
    """Ends workers that take too much memory.

    Args:
        limit: WORKER_MEMORY_LIMIT in octets of proportional memory (PSS); 0: none.
        fleet: Has the workers.
        condemn: Called with process id, name of the limit, reason and time: kill it.
        weigh: Tells the proportional memory of a process in octets, 0 if that cannot be told.
        estimate: The same, faster, and never less.

    Attributes:
        due: See `Chore`.
    """

    def __init__(
        self,
        limit: int,
        fleet: Fleet,
        condemn: Condemn,
        weigh: Callable[[int], int] = proportional_memory,
        estimate: Callable[[int], int | None] = resident_memory,
    ) -> None:
        self.due = 0.0 if limit else float("inf")
        self._limit = limit
        self._fleet = fleet
        self._condemn = condemn
        self._weigh = weigh
        self._estimate = estimate
        self._near: dict[int, str] = {}
        self._near_due = 0.0

    def look(self, now: float) -> None:
        """See `Chore`."""
        self.due = now + WEIGH_EVERY
        warns = now >= self._near_due
        self._near_due = now + NEAR_EVERY if warns else self._near_due
        self._forget()
        for pid, worker in list(self._fleet.workers.items()):
            # To weigh exactly takes a walk through all pages: only who may be too heavy is worth it.
            most = self._estimate(pid) or 0
            if most > self._limit and (weight := self._weigh(pid)) > self._limit:
                why = f"it takes {weight >> 20} MiB, more than {self._limit >> 20}"
                self._condemn(pid, "WORKER_MEMORY_LIMIT", why, now)
            elif warns and (most > NEAR * self._limit or pid in self._near):
                self._judge(pid, worker.name)

    def _judge(self, pid: int, name: str) -> None:
        """Warn of a worker that is near the limit, and say when it is so no more."""
        weight = self._weigh(pid)
        text = f"{name} (pid {pid}) takes {weight >> 20} MiB; it is killed at {self._limit >> 20}"
        if weight > NEAR * self._limit and pid not in self._near:
            self._near[pid] = name
            logger.warning("%s", text, extra={"event": "memory.soft", "subject": name})
        elif weight < FAR * self._limit and pid in self._near:
            del self._near[pid]
            _say_over(name, text)

    def _forget(self) -> None:
        for pid in self._near.keys() - self._fleet.workers.keys():
            _say_over(self._near[pid], f"{self._near[pid]} (pid {pid}), which took much memory, is gone")
            del self._near[pid]


def _say_over(name: str, text: str) -> None:
    logger.info("%s", text, extra={"event": "memory.soft", "subject": name, "resolved": True})
