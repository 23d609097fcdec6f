"""Groups, as a program uses them: publish, subscribe, presence, and who may stay.

    hub = app.hub                                     # in scripts: Hub(), Hub("redis://..."), Hub("unix:///...")
    await hub.publish("room:42", {"text": "hi"})
    async with hub.subscribe("room:42") as messages:
        async for message in messages: ...

Rules of this file:

- Nothing is made before it is used: a hub that nobody uses costs nothing, and none survives a fork.
- A `fast` message reaches the followers in its own process before anything is sent.
- What takes long says so: `publish` waits for a position only where there is one.
"""

import asyncio
import itertools
import os
from collections.abc import Callable, Hashable, Iterable
from types import TracebackType
from typing import Any, Final, Self

from vivace.errors import HubUnavailable, MessageTooLarge
from vivace.hub.ledger import Ledger
from vivace.hub.limits import Limits
from vivace.hub.local import Following, Local, Receiver
from vivace.hub.people import Change, Control, People, Tracked
from vivace.hub.places import make_station
from vivace.hub.records import (
    Delivery,
    Message,
    Outgoing,
    Position,
    Rule,
    check_topic,
    encode_payload,
)
from vivace.hub.rules import Rules, make_rule
from vivace.hub.station import Station
from vivace.hub.subscription import OnSlow, Subscription

__all__ = ["Change", "Control", "Following", "Hub", "Tracked", "wait_for"]


class Hub(People):
    """The groups of this process, and through them those of all others.

    Args:
        url: Where the hub is: ``unix:///run/app/hub.sock``, or the engine behind one in this process:
            ``redis://...``, ``rediss://...``, ``postgres://...``, ``nats://...``. Default: the hub's process
            of the server that started this one (VIVACE_HUB), or of the one that HUB_SOCKET in the environment
            names; without either a hub of this process alone.
        engine: The URL of the engine where there is no process of a hub: what HUB_URL says.
        limits: Sizes and times.
        name: Names this program to the engine's server.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        engine: str | None = None,
        limits: Limits | None = None,
        name: str = "",
    ) -> None:
        self.url = url
        self.engine = engine
        self.limits = limits or Limits()
        self.name = name
        self.home: asyncio.AbstractEventLoop | None = None
        """The loop of the server in this process: where it begins when a thread uses it first."""
        self.rules = Rules()
        self.rules_declared: list[Rule] = []
        self._clear()

    def _clear(self) -> None:
        self._pid = os.getpid()
        self._local: Local | None = None
        self._station: Station | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Task[None] | None = None
        self._tracked: dict[Tracked, Any] = {}
        self._numbers = itertools.count(1)
        self._own = os.urandom(8).hex()
        self._heard = Ledger()
        self.published = 0

    def twin(self) -> "Hub":
        """Another one at the same place, for another loop."""
        return Hub(self.url, engine=self.engine, limits=self.limits, name=self.name)

    def adopt(self, other: "Hub") -> None:
        """Take over the rules of another one that it lacks; called on any thread."""
        missing = [rule for rule in tuple(other.rules_declared) if rule not in self.rules_declared]
        if missing:
            self.rules_declared = [*self.rules_declared, *missing]
            self.rules.declare(missing)
            if self._local is not None:
                self._local.own = {rule.pattern for rule in self.rules_declared}
            loop, station = self._loop, self._station
            if loop is not None and station is not None and not loop.is_closed():
                loop.call_soon_threadsafe(station.declare, missing)

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: getattr(self, name)
            for name in ("url", "engine", "limits", "name", "rules", "rules_declared")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.home = None
        self._clear()

    # Life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Begin, if it has not begun; every other method does it as well, but does not wait for the hub."""
        self._begin()
        if self._starting is not None:
            await asyncio.shield(self._starting)

    def begin(self) -> None:
        """Begin on the running loop, if it has not begun, and wait for nothing."""
        self._begin()

    async def stop(self) -> None:
        """End: nothing is followed any more. It may begin again."""
        station, local, starting = self._station, self._local, self._starting
        self._clear()
        if starting is not None and not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        if local is not None:
            local.end()
        if station is not None:
            await station.stop()

    def _begin(self) -> Station:
        """The way to the hub, made on the running loop if there is none yet."""
        loop = asyncio.get_running_loop()
        if self._station is not None and self._loop is loop and self._pid == os.getpid():
            return self._station
        if self._pid != os.getpid() or (self._loop is not None and self._loop.is_closed()):
            self._clear()
        elif self._station is not None:
            raise RuntimeError(
                "this hub runs on another event loop: use publish_sync here, or make a Hub() for this loop"
            )
        self._loop = loop
        local = self._local = Local(self.rules, self.limits.linger)
        local.own = {rule.pattern for rule in self.rules_declared}
        local.on_control = self._take_control
        station = self._station = local.station = make_station(
            self.url, self.engine, local, self.limits, self.name
        )
        station.declare(self.rules_declared)
        self._starting = loop.create_task(station.start(), name="vivace-hub-start")
        return station

    @property
    def started(self) -> bool:
        """Whether it has begun, in this process."""
        return self._station is not None and self._pid == os.getpid()

    @property
    def up(self) -> bool:
        """Whether the hub can be reached, and the engine behind it; true if it has not begun."""
        return not self.started or self._station is None or self._station.up

    # Declaring

    def topic(
        self,
        pattern: str,
        *,
        delivery: Delivery = "fast",
        history: int | None = None,
        ttl: float | None = None,
        max_message: int | None = None,
    ) -> None:
        """Say what holds for topics; a name without a wildcard beats patterns, of which the first one wins.

        Args:
            pattern: A name, or a pattern with ``*``, ``?`` and ``[abc]``.
            delivery: ``fast``: at most once, nothing is kept. ``resume``: in one order for all, and kept, so
                that who comes back with a position gets all that was missed, or is told that it cannot be.
                ``latest``: only the newest message is kept, and given to who comes.
            history: The messages that are kept: of ``resume`` 100 by default.
            ttl: The seconds for which they are: 300 by default; 0: without end.
            max_message: The largest payload, in octets of msgpack; default: HUB_MAX_MESSAGE.

        Raises:
            DeclarationError: They do not fit together.
        """
        if history and delivery == "fast":
            delivery = "resume"
        rule = make_rule(pattern, delivery, history, ttl, max_message)
        self.rules_declared = [*(other for other in self.rules_declared if other.pattern != pattern), rule]
        self.rules.declare((rule,))
        if self.started and self._station is not None and self._local is not None:
            self._local.own.add(pattern)
            self._local.apply_rules()
            self._station.declare([rule])

    # Publishing

    async def publish(self, topic: str, data: Any, *, exclude: str | None = None) -> Position | None:
        """Give a message to all who follow a topic, in this process, on this machine and on the others.

        Args:
            topic: 1 to 200 octets of UTF-8.
            data: Dicts, lists, strings, octets, numbers, booleans, None; what msgspec makes of others.
            exclude: The id of a connection that is not to get it: the one that it came from.

        Returns:
            Its position, if the topic keeps an order.

        Raises:
            InvalidTopic: No topic can have this name: 400, or 1008 on a WebSocket.
            MessageTooLarge: The data is larger than the topic takes.
            HubUnavailable: The hub or its engine is away, and what waits for it is too much or too old. Those
                who follow a ``fast`` topic in this process have got the message.
            TypeError: The data cannot be encoded.
        """
        station = self._begin()
        outgoing = self._make(topic, data, exclude)
        if not outgoing.rule.ordered and self._may_learn(station, topic):
            await self.start()
            outgoing.rule = self.rules.of(topic)
        if outgoing.rule.ordered:
            return await station.publish(outgoing)
        self._publish_fast(station, outgoing)
        await station.flush()
        return None

    async def publish_surely(self, topic: str, data: Any, *, exclude: str | None = None) -> Position | None:
        """The same as `publish`, but wait until the hub has it, `fast` or not: for those who end soon.

        Args:
            topic: See `publish`.
            data: The same.
            exclude: The same.
        """
        await self.start()
        assert self._station is not None
        return await self._station.publish(self._make(topic, data, exclude))

    def _may_learn(self, station: Station, topic: str) -> bool:
        """Whether the hub, which has not answered yet, may know a rule that this process does not."""
        unanswered = self._starting is not None and not self._starting.done()
        assert self._local is not None
        return unanswered and station.remote and not self.rules_declared and topic not in self._local.channels

    def _publish_fast(self, station: Station, outgoing: Outgoing) -> None:
        assert self._local is not None
        self._local.deliver_own(Message(outgoing.topic, outgoing.payload, None, outgoing.exclude))
        station.send(outgoing)

    def _make(self, topic: str, data: Any, exclude: str | None) -> Outgoing:
        check_topic(topic)
        rule = self.rules.of(topic)
        payload = encode_payload(data)
        largest = rule.max_message or self.limits.max_message
        if len(payload) > largest:
            raise MessageTooLarge(
                f"a message of {len(payload)} octets is too large for topic {topic!r}, which takes {largest}:"
                " send a reference, or raise max_message of hub.topic() or HUB_MAX_MESSAGE"
            )
        self.published += 1
        return Outgoing(topic, payload, rule, f"{self._own}{next(self._numbers):x}", self._own, exclude)

    def publish_sync(
        self,
        topic: str,
        data: Any,
        *,
        exclude: str | None = None,
        timeout: float = 5.0,
    ) -> Position | None:
        """The same as `publish`, from any thread: of WSGI apps, Celery, management commands.

        Args:
            topic: See `publish`.
            data: The same.
            exclude: The same.
            timeout: Seconds to wait at most.

        Returns:
            The position, as `publish`; None too where it is called on the thread of the hub's loop and an
            engine gives the position later.

        Raises:
            HubUnavailable: It took too long; the message may still be published.
        """
        loop = self._loop if self.started else self.home
        if loop is not None and loop.is_running():
            if asyncio._get_running_loop() is loop:
                return self._publish_here(topic, data, exclude)
            return wait_for(loop, self.publish(topic, data, exclude=exclude), timeout)
        from vivace.hub.background import publish_behind

        return publish_behind(self, topic, data, exclude, timeout)

    def _publish_here(self, topic: str, data: Any, exclude: str | None) -> Position | None:
        """Publish on the loop's own thread, where nothing can be waited for."""
        station, outgoing = self._begin(), self._make(topic, data, exclude)
        if not outgoing.rule.ordered:
            self._publish_fast(station, outgoing)
            return None
        answer = station.publish(outgoing)
        if not answer.done():
            answer.add_done_callback(_take_error)
            return None
        return answer.result()

    # Following

    def follow(
        self,
        topic: str,
        receiver: Receiver,
        *,
        since: Position | None = None,
        history: int = 0,
        id: str | None = None,  # noqa: A002
    ) -> Following:
        """Have a plain function called on the loop for each message of a topic: what `subscribe` is made of.

        Args:
            topic: Which one.
            receiver: Takes a `Message` or a `Gap`; it must not wait.
            since: Give what came after this position first; if that cannot be had complete, a `Gap`.
            history: Without `since`: give that many of the newest messages first.
            id: Messages that were published with this as ``exclude`` are left out.

        Returns:
            What ends it: ``following.close()``. ``await following.ready()`` waits until the hub knows of it
            and the past has been given.

        Raises:
            InvalidTopic: No topic can have this name: 400, or 1008 on a WebSocket.
        """
        check_topic(topic)
        self._begin()
        assert self._local is not None
        if since is None and not history and self.rules.of(topic).delivery == "latest":
            history = 1
        return self._local.follow(topic, receiver, since, history, id)

    def subscribe(
        self,
        topic: str,
        *,
        since: Position | str | None = None,
        history: int = 0,
        max_queue: int | None = None,
        on_slow: OnSlow = "disconnect",
        key: Callable[[Message], Hashable] | None = None,
        id: str | None = None,  # noqa: A002
    ) -> Subscription:
        """Iterate over a topic: ``async with hub.subscribe(topic) as sub: async for message in sub: ...``.

        Args:
            topic: Which one.
            since: A position, or its text: give what came after it first. If that cannot be had complete, a
                `Gap` comes first, and ``sub.recovered`` is false.
            history: Without `since`: give that many of the newest messages first.
            max_queue: Messages that may wait; default HUB_QUEUE.
            on_slow: When one more comes: ``disconnect``: raise `SubscriberTooSlow`; ``drop_oldest``: leave
                the oldest out, and give a `Gap` in its place; ``conflate``: keep only the newest of each key.
            key: For ``conflate``: gives the key of a message; default: the topic.
            id: Messages that were published with this as ``exclude`` are left out.
        """
        check_topic(topic)
        if isinstance(since, str):
            since = Position.parse(since) or Position(since, 0)
        queue = self.limits.queue if max_queue is None else max_queue
        return Subscription(self, topic, since, history, queue, on_slow, key, id)

    def has_subscribers(self, topic: str) -> bool:
        """Whether anything in this process follows a topic."""
        channel = None if self._local is None else self._local.channels.get(topic)
        return channel is not None and channel.count > 0

    # Numbers

    def stats(self) -> dict[str, Any]:
        """What this process follows and did: topics, receivers, messages published, delivered, dropped ..."""
        local = self._local
        channels: Iterable[Any] = () if local is None else local.channels.values()
        return {
            "up": self.up,
            "topics": 0 if local is None else len(local.channels),
            "receivers": sum(channel.count for channel in channels),
            "published": self.published,
            "delivered": 0 if local is None else local.delivered,
            "gaps": 0 if local is None else local.gaps,
            "dropped": 0 if local is None else local.dropped,
            "present": len(self._tracked),
        }

    async def ask_stats(self) -> dict[str, Any]:
        """The numbers of the hub of this machine: processes, topics, messages kept, engine connections.

        Raises:
            HubUnavailable: It does not answer.
        """
        await self.start()
        assert self._station is not None
        return await self._station.ask_stats()


_TOO_LATE: Final = "the hub did not take the message within %.1f s; it may still be published"


def wait_for(loop: asyncio.AbstractEventLoop, publishing: Any, timeout: float) -> Position | None:
    """Run a publishing on a loop of another thread, and wait for it.

    Raises:
        HubUnavailable: It took too long.
    """
    future = asyncio.run_coroutine_threadsafe(publishing, loop)
    try:
        position: Position | None = future.result(timeout)
        return position
    except TimeoutError as error:
        future.cancel()
        raise HubUnavailable(_TOO_LATE % timeout) from error


def _take_error(answer: "asyncio.Future[Position | None]") -> None:
    """Whoever published did not wait: there is nobody to tell."""
    if not answer.cancelled():
        answer.exception()
