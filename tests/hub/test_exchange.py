"""The hub of a machine with an engine: two machines, and a server between them that goes away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.hub.fake_engine import FakeEngine, Server
from tests.hub.peers import Client
from vivace.errors import HubUnavailable
from vivace.hub import Hub, Message, Position, Subscription, joining, ledger, places
from vivace.hub import exchange as exchange_module
from vivace.hub.exchange import Exchange
from vivace.hub.limits import Limits
from vivace.hub.records import Rule, Stored


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def machine(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[str], Hub]]:
    """Makes the hub of a machine, which has one process."""

    def exchange(url: str | None, limits: Limits, name: str) -> Exchange:
        return Exchange(FakeEngine(server, url or ""))

    monkeypatch.setattr(places, "make_exchange", exchange)
    made: list[Hub] = []

    def make(name: str) -> Hub:
        hub = Hub(name, limits=Limits(linger=0.0))
        hub.topic("room:*", delivery="resume", history=5)
        made.append(hub)
        return hub

    yield make
    for hub in made:
        await hub.stop()


async def take(messages: Subscription, count: int) -> list[Any]:
    async with asyncio.timeout(5):
        got = [await anext(messages) for _ in range(count)]
    return [item.data if isinstance(item, Message) else item.reason for item in got]


async def test_messages_cross_machines_and_only_those_that_want_them(
    server: Server, machine: Callable[[str], Hub]
) -> None:
    one, two, three = machine("one"), machine("two"), machine("three")
    await three.start()
    async with two.subscribe("fast") as fast, two.subscribe("room:1") as ordered:
        await one.publish("fast", 1)
        assert await take(fast, 1) == [1]
        position = await one.publish("room:1", 2)
        assert await take(ordered, 1) == [2]
        assert position == Position("server", position.offset if position else 0)
    assert [one for one in server.sent if not one[1].startswith("$")] == [("two", "fast"), ("two", "room:1")]


async def test_a_machine_gets_its_own_messages_once(server: Server, machine: Callable[[str], Hub]) -> None:
    one = machine("one")
    async with one.subscribe("fast") as fast, one.subscribe("room:1") as ordered:
        for number in range(3):
            await one.publish("fast", number)
            await one.publish("room:1", number)
        assert await take(fast, 3) == [0, 1, 2]
        assert await take(ordered, 3) == [0, 1, 2]
        await asyncio.sleep(0.01)
        assert one.stats()["delivered"] == 6


async def test_a_message_that_is_stored_twice_comes_once(
    server: Server, machine: Callable[[str], Hub]
) -> None:
    one = machine("one")
    async with one.subscribe("room:1") as ordered:
        await one.publish("room:1", 1)
        again = server.kept["room:1"][0]
        twice = Stored(again.topic, again.payload, Position("server", 900), again.id, again.origin)
        server.engines[0].arrive(twice)
        await one.publish("room:1", 2)
        assert await take(ordered, 2) == [1, 2]
    server.kept["room:1"].insert(1, twice)
    async with one.subscribe("room:1", history=5) as ordered:
        assert await take(ordered, 2) == [1, 2]


async def test_a_copy_is_known_from_the_past_too(server: Server) -> None:
    """A hub that was killed gives its processes the past; then comes what its sender stored again."""
    exchange, client = Exchange(FakeEngine(server, "one")), Client()
    await exchange.start()
    exchange.attach(client)
    exchange.declare(client, [Rule("a", "resume", 5)])
    first = Stored("a", b"x", Position("server", 1), "id", "other")
    server.kept["a"] = [first]
    exchange.subscribe(client, "a", Position("server", 0))
    while not client.pasts:
        await asyncio.sleep(0)
    server.engines[0].arrive(Stored("a", b"x", Position("server", 2), "id", "other"))
    assert client.got == []
    server.engines[0].arrive(first)  # overlaps with the past: the process knows it by its position
    assert client.got == [first]
    await exchange.stop()


async def test_the_past_is_the_engines(server: Server, machine: Callable[[str], Hub]) -> None:
    one, two = machine("one"), machine("two")
    positions = [await one.publish("room:1", number) for number in range(8)]
    async with two.subscribe("room:1", since=positions[4]) as ordered:
        assert ordered.recovered is True
        assert await take(ordered, 3) == [5, 6, 7]
    async with two.subscribe("room:1", since=positions[0]) as ordered:
        assert ordered.recovered is False
        assert await take(ordered, 1) == ["history: what was missed is not kept any more"]
    async with two.subscribe("room:1", history=2) as ordered:
        assert await take(ordered, 2) == [6, 7]


async def test_while_the_engine_is_away_this_machine_is_served(
    server: Server, machine: Callable[[str], Hub], caplog: pytest.LogCaptureFixture
) -> None:
    one, two = machine("one"), machine("two")
    async with one.subscribe("fast") as near, two.subscribe("fast") as far:
        server.turn(up=False)
        assert one.up is False
        assert "groups reach this machine only: away" in caplog.text
        await one.publish("fast", 1)
        assert await take(near, 1) == [1]
        with pytest.raises(HubUnavailable, match="the engine is away"):
            await one.publish("room:1", 1)
        async with one.subscribe("room:1"):
            pass
        server.turn(up=True)
        assert await asyncio.to_thread(lambda: one.up)
        await one.publish("fast", 2)
        assert await take(near, 2) == ["engine: it was away", 2]
        assert await take(far, 2) == ["engine: it was away", 2]
        assert (await one.ask_stats())["lost"] == 1


async def test_presence_crosses_machines(server: Server, machine: Callable[[str], Hub]) -> None:
    one = machine("one")
    await one.track("room", 7, "x")
    two = machine("two")  # it comes later, and asks
    async with asyncio.timeout(5):
        while await two.presence("room") != {"7": ["x"]}:
            await asyncio.sleep(0.01)
        await one.untrack("room", 7)
        await two.track("room", 8, "y")
        while await two.presence("room") != {"8": ["y"]} or await one.presence("room") != {"8": ["y"]}:
            await asyncio.sleep(0.01)
        await two.stop()
        while await one.presence("room"):
            await asyncio.sleep(0.01)


async def test_who_is_present_is_known_at_once_and_here_when_the_engine_is_away(
    server: Server, machine: Callable[[str], Hub]
) -> None:
    one = machine("one")
    await one.track("room", 7, "x")
    async with asyncio.timeout(30):
        while not any(roll.joins for roll in server.rolls.values()):
            await asyncio.sleep(0.01)
    assert await machine("two").presence("room") == {"7": ["x"]}
    server.turn(up=False)
    three = machine("three")
    await three.track("room", 8, "y")
    async with asyncio.timeout(30):
        assert await three.presence("room") == {"8": ["y"]}
    server.rolls.clear()  # it came back without what it had kept
    server.turn(up=True)
    async with asyncio.timeout(30):
        while len(await one.presence("room")) < 2 or len(server.rolls) < 3:
            await asyncio.sleep(0.01)
    everybody = await machine("four").presence("room")
    assert everybody == {"7": ["x"], "8": ["y"]}


async def test_a_server_that_does_not_write_down_who_is_present_is_told_once(
    server: Server,
    machine: Callable[[str], Hub],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuse(engine: FakeEngine, roll: object) -> bool:
        raise HubUnavailable("no rights")

    monkeypatch.setattr(FakeEngine, "keep_present", refuse)
    one, two = machine("one"), machine("two")
    await two.start()
    async with asyncio.timeout(30):
        for key in ("7", "8"):
            await one.track("room", key, "x")
            while key not in await two.presence("room"):
                await asyncio.sleep(0.01)
    assert caplog.text.count("not written down: no rights") == 2  # by each machine


async def test_who_may_stay_is_said_to_every_machine(server: Server, machine: Callable[[str], Hub]) -> None:
    one, two = machine("one"), machine("two")
    heard: list[Any] = []
    one.on_control(heard.append)
    two.on_control(heard.append)
    await two.start()
    await one.revoke(user=7, topic="room")
    await asyncio.sleep(0.01)
    assert heard == [("revoke", "7", "room")] * 2
    await two.revoke(user=7, topic="room")  # the same once more is another word
    await asyncio.sleep(0.01)
    assert heard == [("revoke", "7", "room")] * 4


async def test_a_machine_that_missed_who_was_taken_out_is_told_once_and_asks_again(
    server: Server, machine: Callable[[str], Hub], caplog: pytest.LogCaptureFixture
) -> None:
    one, two = machine("one"), machine("two")
    heard: list[Any] = []
    two.on_control(heard.append)
    await one.start()
    await two.start()
    server.turn(up=False)
    await one.revoke(user=7)
    await asyncio.sleep(0.01)
    assert heard == []
    assert "was not told to the other machines yet" in caplog.text
    server.turn(up=True)
    assert heard == [("recheck", None, None)]
    async with asyncio.timeout(30):
        while len(heard) < 2:
            await asyncio.sleep(0.01)
    server.turn(up=True)  # another gap
    await asyncio.sleep(0.01)
    assert heard == [("recheck", None, None), ("revoke", "7", None), ("recheck", None, None)]


async def test_a_machine_whose_own_connection_broke_asks_what_was_said(
    server: Server, machine: Callable[[str], Hub]
) -> None:
    one, two = machine("one"), machine("two")
    heard: list[Any] = []
    two.on_control(heard.append)
    await one.start()
    await two.start()
    far = next(engine for engine in server.engines if engine.name == "two")
    followed, far.topics = far.topics, {}
    await one.revoke(user=7)
    await asyncio.sleep(0.01)
    assert heard == []
    far.topics = followed
    assert far.sink is not None
    far.sink.gap("$control", "engine: it was away")
    async with asyncio.timeout(30):
        while len(heard) < 2:
            await asyncio.sleep(0.01)
    assert heard == [("recheck", None, None), ("revoke", "7", None)]


async def test_a_process_that_comes_late_is_told_what_was_said_lately() -> None:
    now = 1000.0
    exchange, one, two = Exchange(clock=lambda: now), Client(), Client()
    exchange.attach(one)
    for number in range(ledger.MOST + 1):
        exchange.control(one, b"\x92\xa1r%c" % (number % 128) + str(number).encode())
    assert one.words == []
    exchange.attach(two)
    assert len(two.words) == ledger.MOST
    exchange.control(one, two.words[-1])
    assert len(two.words) == ledger.MOST
    now += ledger.KEPT
    three = Client()
    exchange.attach(three)
    assert three.words == []


async def test_on_one_machine_nobody_has_to_be_told_who_is_present() -> None:
    exchange, client = Exchange(), Client()
    await exchange.start()
    exchange.attach(client)
    for number in range(3):
        exchange.track(client, "room", "7", str(number), None)
        exchange.untrack(client, "room", "7", str(number))
    assert not exchange.presence.changed  # what is kept for others would grow for ever
    await exchange.stop()


async def test_a_process_that_comes_back_while_the_engine_is_away_waits_for_its_past(server: Server) -> None:
    exchange, client = Exchange(FakeEngine(server, "one")), Client()
    await exchange.start()
    exchange.attach(client)
    exchange.declare(client, [Rule("a", "resume", 5)])
    server.turn(up=False)
    exchange.subscribe(client, "a", Position("server", 0))
    await asyncio.sleep(0.05)
    assert client.pasts == []
    server.turn(up=True)
    async with asyncio.timeout(5):
        while not client.pasts:
            await asyncio.sleep(0.01)
    exchange.detach(client)
    assert "a" not in server.engines[0].topics
    await exchange.stop()


async def test_a_rule_that_nobody_declares_any_more_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, make_hub: Callable[..., Hub]
) -> None:
    """New code has other rules: while some process declares rules at all, those of the old one go."""
    monkeypatch.setattr(exchange_module, "RULES_KEPT", 0.05)
    old, new, other = make_hub(), make_hub(), make_hub()
    old.topic("room:*", delivery="resume")
    new.topic("price:*", delivery="latest")
    for hub in (old, new, other):
        await hub.start()
    assert other.rules.of("room:1").ordered
    await old.stop()
    async with asyncio.timeout(5):
        while other.rules.of("room:1").ordered or new.rules.of("room:1").ordered:
            await asyncio.sleep(0.01)
    assert other.rules.of("price:x").ordered
    await new.stop()
    await asyncio.sleep(0.15)
    assert other.rules.of("price:x").ordered  # nobody is there who could know better


async def joined(server: Server) -> tuple[Exchange, Client]:
    """A hub whose engine does not confirm yet that it follows anything, and a process of it."""
    exchange, client = Exchange(FakeEngine(server, "one")), Client()
    await exchange.start()
    exchange.attach(client)
    server.answers.clear()
    return exchange, client


async def until(done: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not done():
            await asyncio.sleep(0.005)


async def test_who_joins_is_answered_when_the_engine_follows_the_topic(server: Server) -> None:
    exchange, client = await joined(server)
    for topic in ("fast", "fast", "left"):
        exchange.subscribe(client, topic, None)
    exchange.unsubscribe(client, "left")
    await asyncio.sleep(0.02)
    assert client.pasts == []
    server.answers.set()
    await until(lambda: len(client.pasts) == 2)
    exchange.subscribe(client, "fast", None)  # it is followed: nothing to wait for
    assert len(client.pasts) == 3
    assert client.got == []
    await exchange.stop()


async def test_a_topic_that_is_left_and_joined_again_waits_anew(server: Server) -> None:
    exchange, client = await joined(server)
    exchange.subscribe(client, "fast", None)
    exchange.unsubscribe(client, "fast")
    exchange.subscribe(client, "fast", None)
    other = Client()
    exchange.attach(other)
    exchange.subscribe(other, "fast", None)
    exchange.detach(other)
    server.answers.set()
    await until(lambda: client.pasts)
    await asyncio.sleep(0.02)
    assert (len(client.pasts), other.pasts) == (1, [])
    await exchange.stop()


async def test_who_joins_while_the_engine_is_silent_waits_for_so_long_and_has_a_gap_then(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "_RETRY", 0.01)
    exchange, client = await joined(server)
    server.engines[0].patience = 0.05
    exchange.subscribe(client, "fast", None)
    await asyncio.sleep(0)
    assert client.pasts == []
    await until(lambda: client.pasts)
    assert client.got == []
    server.answers.set()
    await until(lambda: client.got)
    assert [gap.reason for gap in client.got] == [joining._LATE]
    await exchange.stop()


async def test_who_joins_before_the_engine_goes_away_does_not_wait_for_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "_RETRY", 0.01)
    exchange, client = await joined(server)
    exchange.subscribe(client, "fast", None)
    server.turn(up=False)
    assert len(client.pasts) == 1
    exchange.subscribe(client, "later", None)
    assert len(client.pasts) == 2
    await asyncio.sleep(0.02)
    server.up = True
    server.answers.set()
    await until(lambda: len(client.got) == 2)
    assert {(gap.topic, gap.reason) for gap in client.got} == {
        (topic, joining._LATE) for topic in ("fast", "later")
    }
    await exchange.stop()
