"""The hub of a machine: the core, an engine if there is one, and time.

It is an object in the only process of a server, or the heart of the hub's own process.

Rules of this file:

- Without an engine everything is answered at once, in the order in which it came.
- With one, the order and the history of `resume` and `latest` topics are the engine's; `fast` messages reach
  the processes of this machine without waiting for it.
- Who joins a topic is answered when the engine follows it; see `joining`.
- No timer runs while there is nothing to do.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from vivace.errors import HubUnavailable
from vivace.hub.broker import Broker
from vivace.hub.census import PRESENCE, Census
from vivace.hub.engine import Engine
from vivace.hub.joining import Joining
from vivace.hub.presence import DOWN, Presence
from vivace.hub.records import RESERVED, Outgoing, Past, Position, Rule, Stored, encode_payload
from vivace.hub.rules import Rules
from vivace.hub.station import Client
from vivace.hub.words import Words

__all__ = ["Exchange", "Keeper"]

logger = logging.getLogger("vivace.hub")

CONTROL: Final = "$control"
PRESENT: Final = "$present:"
"""Begins the topics in which a hub tells its processes who comes to the topic behind it, and who goes."""
_OWN: Final = Rule("$*")
_SWEEP: Final = 10.0
"""Seconds between two looks for what is too old."""
RULES_KEPT: Final = 10.0
"""Seconds for which a rule that nobody declares still holds: as long as processes may take to come back."""
_BYE: Final = 1.0
"""Seconds in which the other machines are told of the end."""
_RETRY: Final = 0.5
"""Seconds after which an engine that is away is asked again."""


class Keeper(Protocol):
    """Keeps what a hub must not forget when its process dies."""

    def load(self, broker: Broker, rules: Rules) -> None:
        """Put back what was kept."""
        ...

    def keep(self, now: float, stored: Stored) -> None:
        """Keep a message."""
        ...

    def declare(self, rules: list[Rule]) -> None:
        """Keep rules."""
        ...

    def close(self) -> None:
        """Close it; what was kept stays."""
        ...


class Exchange:
    """The hub of a machine.

    Args:
        engine: The way to the other machines; None: there are none.
        keeper: Keeps histories beyond the life of this process; None: nobody.
        room: Octets that all histories may take together.
        clock: Seconds; comparable with those of the process before this one.
        presence_ttl: Seconds after which the hub of another machine is gone, if it is silent.
    """

    def __init__(
        self,
        engine: Engine | None = None,
        keeper: Keeper | None = None,
        room: int = 64 * 1024 * 1024,
        clock: Callable[[], float] = time.time,
        presence_ttl: float = DOWN,
    ) -> None:
        self.origin = os.urandom(8).hex()
        self.engine = engine
        self.rules = Rules()
        self.broker = Broker(os.urandom(6).hex(), self.rules, room)
        self.presence = Presence(self.origin, self._tell_presence, presence_ttl)
        self.census = Census(engine, self.presence, self)
        self.clients: set[Client] = set()
        self._words = Words(self.clients, lambda payload: self._publish_own(CONTROL, payload))
        self._declarers: dict[str, set[Client]] = {}
        self.lost = 0
        """Messages that did not reach the other machines."""
        self.published = 0
        self.received = 0
        """Messages that came from the engine."""
        self._keeper = keeper
        self.clock = clock
        self._up = True
        self._why = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._begun = False
        self._started = False
        self._ready = asyncio.Event()
        self._joining = None if engine is None else Joining(engine, self._ready, _tell_followed, self.gap)
        self.ended = False
        if keeper is not None:
            keeper.load(self.broker, self.rules)

    # Life

    async def start(self) -> None:
        """Begin to connect to the engine, if that has not been done."""
        if self._begun:
            return
        self._begun = True
        if self.engine is not None:
            self._up = False
            await self.engine.start(self)
            self._started = True
            self._ready.set()
            topics = self.broker.topics.items()
            wanted = {
                name: self.rules.of(name)
                for name, topic in topics
                if topic.peers and not name.startswith(PRESENT)
            }
            self.engine.follow({CONTROL: _OWN, PRESENCE: _OWN, **wanted})
            self.census.begin()
        self.later("sweep", _SWEEP, self._sweep)

    async def stop(self) -> None:
        """Leave; it does not begin again."""
        self.ended = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self.engine is not None:
            if self.engine.up and self._started:
                self.census.leave()
                await asyncio.wait(self._tasks, timeout=_BYE)
            await self.engine.stop()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._keeper is not None:
            self._keeper.close()

    @property
    def up(self) -> bool:
        """Whether the other machines can be reached, if there are any."""
        return self._up

    def attach(self, client: Client, name: str = "") -> None:
        """A process came, whose name the engine may need: tell it the rules, and what is wrong."""
        if self.engine is not None:
            self.engine.rename(name)
        self.clients.add(client)
        client.declare(self.rules.all())
        self._words.greet(client, self.clock())
        if not self._up and self._why:
            client.state(False, self._why)

    def detach(self, client: Client) -> None:
        """A process is gone."""
        self.clients.discard(client)
        for clients in self._declarers.values():
            clients.discard(client)
        self.later("rules", RULES_KEPT, self._forget_rules)
        if self._joining is not None:
            self._joining.detach(client)
        last = self.broker.detach(client)
        self._unfollow(last)
        self.presence.detach(client)
        self.census.changed()

    def declare(self, client: Client, rules: list[Rule]) -> None:
        """A process declared rules."""
        for rule in rules:
            self._declarers.setdefault(rule.pattern, set()).add(client)
        if rules:
            self.later("rules", RULES_KEPT, self._forget_rules)
        changed = self.rules.declare(rules)
        if not changed:
            return
        if self._keeper is not None:
            self._keeper.declare(changed)
        for other in tuple(self.clients):
            if other is not client:
                other.declare(self.rules.all())

    def _forget_rules(self) -> None:
        """Forget what no process declares any more: it was that of older code, or of an older hub."""
        declared = {pattern for pattern, clients in self._declarers.items() if clients}
        if declared and self.rules.keep(declared):
            for client in tuple(self.clients):
                client.declare(self.rules.all())

    # Interest

    def subscribe(self, client: Client, topic: str, since: Position | None) -> None:
        """A process wants a topic."""
        first = self.broker.subscribe(client, topic)
        rule = self.rules.of(topic)
        if self.engine is None or self._joining is None or topic.startswith(PRESENT):
            client.past(topic, self._own_past(topic, rule, since, rule.history if since else 0))
            return
        if first and self._started:
            self.engine.follow({topic: rule})
        if first:
            self._watch(self._joining.begin(topic))
        away = bool(self._why)  # not up and no reason: it is being connected to for the first time
        if not rule.ordered or (since is None and away):
            self._joining.add(client, topic, wait=not away)
        else:
            self.spawn(self._catch_up(client, topic, rule, since), f"vivace-hub-past-{topic}")

    async def _catch_up(self, client: Client, topic: str, rule: Rule, since: Position | None) -> None:
        """Answer a process that wants a topic of the engine, as soon as that can be asked."""
        while client in self.clients:
            await self._ready.wait()
            try:
                past = await self._engine_past(topic, rule, since, rule.history if since else 1)
            except HubUnavailable:
                if since is None and self._joining is not None:
                    self._joining.add(client, topic, wait=False)
                    return
                await asyncio.sleep(_RETRY)
                continue
            if since is None:
                past = Past([], True, past.position)
            client.past(topic, past)
            return

    def unsubscribe(self, client: Client, topic: str) -> None:
        """A process does not want a topic any more."""
        if self._joining is not None:
            self._joining.leave(client, topic)
        if self.broker.unsubscribe(client, topic):
            self._unfollow([topic])

    def _unfollow(self, topics: list[str]) -> None:
        if self._joining is not None:
            self._joining.end(topics)
        if self.engine is not None and self._started:
            self.engine.unfollow([topic for topic in topics if not topic.startswith(PRESENT)])

    # Messages

    def send(self, client: Client, outgoing: Outgoing) -> None:
        """Publish a message that its own process has delivered to itself."""
        self.published += 1
        outgoing.rule, outgoing.origin = self.rules.of(outgoing.topic), self.origin
        if outgoing.rule.ordered:
            self._store(outgoing, client)
            return
        self._route_fast(outgoing, client)
        if self.engine is not None:
            self.spawn(self._publish_fast(outgoing), "vivace-hub-publish")

    def _route_fast(self, outgoing: Outgoing, client: Client | None) -> None:
        """Give a message to the processes of this machine, but for the one that has it."""
        stored = Stored(outgoing.topic, outgoing.payload, None, outgoing.id, self.origin, outgoing.exclude)
        self.broker.route(stored, client)

    async def _publish_fast(self, outgoing: Outgoing) -> None:
        try:
            await self._engine_publish(outgoing)
        except HubUnavailable:
            self.lost += not outgoing.topic.startswith(RESERVED)
            if outgoing.topic == CONTROL:
                logger.warning(
                    "who may stay in a group was not told to the other machines yet: %s", self._why
                )

    async def _engine_publish(self, outgoing: Outgoing) -> Position | None:
        assert self.engine is not None
        await self._ready.wait()
        return await self.engine.publish(outgoing)

    def publish(self, outgoing: Outgoing) -> "Position | asyncio.Future[Position | None] | None":
        """Publish a message and give its position, at once or, if an engine gives it, later."""
        self.published += 1
        outgoing.rule, outgoing.origin = self.rules.of(outgoing.topic), self.origin
        if outgoing.rule.ordered:
            if self.engine is None:
                return self._store(outgoing, None)
        else:
            self._route_fast(outgoing, None)
            if self.engine is None:
                return None
        return asyncio.ensure_future(self._engine_publish(outgoing))

    def _store(self, outgoing: Outgoing, client: Client | None) -> Position | None:
        if self.engine is not None:
            self.spawn(self._publish_fast(outgoing), "vivace-hub-publish")
            return None
        now = self.clock()
        stored = self.broker.publish(outgoing, now)
        if stored is None:
            return self.broker.position_of(outgoing.id)
        if self._keeper is not None:
            self._keeper.keep(now, stored)
        self.broker.route(stored, client)
        return stored.pos

    def past(self, topic: str, since: Position | None, limit: int) -> "Past | asyncio.Future[Past]":
        """What is kept of a topic, at once or, if an engine has it, later."""
        rule = self.rules.of(topic)
        if self.engine is None or not rule.ordered:
            return self._own_past(topic, rule, since, limit)
        return asyncio.ensure_future(self._engine_past(topic, rule, since, limit))

    def _own_past(self, topic: str, rule: Rule, since: Position | None, limit: int) -> Past:
        if not rule.ordered:
            return Past([], since is None, None)
        return self.broker.past(topic, since, limit, self.clock())

    async def _engine_past(self, topic: str, rule: Rule, since: Position | None, limit: int) -> Past:
        assert self.engine is not None
        past = await self.engine.history(topic, rule, since, limit)
        messages = [stored for stored in past.messages if not self.broker.is_copy(stored)]
        return Past(messages, past.complete, past.position)

    # What the engine says

    def deliver(self, stored: Stored) -> None:
        """Take a message of another machine, or one that has its position now."""
        self.received += 1
        if stored.topic.startswith(RESERVED):
            self._take_own(stored)
        elif stored.pos is None:
            if stored.origin != self.origin:
                self.broker.route(stored)
        elif not self.broker.is_copy(stored):
            self.broker.route(stored)

    def gap(self, topic: str, reason: str) -> None:
        """Messages of a topic were lost on the way."""
        if topic == PRESENCE:
            self.census.missed()
        elif topic == CONTROL:  # somebody may have been taken out meanwhile
            self._words.missed()
        else:
            self.broker.gap(topic, reason)

    def state(self, up: bool, why: str) -> None:
        """The engine is away, or is back."""
        if up and not self._up:
            self.census.learn()
            self._words.repeat(self.clock())
        self._up, self._why = up, why
        for client in tuple(self.clients):
            client.state(up, why)
        if not up:
            self.census.away()
        if not up and self._joining is not None:
            self._joining.give_up()

    def _take_own(self, stored: Stored) -> None:
        if stored.origin == self.origin:
            return
        if stored.topic == CONTROL:
            self._words.take(stored.payload, self.clock())
        elif stored.topic == PRESENCE:
            self.census.take(stored.payload)

    # Control and presence

    def control(self, client: Client, payload: bytes) -> None:
        """Tell every other process something."""
        self._words.say(client, payload, self.clock())

    def track(self, client: Client, topic: str, key: str, ref: str, meta: Any) -> None:
        """Somebody is present in a process of this machine."""
        self.presence.track(client, topic, key, ref, meta)
        self.census.changed()

    def untrack(self, client: Client, topic: str, key: str, ref: str) -> None:
        """Somebody is present no more."""
        self.presence.untrack(client, topic, key, ref)
        self.census.changed()

    def _tell_presence(self, topic: str, key: str, came: bool, meta: Any) -> None:
        """Tell the processes that want to know who comes and goes."""
        name = PRESENT + topic
        if self.broker.has_subscribers(name):
            self.broker.route(Stored(name, encode_payload([key, came, meta]), None))

    def publish_presence(self, payload: bytes) -> None:
        """See `Desk`."""
        self._publish_own(PRESENCE, payload)

    def _publish_own(self, topic: str, payload: bytes) -> None:
        if self.engine is not None and self._started:
            outgoing = Outgoing(topic, payload, _OWN, os.urandom(8).hex(), self.origin)
            self.spawn(self._publish_fast(outgoing), "vivace-hub-own")

    # Time

    def stats(self) -> dict[str, Any]:
        """Numbers of this hub."""
        engine = self.engine
        return {
            "processes": len(self.clients),
            "topics": len(self.broker.topics),
            "published": self.published,
            "received": self.received,
            "lost": self.lost,
            "kept": self.broker.kept_count,
            "kept_octets": self.broker.size,
            "present": self.presence.count,
            "hubs": self.presence.hubs + 1,
            "up": self._up,
            "engine_connections": 0 if engine is None else engine.connections,
        }

    def _sweep(self) -> None:
        self.broker.sweep(self.clock())
        self.later("sweep", _SWEEP, self._sweep)

    def later(self, name: str, delay: float, action: Callable[[], None]) -> None:
        """Do something after a while; what waits already under the name is enough."""
        if name in self._timers:
            return

        def run() -> None:
            self._timers.pop(name, None)
            action()

        self._timers[name] = asyncio.get_running_loop().call_later(delay, run)

    def spawn(self, coroutine: Any, name: str) -> None:
        """Do something beside."""
        self._watch(asyncio.get_running_loop().create_task(coroutine, name=name))

    def _watch(self, task: "asyncio.Task[None]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a step of the hub failed", exc_info=task.exception())


def _tell_followed(client: Client, topic: str) -> None:
    client.past(topic, Past([], True, None))
