"""What waits for a server: in order, not too much of it, and not for too long.

Rules of this file:

- While the server is away the number is bounded; the time always is.
- What was sent and not answered stays at its place: it is sent again on the next connection.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from vivace.errors import HubUnavailable
from vivace.hub.engines.upkeep import Timing

__all__ = ["Job", "Outbox"]

T = TypeVar("T")


class Job(Generic[T]):
    """Something to be sent, and who waits for its answer.

    Attributes:
        what: The thing.
        future: Has the answer when there is one.
        deadline: By the loop's clock.
        sent: Whether a server may have got it.
    """

    __slots__ = ("deadline", "future", "sent", "what")

    def __init__(self, what: T, future: "asyncio.Future[Any]", deadline: float) -> None:
        self.what = what
        self.future = future
        self.deadline = deadline
        self.sent = False


class Outbox(Generic[T]):
    """A queue of jobs.

    Args:
        timing: How much waits, and for how long.
        why: Says why the server is away.
    """

    def __init__(self, timing: Timing, why: Callable[[], str]) -> None:
        self._timing = timing
        self._why = why
        self._jobs: deque[Job[T]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, what: T, *, away: bool) -> Job[T]:
        """Queue something.

        Args:
            what: The thing.
            away: The server cannot be reached now.

        Raises:
            HubUnavailable: It cannot, and too much waits.
        """
        jobs, loop = self._jobs, asyncio.get_running_loop()
        while jobs and jobs[0].future.done():
            jobs.popleft()
        if away and len(jobs) >= self._timing.outbox:
            raise HubUnavailable(
                f"{self._why()}; {len(jobs)} messages wait already, this one was not published"
            )
        job = Job(what, loop.create_future(), loop.time() + self._timing.patience)
        jobs.append(job)
        if self._timer is None:
            self._timer = loop.call_later(self._timing.patience, self._expire)
        return job

    @property
    def open(self) -> list[Job[T]]:
        """What still waits for its answer, in order."""
        return [job for job in self._jobs if not job.future.done()]

    async def drain(self) -> None:
        """Wait until nothing waits, for as long as a farewell may take; then give the rest up."""
        waiting = [job.future for job in self.open]
        if waiting:
            await asyncio.wait(waiting, timeout=self._timing.farewell)

    def close(self) -> None:
        """Give up what still waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._give_up(float("inf"), "the hub stops")

    def _expire(self) -> None:
        """Give up what has waited for too long, and look again when the next one will have."""
        loop = asyncio.get_running_loop()
        self._give_up(loop.time(), self._why())
        self._timer = None
        if self._jobs:
            pause = max(self._jobs[0].deadline - loop.time(), 0.001)
            self._timer = loop.call_later(pause, self._expire)

    def _give_up(self, now: float, why: str) -> None:
        jobs = self._jobs
        while jobs and (jobs[0].future.done() or jobs[0].deadline <= now):
            job = jobs.popleft()
            if not job.future.done():
                fate = "may have been published" if job.sent else "was not published"
                job.future.set_exception(HubUnavailable(f"{why}; the message {fate}"))
