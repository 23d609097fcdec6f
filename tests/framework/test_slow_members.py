"""Clients of groups that do not read: what waits is bounded, then the rule that was chosen acts."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.server.support import Running, serving, until
from tests.server.ws_support import HANDSHAKE, Peer
from vivace import Request, Vivace, Websocket
from vivace.framework.groups.fanout import fanout_of
from vivace.interfaces.native import NativeInterface

LARGE = b"x" * 65_536


@asynccontextmanager
async def group(
    settings: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[Vivace, Running]]:
    """A server whose WebSockets join a group; it sends nothing else."""
    app = Vivace("app", configure_logging=False)
    app.config.update(settings or {})
    app.config.update({"ACCESS_LOG": False, "HUB_LINGER": 0.0, "WEBSOCKET_CLOSE_TIMEOUT": 0.2})

    @app.websocket("/ws")
    async def handler(request: Request, ws: Websocket) -> None:
        await ws.join("room", **options)
        async for _ in ws:
            pass

    async with serving(NativeInterface(app), app.config) as server:
        yield app, server


async def join(app: Vivace, server: Running) -> Peer:
    client = await server.connect()
    await client.send(HANDSHAKE + b"\r\n")
    peer = Peer(client, await client.read_head())
    await until(lambda: len(fanout_of(app.hub).outlets) > 0)
    return peer


async def fill(app: Vivace, count: int, data: Any = LARGE) -> None:
    for _ in range(count):
        await app.hub.publish("room", data)
        await asyncio.sleep(0)


async def test_2000_large_messages_to_a_client_that_never_reads() -> None:
    async with group() as (app, server):
        received = [0]
        quick = asyncio.create_task(count_messages(await join(app, server), received))
        await join(app, server)
        await until(lambda: len(fanout_of(app.hub).outlets) == 2)
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            peak = 0
            for number in range(2_000):
                await app.hub.publish("room", LARGE)
                while received[0] <= number:
                    await asyncio.sleep(0)
                if len(fanout_of(app.hub).outlets) == 2:
                    peak = max(peak, tracemalloc.get_traced_memory()[0] - before)
            assert peak <= 1_048_576 + 4 * len(LARGE), "what is on its way to the client that reads, beside"
        finally:
            tracemalloc.stop()
        assert len(fanout_of(app.hub).outlets) == 1, "the slow one is out, the quick one is in"
        quick.cancel()
        await asyncio.gather(quick, return_exceptions=True)


async def count_messages(peer: Peer, received: list[int]) -> None:
    while True:
        await peer.recv()
        received[0] += 1


@pytest.mark.parametrize("options", [{"max_bytes": 200_000}, {"max_queue": 3}])
async def test_who_is_too_slow_is_told_1013(options: dict[str, Any]) -> None:
    async with group(**options) as (app, server):
        peer = await join(app, server)
        await fill(app, 400)
        assert fanout_of(app.hub).outlets == {}
        codes: list[tuple[int, str]] = []
        while not codes:
            event = await peer.recv()
            if not isinstance(event, bytes):
                codes.append((event.code, event.reason))
        assert codes[0][0] == 1013
        assert "too slow" in codes[0][1]


@pytest.mark.parametrize("by", ["option", "setting"])
@pytest.mark.parametrize(("most", "too_slow"), [(3 * 65_536, False), (3 * 65_536 - 1, True)])
async def test_the_edge_of_the_octets_that_may_wait(by: str, most: int, too_slow: bool) -> None:
    options: dict[str, Any] = {"max_bytes": most}
    if by == "setting":
        options = {"settings": {"GROUP_BUFFER_SIZE": most}}
    async with group(**options) as (app, server):
        await join(app, server)
        (outlet,) = fanout_of(app.hub).outlets.values()
        while not outlet.queued:
            await fill(app, 1)
        await fill(app, 2)
        assert outlet.closed is too_slow


async def read_until(peer: Peer, last: Any) -> list[Any]:
    found: list[Any] = []
    while not found or found[-1] != last:
        found.append(await peer.recv())
    return found


async def test_the_oldest_are_left_out_and_the_client_is_told() -> None:
    async with group(on_slow="drop_oldest", max_queue=4, positions=True) as (app, server):
        peer = await join(app, server)
        (outlet,) = fanout_of(app.hub).outlets.values()
        for number in range(400):
            await app.hub.publish("room", [number, "x" * 65_536])
            await asyncio.sleep(0)
        assert outlet.dropped > 0
        await app.hub.publish("room", "end")
        found = await read_until(peer, '{"topic":"room","data":"end"}')
        gaps = [message for message in found if '"gap"' in message]
        numbers = [int(message.split("[")[1].split(",")[0]) for message in found if "[" in message]
        assert gaps == [f'{{"topic":"room","gap":"slow: {outlet.dropped} messages were left out"}}']
        assert numbers == sorted(numbers)
        assert numbers[-3:] == [397, 398, 399]
        assert len(numbers) + outlet.dropped == 400


async def test_only_the_newest_of_each_key_waits() -> None:
    options: dict[str, Any] = {
        "on_slow": "conflate",
        "max_queue": 10,
        "key": lambda message: message.data["k"],
    }
    async with group(**options) as (app, server):
        peer = await join(app, server)
        (outlet,) = fanout_of(app.hub).outlets.values()
        for number in range(400):
            await app.hub.publish("room", {"k": number % 3, "n": number, "x": "x" * 65_536})
            await asyncio.sleep(0)
        assert not outlet.closed
        assert outlet.dropped == 0
        await app.hub.publish("room", {"k": "end"})
        found = await read_until(peer, '{"k":"end"}')
        last = [int(message.split('"n":')[1].split(",")[0]) for message in found[-4:-1]]
        assert last == [397, 398, 399]
        assert len(found) < 400


async def test_what_waits_goes_with_the_group_that_is_left() -> None:
    async with group(on_slow="drop_oldest") as (app, server):
        peer = await join(app, server)
        (outlet,) = fanout_of(app.hub).outlets.values()
        while not outlet.queued:
            await fill(app, 1)
        outlet.members["room"].leave()
        assert outlet.queued == 0
        assert len(await peer.recv()) == len(LARGE)


async def test_a_client_that_catches_up_gets_all_in_order() -> None:
    async with group(max_queue=1_000, max_bytes=100_000_000) as (app, server):
        peer = await join(app, server)
        for number in range(300):
            await app.hub.publish("room", [number, "x" * 30_000])
            await asyncio.sleep(0)
        numbers: list[int] = []
        while len(numbers) < 300:
            numbers.append(int((await peer.recv()).split("[")[1].split(",")[0]))
        assert numbers == list(range(300))
        await app.hub.publish("room", "after")
        assert await peer.recv() == "after"
