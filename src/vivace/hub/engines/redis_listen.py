"""What an engine of Redis listens to: one subscribed connection, and each topic's place in its history.

Rules of this file:

- A topic with an order is read from where it was, whenever it is taken up: at first, after a lost connection,
  after a hole. What comes live meanwhile is held back.
- A topic without one gets one gap for each lost connection, once it is followed again.
- The connection always follows one channel, so that the server counts it among its subscribers: those it
  does not disconnect when they are silent.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Final

import hiredis
import msgspec

from vivace.errors import HubUnavailable
from vivace.hub.engines.envelope import Envelope, Numbers, stored_from, unseal
from vivace.hub.engines.pair import Listening
from vivace.hub.engines.redis_scripts import Names, read_head
from vivace.hub.engines.remedies import explain
from vivace.hub.engines.resp import Connection, connect
from vivace.hub.engines.upkeep import CallName, LinkDown, Status, Timing
from vivace.hub.engines.urls import Address
from vivace.hub.records import Past, Position, Rule, Stored

__all__ = ["Listener"]

logger = logging.getLogger("vivace")

BATCH: Final = 512
"""Topics that one SUBSCRIBE names."""
CHUNK: Final = 500
"""Messages that are read at a time when a topic catches up."""
_KEEP: Final = "$keep"
_FORGOTTEN: Final = "history: the server has forgotten what was before"


class _Followed:
    """A topic that this machine follows."""

    __slots__ = ("acknowledged", "channel", "held", "last", "lost", "placed", "ready", "rule", "topic")

    def __init__(self, topic: str, rule: Rule, channel: bytes) -> None:
        loop = asyncio.get_running_loop()
        self.topic = topic
        self.rule = rule
        self.channel = channel
        self.last: Position | None = None
        self.placed = not rule.ordered
        self.held: list[tuple[Position, Envelope]] | None = None
        self.lost = False
        self.acknowledged: asyncio.Future[None] = loop.create_future()
        self.ready: asyncio.Future[None] = loop.create_future()

    def forget(self) -> None:
        """Nobody wants it any more; whoever waits for it goes on."""
        for future in (self.acknowledged, self.ready):
            if not future.done():
                future.set_result(None)


class Listener(Listening):
    """Follows topics.

    Args:
        address: Of the server.
        name: Of the connection.
        names: Of channels.
        timing: How long what may take.
        status: Is told.
        read: Reads a topic after a position, or its newest messages, so many at most.
    """

    def __init__(
        self,
        address: Address,
        name: CallName,
        names: Names,
        timing: Timing,
        status: Status,
        read: Callable[[str, Position | None, int], Awaitable[Past]],
    ) -> None:
        super().__init__(name, timing, status)
        self._address = address
        self._names = names
        self._read = read
        self._connection: Connection | None = None
        self._topics: dict[str, _Followed] = {}
        self._channels: dict[bytes, _Followed] = {}
        self._new: dict[str, _Followed] = {}
        self._wake = asyncio.Event()
        self._owed: dict[bytes, int] = {}
        self._numbers = Numbers()
        self._lost_at: float | None = None

    def follow(self, topics: Mapping[str, Rule]) -> None:
        """See `Engine.follow`."""
        for topic, rule in topics.items():
            if topic not in self._topics:
                followed = _Followed(topic, rule, self._names.channel(topic))
                self._topics[topic] = self._new[topic] = self._channels[followed.channel] = followed
        self._wake.set()

    def unfollow(self, topics: Iterable[str]) -> None:
        """See `Engine.unfollow`."""
        gone = []
        for topic in topics:
            followed = self._topics.pop(topic, None)
            if followed is None:
                continue
            followed.forget()
            del self._channels[followed.channel]
            if self._new.pop(topic, None) is None:
                gone.append(followed.channel)
        if self._connection is not None:
            for start in range(0, len(gone), BATCH):
                self._connection.write("UNSUBSCRIBE", *gone[start : start + BATCH])

    def _explain(self, error: Exception) -> str:
        return explain(error, self._address)

    async def _session(self, settled: Callable[[], None]) -> None:
        self._owed.clear()
        connection = await connect(self._address, await self._name.get(), self._timing, self._take)
        self._connection = connection
        work = asyncio.create_task(self._work(connection, settled))
        try:
            both: list[asyncio.Future[Any]] = [work, connection.lost]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not connection.lost.done():
                work.result()
            raise LinkDown(await connection.lost)
        finally:
            self._connection = None
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            connection.close("the hub has no use for it any more")
            self._mark_lost()

    def _mark_lost(self) -> None:
        loop = asyncio.get_running_loop()
        self._lost_at = self._lost_at or loop.time()
        for followed in self._topics.values():
            followed.held = None
            if followed.topic not in self._new:
                followed.lost = followed.lost or followed.ready.done()
                self._new[followed.topic] = followed
            if followed.acknowledged.done():
                followed.acknowledged = loop.create_future()
            if followed.ready.done():
                followed.ready = loop.create_future()

    async def _work(self, connection: Connection, settled: Callable[[], None]) -> None:
        """Take up what is new, for as long as the connection lives."""
        connection.write("SUBSCRIBE", self._names.channel(_KEEP))
        said = False
        while True:
            batch = list(islice(self._new.values(), BATCH))
            if batch:
                await self._take_up(connection, batch)
                continue
            if not said:
                said, self._lost_at = True, None
                settled()
            self._wake.clear()
            await self._wake.wait()

    async def _take_up(self, connection: Connection, batch: list[_Followed]) -> None:
        await self._place([one for one in batch if not one.placed])
        batch = [one for one in batch if self._topics.get(one.topic) is one]
        for one in batch:
            self._new.pop(one.topic, None)
            if one.rule.ordered and one.held is None:
                one.held = []
            self._owed[one.channel] = self._owed.get(one.channel, 0) + 1
        if not batch:
            return
        connection.write("SUBSCRIBE", *(one.channel for one in batch))
        for one in batch:
            await one.acknowledged
        await asyncio.gather(*(self._catch_up(one) for one in batch if one.rule.ordered))
        for one in batch:
            if one.lost and not one.rule.ordered and self._topics.get(one.topic) is one:
                self._say_gap(one, f"engine: {self._outage()}")
            one.lost = False
            if not one.ready.done():
                one.ready.set_result(None)

    def _outage(self) -> str:
        lost = asyncio.get_running_loop().time() - (self._lost_at or 0.0)
        return f"the connection to redis was lost for {lost:.1f} s"

    async def _place(self, batch: list[_Followed]) -> None:
        """Find out where topics are before they are followed: what comes from then on is theirs."""
        pasts = await asyncio.gather(*(self._ask(one, None, 1) for one in batch))
        for one, past in zip(batch, pasts, strict=True):
            one.last, one.placed = past.position, True

    async def _ask(self, one: _Followed, since: Position | None, limit: int) -> Past:
        while True:
            try:
                return await self._read(one.topic, since, limit)
            except HubUnavailable:  # the other connection is down, and comes back
                await asyncio.sleep(self._timing.first_delay)
            except hiredis.ReplyError as error:
                logger.warning("hub: topic %r cannot be read: %s", one.topic, explain(error, self._address))
                return Past([], False, one.last)

    async def _catch_up(self, one: _Followed) -> None:
        """Deliver what was stored since the last message, then what was held back."""
        while self._topics.get(one.topic) is one:
            past = await self._ask(one, one.last, CHUNK if one.last else 1)
            if one.last is None and past.position is not None:  # nothing had ever been published there
                one.last = Position(past.position.epoch, 0)
                continue
            if not past.complete:
                if self._jump(one, past):
                    continue
                break
            for stored in past.messages:
                one.last = stored.pos
                self._deliver(stored)
            if len(past.messages) < CHUNK:
                break
        held, one.held = one.held or [], None
        for position, envelope in held:
            self._advance(one, position, envelope)

    def _jump(self, one: _Followed, past: Past) -> bool:
        """Say that something is missing; whether there is more to read, from the begin of another epoch."""
        known, found = one.last, past.position
        one.last = found
        if found == known:
            return False
        if found is None or known is None or found.epoch == known.epoch:
            self._say_gap(one, _FORGOTTEN if found is None else "history: more was published than is kept")
            return False
        self._say_gap(one, _FORGOTTEN)
        one.last = Position(found.epoch, 0)
        return True

    def _take(self, item: list[Any]) -> None:
        """Take what the server sends."""
        kind, channel = item[0], item[1]
        if kind == b"message":
            followed = self._channels.get(channel)
            if followed is not None:
                self._take_message(followed, item[2])
        elif kind == b"subscribe":
            owed = self._owed.pop(channel, 1) - 1
            if owed > 0:  # it was followed, given up and followed again: only the last one counts
                self._owed[channel] = owed
                return
            followed = self._channels.get(channel)
            if followed is not None and not followed.acknowledged.done():
                followed.acknowledged.set_result(None)

    def _take_message(self, followed: _Followed, octets: bytes) -> None:
        try:
            position, message = read_head(octets)
            envelope = unseal(message)
        except (ValueError, msgspec.MsgspecError):
            logger.warning("hub: something else publishes on the channel of topic %r", followed.topic)
            return
        if position is not None:
            self._advance(followed, position, envelope)
        elif self._numbers.is_new(envelope):
            self._deliver(stored_from(followed.topic, None, envelope))

    def _advance(self, one: _Followed, position: Position, envelope: Envelope) -> None:
        last = one.last
        if one.held is not None:
            one.held.append((position, envelope))
            return
        if last is not None and last.epoch == position.epoch:
            if position.offset <= last.offset:
                return
            if position.offset > last.offset + 1:
                self._read_hole(one, position, envelope)
                return
        elif last is not None:
            self._say_gap(one, _FORGOTTEN)
        one.last = position
        self._deliver(stored_from(one.topic, position, envelope))

    def _read_hole(self, one: _Followed, position: Position, envelope: Envelope) -> None:
        """Take the topic up anew: what is missing is read, this message comes after it."""
        one.held = [(position, envelope)]
        self._new[one.topic] = one
        self._wake.set()

    def _deliver(self, stored: Stored) -> None:
        if self._sink is not None:
            self._sink.deliver(stored)

    def _say_gap(self, one: _Followed, reason: str) -> None:
        if self._sink is not None:
            self._sink.gap(one.topic, reason)
