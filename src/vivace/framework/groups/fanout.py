"""All groups that clients of this process have joined.

Rules of this file:

- To join is to register after all that had to be waited for; whoever is cancelled meanwhile has not joined.
- What `hub.revoke` says is done before anything else is sent: no message follows it.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

from vivace.errors import WebsocketClosed
from vivace.framework.groups.admission import Admission, Allow
from vivace.framework.groups.encoding import Form, Item
from vivace.framework.groups.outlet import Condition, Member, OnSlow, Outlet
from vivace.framework.groups.room import Room
from vivace.hub.hub import Control, Hub
from vivace.hub.records import Message, Position, check_topic

__all__ = ["Fanout", "JoinOptions", "Joined", "fanout_of"]


class Joined:
    """What came of joining a group.

    Attributes:
        topic: The group.
        recovered: Whether everything since the position that was asked for was sent; None: nothing was asked.
        position: Of the newest message; None where there are none, or the group keeps no order.
    """

    __slots__ = ("position", "recovered", "topic")

    def __init__(self, topic: str, recovered: bool | None, position: Position | None) -> None:
        self.topic = topic
        self.recovered = recovered
        self.position = position

    def __repr__(self) -> str:
        return f"<Joined {self.topic!r}: recovered={self.recovered} position={self.position}>"


class JoinOptions:
    """How a group is joined; see `vivace.framework.joins.Joins.join`."""

    __slots__ = (
        "allow",
        "form",
        "grace",
        "history",
        "key",
        "max_bytes",
        "max_queue",
        "on_revoke",
        "on_slow",
        "recheck",
        "since",
        "user",
    )

    def __init__(
        self,
        form: Form,
        *,
        allow: Allow | None,
        recheck: float,
        grace: float,
        user: Any,
        history: int,
        since: Position | str | None,
        on_slow: OnSlow,
        key: Callable[[Message], Hashable] | None,
        max_queue: int,
        max_bytes: int,
        on_revoke: Any,
    ) -> None:
        self.form = form
        self.allow = allow
        self.recheck = recheck
        self.grace = grace
        self.user = None if user is None else str(user)
        self.history = history
        if isinstance(since, str):
            since = (Position.parse(since) or Position(since, 0)) if since else None
        self.since: Position | None = since
        self.on_slow: OnSlow = on_slow
        self.key = key
        self.max_queue = max_queue
        self.max_bytes = max_bytes
        self.on_revoke = on_revoke


class Fanout:
    """The groups of one hub, on one loop.

    Args:
        hub: Theirs; it is the app that keeps it.
        loop: The same.

    Attributes:
        rooms: By topic.
        outlets: Clients that have joined something, by their ids.
    """

    def __init__(self, hub: Hub, loop: asyncio.AbstractEventLoop) -> None:
        self._hub = ref(hub)
        self.loop = loop
        self.rooms: dict[str, Room] = {}
        self.outlets: dict[str, Outlet] = {}
        self.admission = Admission()
        self._unhear: Callable[[], None] | None = None

    @property
    def hub(self) -> Hub:
        """Theirs."""
        hub = self._hub()
        assert hub is not None, "whoever has groups has their hub"
        return hub

    async def join(self, outlet: Outlet, topic: str, options: JoinOptions) -> Joined:
        """Let a client join a group; see `vivace.framework.joins.Joins.join`."""
        check_topic(topic)
        if outlet.closed:
            raise WebsocketClosed(f"the connection is closed: it cannot join {topic}", 1006)
        while (known := outlet.members.get(topic)) is not None:
            if known.joining is not None and not known.joining.done():
                await asyncio.wait((known.joining,))  # it may not be let in: then this one has to ask
                continue
            await self._admit_again(known, options)
            if known.gone:
                continue
            known.count += 1
            room = known.room
            return Joined(topic, None, None if room is None else room.following.position)
        if self._unhear is None:
            self._unhear = self.hub.on_control(self._hear)
        member = self._make(outlet, topic, options)
        outlet.members[topic] = member
        joining = member.joining = self.loop.create_future()
        try:
            if options.allow is not None:
                await self.admission.admit(member, options.allow, options.recheck, options.grace)
            if member.gone:
                return Joined(topic, None, None)
            outlet.on_end = lambda: self._end(outlet)
            self.outlets[outlet.id] = outlet
            if options.since is None and not options.history:
                return await self._join_now(member)
            return await self._join_with_past(member, options)
        except BaseException:
            member.leave()
            self._end(outlet)
            raise
        finally:
            joining.set_result(None)

    async def _admit_again(self, member: Member, options: JoinOptions) -> None:
        """Who is in joins once more, with another check: it has to pass both, now and later."""
        if options.allow is None or member.is_asked_by(options.allow):
            return
        condition = Condition(member)
        await self.admission.admit(condition, options.allow, options.recheck, options.grace)
        if not member.gone:
            member.conditions = (*member.conditions, condition)

    def _make(self, outlet: Outlet, topic: str, options: JoinOptions) -> Member:
        return Member(
            outlet,
            topic,
            options.form,
            on_slow=options.on_slow,
            key=options.key,
            max_queue=options.max_queue,
            max_bytes=options.max_bytes,
            user=options.user,
            on_revoke=options.on_revoke,
        )

    def _room(self, topic: str) -> Room:
        room = self.rooms.get(topic)
        if room is None:
            room = self.rooms[topic] = Room(self, topic)
        return room

    async def _join_now(self, member: Member) -> Joined:
        latest = self.hub.rules.of(member.topic).delivery == "latest"
        if latest and member.topic in self.rooms:
            # The first member is given the newest message by the room's own following; the others ask.
            return await self._join_with_past(member, None)
        room = self._room(member.topic)
        room.add(member)
        await room.following.ready(self.hub.limits.timeout)
        return Joined(member.topic, None, room.following.position)

    async def _join_with_past(self, member: Member, options: JoinOptions | None) -> Joined:
        """Give a client the past by itself, then let it go on with the others."""
        past: list[Item] = []
        since, history = (None, 1) if options is None else (options.since, options.history)
        following = self.hub.follow(
            member.topic, past.append, since=since, history=history, id=member.outlet.id
        )
        try:
            known = await following.ready(self.hub.limits.timeout)
            if not member.gone:
                room = self._room(member.topic)
                room.add(member, following.position)
                if not known:
                    room.following.expect_gap()
                member.make_room(past)
                member.outlet.take_items(member, past)
            recovered = following.recovered
            if since is not None and not known:
                recovered = False
            return Joined(member.topic, recovered, following.position)
        finally:
            following.close()

    def leave(self, outlet: Outlet, topic: str) -> bool:
        """Leave a group once; whether the client is out of it now."""
        member = outlet.members.get(topic)
        if member is None:
            return True
        member.count -= 1
        if member.count > 0:
            return False
        member.leave()
        self._end(outlet)
        return True

    def _end(self, outlet: Outlet) -> None:
        """Forget a client that is in no group any more."""
        if not outlet.members:
            self.outlets.pop(outlet.id, None)
        self._rest()

    def _rest(self) -> None:
        """Listen to the hub no more, if there is nobody whom its words could be about."""
        if self._unhear is not None and not (self.rooms or self.admission.verdicts):
            self._unhear()
            self._unhear = None

    def close_room(self, room: Room) -> None:
        """The last one has left."""
        if self.rooms.get(room.topic) is room:
            del self.rooms[room.topic]
        self._rest()

    def _hear(self, said: Control) -> None:
        """Do what `hub.revoke` and `hub.recheck` say."""
        if said.kind == "recheck":
            self.admission.recheck(said.user, said.topic)
            return
        self.admission.revoke(said.user, said.topic)
        meant = [
            member
            for outlet in self.outlets.values()
            for member in outlet.members.values()
            if said.user in (None, member.user) and said.topic in (None, member.topic)
        ]
        for member in meant:
            member.revoke()
            self._end(member.outlet)


_fanouts: Final[WeakKeyDictionary[Hub, Fanout]] = WeakKeyDictionary()


def fanout_of(hub: Hub) -> Fanout:
    """The groups of a hub that clients of this process join, on the running loop."""
    loop = asyncio.get_running_loop()
    found = _fanouts.get(hub)
    if found is None or found.loop is not loop:
        found = _fanouts[hub] = Fanout(hub, loop)
    return found
