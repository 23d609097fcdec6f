"""What a server tells of itself: counts, the requests in progress, and each one that begins."""

import asyncio

import pytest

from tests.server.support import Running, hello, running, until
from vivace.protocols.stream import Stream
from vivace.server.durations import CLASSES, DURATIONS
from vivace.server.state import Tally


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def test_requests_are_noted_as_they_begin_unless_they_are_as_before() -> None:
    noted: list[tuple[str, bytes]] = []
    async with running(hello) as server:
        server.server.watch(lambda method, path: noted.append((method, path)))
        client = await server.connect()
        for request in (get("/a"), get("/a"), get("/a?b=1"), get("/b"), get("/a"), get("/a", "OPTIONS")):
            await client.send(request)
            await client.read_response()
        await client.close()
    assert noted == [("GET", b"/a"), ("GET", b"/b"), ("GET", b"/a"), ("OPTIONS", b"/a")]


async def test_who_is_in_progress_is_told() -> None:
    release = asyncio.Event()

    async def held(stream: Stream) -> None:
        await release.wait()
        await hello(stream)

    async with running(held) as server:
        assert server.server.streams() == []
        client = await server.connect()
        await client.send(get("/a"))
        await until(lambda: server.server.active == 1)
        (stream,) = server.server.streams()
        assert stream.head.path == b"/a"
        release.set()
        await client.read_response()
        await client.close()
        assert server.server.streams() == []


async def test_errors_are_counted() -> None:
    async def fail(stream: Stream) -> None:
        if stream.head.path == b"/raise":
            raise RuntimeError("a fault")
        stream.respond(int(stream.head.path[1:]), (), b"")

    async with running(fail) as server:
        for path in ("/200", "/404", "/499", "/500", "/503", "/raise"):
            client = await server.connect()
            await client.send(get(path))
            await client.read_response()
            await client.close()
        assert (server.server.served, server.server.errors) == (6, 3)


def answers(server: Running) -> dict[str, int]:
    """What was counted of statuses, without what is 0."""
    assert server.server.tally is not None
    counted = zip(CLASSES, server.server.tally.answers, strict=True)
    return {name: count for name, count in counted if count}


async def test_answers_are_counted_by_class() -> None:
    async def answer(stream: Stream) -> None:
        stream.respond(int(stream.head.path[1:]), (), b"")

    async with running(answer) as server:
        server.server.watch(lambda _method, _path: None)
        for path in ("/200", "/204", "/301", "/404", "/499", "/500", "/599", "/600"):
            client = await server.connect()
            await client.send(get(path))
            await client.read_response()
            await client.close()
        await server.exchange(b"no request\r\n\r\n")
        assert answers(server) == {"2xx": 2, "3xx": 1, "4xx": 3, "5xx": 3}
        tally = server.server.tally
        assert tally is not None
        assert sum(tally.took) == 8  # what is no request takes no time
        assert 0 < tally.seconds < 30


async def test_a_client_that_leaves_without_an_answer_is_counted_as_such() -> None:
    async def held(stream: Stream) -> None:
        await stream.wait_disconnected()

    async with running(held) as server:
        server.server.watch(lambda _method, _path: None)
        client = await server.connect()
        await client.send(get("/"))
        await until(lambda: server.server.active == 1)
        client.reset()
        await until(lambda: server.server.active == 0)
        assert answers(server) == {"none": 1}


async def test_who_is_turned_away_is_counted() -> None:
    release = asyncio.Event()

    async def held(stream: Stream) -> None:
        await release.wait()
        await hello(stream)

    async with running(held, MAX_CONCURRENT_REQUESTS=1) as server:
        server.server.watch(lambda _method, _path: None)
        client = await server.connect()
        await client.send(get("/"))
        await until(lambda: server.server.active == 1)
        assert b" 503 " in await server.exchange(get("/"))
        release.set()
        await client.read_response()
        assert answers(server) == {"2xx": 1, "5xx": 1}
        assert server.server.errors == 1


async def test_nothing_is_counted_or_timed_where_nobody_watches() -> None:
    seen: list[float] = []

    async def look(stream: Stream) -> None:
        seen.append(getattr(stream, "started_at", -1.0))
        await hello(stream)

    async with running(look) as server:
        client = await server.connect()
        await client.send(get("/"))
        await client.read_response()
        assert server.server.tally is None
    assert seen == [0.0]


@pytest.mark.parametrize("index", range(len(DURATIONS) - 1))
def test_a_duration_is_counted_up_to_its_bound(index: int) -> None:
    tally = Tally()
    tally.add(200, DURATIONS[index])
    tally.add(200, DURATIONS[index] * 1.0001)
    expected = [0] * len(DURATIONS)
    expected[index] = expected[index + 1] = 1
    assert tally.took == expected


def test_what_takes_for_ever_is_counted_behind_the_last_bound() -> None:
    tally = Tally()
    tally.add(200, 1e9)
    assert (tally.took[-1], tally.seconds) == (1, 1e9)
