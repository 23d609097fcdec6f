"""Two machines with a Redis between them: hubs are killed, connections cut, the server restarted.

What the engine alone does is tested in tests/hub/engines; here is the whole way, from a process of one
machine to a process of the other.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.hub.engines.lab import Machine, empty
from tests.hub.processes import HubProcess
from tests.services.postgres import postgres
from tests.services.redis import RedisServer, StartRedis, redis_server, start_redis
from vivace.hub import Gap, Hub, Message
from vivace.hub.engines import make_engine
from vivace.hub.limits import Limits

__all__ = ["postgres", "redis_server", "start_redis"]

MakeHub = Callable[..., Hub]
MakeProcess = Callable[..., HubProcess]
LIMITS = Limits(timeout=20.0)


def rules(hub: Hub) -> Hub:
    hub.topic("room:*", delivery="resume", history=10_000)
    return hub


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def beyond(said: list[int], count: int) -> bool:
    return len(said) > count


def texts(items: list[Any], topic: str) -> list[Any]:
    return [item.data for item in items if isinstance(item, Message) and item.topic == topic]


async def make_pair(
    server: RedisServer, make_process: MakeProcess, make_hub: MakeHub
) -> tuple[list[HubProcess], list[Hub]]:
    machines = [make_process(HUB_URL=server.url, HUB_TIMEOUT="20") for _ in range(2)]
    hubs = [rules(make_hub(machine.url, limits=LIMITS)) for machine in machines]
    for hub in hubs:
        await hub.start()
        while not (await hub.ask_stats())["up"]:
            await asyncio.sleep(0.02)
    return machines, hubs


@pytest.mark.once
async def test_an_ordered_topic_loses_nothing_whatever_is_killed(
    start_redis: StartRedis, make_process: MakeProcess, make_hub: MakeHub
) -> None:
    server = start_redis(appendonly="yes", appendfsync="always")
    machines, (one, two) = await make_pair(server, make_process, make_hub)
    got: list[Any] = []
    following = two.follow("room:1", got.append)
    await following.ready()
    said: list[int] = []
    go_on = True

    async def talk() -> None:
        while go_on:
            await one.publish("room:1", len(said))
            said.append(len(said))
            await asyncio.sleep(0.002)

    talking = asyncio.create_task(talk())
    await until(lambda: len(got) > 20)
    for kill in (machines[1].kill, machines[0].kill):
        kill()
        await asyncio.sleep(0.1)
        for machine in machines:
            if machine.process is None:
                machine.start()
        await until(partial(beyond, said, len(said) + 20))
    await asyncio.to_thread(server.kill_clients)
    await asyncio.to_thread(server.stop)
    await asyncio.sleep(0.2)
    await asyncio.to_thread(server.start)
    await until(partial(beyond, said, len(said) + 20))
    go_on = False
    await talking
    await until(lambda: len(texts(got, "room:1")) >= len(said))
    assert texts(got, "room:1") == said
    assert not [item for item in got if isinstance(item, Gap)]


async def test_a_machine_has_two_connections_and_gets_only_what_it_follows(
    redis_server: RedisServer, make_process: MakeProcess, make_hub: MakeHub
) -> None:
    machines, (one, two) = await make_pair(redis_server, make_process, make_hub)
    more = [make_hub(machines[0].url, limits=LIMITS) for _ in range(7)]  # eight workers
    for hub in more:
        await hub.start()
    got: list[Any] = []
    following = more[0].follow("fast", got.append)
    await following.ready()
    await asyncio.sleep(0.1)
    before = (await two.ask_stats())["received"]
    for number in range(50):
        await two.publish("fast", number)
    await until(lambda: len(got) == 50)
    assert (await one.ask_stats())["received"] >= 50
    assert (await two.ask_stats())["received"] - before <= 3  # words about presence, not one of the fifty
    for hub in (one, two):
        assert (await hub.ask_stats())["engine_connections"] == 2
    names = [client["name"] for client in await asyncio.to_thread(redis_server.clients)]
    assert len([name for name in names if name.endswith("/hub")]) == 4


async def test_who_may_not_stay_is_known_on_every_machine_within_100_ms(
    redis_server: RedisServer, make_process: MakeProcess, make_hub: MakeHub
) -> None:
    _, (one, two) = await make_pair(redis_server, make_process, make_hub)
    heard: asyncio.Queue[Any] = asyncio.Queue()
    two.on_control(heard.put_nowait)
    loop, times = asyncio.get_running_loop(), []
    for number in range(5):
        begin = loop.time()
        await one.revoke(user=number)
        async with asyncio.timeout(5):
            assert (await heard.get()).user == str(number)
        times.append(loop.time() - begin)
    assert min(times) < 0.1


async def test_presence_crosses_machines_and_leaves_with_a_killed_process(
    redis_server: RedisServer, make_process: MakeProcess, make_hub: MakeHub
) -> None:
    _, (one, two) = await make_pair(redis_server, make_process, make_hub)
    told: list[Any] = []
    await two.follow_presence("room:1", told.append).ready()
    await one.track("room:1", 7, {"name": "Ann"})
    async with asyncio.timeout(10):
        while await two.presence("room:1") != {"7": [{"name": "Ann"}]}:
            await asyncio.sleep(0.02)
        await one.stop()
        while await two.presence("room:1"):
            await asyncio.sleep(0.02)
    assert [(change.key, change.came) for change in told] == [("7", True), ("7", False)]


@pytest.fixture(params=["redis_server", "postgres"])
def server_url(request: pytest.FixtureRequest) -> str:
    """Where a server is that knows nobody."""
    server = request.getfixturevalue(request.param)
    if isinstance(server, RedisServer):
        server.ask("FLUSHALL")
    else:
        empty(server)
    return str(server.url)


async def test_who_comes_last_knows_everybody_at_once(
    server_url: str, make_process: MakeProcess, make_hub: MakeHub
) -> None:
    """A script asks once and ends: nobody gets the time to answer it."""
    one = make_hub(make_process(HUB_URL=server_url).url, limits=LIMITS)
    await one.track("room:1", 7, {"name": "Ann"})
    await one.track("room:1", 7, {"name": "Ann's telephone"})
    engine = make_engine(server_url)
    await engine.start(Machine(engine, "watch"))
    async with asyncio.timeout(30):
        while sum(len(roll.joins) for roll in await engine.present()) < 2:
            await asyncio.sleep(0.02)
    await engine.stop()
    for _ in range(3):
        script = make_hub(server_url, limits=LIMITS)
        assert await script.presence("room:1") == {"7": [{"name": "Ann"}, {"name": "Ann's telephone"}]}
        await script.stop()


async def test_a_machine_that_is_killed_takes_along_whom_it_spoke_for(
    server_url: str, make_process: MakeProcess, make_hub: MakeHub
) -> None:
    near, far = [make_process(HUB_URL=server_url, HUB_PRESENCE_TTL="2") for _ in range(2)]
    one, two = [make_hub(process.url, limits=LIMITS) for process in (near, far)]
    told: list[Any] = []
    await one.follow_presence("room:1", told.append).ready()
    await one.track("room:1", "here", 1)
    await two.track("room:1", "there", 2)
    async with asyncio.timeout(30):
        while await one.presence("room:1") != {"here": [1], "there": [2]}:
            await asyncio.sleep(0.02)
        far.kill()  # with everything on it
        while await one.presence("room:1") != {"here": [1]}:
            await asyncio.sleep(0.02)
        script = make_hub(server_url, limits=LIMITS)
        while await script.presence("room:1") != {"here": [1]}:
            await asyncio.sleep(0.02)
    there = [change.came for change in told if change.key == "there"]
    assert (there[0], there[-1]) == (True, False)


async def test_a_hub_that_is_killed_and_made_again_counts_nobody_twice(
    server_url: str, make_process: MakeProcess, make_hub: MakeHub
) -> None:
    near, far = [make_process(HUB_URL=server_url) for _ in range(2)]
    one, two = [make_hub(process.url, limits=LIMITS) for process in (near, far)]
    await one.track("room:1", 7, "Ann")
    tracked = await one.track("room:1", 8, "Bob")
    async with asyncio.timeout(30):
        while await two.presence("room:1") != {"7": ["Ann"], "8": ["Bob"]}:
            await asyncio.sleep(0.02)
        hubs = (await two.ask_stats())["hubs"]
        near.kill()
        near.start()
        while (await two.ask_stats())["hubs"] == hubs:  # the one that was killed is not known to be gone
            await asyncio.sleep(0.02)
        assert await two.presence("room:1") == {"7": ["Ann"], "8": ["Bob"]}
        await one.untrack(tracked)
        while await two.presence("room:1") != {"7": ["Ann"]}:
            await asyncio.sleep(0.02)
        assert await one.presence("room:1") == {"7": ["Ann"]}
