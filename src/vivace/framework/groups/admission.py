"""Who may be in a group, now and later.

Rules of this file:

- One answer stands for all connections of a user in a group: 10,000 sockets of 100 users cost 100 checks.
  A connection whose user is not known is asked about by itself.
- Who is refused is out at once. A check that fails refuses who wants to join; who is in stays for
  `recheck_grace` seconds, and is out then.
- An answer that was asked for before a `revoke` or `recheck` does not count after it.
"""

import asyncio
import inspect
import logging
import random
from collections.abc import Callable
from typing import Any, Final, Protocol

from vivace.errors import Forbidden, SanicException

__all__ = ["Admission", "Admitted", "Allow", "Verdict"]

logger = logging.getLogger("vivace.error")

Allow = Callable[[Any, str], Any]
"""Whether a connection may be in a topic; plain or a coroutine function."""

CACHE_TIME: Final = 5.0
"""Seconds for which an answer stands for others of the same user that join."""
RETRY_TIME: Final = 5.0
"""Seconds between two tries of a check that fails."""
JITTER: Final = 0.1
_Key = tuple[Any, str, Any, float, float]


class Admitted(Protocol):
    """Who is in a group: a client, or an operation of one.

    Attributes:
        topic: The group.
        user: Who it is, as text; None: not known.
        verdict: Whether it may be there, once it was admitted.
    """

    topic: str
    user: str | None
    verdict: "Verdict | None"

    @property
    def gone(self) -> bool:
        """It has left."""
        ...

    @property
    def outlet(self) -> Any:
        """What is asked about: its ``conn`` is given to the check."""
        ...

    def revoke(self) -> None:
        """It may not be there any more."""
        ...


class Verdict:
    """Whether one user may be in one topic, asked in one way.

    Attributes:
        allow: The check.
        members: Who is in on the strength of it.
        user: Who it is about.
        waiting: How many wait for the answer.
    """

    def __init__(self, admission: "Admission", key: _Key) -> None:
        self._admission = admission
        self._key = key
        self.allow, self._topic, self.user, self._recheck, self._grace = key
        self._asked_at = float("-inf")
        self._failing_since = 0.0
        self._asking: asyncio.Task[bool] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._again = False
        self.members: dict[Admitted, None] = {}
        self.waiting = 0

    def fits(self, user: str | None, topic: str | None) -> bool:
        """Whether word about a user and a topic is about this."""
        return (user is None or self.user == user) and (topic is None or self._topic == topic)

    async def ask(self, conn: Any) -> bool:
        """The answer, asked for unless one is fresh.

        Raises:
            Exception: What the check raised.
        """
        loop = asyncio.get_running_loop()
        fresh = min(self._recheck or CACHE_TIME, CACHE_TIME)
        if self.members and loop.time() - self._asked_at < fresh:
            return True
        if self._asking is None:
            self._asking = loop.create_task(self._ask(conn), name="vivace-allow")
            self._asking.add_done_callback(_note)
        return await asyncio.shield(self._asking)

    async def _ask(self, conn: Any) -> bool:
        try:
            while True:
                self._again = False
                begun = asyncio.get_running_loop().time()
                try:
                    answer = self.allow(conn, self._topic)
                    if inspect.isawaitable(answer):
                        answer = await answer
                except SanicException as error:
                    if error.status_code >= 500:
                        raise
                    answer = False
                if not self._again:
                    break
            self._failing_since = 0.0
            self._asked_at = begun if answer else float("-inf")
            return bool(answer)
        finally:
            self._asking = None

    def forget_answer(self) -> None:
        """What is known, or being asked for, does not count any more."""
        self._asked_at = float("-inf")
        self._again = True

    def add(self, member: Admitted) -> None:
        """A member is in."""
        self.members[member] = None
        member.verdict = self
        if self._recheck and self._timer is None:
            self._schedule(self._recheck)

    def remove(self, member: Admitted) -> None:
        """A member has left."""
        self.members.pop(member, None)
        self.settle()

    def settle(self) -> None:
        """Forget it if nobody is in and nobody waits for it."""
        if not self.members and not self.waiting:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._admission.forget(self._key)

    def _schedule(self, seconds: float) -> None:
        wait = seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
        self._timer = asyncio.get_running_loop().call_later(wait, self.recheck)

    def recheck(self) -> None:
        """Ask again, now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.members:
            task = asyncio.get_running_loop().create_task(self._recheck_now(), name="vivace-recheck")
            self._admission.tasks.add(task)
            task.add_done_callback(self._admission.tasks.discard)

    async def _recheck_now(self) -> None:
        self.forget_answer()
        again = self._recheck
        try:
            conn = next(iter(self.members)).outlet.conn
            allowed = await self.ask(conn)
        except Exception as error:  # noqa: BLE001  # whatever it is, nobody else would see it
            allowed = self._bear_failure(error)
            again = min(again or RETRY_TIME, RETRY_TIME, max(self._grace, 0.01))
        if not allowed:
            self.expel()
        elif again and self.members and self._timer is None:
            self._schedule(again)

    def _bear_failure(self, error: Exception) -> bool:
        """The check raised: whether that can be borne a while longer."""
        now = asyncio.get_running_loop().time()
        who = f"user {self.user}" if isinstance(self.user, str) else "a connection"
        if not self._failing_since:
            self._failing_since = now
            logger.error(
                "whether %s may stay in the group %r cannot be checked; after %g s without an answer it is"
                " taken out",
                who,
                self._topic,
                self._grace,
                exc_info=error,
            )
        if now - self._failing_since < self._grace:
            return True
        logger.error("%s is taken out of the group %r: it cannot be checked", who, self._topic)
        return False

    def expel(self) -> None:
        """Nobody of them may stay."""
        for member in tuple(self.members):
            member.revoke()


class Admission:
    """All that is known about who may be where, in this process.

    Attributes:
        tasks: Checks that run.
        verdicts: By check, topic and user.
    """

    def __init__(self) -> None:
        self.verdicts: dict[_Key, Verdict] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    async def admit(self, member: Admitted, allow: Allow, recheck: float, grace: float) -> None:
        """Let a member in, or not.

        Raises:
            Forbidden: It may not join.
            Exception: What the check raised.
        """
        outlet = member.outlet
        key = (allow, member.topic, outlet if member.user is None else member.user, recheck, grace)
        verdict = self.verdicts.get(key)
        if verdict is None:
            verdict = self.verdicts[key] = Verdict(self, key)
        verdict.waiting += 1
        try:
            if not await verdict.ask(outlet.conn):
                raise Forbidden(f"not allowed in {member.topic}")
            if not member.gone:
                verdict.add(member)
        finally:
            verdict.waiting -= 1
            verdict.settle()

    def forget(self, key: _Key) -> None:
        """Nobody is left of whom this is known."""
        self.verdicts.pop(key, None)

    def revoke(self, user: str | None, topic: str | None) -> None:
        """What is known about them does not count any more."""
        for verdict in tuple(self.verdicts.values()):
            if verdict.fits(user, topic):
                verdict.forget_answer()

    def recheck(self, user: str | None, topic: str | None) -> None:
        """Ask about them again, now."""
        for verdict in tuple(self.verdicts.values()):
            if verdict.fits(user, topic):
                verdict.recheck()


def _note(task: "asyncio.Task[bool]") -> None:
    """Look at the failure of a check for which nobody waits any more."""
    if not task.cancelled():
        task.exception()
