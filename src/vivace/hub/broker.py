"""The core of a hub: who wants which topic, what is kept of it, who gets a message.

Rules of this file:

- No I/O and no clock: the time is an argument, the peers are called.
- One counter numbers the messages of all ordered topics: so a topic that was forgotten and comes again never
  uses an offset twice. Holes in a topic's offsets mean nothing.
- A history is given complete or not at all: what was dropped from it is remembered as one offset per topic,
  and as one for all topics that were forgotten.
- A message whose id has been stored is not stored again: its publisher retried.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Final, Protocol

from vivace.hub.records import Outgoing, Past, Position, Rule, Stored
from vivace.hub.rules import Rules

__all__ = ["Broker", "Peer", "Topic"]

_IDS: Final = 4096
"""How many ids of messages are remembered."""
_OVERHEAD: Final = 200
"""Octets that a kept message costs besides its payload, about."""


class Peer(Protocol):
    """A process that follows topics; nothing here raises or waits."""

    def deliver(self, stored: Stored) -> None:
        """Take a message."""
        ...

    def gap(self, topic: str, reason: str) -> None:
        """Messages were lost."""
        ...


class Topic:
    """What is known of one topic."""

    __slots__ = ("kept", "lost", "peers")

    def __init__(self, lost: int) -> None:
        self.peers: set[Peer] = set()
        self.kept: deque[int] = deque()
        """The offsets of its history."""
        self.lost = lost
        """The greatest offset that may have been dropped from the history."""


class Broker:
    """The topics of a hub.

    Args:
        epoch: Of its histories.
        rules: Which rule holds for a topic.
        room: Octets that all histories may take together; what is oldest goes first.
    """

    def __init__(self, epoch: str, rules: Rules, room: int = 64 * 1024 * 1024) -> None:
        self.epoch = epoch
        self.rules = rules
        self.offset = 0
        self.topics: dict[str, Topic] = {}
        self.size = 0
        self._room = room
        self._forgotten = 0
        self._kept: OrderedDict[int, tuple[float, Stored]] = OrderedDict()
        self._ids: OrderedDict[str, Position] = OrderedDict()

    # Interest

    def subscribe(self, peer: Peer, name: str) -> bool:
        """A peer wants a topic; give whether it is the first one."""
        topic = self._topic(name)
        first = not topic.peers
        topic.peers.add(peer)
        return first

    def unsubscribe(self, peer: Peer, name: str) -> bool:
        """A peer does not want a topic any more; give whether nobody does now."""
        topic = self.topics.get(name)
        if topic is None or peer not in topic.peers:
            return False
        topic.peers.discard(peer)
        last = not topic.peers
        self._tidy(name, topic)
        return last

    def detach(self, peer: Peer) -> list[str]:
        """A peer is gone; give the topics that nobody wants now."""
        wanted = [name for name, topic in self.topics.items() if peer in topic.peers]
        return [name for name in wanted if self.unsubscribe(peer, name)]

    def has_subscribers(self, name: str) -> bool:
        """Whether anybody wants it."""
        topic = self.topics.get(name)
        return topic is not None and bool(topic.peers)

    # Messages

    def is_copy(self, stored: Stored) -> bool:
        """Whether a message of the engine is another one once more, stored again under another position."""
        if not stored.id or stored.pos is None:
            return False
        known = self._ids.get(stored.id)
        if known is None:
            self._remember_id(stored.id, stored.pos)
        return known is not None and known != stored.pos

    def _remember_id(self, message_id: str, position: Position) -> None:
        self._ids[message_id] = position
        if len(self._ids) > _IDS:
            self._ids.popitem(last=False)

    def publish(self, outgoing: Outgoing, now: float) -> Stored | None:
        """Number and keep a message of an ordered topic.

        Returns:
            What is to be routed; None if it has been stored before: see `position_of`.
        """
        if outgoing.id in self._ids:
            return None
        self.offset += 1
        position = Position(self.epoch, self.offset)
        stored = Stored(
            outgoing.topic, outgoing.payload, position, outgoing.id, outgoing.origin, outgoing.exclude
        )
        self.keep(stored, now)
        return stored

    def position_of(self, message_id: str) -> Position | None:
        """The position of a message that was stored lately."""
        return self._ids.get(message_id)

    def keep(self, stored: Stored, now: float) -> None:
        """Put a message that has its position into the history."""
        if stored.pos is None:
            return
        offset = stored.pos.offset
        self.offset = max(self.offset, offset)
        if stored.id:
            self._remember_id(stored.id, stored.pos)
        topic = self._topic(stored.topic)
        topic.kept.append(offset)
        self._kept[offset] = (now, stored)
        self.size += len(stored.payload) + _OVERHEAD
        self._trim(topic, self.rules.of(stored.topic), now)
        while self.size > self._room and self._kept:
            _, oldest = next(iter(self._kept.values()))
            owner = self.topics[oldest.topic]
            self._drop_oldest(owner)
            self._tidy(oldest.topic, owner)

    def route(self, stored: Stored, sender: Peer | None = None) -> int:
        """Hand a message to every peer that wants it, but not to the one that has it already."""
        topic = self.topics.get(stored.topic)
        if topic is None:
            return 0
        reached = 0
        for peer in tuple(topic.peers):
            if peer is not sender:
                peer.deliver(stored)
                reached += 1
        return reached

    def gap(self, name: str, reason: str) -> None:
        """Tell every peer that wants a topic that something of it was lost."""
        topic = self.topics.get(name)
        for peer in tuple(topic.peers) if topic is not None else ():
            peer.gap(name, reason)

    # History

    @property
    def position(self) -> Position:
        """Behind everything that was stored until now."""
        return Position(self.epoch, self.offset)

    def past(self, name: str, since: Position | None, limit: int, now: float) -> Past:
        """What is kept of a topic.

        Args:
            name: Of the topic.
            since: Give what came after it; None: the newest.
            limit: The most messages; more than that after `since` is not complete.
            now: The time.
        """
        topic = self.topics.get(name)
        if topic is not None:
            self._trim(topic, self.rules.of(name), now)
        kept = topic.kept if topic is not None else deque[int]()
        if since is None:
            newest = list(kept)[-limit:] if limit else []
            return Past([self._kept[offset][1] for offset in newest], True, self.position)
        lost = topic.lost if topic is not None else self._forgotten
        missed = [offset for offset in kept if offset > since.offset]
        known = since.epoch == self.epoch and lost <= since.offset <= self.offset
        if not known or len(missed) > limit:
            return Past([], False, self.position)
        return Past([self._kept[offset][1] for offset in missed], True, self.position)

    def sweep(self, now: float) -> None:
        """Drop what is too old."""
        for name, topic in list(self.topics.items()):
            if topic.kept:
                self._trim(topic, self.rules.of(name), now)
                self._tidy(name, topic)

    def kept(self) -> Iterator[tuple[float, Stored]]:
        """Everything in the histories, oldest first, with the time at which it came."""
        return iter(self._kept.values())

    @property
    def kept_count(self) -> int:
        """Messages in all histories."""
        return len(self._kept)

    @property
    def forgotten(self) -> int:
        """The greatest offset of topics that are no longer known."""
        return self._forgotten

    def begin_after(self, offset: int, forgotten: int) -> None:
        """Go on behind an offset; what topics without a history may have lost ends at the other one."""
        self.offset = max(self.offset, offset)
        self._forgotten = max(self._forgotten, forgotten)

    def restore_lost(self, lost: dict[str, int]) -> None:
        """Remember what topics have dropped from their histories."""
        for name, offset in lost.items():
            self._topic(name).lost = offset

    def known_ids(self) -> list[tuple[str, int]]:
        """The ids of messages that are remembered, with their offsets."""
        return [(name, position.offset) for name, position in self._ids.items()]

    def restore_ids(self, ids: list[tuple[str, int]]) -> None:
        """Remember ids."""
        for name, offset in ids:
            self._remember_id(name, Position(self.epoch, offset))

    def _topic(self, name: str) -> Topic:
        topic = self.topics.get(name)
        if topic is None:
            topic = self.topics[name] = Topic(self._forgotten)
        return topic

    def _trim(self, topic: Topic, rule: Rule, now: float) -> None:
        while len(topic.kept) > rule.history:
            self._drop_oldest(topic)
        if rule.ttl:
            while topic.kept and self._kept[topic.kept[0]][0] + rule.ttl <= now:
                self._drop_oldest(topic)

    def _drop_oldest(self, topic: Topic) -> None:
        offset = topic.kept.popleft()
        _, stored = self._kept.pop(offset)
        self.size -= len(stored.payload) + _OVERHEAD
        topic.lost = offset

    def _tidy(self, name: str, topic: Topic) -> None:
        """Forget a topic of which there is nothing left."""
        if not topic.peers and not topic.kept:
            self._forgotten = max(self._forgotten, topic.lost)
            del self.topics[name]
