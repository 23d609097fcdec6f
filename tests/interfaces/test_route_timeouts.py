"""Routes with a time-out of their own: the client has its 503 in time, and nobody else notices."""

import asyncio
import logging
import math
import re
import threading
import time
from typing import Any

import pytest

from tests.interfaces.guest_support import GuestServer, make_scope
from tests.interfaces.test_native import exchange, server_of
from tests.server.support import until
from vivace import Blueprint, Request, Vivace, text
from vivace.compat.sanic.app import Sanic
from vivace.errors import ConfigError
from vivace.protocols.threads import late_workers

LATEST = 1.0
"""Seconds after the time-out by which a client has its answer on a machine that does other things as well.

That it is 0.2 s by the clock of the server is for `tests/server/test_timeouts.py` to say.
"""


def ask(path: str, method: str = "GET", body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def timed(port: int, data: bytes) -> tuple[int, float]:
    begun = time.monotonic()
    reply = await exchange(port, data)
    return int(reply.split(b" ", 2)[1]), time.monotonic() - begun


async def never(request: Request, **_: Any) -> object:
    await asyncio.Event().wait()
    return text("never")


@pytest.mark.parametrize("access_log", [True, False])
async def test_a_late_handler_is_503_in_time_and_its_neighbours_go_on(
    access_log: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = Vivace("late")
    part = Blueprint("part", url_prefix="/part")
    app.get("/never", timeout=0.3)(never)
    part.post("/<name>", timeout=0.3)(never)
    app.blueprint(part)

    @app.get("/slow")
    async def slow(request: Request) -> object:
        await asyncio.sleep(0.6)
        return text("well")

    with server_of(app, ACCESS_LOG=access_log) as (server, port):
        await server.start()
        found = await asyncio.gather(
            timed(port, ask("/never")),
            timed(port, ask("/part/x", "POST", b"body")),
            timed(port, ask("/slow")),
        )
        await server.stop()
    assert [status for status, _ in found] == [503, 503, 200]
    assert all(0.3 <= took < 0.3 + LATEST for status, took in found if status == 503)
    lines = [line for line in caplog.messages if re.search(r"had no answer after 0\.[34] s", line)]
    assert len(lines) == 2
    assert "in never" in lines[0]
    assert not [line for line in lines if "dispatch.py" in line or "connection.py" in line]


async def test_it_may_be_longer_than_response_timeout_or_none_at_all() -> None:
    app = Vivace("patient")

    async def slow(request: Request) -> object:
        await asyncio.sleep(0.5)
        return text("well")

    app.get("/limited", name="one")(slow)
    app.get("/longer", name="two", timeout=5)(slow)
    app.get("/endless", name="three", timeout=0)(slow)
    app.post("/endless", name="four", timeout=0)(slow)
    with server_of(app, RESPONSE_TIMEOUT=0.2) as (server, port):
        await server.start()
        found = await asyncio.gather(
            timed(port, ask("/limited")),
            timed(port, ask("/longer")),
            timed(port, ask("/endless")),
            timed(port, ask("/endless", "POST", b"x")),
        )
        await server.stop()
    assert [status for status, _ in found] == [503, 200, 200, 200]


async def test_the_time_stands_while_the_client_sends_its_body() -> None:
    app = Vivace("upload")

    @app.post("/", stream=True, timeout=0.3)
    async def upload(request: Request) -> object:
        while await request.stream.read():
            pass
        if request.args:
            await asyncio.Event().wait()
        return text("well")

    async def send_slowly(port: int, target: bytes) -> tuple[int, float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n" % target)
        for _ in range(5):
            await asyncio.sleep(0.12)
            writer.write(b"x")
        sent = time.monotonic()
        line = await reader.readline()
        took = time.monotonic() - sent
        writer.close()
        await writer.wait_closed()
        return int(line.split()[1]), took

    with server_of(app) as (server, port):
        await server.start()
        well, late = await asyncio.gather(send_slowly(port, b"/"), send_slowly(port, b"/?stop=1"))
        await server.stop()
    assert well[0] == 200
    assert late[0] == 503
    assert 0.29 <= late[1] < 0.3 + LATEST


async def test_a_handler_in_a_thread_is_answered_for_and_its_thread_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    released = threading.Event()
    app = Vivace("threads")

    @app.get("/blocked/<number>", timeout=0.3)
    def blocked(request: Request, number: str) -> object:
        released.wait(30)
        return text("never")

    @app.get("/free")
    async def free(request: Request) -> object:
        return text("well")

    app.config.THREADS = 1
    with server_of(app) as (server, port):
        await server.start()
        assert (await timed(port, ask("/blocked/1")))[0] == 503
        assert [one.describe() for one in late_workers()] == ["vivace-handler_0: GET /blocked/1"]
        assert (await timed(port, ask("/free")))[0] == 200
        status, took = await timed(port, ask("/blocked/2"))
        released.set()
        await until(lambda: not late_workers())
        assert (await timed(port, ask("/blocked/3")))[0] == 200
        await server.stop()
    assert (status, took < 0.3 + LATEST) == (503, True)
    first, second = [line for line in caplog.messages if "had no answer" in line]
    assert "vivace-handler_0 goes on with it" in first
    assert "in blocked" in first
    assert "released.wait(30)" in first
    assert "it waited for one of 1 threads, which were busy (vivace-handler_0: GET /blocked/1)" in second
    assert "GET /blocked/1 came to its end after its time-out; its thread is free again" in caplog.text


async def test_a_handler_that_tidies_up_may_take_its_time_but_its_client_need_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Vivace("tidy")
    tidied = asyncio.Event()

    @app.get("/", timeout=0.2)
    async def tidy(request: Request) -> object:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.5)
            tidied.set()
        return text("never")

    with server_of(app) as (server, port):
        await server.start()
        status, took = await timed(port, ask("/"))
        assert not tidied.is_set()
        await asyncio.wait_for(tidied.wait(), 30)
        await server.stop()
    assert status == 503
    assert took < 0.2 + LATEST
    assert "GET / does not end at once: answered in its place" in caplog.text
    assert "exception in" not in caplog.text


async def test_a_response_that_has_begun_is_not_cut() -> None:
    app = Vivace("stream")

    @app.get("/", timeout=0.1)
    async def slow(request: Request) -> None:
        response = await request.respond()
        await response.send("begun ")
        await asyncio.sleep(0.5)
        await response.send("and ended")

    with server_of(app) as (server, port):
        await server.start()
        reply = await exchange(port, ask("/"))
        await server.stop()
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert b"and ended" in reply


async def test_it_holds_under_another_server_too(caplog: pytest.LogCaptureFixture) -> None:
    app = Vivace("guest")
    app.get("/", timeout=0.1)(never)
    server = GuestServer(make_scope())
    begun = time.monotonic()
    await server.run(app)
    assert server.status == 503
    assert time.monotonic() - begun < 0.1 + LATEST
    assert "in never" in caplog.text


@pytest.mark.parametrize("wrong", [-1, -0.5, math.nan, math.inf, "5", True, [1]])
def test_what_is_no_number_of_seconds_is_refused_where_it_is_declared(wrong: Any) -> None:
    app = Vivace("wrong")
    with pytest.raises(ConfigError, match=r"timeout=.* of the route '/x': expected a number of seconds"):
        app.get("/x", timeout=wrong)
    assert not app.route_specs


def test_routes_without_one_know_nothing_of_it() -> None:
    app = Vivace("plain")
    app.get("/plain", name="plain")(never)
    app.get("/none", name="none", timeout=None)(never)
    app.get("/some", name="some", timeout=2)(never)
    app.finalize()
    routes = {route.name: route for route in app.routes}
    assert [routes[f"plain.{name}"].timeout for name in ("plain", "none", "some")] == [None, None, 2.0]
    assert [routes[f"plain.{name}"].plain for name in ("plain", "none", "some")] == [True, True, False]
    assert not routes["plain.plain"].request_middleware


async def test_the_alias_for_sanic_takes_it_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    app = Sanic("alias")
    app.add_route(never, "/", timeout=0.1)
    with server_of(app) as (server, port):
        await server.start()
        reply = await exchange(port, ask("/"))
        await server.stop()
    assert reply.startswith(b"HTTP/1.1 503 ")
