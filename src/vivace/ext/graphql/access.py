"""Whether those who follow a topic may still do so: asked again every so often, and at once when told to.

Rules of this file:

- One question for each user and topic, whoever waits for its answer: ten thousand operations of a hundred
  users are a hundred questions.
- An answer is fresh for a second; what is asked meanwhile gets the same one.
- A check that fails to answer (its database is away) lets people stay for a while, then they have to leave.
  At the beginning of a subscription it lets nobody in.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable
from inspect import isawaitable
from typing import Any, Final

from vivace.errors import SanicException

__all__ = ["FRESH", "Check", "Checks"]

logger = logging.getLogger("vivace.error")

FRESH: Final = 1.0
"""Seconds for which an answer is taken for another one who asks the same."""
RETRY: Final = 5.0
"""The most seconds between two questions while there is no answer."""
JITTER: Final = 0.1
"""The part of the time between two questions that is left to chance."""

Question = Callable[[], Any | Awaitable[Any]]
Denied = Callable[[str], None]


class Check:
    """A question, its last answer, and those for whom it is asked again."""

    def __init__(self, checks: "Checks", key: Hashable, question: Question, every: float | None) -> None:
        self._checks = checks
        self._key = key
        self._question = question
        self._every = every
        self._holders: dict[Denied, None] = {}
        self._asking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._answered = self._failing = 0.0
        self._stale = False
        self._denial: str | None = None

    async def judge(self, fresh: float = FRESH) -> str | None:
        """Ask, unless there is an answer that is fresh; None: they may; otherwise why not.

        Raises:
            Exception: The check could not answer.
        """
        loop = asyncio.get_running_loop()
        if not self._answered or loop.time() - self._answered > fresh:
            if self._asking is None:
                self._asking = loop.create_task(self._ask())
                self._asking.add_done_callback(_look_at)
            # Whoever asked first may leave; the others still want to know.
            await asyncio.shield(self._asking)
        return self._denial

    async def _ask(self) -> None:
        try:
            while True:
                self._stale = False
                begun = asyncio.get_running_loop().time()
                self._denial = await self._put_question()
                if not self._stale:
                    break
        finally:
            self._asking = None
        self._answered = begun
        self._failing = 0.0

    async def _put_question(self) -> str | None:
        try:
            answer = self._question()
            answer = await answer if isawaitable(answer) else answer
        except SanicException as error:
            if error.status_code >= 500:
                raise
            return str(error)
        return None if answer or answer is None else "Forbidden"

    def hold(self, denied: Denied) -> None:
        """Call `denied` with the reason when the answer becomes no."""
        self._holders[denied] = None
        self._arm()

    def release(self, denied: Denied) -> None:
        """Do not any more."""
        self._holders.pop(denied, None)
        if not self._holders:
            self._checks.forget(self._key)
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def expire(self) -> None:
        """The last answer holds no longer, nor the one that is on its way."""
        self._answered = 0.0
        self._stale = True

    def again(self) -> None:
        """Ask again now."""
        self._checks.spawn(self._recheck())

    def _arm(self) -> None:
        every = min(self._every or RETRY, RETRY) if self._failing else self._every
        if every and self._timer is None and self._holders:
            wait = every * random.uniform(1 - JITTER, 1)  # noqa: S311  # it spreads load
            self._timer = asyncio.get_running_loop().call_later(wait, self._due)

    def _due(self) -> None:
        self._timer = None
        self.again()

    async def _recheck(self) -> None:
        self.expire()
        try:
            denial = await self.judge(0.0)
        except Exception as error:  # noqa: BLE001  # who may stay is decided without the answer
            denial = self._bear(error)
        if denial is not None:
            for denied in tuple(self._holders):
                denied(denial)
        self._arm()

    def _bear(self, error: Exception) -> str | None:
        """The check does not answer: let people stay for a while."""
        now = asyncio.get_running_loop().time()
        grace = self._checks.grace
        if not self._failing:
            self._failing = now
            logger.error(
                "an access check of %r failed; those whom it let in stay for %g s: %r",
                self._key,
                grace,
                error,
                exc_info=error,
            )
        return "access cannot be checked" if now - self._failing >= grace else None


class Checks:
    """The checks of a process.

    Args:
        grace: Seconds for which those who were let in may stay while a check does not answer.
    """

    def __init__(self, grace: float) -> None:
        self.grace = grace
        self._known: dict[Hashable, Check] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def find(self, key: Hashable, question: Question, every: float | None) -> Check:
        """The check of `key`; made if it is not there.

        Args:
            key: What stands for the question.
            question: Gives something true or None, at once or to be awaited; false, or an exception with a
                status below 500, is a no.
            every: Seconds between two questions while somebody holds the check; None: only when told to.
        """
        check = self._known.get(key)
        if check is None:
            check = self._known[key] = Check(self, key, question, every)
        return check

    def forget(self, key: Hashable) -> None:
        """Nobody holds this check."""
        self._known.pop(key, None)

    def spawn(self, work: Any) -> None:
        """Run a coroutine in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _look_at(task: "asyncio.Task[None]") -> None:
    """See how it failed: everybody who waited for it may be gone."""
    if not task.cancelled():
        task.exception()
