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
    RETIRING = "retiring"
    STOPPING = "stopping"


class WorkerHandle:
    """A worker process.

    Attributes:
        doomed: Why it was killed, or died; empty as far as is known.
        facts: What it did last, once it is dead.
        generation: Of the code it runs.
        pid: Of its process.
        ready: When it began to serve; None before.
        reason: Why it is to be replaced while it serves; empty if it is not.
        slot: Its place among the workers, from 0; no two living ones have the same.
        started: When it was made.
        state: Where it is in its life.
        until: When it is killed if it is still there; None as long as nothing was asked of it.
    """

    __slots__ = (
        "doomed",
        "facts",
        "generation",
        "pid",
        "ready",
        "reason",
        "slot",
        "started",
        "state",
        "until",
    )

    def __init__(self, slot: int, pid: int, started: float, generation: int = 1) -> None:
        self.slot = slot
        self.pid = pid
        self.started = started
        self.generation = generation
        self.ready: float | None = None
        self.reason = ""
        self.doomed = ""
        self.facts = ""
        self.state = State.STARTING
        self.until: float | None = None

    def __repr__(self) -> str:
        return f"<{self.name}, pid {self.pid}, {self.state.value}>"

    @property
    def name(self) -> str:
        """For messages; people count from 1."""
        return f"worker {self.slot + 1}"

    @property
    def counts(self) -> bool:
        """It serves or will serve, and nothing was asked of it."""
        return self.state is State.STARTING or self.state is State.READY

    def lived(self, now: float) -> float:
        """Seconds for which it served."""
        return now - self.ready if self.ready is not None else 0.0


def describe_exit(code: int) -> str:
    """An exit code in words, as `os.waitstatus_to_exitcode` gives it: negative for a signal."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
