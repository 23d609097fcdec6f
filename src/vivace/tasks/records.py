"""What stands on the spool: a task, and what is said of one that is new.

Rules of this file: times are seconds since the epoch; nothing here knows a driver.
"""

from typing import Final

import msgspec

__all__ = ["MAX_KILLS", "STATES", "NewTask", "Placed", "Task"]

STATES: Final = ("later", "ready", "running", "done", "dead")
"""``later``: its time has not come; ``ready``: a runner may take it; ``dead``: it failed for good."""
MAX_KILLS: Final = 3
"""So many times may a task be running when its process dies; then it is dead, whatever its attempts."""


class NewTask(msgspec.Struct, frozen=True):
    """A task that is to be put on the spool.

    Attributes:
        name: Of the function.
        payload: Its arguments, a JSON object by name.
        queue: To sort tasks by; see TASK_QUEUES.
        priority: The greater one is taken first.
        run_at: Not before.
        max_attempts: How many times it may be begun.
        unique_key: While a task of this name and key is not finished there is no second one.
        keep: Seconds for which it stays with its result when it is done; 0: it is deleted at once.
    """

    name: str
    payload: bytes = b"{}"
    queue: str = "default"
    priority: int = 0
    run_at: float = 0.0
    max_attempts: int = 4
    unique_key: str | None = None
    keep: float = 0.0


class Task(msgspec.Struct):
    """A task on the spool; see `NewTask` for the rest.

    Attributes:
        id: Its number, never used again.
        state: One of `STATES`.
        attempts: How many times it was begun.
        kills: How many times its process died meanwhile.
        created: When it was enqueued.
        lease_until: Until then it is its worker's.
        worker: Who runs it, or did last.
        last_error: What went wrong last.
        result: JSON, if it is done and kept.
        finished: When it was done or died.
    """

    id: int
    name: str
    payload: bytes
    queue: str
    state: str
    priority: int
    run_at: float
    created: float
    attempts: int
    max_attempts: int
    kills: int
    unique_key: str | None = None
    keep: float = 0.0
    lease_until: float | None = None
    worker: str | None = None
    last_error: str | None = None
    result: bytes | None = None
    finished: float | None = None


class Placed(msgspec.Struct, frozen=True):
    """What became of a new task.

    Attributes:
        id: Its number, or that of the task that is there already.
        new: Whether it was put there now.
    """

    id: int
    new: bool
