"""What this process follows: topics and their receivers, and the hand-over of messages.

Rules of this file:

- Everything happens on the loop's thread, and nothing here waits.
- A receiver is a plain function; one that raises is logged, and the others still get the message.
- The hub is told of a topic when its first receiver comes, and `linger` seconds after the last one left.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from vivace.hub.records import ASK_AGAIN, Gap, Message, Past, Position, Rule, Stored
from vivace.hub.rules import Rules
from vivace.hub.station import Station
from vivace.hub.tail import Tail, message_of

__all__ = ["Following", "Local", "Receiver"]

logger = logging.getLogger("vivace.hub")

Receiver = Callable[[Message | Gap], None]
MOST: Final = 1000
"""How much of a past is asked for where the rule is not known here."""
_FAILED: Final = "a receiver of topic %r failed; the others got the message"
LATE: Final = "hub: it was away, and did not know at first that this topic is followed"
NO_HISTORY: Final = "history: what was missed is not kept any more"


class Following:
    """One receiver of a topic; made by `Hub.follow`.

    Attributes:
        topic: Which one.
        recovered: Whether everything since the position that was asked for has been given; None: nothing was
            asked for, or it is not known yet.
        receiver: Takes a message, or word of a gap.
        plain: Each message is handed over as it is: nothing was asked for of the past.
    """

    __slots__ = ("_channel", "_late", "_ready", "_tail", "id", "plain", "receiver", "recovered", "topic")

    def __init__(self, channel: "Channel", receiver: Receiver, tail: Tail | None, id: str | None) -> None:  # noqa: A002
        self.topic = channel.topic
        self.recovered: bool | None = None
        self.id = id
        self._channel: Channel | None = channel
        self.receiver = receiver
        self.plain = tail is None
        self._tail = tail
        self._ready: asyncio.Future[None] | None = None
        self._late = False

    @property
    def position(self) -> Position | None:
        """Of the newest message that it was given, or could have been."""
        if self._tail is not None:
            return self._tail.last
        return None if self._channel is None else self._channel.tail.last

    @property
    def closed(self) -> bool:
        """Whether it ended."""
        return self._channel is None

    async def ready(self, within: float | None = None) -> bool:
        """Wait until the hub knows of it and the past that was asked for has been given.

        Args:
            within: Seconds to wait at most: then a `Gap` comes when the hub knows of it at last; None: wait
                for as long as the hub is away.

        Returns:
            Whether it is so.
        """
        if self._is_settled():
            return True
        if self._ready is None:
            self._ready = asyncio.get_running_loop().create_future()
        done, _ = await asyncio.wait((self._ready,), timeout=within)
        if not done:
            self.expect_gap()
        return bool(done)

    def expect_gap(self) -> None:
        """Whoever follows goes on before the hub knows of it: it may miss what others publish meanwhile."""
        self._late = self._channel is not None and not self._channel.known

    def say_late(self) -> None:
        """The hub knows of it now: say so to who did not wait for that."""
        late, self._late = self._late, False
        if late:
            self._hand(Gap(self.topic, LATE))

    def _is_settled(self) -> bool:
        channel = self._channel
        return channel is None or (channel.known and not (self._tail is not None and self._tail.waits))

    def close(self) -> None:
        """Give it nothing more; doing it twice is no harm."""
        channel, self._channel = self._channel, None
        self.plain = False  # a message that is on its way to others must not reach it any more
        if channel is not None:
            channel.remove(self)
            self._settle()

    def give(self, item: Message | Gap) -> None:
        """Hand over one message, or word of a gap."""
        if isinstance(item, Message):
            if item.exclude is not None and item.exclude == self.id:
                return
            if self._tail is not None and not self._tail.passes(item):
                return
        self._hand(item)

    def _hand(self, item: Message | Gap) -> None:
        if self._channel is None:
            return
        try:
            self.receiver(item)
        except Exception:
            logger.exception(_FAILED, self.topic)

    def give_past(self, past: Past | None, asked: bool) -> None:
        """The past is there; None: it could not be had."""
        assert self._tail is not None
        if past is not None and past.complete:
            self.recovered = True if asked else None
        elif asked:
            self.recovered = False
            self._hand(Gap(self.topic, NO_HISTORY if past else "hub: the history could not be asked for"))
        for message in self._tail.give_up() if past is None else self._tail.join(past):
            if message.exclude is None or message.exclude != self.id:
                self._hand(message)
        self.settle()

    def settle(self) -> None:
        """Wake who waits for it, if there is nothing more to wait for."""
        if self._is_settled():
            self._settle()

    def _settle(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)


class Channel:
    """A topic that this process follows.

    Attributes:
        topic: Its name.
        rule: What holds for it.
        tail: What this process has seen of it.
        known: The hub has been told, and answered.
    """

    __slots__ = ("_followings", "_linger", "_local", "_tuple", "known", "rule", "tail", "topic")

    def __init__(self, local: "Local", topic: str, rule: Rule) -> None:
        self.topic = topic
        self.rule = rule
        self.tail = Tail()
        self.known = False
        self._local = local
        self._followings: dict[Following, None] = {}
        self._tuple: tuple[Following, ...] | None = ()
        self._linger: asyncio.TimerHandle | None = None

    def add(self, following: Following) -> None:
        """One more receiver."""
        self._followings[following] = None
        self._tuple = None
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None

    def remove(self, following: Following) -> None:
        """One less."""
        self._followings.pop(following, None)
        self._tuple = None
        if not self._followings and self._linger is None:
            loop = asyncio.get_running_loop()
            self._linger = loop.call_later(self._local.linger, self._local.leave, self)

    @property
    def count(self) -> int:
        """Its receivers."""
        return len(self._followings)

    def give(self, item: Message | Gap) -> None:
        """Hand something to every receiver."""
        followings = self._tuple
        if followings is None:
            followings = self._tuple = tuple(self._followings)
        if isinstance(item, Message) and item.exclude is not None:
            for following in followings:
                following.give(item)
            return
        for following in followings:  # one call for each of maybe ten thousand receivers
            if following.plain:
                try:
                    following.receiver(item)
                except Exception:
                    logger.exception(_FAILED, self.topic)
            else:
                following.give(item)

    def say_late(self) -> None:
        """The hub knows of it: say so to those who went on without it."""
        if not self.known:
            for following in tuple(self._followings):
                following.say_late()

    def settle(self) -> None:
        """The hub knows of it."""
        self.known = True
        for following in tuple(self._followings):
            following.settle()

    def end(self) -> None:
        """Forget the timer."""
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None


class Local:
    """The topics that this process follows.

    Args:
        rules: Which rule holds for a topic.
        linger: Seconds for which a topic is still followed when its last receiver is gone.
    """

    def __init__(self, rules: Rules, linger: float) -> None:
        self.rules = rules
        self.linger = linger
        self.own: set[str] = set()
        """The patterns that this process declares."""
        self.channels: dict[str, Channel] = {}
        self.delivered = 0
        self.gaps = 0
        self.dropped = 0
        """Messages that waited for the hub for too long."""
        self.station: Station | None = None
        self.controls: dict[Callable[[Any], None], None] = {}
        self.on_control: Callable[[bytes], None] = lambda _: None

    def follow(
        self,
        topic: str,
        receiver: Receiver,
        since: Position | None,
        history: int,
        id: str | None,  # noqa: A002
    ) -> Following:
        """Add a receiver; see `Hub.follow`."""
        station = self.station
        assert station is not None, "the hub has begun before anything is followed"
        channel = self.channels.get(topic)
        new = channel is None
        if channel is None:
            channel = self.channels[topic] = Channel(self, topic, self.rules.of(topic))
        wanted = since is not None or history > 0
        tail = Tail(since) if wanted else None
        following = Following(channel, receiver, tail, id)
        if tail is not None:
            tail.wait()
        channel.add(following)
        try:
            if new:
                channel.tail.wait()
                station.subscribe(topic, None)
            if tail is not None:
                limit = history if since is None else max(channel.rule.history, history) or MOST
                asked = station.past(topic, since, limit)
                asked.add_done_callback(lambda done: _give_past(following, done, since is not None))
        except BaseException:  # what was asked for cannot be said: a number of more than 64 bits
            following.close()
            raise
        return following

    def leave(self, channel: Channel) -> None:
        """Nobody has wanted a topic for a while."""
        if self.channels.get(channel.topic) is channel and not channel.count:
            del self.channels[channel.topic]
            channel.end()
            if self.station is not None:
                self.station.unsubscribe(channel.topic)

    def wanted(self) -> dict[str, Position | None]:
        """Every topic that is followed, with the position of what was seen of it."""
        return {name: channel.tail.last for name, channel in self.channels.items()}

    def end(self) -> None:
        """Forget everything."""
        for channel in self.channels.values():
            channel.end()
        self.channels.clear()

    # What the station says

    def deliver(self, stored: Stored) -> None:
        """Take a message of the hub."""
        channel = self.channels.get(stored.topic)
        if channel is not None:
            self._give(channel, message_of(stored))

    def deliver_own(self, message: Message) -> None:
        """Take a `fast` message that was published in this process."""
        channel = self.channels.get(message.topic)
        if channel is not None:
            self.delivered += 1
            channel.give(message)

    def _give(self, channel: Channel, message: Message) -> None:
        if channel.tail.passes(message):
            self.delivered += 1
            channel.give(message)

    def gap(self, topic: str, reason: str) -> None:
        """Messages of a topic were lost."""
        channel = self.channels.get(topic)
        if channel is not None:
            self.gaps += 1
            channel.give(Gap(topic, reason))

    def past(self, topic: str, past: Past) -> None:
        """The hub knows that this process wants a topic, and says what was missed."""
        channel = self.channels.get(topic)
        if channel is None:
            return
        if not past.complete:
            self.gap(topic, NO_HISTORY)
        channel.say_late()
        for message in channel.tail.join(past):
            self.delivered += 1
            channel.give(message)
        channel.settle()

    def lost_hub(self, reason: str) -> None:
        """The hub was away and is back: what is `fast` has a gap, the rest is asked for, and who may stay."""
        self.on_control(ASK_AGAIN)
        for name, channel in list(self.channels.items()):
            if channel.known and (not channel.rule.ordered or channel.tail.last is None):
                self.gap(name, reason)
            channel.known = False
            channel.tail.wait()

    def control(self, payload: bytes) -> None:
        """Take a control message of another process."""
        self.on_control(payload)

    def declare(self, rules: list[Rule]) -> None:
        """Take all the rules of the hub; what nobody declares any more is forgotten."""
        changed = bool(self.rules.declare(rules))
        if self.rules.keep({rule.pattern for rule in rules} | self.own) or changed:
            self.apply_rules()

    def apply_rules(self) -> None:
        """Rules changed: find those of what is followed anew."""
        for name, channel in self.channels.items():
            channel.rule = self.rules.of(name)

    def state(self, up: bool, why: str) -> None:
        """Say in the log that the hub or its engine is away or back: once for each change."""
        if up:
            logger.info("groups across machines are back")
        else:
            logger.warning("groups reach this machine only: %s", why)


def _give_past(following: Following, done: "asyncio.Future[Past]", asked: bool) -> None:
    failed = done.cancelled() or done.exception() is not None
    if not following.closed:
        following.give_past(None if failed else done.result(), asked)
