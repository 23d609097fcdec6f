"""The thread that speaks with the spool: what waits together goes together, nobody fails for others."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tasks.conftest import START
from vivace.tasks.clerk import MOST, Clerk
from vivace.tasks.errors import SpoolUnavailable
from vivace.tasks.records import NewTask
from vivace.tasks.spool import Spool
from vivace.tasks.sqlite import SqliteSpool


class Counting(SqliteSpool):
    """Counts its transactions."""

    transactions = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.transactions += 1
        with super().transaction():
            yield


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Counting]:
    made = Counting(tmp_path / "tasks.sqlite3")
    yield made
    made.close()


@pytest.fixture
def clerk(spool: Counting) -> Iterator[Clerk]:
    spool.transactions = 0
    made = Clerk(lambda: spool)
    yield made
    made.close()


def put(spool: Spool) -> int:
    return spool.enqueue([NewTask("a")], START)[0].id


async def test_what_waits_together_is_one_transaction(clerk: Clerk, spool: Counting) -> None:
    numbers = await asyncio.gather(*[clerk.do(put) for _ in range(2 * MOST)])
    assert sorted(numbers) == list(range(1, 2 * MOST + 1))
    assert spool.transactions < 50


async def test_nobody_fails_for_his_neighbour(clerk: Clerk) -> None:
    def wrong(spool: Spool) -> int:
        put(spool)
        raise ValueError("mine alone")

    results = await asyncio.gather(clerk.do(put), clerk.do(wrong), clerk.do(put), return_exceptions=True)
    assert [type(result) for result in results] == [int, ValueError, int]
    assert len(await clerk.do(lambda spool: spool.select("", "", "", 10), reads=True)) == 2


async def test_a_spool_that_cannot_be_opened_is_tried_again_each_time(spool: Counting) -> None:
    opened: list[int] = []

    def open_it() -> Spool:
        opened.append(1)
        if len(opened) < 3:
            raise SpoolUnavailable("not yet")
        return spool

    clerk = Clerk(open_it)
    for _ in range(2):
        with pytest.raises(SpoolUnavailable, match="not yet"):
            await clerk.do(put)
    assert await clerk.do(put) == 1
    clerk.close()


def test_threads_may_use_it(clerk: Clerk) -> None:
    threads = [threading.Thread(target=clerk.do_now, args=(put,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clerk.do_now(lambda spool: len(spool.select("", "", "", 100)), reads=True) == 20


async def test_whoever_gave_up_waiting_is_no_trouble(clerk: Clerk) -> None:
    waiting = asyncio.create_task(clerk.do(put))
    await asyncio.sleep(0)
    waiting.cancel()
    assert await clerk.do(put) in (1, 2)


async def test_it_does_something_regularly(clerk: Clerk) -> None:
    beats: list[int] = []
    enough = threading.Event()

    def beat(spool: Spool) -> None:
        beats.append(1)
        if len(beats) == 3:
            enough.set()

    clerk.every(0.01, beat)
    assert await asyncio.to_thread(enough.wait, 5)
    clerk.every(0.01, None)


def test_after_a_fork_it_is_not_alive(clerk: Clerk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert clerk.alive
    real = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: real + 1)
    assert not clerk.alive
