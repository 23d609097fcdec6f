"""A native app behind the server: its listeners run in order, its requests are answered over real sockets."""

import asyncio
import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import pytest

from tests.server.support import until
from vivace import Request, Vivace, text
from vivace.config import Config
from vivace.interfaces.native import NativeInterface
from vivace.server import Server, bind_tcp


async def exchange(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    reply = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    return reply


@contextlib.contextmanager
def server_of(app: Vivace, **settings: object) -> Iterator[tuple[Server, int]]:
    config = Config()
    config.update({"ACCESS_LOG": False, **settings})
    (listener,) = bind_tcp("127.0.0.1", 0, 16)
    with listener:
        yield Server(NativeInterface(app), config, [listener]), listener.getsockname()[1]


async def test_listeners_run_around_the_requests_in_order() -> None:
    app = Vivace("order")
    seen: list[str] = []
    for stage in ("before_server_start", "after_server_start", "before_server_stop", "after_server_stop"):
        app.listener(stage)(lambda _app, _loop, stage=stage: seen.append(stage))

    @app.get("/")
    async def home(request: Request) -> object:
        seen.append("request")
        return text("ok")

    with server_of(app) as (server, port):
        await server.start()
        reply = await exchange(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await server.stop()
        assert reply.endswith(b"ok")
        assert seen == [
            "before_server_start",
            "after_server_start",
            "request",
            "before_server_stop",
            "after_server_stop",
        ]


async def test_a_listener_that_fails_stops_the_start() -> None:
    app = Vivace("broken")

    @app.before_server_start
    async def fails(app: Vivace) -> None:
        raise RuntimeError("no database")

    with server_of(app) as (server, _), pytest.raises(Exception, match="no database"):
        await server.start()


async def test_a_route_added_in_a_listener_is_served() -> None:
    app = Vivace("late")

    @app.before_server_start
    async def add(app: Vivace) -> None:
        app.add_route(late, "/late")

    async def late(request: Request) -> object:
        return text("late")

    with server_of(app) as (server, port):
        await server.start()
        reply = await exchange(port, b"GET /late HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await server.stop()
        assert reply.endswith(b"late")


async def test_response_timeout_is_answered_by_the_apps_own_error_handler() -> None:
    app = Vivace("slow")
    cancelled = asyncio.Event()

    @app.get("/")
    async def slow(request: Request) -> object:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return text("never")

    with server_of(app, RESPONSE_TIMEOUT=0.1) as (server, port):
        await server.start()
        reply = await exchange(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await server.stop()
        assert reply.startswith(b"HTTP/1.1 503 ")
        assert b"Response Timeout" in reply
        assert cancelled.is_set()


async def test_requests_have_contexts_of_their_own() -> None:
    user: ContextVar[str] = ContextVar("user", default="nobody")
    app = Vivace("contexts")
    waiting = asyncio.Event()

    @app.get("/<name>")
    async def who(request: Request, name: str) -> object:
        before = user.get()
        user.set(name)
        if name == "first":
            await waiting.wait()
        return text(f"{before} {user.get()}")

    with server_of(app) as (server, port):
        await server.start()
        first = asyncio.create_task(
            exchange(port, b"GET /first HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        )
        await until(lambda: server.active == 1)
        second = await exchange(port, b"GET /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        waiting.set()
        assert second.endswith(b"nobody second")
        assert (await first).endswith(b"nobody first")
        await server.stop()
