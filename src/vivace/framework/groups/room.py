"""A group in this process: one receiver of the hub for all clients that joined it.

Rules of this file:

- What comes within a turn of the loop goes out together: each form of it is made once, and each client gets
  one write.
- A client that asked for the past gets it by itself and joins the others where that ends: nothing twice and
  nothing left out between.
- After a long fan-out the rest of the program has its turn for as long, but not for long: messages that come
  faster than many clients can be written to gather, and cost one write for each client together.
- The hub is followed while there are members, and no longer.
"""

import asyncio
import time
from typing import TYPE_CHECKING, Final

from vivace.framework.groups.encoding import Form, Item, encode_all
from vivace.framework.groups.outlet import Member
from vivace.hub.records import Message, Position

if TYPE_CHECKING:
    from vivace.framework.groups.fanout import Fanout

__all__ = ["Room"]

BATCH: Final = 65_536
"""Octets that are gathered at most within a turn."""
LONG: Final = 0.001
"""Seconds from which a fan-out is long: about a hundred clients."""
REST: Final = 0.02
"""Seconds for which messages wait at most behind a long fan-out."""


class Room:
    """The members of a group.

    Args:
        fanout: All groups of this process.
        topic: The name of the group.
    """

    __slots__ = (
        "_ahead",
        "_fanout",
        "_members",
        "_pending",
        "_rests_until",
        "_size",
        "_tuples",
        "count",
        "following",
        "topic",
    )

    def __init__(self, fanout: "Fanout", topic: str) -> None:
        self.topic = topic
        self.count = 0
        self._fanout = fanout
        self._members: dict[Form, dict[Member, None]] = {}
        self._tuples: dict[Form, tuple[Member, ...]] = {}
        self._pending: list[tuple[Item, set[Member] | None]] = []
        self._size = 0
        self._rests_until = 0.0
        self._ahead: dict[Member, Position] = {}
        self.following = fanout.hub.follow(topic, self.receive)

    def add(self, member: Member, seen: Position | None = None) -> None:
        """A client joins.

        Args:
            member: The client.
            seen: The position up to which it has got everything.
        """
        self.flush()
        member.room = self
        self._members.setdefault(member.form, {})[member] = None
        self._tuples.pop(member.form, None)
        self.count += 1
        if seen is not None:
            self._ahead[member] = seen

    def remove(self, member: Member) -> None:
        """A client leaves."""
        members = self._members.get(member.form)
        if members is None or member not in members:
            return
        del members[member]
        self._tuples.pop(member.form, None)
        if not members:
            del self._members[member.form]
        self._ahead.pop(member, None)
        self.count -= 1
        if not self.count:
            self.following.close()
            self._fanout.close_room(self)

    def receive(self, item: Item) -> None:
        """Take a message of the hub, or word of a gap."""
        skip: set[Member] | None = None
        if isinstance(item, Message):
            self._size += len(item.payload)
            if item.exclude is not None or self._ahead:
                skip = self._left_out(item)
        self._pending.append((item, skip))
        if self._size > BATCH:
            self.flush()
        elif len(self._pending) == 1:
            self._flush_soon()

    def _flush_soon(self) -> None:
        """Send what has come in the next turn of the loop, or when the last fan-out is long enough ago."""
        loop = asyncio.get_running_loop()
        wait = self._rests_until and self._rests_until - time.monotonic()
        if wait > 0:
            loop.call_later(wait, self.flush)
        else:
            loop.call_soon(self.flush)

    def _left_out(self, message: Message) -> set[Member] | None:
        """Who is not to get a message: the one that it came from, and who has got it already."""
        skip: set[Member] = set()
        sender = self._fanout.outlets.get(message.exclude or "")
        if sender is not None and self.topic in sender.members:
            skip.add(sender.members[self.topic])
        if self._ahead and message.pos is not None:
            for member, seen in list(self._ahead.items()):
                if seen.epoch == message.pos.epoch and message.pos.offset <= seen.offset:
                    skip.add(member)
                else:
                    del self._ahead[member]
        return skip or None

    def flush(self) -> None:
        """Send what has come."""
        pending = self._pending
        if not pending:
            return
        self._pending = []
        self._size = 0
        items = [item for item, _ in pending]
        special: set[Member] = set()
        for _, skip in pending:
            if skip is not None:
                special |= skip
        began = time.monotonic()
        for form in tuple(self._members):
            self._send(form, items, special)
        for member in special:
            own = [item for item, skip in pending if skip is None or member not in skip]
            if not member.gone and own:
                member.outlet.take_items(member, own)
        ended = time.monotonic()
        took = ended - began
        self._rests_until = ended + min(took, REST) if took >= LONG else 0.0

    def _send(self, form: Form, items: list[Item], special: set[Member]) -> None:
        """Send the same to all who want it in one form."""
        broadcast = encode_all(form, items)
        if broadcast is None:
            return
        members = self._tuples.get(form)
        if members is None:
            members = self._tuples[form] = tuple(self._members[form])
        if special:
            members = tuple(member for member in members if member not in special)
        for member in members:
            if member.gone:
                continue
            outlet = member.outlet
            # What `Outlet.take` does: this runs for every client of every message.
            if outlet.queue or not outlet.push(broadcast):
                outlet.hold(member, broadcast)
