"""Engines that die and come back under runners and schedulers: what was accepted is run, each slot once."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple

import pytest

from tests.services.postgres import Postgres
from tests.services.redis import StartRedis
from tests.tasks.conftest import spool_url
from vivace.config import Config
from vivace.tasks import SpoolUnavailable
from vivace.tasks.book import Book
from vivace.tasks.runner import Runner
from vivace.tasks.schedule import Cron
from vivace.tasks.scheduler import Scheduler

OUTAGES = 3
PATIENCE = 60.0


class Engine(NamedTuple):
    """A server that can die.

    Attributes:
        url: Of its spool.
        die: Kills it.
        revive: Starts it again, on the same disk.
    """

    url: str
    die: Callable[[], object]
    revive: Callable[[], object]


@pytest.fixture(params=["postgres", "redis"])
def engine(request: pytest.FixtureRequest, start_redis: StartRedis) -> Iterator[Engine]:
    if request.param == "redis":
        redis = start_redis(appendonly="yes", appendfsync="always")
        yield Engine(redis.url, lambda: redis.stop(signal.SIGKILL), redis.start)
        return
    server: Postgres = request.getfixturevalue("postgres")
    yield Engine(spool_url(request, server.folder), server.stop, server.start)


@pytest.fixture
def book(engine: Engine) -> Iterator[Book]:
    config = Config({"TASKS_URL": engine.url})
    made = Book("app", lambda: config)
    yield made
    made.close()


@asynccontextmanager
async def at_work(book: Book) -> AsyncIterator[None]:
    """A runner whose leases are short, and a scheduler."""
    runner = Runner(book, book.names(""), 10, 2.0)
    stopping = asyncio.Event()
    lives = [runner.run(stopping, 5.0), Scheduler(book).run(stopping)]
    tasks = [asyncio.create_task(life) for life in lives]
    try:
        yield
    finally:
        stopping.set()
        await asyncio.gather(*tasks)


async def fail_and_come_back(engine: Engine) -> None:
    for _ in range(OUTAGES):
        await asyncio.sleep(0.3)
        await asyncio.to_thread(engine.die)
        await asyncio.sleep(0.2)
        await asyncio.to_thread(engine.revive)


@pytest.mark.once
@pytest.mark.timeout(180)
async def test_what_was_accepted_is_run_and_each_slot_once(engine: Engine, book: Book) -> None:
    done: Counter[int] = Counter()
    seen: Counter[int] = Counter()
    accepted: list[int] = []
    refused = 0

    async def note(number: int) -> None:
        await asyncio.sleep(0.01)
        done[number] += 1

    def tick(slot: datetime) -> None:
        seen[int(slot.timestamp())] += 1

    task = book.declare(note, retries=20, backoff=0.01)
    book.declare_schedule(tick, Cron("* * * * * *"), overlap="allow", catch_up="all")
    async with at_work(book):
        outages = asyncio.create_task(fail_and_come_back(engine))
        number = 0
        while not outages.done():
            number += 1
            try:
                await task.enqueue(number)
                accepted.append(number)
            except SpoolUnavailable:
                refused += 1
            await asyncio.sleep(0.005)
        await outages
        last = int(time.time()) + 1
        async with asyncio.timeout(PATIENCE):
            while not (done.keys() >= set(accepted) and any(slot > last for slot in seen)):
                await asyncio.sleep(0.02)
    assert refused
    assert len(accepted) > 20
    # A slot whose run was cut off by the outage is over: retries is 0, so it is never begun twice.
    assert all(times == 1 for times in seen.values())
    assert set(done) <= set(range(1, number + 1))
