"""Whatever happens to a NATS: nothing is raised, what is lost is said once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.hub.engines.lab import FAST, RESUME, Lab, Traffic, until
from tests.services.nats import NatsServer
from vivace.errors import HubUnavailable
from vivace.hub.records import Position


async def test_a_restart_is_one_gap(nats_server: NatsServer, lab: Lab) -> None:
    one, two = [await (await lab(nats_server.url, name)).up() for name in "ab"]
    await two.follow("fast", "silent")
    assert one.engine.connections == 1
    async with Traffic(one, "fast", FAST) as fast:
        await until(lambda: len(two.got) > 20)
        await asyncio.to_thread(nats_server.stop)
        await until(lambda: not one.engine.up and not two.engine.up)
        await asyncio.to_thread(nats_server.start)
        count = len(two.got)
        await until(lambda: len(two.got) > count + 20)
    await until(lambda: two.payloads("fast")[-1] == fast.sent[-1])
    assert not fast.refused
    got = two.payloads("fast")
    assert got == sorted(set(got), key=int)
    assert sorted(topic for topic, _ in two.gaps) == ["fast", "silent"]
    assert two.gaps[0][1].startswith("engine: the connection to nats was lost for ")


async def test_a_frozen_server_is_noticed(nats_server: NatsServer, lab: Lab) -> None:
    one, two = [await (await lab(nats_server.url, name)).up() for name in "ab"]
    await two.follow("fast")
    nats_server.freeze()
    try:
        await until(lambda: not two.engine.up and not one.engine.up)
    finally:
        nats_server.thaw()
    await one.up()
    await two.up()
    await one.send("fast", b"x")
    await until(lambda: two.got)
    assert [topic for topic, _ in two.gaps] == ["fast"]


async def test_an_order_is_refused_in_words(nats_server: NatsServer, lab: Lab) -> None:
    machine = await (await lab(nats_server.url)).up()
    with pytest.raises(HubUnavailable, match="let HUB_URL name a Redis or a PostgreSQL"):
        await machine.send("room", b"x", RESUME)
    past = await machine.engine.history("room", RESUME, Position("e", 1), 10)
    assert (past.messages, past.complete) == ([], False)


async def test_a_server_that_is_not_there_is_explained(lab: Lab) -> None:
    machine = await lab("nats://me:secret@127.0.0.1:1")
    await until(lambda: machine.problems)
    assert machine.problems[0].startswith("nats at nats://me:***@127.0.0.1:1: nothing listens there")


async def test_what_is_followed_is_so_at_the_server_however_its_octets_travel(
    nats_server: NatsServer, lab: Lab
) -> None:
    one = await (await lab(nats_server.url, "a")).up()
    async with _slow_way(nats_server.port) as url:
        two = await (await lab(url, "b")).up()
        two.engine.follow({"room": FAST})
        await two.engine.followed("room")
        await one.send("room", b"here")
        await until(lambda: two.got)
        await two.engine.stop()


@asynccontextmanager
async def _slow_way(port: int) -> AsyncIterator[str]:
    """A way to a server on which each command comes by itself, and the next one after the answer."""
    tasks: set[asyncio.Task[None]] = set()

    async def back(far: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        while octets := await far.read(65536):
            near.write(octets)

    async def meet(near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        far, far_out = await asyncio.open_connection("127.0.0.1", port)
        tasks.add(asyncio.create_task(back(far, near_out)))
        while octets := await near.read(65536):
            for piece in octets.splitlines(keepends=True):
                far_out.write(piece)
                await asyncio.sleep(0.05)
        far_out.close()
        near_out.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    try:
        yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_message_that_is_too_large_for_the_server_is_refused_and_nothing_else(
    nats_server: NatsServer, lab: Lab
) -> None:
    one, two = [await (await lab(nats_server.url, name)).up() for name in "ab"]
    await two.follow("fast")
    sending = [asyncio.create_task(one.send("fast", payload)) for payload in (b"a", bytes(1_048_576), b"b")]
    with pytest.raises(HubUnavailable, match=r"nats takes 1048576 octets \(max_payload\)"):
        await sending[1]
    await asyncio.gather(sending[0], sending[2])
    await until(lambda: two.payloads("fast") == [b"a", b"b"])
    assert one.problems == []
