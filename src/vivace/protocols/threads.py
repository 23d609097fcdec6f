"""Who works in threads for which request: what a time-out asks when a thread, not a task, is stuck.

Rules of this file:

- Pools of threads are held weakly and asked only when something went wrong: nothing here runs per request.
- What they tell may be old by the time it is read: a thread may have gone on to its next request.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple, Protocol
from weakref import WeakSet

__all__ = [
    "AtWork",
    "Team",
    "count_threads",
    "find_worker",
    "held_up",
    "late_workers",
    "teams",
    "who_waits",
]


class AtWork(NamedTuple):
    """A thread that works for a request.

    Attributes:
        thread: Its identifier.
        name: Its name.
        stream: The request; see `vivace.protocols.stream.Stream`.
    """

    thread: int
    name: str
    stream: Any

    def describe(self) -> str:
        """The thread and its request, for the log."""
        return f"{self.name}: {self.stream.head.describe()}"


class Team(Protocol):
    """A pool of threads that answers requests.

    Attributes:
        size: Threads at most.
    """

    size: int

    def at_work(self) -> Iterable[AtWork]:
        """The threads that work for a request right now."""
        ...

    def waits(self, stream: Any) -> bool:
        """Whether a request waits until one of the threads is free."""
        ...


teams: Final[WeakSet[Any]] = WeakSet()
"""The pools of this process."""


def find_worker(stream: Any) -> AtWork | None:
    """The thread that works for a request."""
    return next((one for team in list(teams) for one in team.at_work() if one.stream is stream), None)


def who_waits(stream: Any) -> Team | None:
    """The pool in which a request waits for a thread."""
    return next((team for team in list(teams) if team.waits(stream)), None)


def count_threads() -> tuple[int, int]:
    """How many threads work for a request, and how many of these for one that was answered in their place."""
    found = [one for team in list(teams) for one in team.at_work()]
    return len(found), sum(one.stream.timed_out for one in found)


def late_workers() -> list[AtWork]:
    """Threads whose request was answered in their place because it took too long."""
    return [one for team in list(teams) for one in team.at_work() if one.stream.timed_out]


def held_up() -> list[Any]:
    """The requests that keep all threads of all pools busy; none if a thread is free, or there is no pool."""
    found: list[Any] = []
    for team in list(teams):
        at_work = list(team.at_work())
        if len(at_work) < team.size:
            return []
        found += [one.stream.head for one in at_work]
    return found
