"""The contract of a driver: where tasks are kept, and how one of many runners gets one.

Rules of this file:

- Every method blocks and is called by one thread at a time, inside `transaction`. A driver whose methods are
  atomic by themselves may let `transaction` do nothing.
- Nothing is acknowledged before it is as durable as the engine can make it.
- A method that speaks for a worker does nothing for tasks that are not that worker's any more.
- What cannot be reached or written raises `SpoolUnavailable`, what has no room `SpoolFull`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from vivace.errors import ConfigError
from vivace.tasks.records import NewTask, Placed, Task

__all__ = ["Spool", "check_url", "is_file", "listen", "open_spool", "scheme_of"]

_DRIVERS: Final = {
    "sqlite": "vivace.tasks.sqlite",
    "postgres": "vivace.tasks.postgres",
    "postgresql": "vivace.tasks.postgres",
    "redis": "vivace.tasks.redis",
    "rediss": "vivace.tasks.redis",
}


class Spool(Protocol):
    """What a driver does."""

    def transaction(self) -> AbstractContextManager[None]:
        """All that is done inside is done, or nothing of it."""
        ...

    def enqueue(self, tasks: Sequence[NewTask], now: float) -> list[Placed]:
        """Put tasks there; one whose unique key is taken is not put there a second time."""
        ...

    def claim(
        self,
        worker: str,
        names: Collection[str],
        limit: int,
        lease: float,
        now: float,
        *,
        suspect: bool = True,
    ) -> list[Task]:
        """Take tasks that are due: the greatest priority first, then by time; each is begun once more.

        Of those whose process died before, one is taken at most, before the others.

        Args:
            worker: Whose they are from now on.
            names: Of the functions that it has.
            limit: The most that are taken.
            lease: Seconds for which they are its own.
            now: The time.
            suspect: One whose process died before may be among them.
        """
        ...

    def extend(self, worker: str, ids: Collection[int], lease: float, now: float) -> set[int]:
        """Renew leases; gives those that are still its own."""
        ...

    def ack(self, worker: str, task: Task, result: bytes | None, now: float) -> bool:
        """It is done; whether it was still its own."""
        ...

    def nack(self, worker: str, task: Task, error: str, again_at: float | None, now: float) -> bool:
        """It failed, and is run again then; None: it is dead. Whether it was still its own."""
        ...

    def release(self, worker: str, tasks: Collection[Task], now: float) -> int:
        """The worker stops: others may run them at once. This attempt is not held against a task.

        One that may be begun only once is dead: nobody knows how far it came.
        """
        ...

    def recover(self, gone: Collection[str], now: float, *, leases: bool = True) -> int:
        """Take from workers that are gone, and from those whose lease is over; how many.

        It costs an attempt. A task is dead when it has no other, or its process died `MAX_KILLS` times.

        Args:
            gone: Workers whose process has ended.
            now: The time.
            leases: False: the clock cannot be trusted just now, look at those that are gone only.
        """
        ...

    def workers(self) -> set[str]:
        """Those that run something."""
        ...

    def schedule(self, name: str, slot: float, task: NewTask | None, *, waits: bool, now: float) -> str:
        """Enqueue the run of a slot, once for all that ask.

        Args:
            name: Of the schedule.
            slot: Its time. Slots only go forward.
            task: Its run; None: pass over the slot.
            waits: If the unique key is taken leave the slot for later; else the slot is over.
            now: The time.

        Returns:
            ``queued``; ``taken``: this slot or a later one was already; ``busy``: the key is taken.
        """
        ...

    def last_slot(self, name: str) -> float | None:
        """The last slot of a schedule that was taken."""
        ...

    def set_back(self, name: str, slot: float) -> None:
        """Let slots of a schedule come again: those behind that one were taken by a clock that was wrong."""
        ...

    def next_due(self, names: Collection[str], now: float, *, suspect: bool = True) -> float | None:
        """When the next task comes due: `now` or earlier if one is; None: there is none.

        Args:
            names: Of the functions that count.
            now: The time.
            suspect: Those whose process died before count too.
        """
        ...

    def sweep(self, now: float) -> int:
        """Delete what was kept long enough; how many."""
        ...

    def get(self, number: int) -> Task | None:
        """The task of that number."""
        ...

    def select(self, state: str, name: str, queue: str, limit: int) -> list[Task]:
        """Tasks, the newest first; an empty text stands for any."""
        ...

    def retry(self, number: int, now: float) -> str:
        """Let a dead or waiting task run at once, with all its attempts before it; empty, or why not."""
        ...

    def drop(self, number: int) -> str:
        """Delete a task that does not run; empty, or why not."""
        ...

    def stats(self, now: float) -> Mapping[str, Any]:
        """``states``: how many are in each; ``names``: the same by function; ``oldest``: seconds that a task
        is overdue; ``finished`` and ``failed``: attempts so far.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def listen(url: str, heard: Callable[[], object]) -> Callable[[], object]:
    """Call something, in a thread, whenever a machine enqueued; gives what ends it.

    Where all are on one machine there is nothing to do: the bells are heard.
    """
    module = import_module(_DRIVERS[scheme_of(url)])
    follow: Callable[[str, Callable[[], object]], Callable[[], object]] | None = getattr(
        module, "listen", None
    )
    return follow(url, heard) if follow is not None else _nothing


def _nothing() -> None:
    pass


def is_file(url: str) -> bool:
    """Whether it names a file of this machine."""
    return scheme_of(url) == "sqlite"


def scheme_of(url: str) -> str:
    """What the URL of a spool begins with.

    Raises:
        ConfigError: It is no URL.
    """
    try:
        return urlsplit(url).scheme
    except ValueError as error:
        raise ConfigError(f"TASKS_URL cannot be read: {error}", key="TASKS_URL") from None


def check_url(url: str) -> None:
    """Refuse the URL of no spool; nothing is connected or loaded.

    Raises:
        ConfigError: There is no driver for it.
    """
    scheme = scheme_of(url)
    if scheme not in _DRIVERS:
        raise ConfigError(
            f"TASKS_URL: {scheme or url!r} is no kind of spool; expected sqlite:///path, postgres://... or"
            " redis://...",
            key="TASKS_URL",
            allowed=sorted(_DRIVERS),
        )


def open_spool(url: str) -> Spool:
    """Open the spool of a URL, made if it is not there.

    Raises:
        ConfigError: There is no driver for it, what the driver needs is not installed, or it cannot read it.
        SpoolUnavailable: It cannot be opened.
    """
    check_url(url)
    connect: Callable[[str], Spool] = import_module(_DRIVERS[scheme_of(url)]).connect
    return connect(url)
