"""A server starts and stops in order, finishes what is in progress, and is never held up for ever."""

import asyncio
import socket

import pytest

from tests.server.support import TEXT, hello, running, until
from vivace.protocols.stream import Stream

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_the_interface_is_told_every_moment_in_order() -> None:
    async with running(hello) as server:
        assert server.interface.moments == ["before_start", "after_start"]
        await server.server.stop()
    assert server.interface.moments == ["before_start", "after_start", "before_stop", "after_stop"]


async def test_stop_finishes_the_request_in_progress_and_says_close() -> None:
    release = asyncio.Event()

    async def held(stream: Stream) -> None:
        await release.wait()
        await hello(stream)

    async with running(held) as server:
        client = await server.connect()
        await client.send(GET)
        await until(lambda: server.server.active == 1)
        stopping = asyncio.create_task(server.server.stop())
        await until(lambda: "before_stop" in server.interface.moments)
        release.set()
        reply = await client.read_all()
        await client.close()
        await asyncio.wait_for(stopping, 9)
    assert reply.endswith(b"hello /a")
    assert b"connection: close" in reply.lower()


async def test_stop_closes_idle_connections_at_once() -> None:
    async with running(hello) as server:
        client = await server.connect()
        await client.send(GET)
        await client.read_response()
        stopping = asyncio.create_task(server.server.stop())
        assert await client.read_all() == b""
        await client.close()
        await asyncio.wait_for(stopping, 9)


async def test_a_connection_that_waits_in_the_backlog_is_served_by_a_stopping_server() -> None:
    async with running(hello) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as queued:
            queued.sendall(GET)
            queued.setblocking(False)
            stopping = asyncio.create_task(server.server.stop())
            reply = await asyncio.get_running_loop().sock_recv(queued, 4096)
        await asyncio.wait_for(stopping, 9)
    assert reply.endswith(b"hello /a")
    assert b"connection: close" in reply.lower()


async def test_stop_is_bounded_by_the_graceful_timeout(caplog: pytest.LogCaptureFixture) -> None:
    cancelled = asyncio.Event()

    async def never(stream: Stream) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with running(never, GRACEFUL_SHUTDOWN_TIMEOUT=0.2) as server:
        client = await server.connect()
        await client.send(GET)
        await until(lambda: server.server.active == 1)
        await asyncio.wait_for(server.server.stop(), 9)
        assert cancelled.is_set()
        assert "the time to stop is over: 1 request cut: 'GET /a'" in caplog.text


async def test_force_stop_ends_the_waiting() -> None:
    async def never(stream: Stream) -> None:
        await asyncio.Event().wait()

    async with running(never, GRACEFUL_SHUTDOWN_TIMEOUT=60) as server:
        client = await server.connect()
        await client.send(GET)
        await until(lambda: server.server.active == 1)
        stopping = asyncio.create_task(server.server.stop())
        await until(lambda: "before_stop" in server.interface.moments)
        server.server.force_stop()
        await asyncio.wait_for(stopping, 9)


async def test_a_streaming_response_is_cut_visibly_at_the_end_of_the_graceful_time() -> None:
    async def streams(stream: Stream) -> None:
        stream.start(200, TEXT)
        await stream.send(b"part")
        await asyncio.Event().wait()

    async with running(streams, GRACEFUL_SHUTDOWN_TIMEOUT=0.2) as server:
        client = await server.connect()
        await client.send(GET)
        await client.reader.readuntil(b"part\r\n")
        await asyncio.wait_for(server.server.stop(), 9)
        assert b"0\r\n\r\n" not in await _rest(client)


async def _rest(client: object) -> bytes:
    try:
        return await client.read_all()  # type: ignore[attr-defined, no-any-return]
    except ConnectionError:
        return b""


async def test_a_failing_stop_listener_does_not_stop_the_stop(caplog: pytest.LogCaptureFixture) -> None:
    async with running(hello) as server:

        async def fails() -> None:
            raise RuntimeError("broken listener")

        server.interface.before_stop = fails
        await asyncio.wait_for(server.server.stop(), 9)
        assert server.interface.moments[-1] == "after_stop"
        assert "broken listener" in caplog.text
