"""What every engine does, whatever its server is; see `vivace.hub.engine`."""

import asyncio
import functools
import socket

import pytest

from tests.hub.engines.lab import FAST, LATEST, PATIENCE, QUICK, RESUME, Lab, Machine, empty, until
from tests.services.postgres import Postgres
from tests.services.redis import RedisServer
from vivace.errors import HubUnavailable
from vivace.hub.engines import Timing, make_engine
from vivace.hub.engines.upkeep import CallName
from vivace.hub.records import Outgoing, Position, Roll, Rule

SERVERS = {"redis": "redis_server", "postgres": "postgres", "nats": "nats_server"}


PATIENT = QUICK._replace(patience=PATIENCE, ping_after=PATIENCE, ping_timeout=PATIENCE)
"""Nothing is cut here, and a busy machine is no lost connection."""


def fresh(request: pytest.FixtureRequest) -> str:
    """Where a server is that has forgotten all topics."""
    server = request.getfixturevalue(SERVERS[request.param])
    if isinstance(server, RedisServer):
        server.ask("FLUSHALL")
    elif isinstance(server, Postgres):
        empty(server)
    return str(server.url)


@pytest.fixture(params=SERVERS)
def url(request: pytest.FixtureRequest) -> str:
    """Where a server of each kind is."""
    return fresh(request)


@pytest.fixture(params=["redis", "postgres"])
def ordered(request: pytest.FixtureRequest) -> str:
    """Where a server of each kind is that keeps orders."""
    return fresh(request)


@pytest.fixture(name="lab")
def patient_lab(lab: Lab) -> Lab:
    """Machines that take no delay for a loss."""
    return functools.partial(lab, timing=PATIENT)


async def test_a_message_reaches_the_machines_that_follow_its_topic(url: str, lab: Lab) -> None:
    one, two, three = [await (await lab(url, name)).up() for name in "abc"]
    await two.follow("room:1", "room:2")
    await three.follow("room:2")
    assert await one.send("room:1", b"first", exclude="ws-7") is None
    await one.send("room:2", b"second")
    await until(lambda: len(two.got) == 2 and three.got)
    assert [(m.topic, m.payload, m.pos, m.id, m.origin, m.exclude) for m in two.got] == [
        ("room:1", b"first", None, "a-1", "a", "ws-7"),
        ("room:2", b"second", None, "a-2", "a", None),
    ]
    assert three.payloads("room:2") == [b"second"]
    assert three.payloads("room:1") == []
    assert one.got == []


async def test_a_hub_without_a_name_waits_for_it_and_not_for_long(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CallName, "PATIENCE", 0.1)
    for told, called in (("shop@late/hub", "shop@late/hub"), ("", f"vivace@{socket.gethostname()}/hub")):
        machine = Machine(make_engine(redis_server.url, name="", timing=PATIENT), "a")
        await machine.engine.start(machine)
        if told:
            machine.engine.rename(told)
        await machine.up()
        machine.engine.rename("celery@other/hub")
        assert [client["name"] for client in await asyncio.to_thread(redis_server.clients)] == [called] * 2
        await machine.engine.stop()
        while await asyncio.to_thread(redis_server.clients):
            await asyncio.sleep(0.01)


async def test_what_is_not_followed_any_more_does_not_come(url: str, lab: Lab) -> None:
    one, two = [await (await lab(url, name)).up() for name in "ab"]
    await two.follow("room", "other")
    two.engine.unfollow(["room", "never followed"])
    await one.send("room", b"lost")
    await one.send("other", b"kept")
    await until(lambda: two.got)
    assert two.payloads("room") == []
    await two.follow("room")
    await one.send("room", b"again")
    await until(lambda: two.payloads("room"))


async def test_a_topic_that_is_left_and_followed_at_once_is_followed(url: str, lab: Lab) -> None:
    one, two = [await (await lab(url, name)).up() for name in "ab"]
    for _ in range(5):
        two.engine.follow({"room": FAST})
        await asyncio.sleep(0)
        two.engine.unfollow(["room"])
    await two.follow("room")
    await one.send("room", b"here")
    await until(lambda: two.got)


async def test_what_comes_after_a_topic_is_followed_is_not_missed(url: str, lab: Lab) -> None:
    one, two = [await (await lab(url, name)).up() for name in "ab"]
    for number in range(20):
        topic = f"room:{number}"
        two.engine.follow({topic: FAST})
        await two.engine.followed(topic)
        await one.send(topic, b"here")
    await until(lambda: len(two.got) == 20)
    await two.engine.followed("room:0")
    await two.engine.followed("never followed")


@pytest.mark.parametrize("scheme", SERVERS)
async def test_a_topic_is_not_followed_where_no_server_is(scheme: str) -> None:
    engine = make_engine(f"{scheme}://127.0.0.1:1", timing=Timing(patience=0.05))
    engine.follow({"room": FAST})
    with pytest.raises(HubUnavailable, match="topic 'room' is not followed yet"):
        await engine.followed("room")
    engine.unfollow(["room"])
    await engine.followed("room")
    await engine.stop()


async def test_names_and_payloads_are_any_octets(url: str, lab: Lab) -> None:
    machine = await (await lab(url)).up()
    names = ["räume/ 1.>*", "{a}b", "x" * 200, "a\\'\"%", "$presence", "}"]
    payload = bytes(range(256)) * 300
    await machine.follow(*names)
    for name in names:
        await machine.send(name, payload)
    await until(lambda: len(machine.got) == len(names))
    assert {one.topic for one in machine.got} == set(names)
    assert {one.payload for one in machine.got} == {payload}


async def test_two_prefixes_are_two_worlds(url: str, lab: Lab) -> None:
    one, two = await lab(url, prefix="shop"), await lab(url, prefix="blog")
    await one.follow("room")
    await two.follow("room")
    await one.send("room", b"for shop")
    await two.send("room", b"for blog")
    await until(lambda: one.got and two.got)
    assert (one.payloads("room"), two.payloads("room")) == ([b"for shop"], [b"for blog"])


async def test_many_topics_are_followed_in_batches(url: str, lab: Lab) -> None:
    one, two = [await (await lab(url, name)).up() for name in "ab"]
    topics = [f"room:{number}" for number in range(1500)]
    two.engine.follow(dict.fromkeys(topics, FAST))
    await asyncio.gather(*(two.engine.followed(topic) for topic in topics))
    await asyncio.gather(*(one.send(topic, b"x") for topic in topics[::100]))
    await until(lambda: len(two.got) == 15)


async def test_a_message_without_a_server_waits_and_is_refused_then() -> None:
    timing = Timing(patience=0.2, outbox=3)
    engine = make_engine("redis://127.0.0.1:1", timing=timing)
    outgoing = Outgoing("room", b"x", FAST, "id", "me")
    waiting = [asyncio.ensure_future(engine.publish(outgoing)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(HubUnavailable, match="3 messages wait already, this one was not published"):
        await engine.publish(outgoing)
    for one in waiting:
        with pytest.raises(HubUnavailable, match="the message was not published"):
            await one
    assert not engine.up
    await engine.stop()


async def test_what_waits_is_sent_when_the_server_comes(url: str, lab: Lab) -> None:
    two = await (await lab(url, "b")).up()
    await two.follow("room")
    one = await lab(url, "a")
    await asyncio.gather(*(one.send("room", b"%d" % number) for number in range(50)))
    await until(lambda: len(two.got) == 50)
    assert two.payloads("room") == [b"%d" % number for number in range(50)]


async def test_a_stop_sends_what_waits(url: str, lab: Lab) -> None:
    two = await (await lab(url, "b")).up()
    await two.follow("room")
    one = await (await lab(url, "a")).up()
    sending = asyncio.ensure_future(one.send("room", b"last words"))
    await asyncio.sleep(0)
    await one.engine.stop()
    await sending
    await until(lambda: two.got)


# Topics with an order


async def test_all_machines_see_one_order_with_the_sender_among_them(ordered: str, lab: Lab) -> None:
    machines = [await (await lab(ordered, name)).up() for name in "abc"]
    for machine in machines:
        await machine.follow("room", rule=RESUME)
    positions = await asyncio.gather(
        *(machine.send("room", b"%d" % number, RESUME) for number in range(20) for machine in machines)
    )
    assert len({one.epoch for one in positions if one}) == 1
    assert sorted(one.offset for one in positions if one) == list(range(1, 61))
    for machine in machines:
        await until(lambda machine=machine: len(machine.got) == 60)  # type: ignore[misc]
        assert [m.pos for m in machine.got] == [
            Position(m.pos.epoch, n + 1) for n, m in enumerate(machine.got) if m.pos
        ]
        assert [m.id for m in machine.got] == [m.id for m in machines[0].got]


async def test_the_history_is_what_came_after_a_position(ordered: str, lab: Lab) -> None:
    machine = await (await lab(ordered)).up()
    rule = Rule("*", "resume", 5, 60.0)
    empty = await machine.engine.history("room", rule, None, 10)
    assert (empty.messages, empty.complete, empty.position) == ([], True, None)
    positions = [await machine.send("room", b"%d" % number, rule, exclude="e") for number in range(1, 9)]
    last = positions[-1]
    assert last is not None
    past = await machine.engine.history("room", rule, Position(last.epoch, 5), 10)
    assert [(m.topic, m.payload, m.id, m.origin, m.exclude) for m in past.messages] == [
        ("room", b"%d" % number, f"a-{number}", "a", "e") for number in (6, 7, 8)
    ]
    assert ([m.pos for m in past.messages], past.complete, past.position) == (positions[5:], True, last)
    newest = await machine.engine.history("room", rule, None, 2)
    assert [m.payload for m in newest.messages] == [b"7", b"8"]
    nothing = await machine.engine.history("room", rule, last, 10)
    assert (nothing.messages, nothing.complete, nothing.position) == ([], True, last)


async def test_a_history_that_lacks_something_says_so_and_gives_nothing(ordered: str, lab: Lab) -> None:
    machine = await (await lab(ordered)).up()
    rule = Rule("*", "resume", 5, 60.0)
    last = [await machine.send("room", b"%d" % number, rule) for number in range(1, 9)][-1]
    assert last is not None
    for since, limit in (
        (Position(last.epoch, 2), 10),  # 3 is not kept any more
        (Position(last.epoch, 3), 4),  # kept, but more than was asked for
        (Position("another", 7), 10),
        (Position(last.epoch, 9), 10),  # has never been
    ):
        past = await machine.engine.history("room", rule, since, limit)
        assert (past.messages, past.complete, past.position) == ([], False, last), (since, limit)
    complete = await machine.engine.history("room", rule, Position(last.epoch, 3), 5)
    assert len(complete.messages) == 5
    unknown = await machine.engine.history("nothing", rule, last, 5)
    assert (unknown.messages, unknown.complete, unknown.position) == ([], False, None)


async def test_of_the_latest_only_one_is_kept(ordered: str, lab: Lab) -> None:
    machine = await (await lab(ordered)).up()
    for number in range(3):
        await machine.send("price", b"%d" % number, LATEST)
    past = await machine.engine.history("price", LATEST, None, 10)
    assert [m.payload for m in past.messages] == [b"2"]


async def test_history_and_what_comes_live_meet(ordered: str, lab: Lab) -> None:
    one, two = [await (await lab(ordered, name)).up() for name in "ab"]
    running, number = True, 0

    async def talk() -> int:
        nonlocal number
        while running:
            number += 1
            await one.send("room", b"%d" % number, RESUME)
        return number

    talking = asyncio.ensure_future(talk())
    await until(lambda: number > 5)
    two.engine.follow({"room": RESUME})
    past = await two.engine.history("room", RESUME, None, 100_000)
    read = number
    await until(lambda: number > read + 5)
    running = False
    total = await talking
    await until(lambda: two.got and two.got[-1].payload == b"%d" % total)
    seen = {m.payload for m in past.messages} | {m.payload for m in two.got}
    newest = int(past.messages[0].payload)
    assert seen == {b"%d" % number for number in range(newest, total + 1)}
    offsets = [m.pos.offset for m in two.got if m.pos]
    assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))


def test_the_loop_of_the_server_is_as_good(url: str) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def talk() -> None:
        one, two = [Machine(make_engine(url, timing=PATIENT), name) for name in "ab"]
        for machine in (one, two):
            await machine.engine.start(machine)
        try:
            await two.follow("room")
            await one.send("room", b"x" * 100_000)
            await until(lambda: two.got)
        finally:
            await one.engine.stop()
            await two.engine.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(talk())


async def test_who_is_present_is_written_down_with_its_changes(ordered: str, lab: Lab) -> None:
    one, two = [await (await lab(ordered, name)).up() for name in "ab"]
    ann, bob = ("room:\xe9", 'a"n\n', "r1"), ("room", "bob", "r2")
    assert await one.engine.keep_present(Roll("h1", 3, [(*ann, b"x"), (*bob, b"y")], [], True, 60.0))
    assert await two.engine.keep_present(Roll("h2", 1, [], [], True, 60.0))
    again = Roll("h1", 4, [(*ann, b"z"), ("room", "eve", "r3", b"")], [bob], False, 60.0)
    for _ in range(2):  # it is sent twice when its answer was lost
        assert await one.engine.keep_present(again)
    assert await one.engine.keep_present(Roll("h1", 4, [], [], False, 60.0))  # word of life
    h1, h2 = sorted(await two.engine.present())
    assert (h1.hub, h1.version, h1.whole, sorted(h1.joins)) == (
        "h1",
        4,
        True,
        [("room", "eve", "r3", b""), (*ann, b"z")],
    )
    assert 30 < h1.kept <= 60
    assert (h2.hub, h2.joins) == ("h2", [])


async def test_what_builds_on_nothing_is_refused_and_the_whole_replaces_all(ordered: str, lab: Lab) -> None:
    engine = (await (await lab(ordered)).up()).engine
    assert not await engine.keep_present(Roll("h1", 1, [], [], False, 60.0))
    assert await engine.keep_present(Roll("h1", 1, [("room", "ann", "r1", b"x")], [], True, 60.0))
    assert not await engine.keep_present(Roll("h1", 3, [("room", "bob", "r2", b"x")], [], False, 60.0))
    assert await engine.keep_present(Roll("h1", 3, [("room", "bob", "r2", b"y")], [], True, 60.0))
    (roll,) = await engine.present()
    assert (roll.version, roll.joins) == (3, [("room", "bob", "r2", b"y")])
    assert await engine.keep_present(Roll("h1", 3, [], [], True, 0.0))
    assert await engine.present() == []


async def test_whom_a_silent_hub_spoke_for_ends_by_itself(ordered: str, lab: Lab) -> None:
    engine = (await (await lab(ordered)).up()).engine
    many = [("room", str(number), "r", b"x") for number in range(3000)]
    assert await engine.keep_present(Roll("long", 1, many, [], True, 60.0))
    assert await engine.keep_present(Roll("short", 1, [("room", "ann", "r1", b"x")], [], True, 0.2))
    async with asyncio.timeout(30):
        while len(rolls := await engine.present()) > 1:
            await asyncio.sleep(0.02)
    assert (rolls[0].hub, sorted(rolls[0].joins)) == ("long", sorted(many))
    assert not await engine.keep_present(Roll("short", 1, [], [], False, 60.0))


async def test_a_server_that_keeps_nothing_says_so(nats_server: object, lab: Lab) -> None:
    engine = (await lab(nats_server.url)).engine  # type: ignore[attr-defined]
    assert engine.mirrors is False
    assert await engine.keep_present(Roll("h1", 1, [], [], False, 60.0))
    assert await engine.present() == []
