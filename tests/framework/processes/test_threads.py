"""Services and pools from threads: what a WSGI app that is mounted has of them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.supervisor.serving import Serving, until
from vivace import DeadlineExceeded, QueueFull, Vivace, WorkerDied
from vivace.framework.processes import local

APP = """
from vivace import Vivace

app = Vivace("beside")


@app.service(max_queue=1)
async def counter(service):
    async for number in service.messages:
        with open("got", "a") as file:
            print(number, file=file)


@app.pool
def double(number: int) -> int:
    return 2 * number


@app.pool
def count(most: int):
    yield from range(most)


def old(environ, start_response):
    counter.send_sync(7)
    start_response("200 OK", [("content-type", "text/plain")])
    return [repr([double.call_sync(21), count.call_sync(3)]).encode()]


@app.get("/plain")
def plain(request):
    return {"is": double.call_sync(4)}


app.mount("/old", old)
"""


def test_a_wsgi_app_and_a_plain_handler_reach_them(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(APP)
    run = ("-m", "vivace", "run", "sample.py", "--port", "0", "--no-access-log")
    with Serving(run, tmp_path) as server:
        server.wait_for("Listening on")
        assert "[42, [0, 1, 2]]" in server.get("/old")
        until(lambda: (tmp_path / "got").exists() and (tmp_path / "got").read_text() == "7\n")
        assert '{"is":8}' in server.get("/plain")
        assert server.stop() == 0


@pytest.fixture
async def app() -> AsyncIterator[Vivace]:
    made = Vivace("beside")
    yield made
    await made._tasks.shut_down()


async def test_without_a_server_and_on_its_loop_it_is_refused(app: Vivace) -> None:
    @app.service
    async def counter(service: Any) -> None: ...

    with pytest.raises(
        WorkerDied, match="counter cannot be reached: no server of beside runs in this process"
    ):
        await asyncio.to_thread(counter.send_sync, 1)
    app.enter_groups()
    with pytest.raises(RuntimeError, match="this is the thread of the loop, where it is awaited"):
        counter.send_sync(1)


async def test_what_goes_wrong_is_the_same_in_a_thread(app: Vivace) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.service(max_queue=1)
    async def slow(service: Any) -> None:
        async for _ in service.messages:
            begun.set()
            await go_on.wait()

    app.enter_groups()
    await asyncio.to_thread(slow.send_sync, 1)
    await begun.wait()
    await asyncio.to_thread(slow.send_sync, 2)
    with pytest.raises(QueueFull):
        await asyncio.to_thread(slow.send_sync, 3)
    go_on.set()


async def test_a_loop_that_is_held_up_is_not_waited_for_without_end(
    app: Vivace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "LATE", -9.9)

    @app.pool(timeout=10.0)
    async def never() -> None:
        await asyncio.Event().wait()

    app.enter_groups()
    with pytest.raises(DeadlineExceeded, match="the loop of the server did not answer"):
        await asyncio.to_thread(never.call_sync)
