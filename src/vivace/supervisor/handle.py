"""What the supervisor knows of one worker.

Rules of this file: no I/O; times are given by the caller, in seconds of one monotonic clock.
"""

import signal
from enum import Enum

__all__ = ["State", "WorkerHandle", "describe_exit"]


class State(Enum):
    """Where a worker is in its life."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


class WorkerHandle:
    """A worker process.

    Attributes:
        pid: Of its process.
        ready: When it began to serve; None before.
        slot: Its place among the workers, from 0; whoever replaces it has the same.
        started: When it was forked.
        state: Where it is in its life.
    """

    __slots__ = ("pid", "ready", "slot", "started", "state")

    def __init__(self, slot: int, pid: int, started: float) -> None:
        self.slot = slot
        self.pid = pid
        self.started = started
        self.ready: float | None = None
        self.state = State.STARTING

    def __repr__(self) -> str:
        return f"<worker {self.slot + 1}, pid {self.pid}, {self.state.value}>"


def describe_exit(code: int) -> str:
    """An exit code in words, as `os.waitstatus_to_exitcode` gives it: negative for a signal."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
