"""An engine whose server is an object, which goes away when it is told to."""

import asyncio
from collections.abc import Iterable, Mapping
from itertools import count

from vivace.errors import HubUnavailable
from vivace.hub.engine import Sink
from vivace.hub.records import Outgoing, Past, Position, Roll, Rule, Stored


class Server:
    """What stands between the machines."""

    def __init__(self) -> None:
        self.engines: list[FakeEngine] = []
        self.kept: dict[str, list[Stored]] = {}
        self.offsets = count(1)
        self.sent: list[tuple[str, str]] = []
        """Which message was delivered to which machine."""
        self.rolls: dict[str, Roll] = {}
        """Who is present, by hub; nothing ends by itself here."""
        self.up = True
        self.answers = asyncio.Event()
        """Not set: who follows a topic does so only when this is set."""
        self.answers.set()

    def turn(self, up: bool) -> None:
        """Go away, or come back."""
        self.up = up
        for engine in self.engines:
            engine.turn(up)

    def publish(self, outgoing: Outgoing) -> Position | None:
        """Take a message, and deliver it a moment later."""
        position = Position("server", next(self.offsets)) if outgoing.rule.ordered else None
        stored = Stored(
            outgoing.topic, outgoing.payload, position, outgoing.id, outgoing.origin, outgoing.exclude
        )
        if position is not None:
            kept = self.kept.setdefault(outgoing.topic, [])
            kept.append(stored)
            del kept[: -outgoing.rule.history]
        for engine in self.engines:
            if outgoing.topic in engine.topics and self.answers.is_set():
                asyncio.get_running_loop().call_soon(engine.arrive, stored)
        return position


class FakeEngine:
    """An `Engine`."""

    mirrors = True

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self.topics: dict[str, Rule] = {}
        self.sink: Sink | None = None
        self.connections = 2
        self.patience = 5.0

    @property
    def up(self) -> bool:
        return self.server.up

    def rename(self, name: str) -> None:
        self.name = name or self.name

    async def start(self, sink: Sink) -> None:
        self.sink = sink
        self.server.engines.append(self)
        sink.state(self.server.up, "" if self.server.up else "away")

    async def stop(self) -> None:
        self.server.engines.remove(self)

    def turn(self, up: bool) -> None:
        assert self.sink is not None
        self.sink.state(up, "" if up else "away")
        if up:
            for topic, rule in self.topics.items():
                if not rule.ordered:
                    self.sink.gap(topic, "engine: it was away")

    def follow(self, topics: Mapping[str, Rule]) -> None:
        self.topics.update(topics)

    def unfollow(self, topics: Iterable[str]) -> None:
        for topic in topics:
            self.topics.pop(topic, None)

    def arrive(self, stored: Stored) -> None:
        if stored.topic in self.topics and self.sink is not None:
            self.server.sent.append((self.name, stored.topic))
            self.sink.deliver(stored)

    async def followed(self, topic: str) -> None:
        self._check()
        if topic in self.topics:
            try:
                async with asyncio.timeout(self.patience):
                    await self.server.answers.wait()
            except TimeoutError:
                raise HubUnavailable("the engine does not answer") from None

    async def publish(self, outgoing: Outgoing) -> Position | None:
        self._check()
        await asyncio.sleep(0)
        return self.server.publish(outgoing)

    async def keep_present(self, roll: Roll) -> bool:
        self._check()
        rolls, old = self.server.rolls, self.server.rolls.get(roll.hub)
        if not roll.kept:
            rolls.pop(roll.hub, None)
        elif roll.whole:
            rolls[roll.hub] = roll
        elif old is None or roll.version - old.version not in (0, 1):
            return False
        else:
            joins = {join[:3]: join for join in [*old.joins, *roll.joins] if join[:3] not in roll.leaves}
            rolls[roll.hub] = roll._replace(joins=list(joins.values()), whole=True)
        return True

    async def present(self) -> list[Roll]:
        self._check()
        return list(self.server.rolls.values())

    async def history(self, topic: str, rule: Rule, since: Position | None, limit: int) -> Past:
        self._check()
        await asyncio.sleep(0)
        kept = self.server.kept.get(topic, [])
        position = kept[-1].pos if kept else None
        if since is None:
            return Past(kept[-limit:], True, position)
        missed = [stored for stored in kept if stored.pos and stored.pos.offset > since.offset]
        complete = bool(kept) and kept[0].pos is not None and kept[0].pos.offset <= since.offset + 1
        return Past(missed if complete else [], complete, position)

    def _check(self) -> None:
        if not self.server.up:
            raise HubUnavailable("the engine is away")
