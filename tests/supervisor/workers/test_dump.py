"""What a worker tells of what it does, and how much of it at most."""

import asyncio
import threading
from typing import Any, cast

import pytest

from vivace.protocols.events import RequestReceived
from vivace.server.stream import Stream
from vivace.supervisor.workers import dump
from vivace.supervisor.workers.dump import LONGEST_DUMP, MOST_TASKS, describe_worker


async def wait_here(event: asyncio.Event) -> None:
    await event.wait()


def make_stream(path: bytes, task: "asyncio.Task[Any] | None") -> Stream:
    head = RequestReceived(
        "GET", path, path, b"q=secret", "1.1", None, b"x", -1, False, False, True, False, False, b""
    )
    stream = Stream(cast("Any", None), head, None)
    stream.task = task
    return stream


async def described(loop: asyncio.AbstractEventLoop, streams: dict[Stream, float]) -> str:
    """From another thread, as it is done."""
    return await asyncio.to_thread(describe_worker, loop, streams)


async def test_requests_tasks_and_threads_are_told() -> None:
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    own = loop.create_task(wait_here(event), name="vivace-request")
    other = loop.create_task(wait_here(event), name="cleaner")
    await asyncio.sleep(0)
    text = await described(loop, {make_stream(b"/a", own): loop.time() - 5, make_stream(b"/b", None): 0.0})
    assert text.index("GET /b") < text.index("GET /a for 5.")
    assert text.count("in wait_here") == 2
    assert "task 'cleaner'" in text
    assert "task 'vivace-request'" not in text
    assert f"thread '{threading.main_thread().name}'" in text
    assert "secret" not in text
    event.set()
    await asyncio.gather(own, other)


async def test_there_are_never_more_than_so_many() -> None:
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(wait_here(event), name=f"many-{n}") for n in range(MOST_TASKS + 20)]
    await asyncio.sleep(0)
    streams = {make_stream(b"/%d" % n, None): loop.time() for n in range(MOST_TASKS + 20)}
    text = await described(loop, streams)
    assert text.count("\ntask 'many-") <= MOST_TASKS
    assert text.count("\nGET /") == MOST_TASKS
    assert text.startswith(f"{MOST_TASKS + 20} requests, ")
    event.set()
    await asyncio.gather(*tasks)


async def test_it_is_cut_and_a_task_that_cannot_be_seen_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> str:
        raise RuntimeError("moved")

    monkeypatch.setattr(dump, "await_chain", fail)
    loop = asyncio.get_running_loop()
    text = await described(loop, {make_stream(b"/" + b"x" * LONGEST_DUMP, None): 0.0})
    assert len(text) == LONGEST_DUMP
    assert "cannot be seen: RuntimeError('moved')" in await described(loop, {})
