"""What a server tells of itself: counts, the requests in progress, and each one that begins."""

import asyncio

from tests.server.support import hello, running, until
from vivace.protocols.stream import Stream


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
