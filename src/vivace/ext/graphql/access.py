"""Who may follow a topic, now and later: the `Admission` of groups, with an operation as the member.

Rules of this file:

- What is revoked or to be asked again is heard once for an address, not once for each operation.
- Who leaves a topic, by itself or not, ends the operation that follows it, and no other.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from vivace.framework.groups.admission import Admission, Verdict

if TYPE_CHECKING:
    from vivace.hub.hub import Control, Hub

__all__ = ["Access", "Seat"]


class Follower(Protocol):
    """An operation."""

    def deny(self) -> None:
        """It may not follow any more."""
        ...

    def revoke(self, user: str | None, topic: str | None) -> None:
        """End if it is about that user and that topic; None: any."""
        ...


class Seat:
    """One operation on one topic.

    Attributes:
        topic: Which one.
        user: Who follows, as text; None: not known.
        conn: What the check is asked about.
        gone: The operation is over.
        verdict: Whether it may follow, once it was admitted.
    """

    __slots__ = ("_follower", "conn", "gone", "topic", "user", "verdict")

    def __init__(self, follower: Follower, topic: str, user: str | None, conn: Mapping[str, Any]) -> None:
        self._follower = follower
        self.topic = topic
        self.user = user
        self.conn = conn
        self.gone = False
        self.verdict: Verdict | None = None

    @property
    def outlet(self) -> "Seat":
        """The same: an unknown user shares its answer with nobody."""
        return self

    def revoke(self) -> None:
        """It may not follow any more."""
        self._follower.deny()

    def leave(self) -> None:
        """The operation is over."""
        self.gone = True
        verdict, self.verdict = self.verdict, None
        if verdict is not None:
            verdict.remove(self)

    async def is_allowed(self) -> bool:
        """Ask again, now."""
        verdict = self.verdict
        if verdict is None:
            return not self.gone
        verdict.forget_answer()
        return await verdict.ask(self.conn)


class Access:
    """Who may follow what at one address.

    Args:
        grace: Seconds for which those who were let in may stay while a check does not answer.
    """

    def __init__(self, grace: float) -> None:
        self.grace = grace
        self.admission = Admission()
        self._followers: dict[Follower, None] = {}
        self._unhear: Callable[[], None] | None = None

    def enter(self, follower: Follower, hub: "Hub") -> None:
        """An operation begins: from now on what is revoked counts for it."""
        if self._unhear is None:
            self._unhear = hub.on_control(self._hear)
        self._followers[follower] = None

    def leave(self, follower: Follower) -> None:
        """An operation is over."""
        self._followers.pop(follower, None)
        if not self._followers and self._unhear is not None:
            self._unhear()
            self._unhear = None

    def _hear(self, said: "Control") -> None:
        if said.kind == "recheck":
            self.admission.recheck(said.user, said.topic)
            return
        self.admission.revoke(said.user, said.topic)
        for follower in tuple(self._followers):
            follower.revoke(said.user, said.topic)
