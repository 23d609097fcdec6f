"""WSGI calls on the loop's thread: in a row, answered in a row, and never held back for long."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.interfaces.wsgi_support import TEXT, Environ, StartResponse, ask, is_closed, request, serving
from tests.server.support import Client, until
from vivace.interfaces import inline


async def test_calls_of_one_turn_are_answered_together() -> None:
    running = 0
    seen: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        nonlocal running
        assert not running
        running += 1
        seen.append(environ["PATH_INFO"])
        running -= 1
        start_response("200 OK", TEXT)
        return [environ["PATH_INFO"].encode()]

    async with serving(app, 0) as started:
        answers = await asyncio.gather(*(ask(started, request(f"/{n}")) for n in range(30)))
    assert [body for _, _, body in answers] == [f"/{n}".encode() for n in range(30)]
    assert sorted(seen) == sorted(f"/{n}" for n in range(30))


async def test_an_answer_does_not_wait_for_calls_behind_a_slow_one() -> None:
    times: dict[str, float] = {}

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        time.sleep(0.005)
        times[environ["PATH_INFO"]] = time.monotonic()
        start_response("200 OK", TEXT)
        return [b"ok"]

    async def arrival(client: Client) -> float:
        await client.read_response()
        return time.monotonic()

    async with serving(app, 0) as started:
        clients = [await started.connect() for _ in range(30)]
        for n, client in enumerate(clients):
            client.writer.write(request(f"/{n}"))
        arrivals = await asyncio.gather(*(arrival(client) for client in clients))
    # The first has its answer before the last was even called.
    assert min(arrivals) < max(times.values())


async def test_a_turn_is_bounded_by_time_not_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inline, "TURN", 0.0)

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", TEXT)
        return [b"ok"]

    async with serving(app, 0) as started:
        answers = await asyncio.gather(*(ask(started, request()) for _ in range(20)))
    assert [status for status, _, _ in answers] == [200] * 20


async def test_a_client_that_left_before_its_turn_is_not_called_for() -> None:
    seen: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        seen.append(environ["PATH_INFO"])
        start_response("200 OK", TEXT)
        return [b"ok"]

    async with serving(app, 0) as started:
        client = await started.connect()
        await client.send(request("/upload", "POST", "Content-Length: 5") + b"half")
        await until(lambda: started.server.active == 1)
        client.reset()
        await until(lambda: started.server.active == 0)
        await ask(started, request("/next"))
    assert seen == ["/next"]


async def test_a_streamed_answer_is_cut_by_a_forced_stop() -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        while True:
            yield b"x" * 1000

    async with serving(app, 0, GRACEFUL_SHUTDOWN_TIMEOUT=0.1) as started:
        client = await started.connect()
        await client.send(request())
        await client.read_head()
        stopping = asyncio.create_task(started.server.stop())
        assert await is_closed(client)
        await stopping
