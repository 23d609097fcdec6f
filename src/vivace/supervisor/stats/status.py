"""What there is to tell of a server and its workers, as plain values for JSON.

Rules of this file:

- Nothing here asks a worker: what it knows comes from the fleet, from shared memory, and from /proc.
- Times are ages in seconds, sizes octets: whoever reads them has another clock.
- What the system does not tell is None.
"""

import os
import time
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, Final

import vivace
from vivace.server.durations import CLASSES, DURATIONS
from vivace.supervisor.fleet.fleet import Fleet
from vivace.supervisor.fleet.handle import State, WorkerHandle
from vivace.supervisor.generations.workforce import Exit
from vivace.supervisor.ipc.scoreboard import Phase, Reading, Scoreboard
from vivace.supervisor.ipc.totals import NOTHING, Totals
from vivace.supervisor.system.procfs import processor_time, proportional_memory, resident_memory

__all__ = ["BLOCKED", "Status"]

BLOCKED: Final = 1.0
"""Seconds without a turn of its loop after which a worker that serves is called blocked."""
_STATES: Final = {
    State.STARTING: "booting",
    State.READY: "ready",
    State.RETIRING: "retiring",
    State.STOPPING: "draining",
}
_DEEDS: Final = (
    "served",
    "errors",
    "active",
    "connections",
    "background",
    "threads_busy",
    "threads_late",
)
_DELAYS: Final = ("lag", "delay_p50", "delay_p95")
_SUMS: Final = (*_DEEDS, "restarts")


class Status:
    """Tells of a server.

    Args:
        fleet: The workers.
        board: What they say.
        exits: How the last worker of each place ended.
        addresses: Where it listens.
        beside: Gives what there is to show of processes beside the workers, at a time.
        queues: Gives what there is to show of listening sockets.

    Attributes:
        beside: See above.
        name: Of the app, once it is known.
        threads: THREADS of each worker, likewise.
    """

    def __init__(
        self,
        fleet: Fleet,
        board: Scoreboard,
        exits: dict[int, Exit],
        addresses: Sequence[str],
        beside: Callable[[float], list[dict[str, Any]]] = lambda _: [],
        queues: Callable[[], list[dict[str, Any]]] = list,
    ) -> None:
        self._fleet = fleet
        self._board = board
        self._exits = exits
        self.beside = beside
        self._queues = queues
        self.name = ""
        self.threads = 0
        self._addresses = list(addresses)
        self._began = time.monotonic()
        self._cpu: dict[int, tuple[float, float]] = {}

    def server(self, now: float) -> dict[str, Any]:
        """Of the server as a whole."""
        fleet = self._fleet
        return {
            "name": self.name,
            "version": vivace.__version__,
            "pid": os.getpid(),
            "state": self._state(),
            "uptime": now - self._began,
            "addresses": self._addresses,
            "queues": self._queues(),
            "generation": fleet.target,
            "ready": fleet.ready_count,
            "wanted": fleet.size,
            "threads": self.threads,
            "memory": resident_memory(os.getpid()),
        }

    def _state(self) -> str:
        fleet = self._fleet
        if fleet.leaving:
            return "stopping"
        if not fleet.booted:
            return "booting"
        if fleet.restarting:
            return "restarting"
        return "serving" if fleet.ready_count >= fleet.size else "degraded"

    def workers(self, now: float, *, weigh: bool = False) -> list[dict[str, Any]]:
        """Of each worker, and of each place that waits for one.

        Args:
            now: Monotonic seconds.
            weigh: The proportional memory too; it costs milliseconds for a large process.
        """
        fleet = self._fleet
        known = sorted([*fleet.workers.values(), *fleet.coming.values()], key=lambda w: (w.slot, w.started))
        found = [self._worker(worker, now, weigh=weigh) for worker in known]
        taken = {worker.slot for worker in known}
        for slot, due in sorted(fleet.backing_off(now).items()):
            if slot not in taken:
                past = self._past(slot, now)
                found.append({"worker": slot + 1, "state": "backoff", "due": due - now, **past})
        self._cpu = {pid: sample for pid, sample in self._cpu.items() if pid in fleet.workers}
        return sorted(found, key=lambda one: int(one["worker"]))

    def _worker(self, worker: WorkerHandle, now: float, *, weigh: bool) -> dict[str, Any]:
        reading = self._board.read(worker.slot, worker.pid) if worker.pid else None
        state = _STATES[worker.state]
        late = reading.late(now) if reading is not None else 0.0
        if late > BLOCKED and reading is not None and reading.phase is Phase.SERVING:
            state = "blocked"
        elif worker.state is State.READY and reading is not None and reading.unfit:
            state = "unready"
        return {
            "worker": worker.slot + 1,
            "pid": worker.pid,
            "generation": worker.generation,
            "state": state,
            "uptime": now - worker.started,
            **_said(reading, now),
            "suspect": reading.suspect if reading is not None and state == "blocked" else "",
            "cpu": self._cpu_of(worker, now),
            "rss": resident_memory(worker.pid),
            **({"pss": proportional_memory(worker.pid) or None} if weigh else {}),
            **self._past(worker.slot, now),
        }

    def _past(self, slot: int, now: float) -> dict[str, Any]:
        past = self._exits.get(slot)
        if past is None:
            return {"restarts": 0, "last_exit": None}
        return {"restarts": past.times, "last_exit": {"how": past.how, "age": now - past.when}}

    def _cpu_of(self, worker: WorkerHandle, now: float) -> float | None:
        """Processors that a worker used, since the last look at it."""
        used = processor_time(worker.pid)
        if used is None:
            return None
        then, before = self._cpu.get(worker.pid, (worker.started, 0.0))
        if now - then < 0.05:
            then, before = worker.started, 0.0
        self._cpu[worker.pid] = (now, used)
        return round(max(used - before, 0.0) / max(now - then, 0.01), 3)

    def counters(self) -> dict[str, Any]:
        """What all workers have done that there ever were; no number becomes less."""
        done = reduce(Totals.plus, self._board.counts().values(), NOTHING)
        durations = {"bounds": DURATIONS[:-1], "counts": done.took, "seconds": done.seconds}
        return {
            "requests": done.served,
            "responses": _by_class(done),
            "durations": durations,
            "log_lines_dropped": done.lost_lines,
        }

    def totals(self, workers: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Sums over what `workers` gave, of the workers that live now."""
        sums: dict[str, Any] = {name: sum(one.get(name) or 0 for one in workers) for name in _SUMS}
        sums["rss"] = sum(one.get("rss") or 0 for one in workers)
        sums["pss"] = sum(one.get("pss") or 0 for one in workers) or None
        sums["lag"] = max((one.get("lag") or 0.0 for one in workers), default=0.0)
        return sums


def _said(reading: Reading | None, now: float) -> dict[str, Any]:
    """What a worker has written of itself."""
    if reading is None or not reading.heartbeat:
        return dict.fromkeys((*_DEEDS, *_DELAYS, "late", "oldest", "responses", "durations"))
    oldest = {"request": reading.oldest, "age": now - reading.oldest_since} if reading.oldest else None
    return {
        **{name: getattr(reading, name) for name in _DEEDS},
        **{name: getattr(reading, name) for name in _DELAYS},
        "late": reading.late(now),
        "oldest": oldest,
        "responses": _by_class(reading.done),
        "durations": {"counts": reading.done.took, "seconds": reading.done.seconds},
    }


def _by_class(done: Totals) -> dict[str, int]:
    return dict(zip(CLASSES, done.answers, strict=True))
