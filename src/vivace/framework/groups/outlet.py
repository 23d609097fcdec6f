"""One client of groups: what it has joined, and what waits while it is behind.

Rules of this file:

- What waits is bounded in messages and in octets, and the messages are those that all others got: a slow
  client holds references, no copies.
- The rule for slow clients acts where the bound is passed: `disconnect` says 1013, `drop_oldest` leaves the
  oldest out and says so with a `Gap`, `conflate` keeps the newest of each key.
- Everything runs on the loop; nothing here waits.
"""

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from vivace.framework.groups.encoding import Form, Item, encode_all
from vivace.hub.records import Gap, Message
from vivace.protocols.broadcast import Broadcast, Encoded

if TYPE_CHECKING:
    from vivace.framework.groups.admission import Allow, Verdict
    from vivace.framework.groups.room import Room

__all__ = ["POLICIES", "Client", "Condition", "Member", "OnSlow", "Outlet"]

OnSlow = Literal["disconnect", "drop_oldest", "conflate"]
POLICIES: Final = ("disconnect", "drop_oldest", "conflate")
TOO_SLOW: Final = 1013
NOT_ALLOWED: Final = 4403
PIECE: Final = 65_536
"""Octets of what waited that are handed over together."""

_numbers = itertools.count()


class Client(Protocol):
    """The connection of an outlet."""

    def push(self, broadcast: Broadcast) -> bool:
        """Send messages, unless the client is behind; see `vivace.protocols.socket.Socket.push`."""
        ...

    def end(self, code: int, reason: str) -> None:
        """End it."""
        ...


class Member:
    """One client in one group.

    Attributes:
        outlet: The client.
        topic: The group.
        form: What messages become for it.
        on_slow: What is done when too much waits.
        key: For ``conflate``: gives the key of a message.
        max_queue: Messages that may wait.
        max_bytes: Octets that may wait.
        user: Who it is, as text; None: not known.
        on_revoke: ``close``, ``leave``, or a function of the topic.
        count: How many times it has joined.
        joining: Is done when it has joined, or has not been let in; None: nobody has begun to.
        gone: It has left.
        lost: Messages that were left out and of which it was not told.
        room: Where it is; None: not yet.
        verdict: Whether it may be there; None: nobody asks.
        conditions: The checks of later joins, which it has to pass as well.
    """

    __slots__ = (
        "conditions",
        "count",
        "form",
        "gone",
        "joining",
        "key",
        "lost",
        "max_bytes",
        "max_queue",
        "on_revoke",
        "on_slow",
        "outlet",
        "room",
        "topic",
        "user",
        "verdict",
    )

    def __init__(
        self,
        outlet: "Outlet",
        topic: str,
        form: Form,
        *,
        on_slow: OnSlow,
        key: Callable[[Message], Hashable] | None,
        max_queue: int,
        max_bytes: int,
        user: str | None,
        on_revoke: Any,
    ) -> None:
        self.outlet = outlet
        self.topic = topic
        self.form = form
        self.on_slow = on_slow
        self.key = key
        self.max_queue = max_queue
        self.max_bytes = max_bytes
        self.user = user
        self.on_revoke = on_revoke
        self.count = 1
        self.joining: asyncio.Future[None] | None = None
        self.gone = False
        self.lost = 0
        self.room: Room | None = None
        self.verdict: Verdict | None = None
        self.conditions: tuple[Condition, ...] = ()

    def is_asked_by(self, allow: "Allow") -> bool:
        """Whether a check has let it in."""
        verdicts = (self.verdict, *(condition.verdict for condition in self.conditions))
        return any(verdict is not None and verdict.allow == allow for verdict in verdicts)

    def make_room(self, past: list[Item]) -> None:
        """Let what it asked for itself wait beside what may wait anyway."""
        self.max_queue += len(past)
        self.max_bytes += sum(2 * len(item.payload) for item in past if isinstance(item, Message))

    def leave(self) -> None:
        """Leave the group, whoever asks for it; doing it twice is no harm."""
        if self.gone:
            return
        self.gone = True
        self.outlet.forget(self)
        if self.room is not None:
            self.room.remove(self)
        if self.verdict is not None:
            self.verdict.remove(self)
        for condition in self.conditions:
            condition.leave()

    def revoke(self) -> None:
        """It may not be there any more."""
        if self.gone:
            return
        self.leave()
        if self.on_revoke == "close":
            self.outlet.client.end(NOT_ALLOWED, f"not allowed in {self.topic}")
        elif self.on_revoke != "leave":
            self.on_revoke(self.topic)


class Condition:
    """One more check that a member has to pass; see `Admitted`."""

    __slots__ = ("_member", "outlet", "topic", "user", "verdict")

    def __init__(self, member: Member) -> None:
        self._member = member
        self.outlet = member.outlet
        self.topic = member.topic
        self.user = member.user
        self.verdict: Verdict | None = None

    @property
    def gone(self) -> bool:
        """The member has left."""
        return self._member.gone

    def revoke(self) -> None:
        """The member may not be there any more."""
        self._member.revoke()

    def leave(self) -> None:
        """The member has left."""
        if self.verdict is not None:
            self.verdict.remove(self)


class Outlet:
    """A client that has joined groups; it is the watcher of its connection.

    Args:
        client: The connection.
        conn: What ``allow`` is asked about.
        id: Names it in ``exclude``.

    Attributes:
        closed: Nothing can be sent any more.
        members: By topic.
        push: Sends messages, unless the client is behind.
        queue: What waits; None: nothing ever did.
        queued: Octets of that.
        dropped: Messages that were left out so far.
    """

    __slots__ = ("client", "closed", "conn", "dropped", "id", "members", "on_end", "push", "queue", "queued")

    def __init__(self, client: Client, conn: Any, id: str) -> None:  # noqa: A002
        self.client = client
        self.push = client.push
        self.conn = conn
        self.id = id
        self.closed = False
        self.members: dict[str, Member] = {}
        self.queued = 0
        self.dropped = 0
        self.on_end: Callable[[], None] | None = None
        self.queue: OrderedDict[Any, tuple[Member, Encoded]] | None = None

    # What comes

    def take(self, member: Member, broadcast: Broadcast) -> None:
        """Send messages, or keep them until the client takes some again."""
        if self.queue or not self.push(broadcast):
            self.hold(member, broadcast)

    def take_items(self, member: Member, items: list[Item]) -> None:
        """The same with what is for this client alone, in pieces."""
        broadcast = encode_all(member.form, items)
        if broadcast is None:
            return
        begin, size = 0, 0
        for at, message in enumerate(broadcast.messages, 1):
            size += len(message.content)
            if size >= PIECE or at == len(broadcast.messages):
                self.take(member, Broadcast(broadcast.messages[begin:at], broadcast.items[begin:at]))
                begin, size = at, 0

    def hold(self, member: Member, broadcast: Broadcast) -> None:
        """Keep messages until the client takes some again."""
        if self.queue is None:
            self.queue = OrderedDict()
        for message, item in zip(broadcast.messages, broadcast.items, strict=True):
            if member.gone:
                return
            place: Any = next(_numbers)
            if member.on_slow == "conflate" and isinstance(item, Message):
                place = member, (item.topic if member.key is None else member.key(item))
                self._drop(place, lost=False)
            self.queue[place] = member, message
            self.queued += len(message.content)
            self._bound(member)

    def _bound(self, member: Member) -> None:
        """Act if too much waits."""
        assert self.queue is not None
        while self.queue and (len(self.queue) > member.max_queue or self.queued > member.max_bytes):
            if member.on_slow == "disconnect":
                waiting = f"{len(self.queue)} messages of {self.queued} octets wait"
                self.client.end(TOO_SLOW, f"too slow: {waiting}")
                self.ended()
                return
            self._drop(next(iter(self.queue)), lost=True)

    def _drop(self, place: Any, *, lost: bool) -> None:
        assert self.queue is not None
        found = self.queue.pop(place, None)
        if found is not None:
            member, message = found
            self.queued -= len(message.content)
            self.dropped += lost
            member.lost += lost

    # What the connection says

    def resumed(self) -> None:
        """The client takes messages again."""
        while self.queue:
            taken: list[tuple[Member, Encoded]] = []
            size = 0
            while self.queue and size < PIECE:
                _, (member, message) = self.queue.popitem(last=False)
                if member.lost:
                    taken.extend((member, gap) for gap in self._gap(member))
                taken.append((member, message))
                size += len(message.content)
                self.queued -= len(message.content)
            if not self.push(Broadcast([message for _, message in taken])):
                self._put_back(taken)
                return

    def _gap(self, member: Member) -> list[Encoded]:
        """Word of what was left out."""
        count, member.lost = member.lost, 0
        told = encode_all(member.form, [Gap(member.topic, f"slow: {count} messages were left out")])
        return [] if told is None else list(told.messages)

    def _put_back(self, taken: list[tuple[Member, Encoded]]) -> None:
        assert self.queue is not None
        for member, message in reversed(taken):
            place = next(_numbers)
            self.queue[place] = member, message
            self.queue.move_to_end(place, last=False)
            self.queued += len(message.content)

    def ended(self) -> None:
        """Nothing can be sent any more: leave everything."""
        self.closed = True
        for member in tuple(self.members.values()):
            member.leave()
        self.queue = None
        self.queued = 0
        if self.on_end is not None:
            self.on_end()
            self.on_end = None

    def forget(self, member: Member) -> None:
        """A member leaves: what waits of its group goes with it."""
        if self.members.get(member.topic) is member:
            del self.members[member.topic]
        if self.queue:
            for place in [place for place, (whose, _) in self.queue.items() if whose is member]:
                self._drop(place, lost=False)
