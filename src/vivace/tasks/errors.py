"""What can go wrong with tasks.

Rules of this file: an error that a request meets by enqueueing is answered with 503, for it may come again.
"""

from vivace.errors import ServiceUnavailable, VivaceError
from vivace.tasks.duration import parse_duration

__all__ = ["BadArguments", "Retry", "SpoolFull", "SpoolUnavailable", "TaskError", "TaskFailed"]


class TaskError(VivaceError):
    """The base of what tasks raise."""


class BadArguments(TaskError, TypeError):
    """The arguments of a task are not what its function takes, or cannot be written as JSON."""


class SpoolUnavailable(TaskError, ServiceUnavailable):
    """The spool cannot be reached or written; nothing was enqueued.

    Args:
        reason: For the log: it names places that clients need not know.
    """

    quiet = False

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.message = "The service cannot take this on now."  # what clients are shown


class SpoolFull(SpoolUnavailable):
    """There is no room for the task; nothing was enqueued, and what was there is whole."""


class TaskFailed(TaskError):
    """The task whose result was asked for is dead.

    Attributes:
        error: The last thing that went wrong.
    """

    def __init__(self, message: str, error: str) -> None:
        super().__init__(message)
        self.error = error


class Retry(TaskError):
    """Raised by a task: run me again later. It counts as an attempt.

    Args:
        after: Seconds, or text such as ``5m``; None: as `backoff` says.
    """

    def __init__(self, after: "float | str | None" = None) -> None:
        super().__init__("asked to be run again")
        self.after = None if after is None else parse_duration(after)
