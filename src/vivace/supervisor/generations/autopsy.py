"""What is known of a worker that died: what it did last, and whether the system ran out of memory.

Rules of this file:

- It reads what is left and never fails: what cannot be found out is left out.
- Out of memory is a fact of the control group, whose counter rises with each process that is killed for it;
  when several die at a time, one of them may be blamed for another.
"""

import signal

from vivace.supervisor.fleet.handle import WorkerHandle
from vivace.supervisor.ipc.scoreboard import Reading, Scoreboard
from vivace.supervisor.system.cgroup import oom_kills

__all__ = ["Autopsy"]


class Autopsy:
    """Finds out about dead workers.

    Args:
        board: Where they said how they fared.
    """

    def __init__(self, board: Scoreboard) -> None:
        self._board = board
        self._kills = oom_kills()

    def cause(self, code: int) -> str:
        """Why a process ended, beyond its exit code: ``out of memory`` or nothing."""
        if code != -signal.SIGKILL:
            return ""
        before, self._kills = self._kills, oom_kills()
        return "out of memory" if self._kills > before else ""

    def facts(self, worker: WorkerHandle, now: float) -> str:
        """What a worker did last, in words."""
        age = f"generation {worker.generation}, {_times(worker, now)}"
        reading = self._board.read(worker.slot, worker.pid)
        return age if reading is None or not reading.heartbeat else f"{age}, {_deeds(reading, now)}"


def _times(worker: WorkerHandle, now: float) -> str:
    if worker.ready is None:
        return f"not ready {now - worker.started:.1f} s after it was made"
    return f"had served for {worker.lived(now):.1f} s"


def _deeds(reading: Reading, now: float) -> str:
    text = f"{reading.served} requests"
    if reading.suspect and reading.late(now) > 1.0:
        return f"{text}, blocked by {reading.suspect}"
    if reading.active and reading.oldest:
        age = now - reading.oldest_since
        return f"{text}, {reading.active} in progress, the longest {reading.oldest} for {age:.1f} s"
    return f"{text}, the last to begin {reading.newest}" if reading.newest else text
