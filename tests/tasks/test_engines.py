"""What engines that several machines share do beyond the contract: faults, crowds, and being heard."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.services.postgres import Postgres
from tests.services.redis import StartRedis
from tests.tasks.conftest import START, spool_url
from tests.tasks.test_runner import running
from vivace.config import Config
from vivace.tasks.book import Book
from vivace.tasks.errors import SpoolFull, SpoolUnavailable
from vivace.tasks.records import NewTask
from vivace.tasks.spool import listen, open_spool


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return spool_url(request, tmp_path)


def test_of_many_that_take_at_once_none_gets_what_another_has(url: str) -> None:
    first = open_spool(url)
    with first.transaction():
        first.enqueue([NewTask("a")] * 200, START)
    taken: dict[str, list[int]] = {}

    def work(worker: str) -> None:
        spool = open_spool(url)
        taken[worker] = []
        while True:
            with spool.transaction():
                tasks = spool.claim(worker, ["a"], 5, 30.0, START)
            if not tasks:
                break
            taken[worker] += [task.id for task in tasks]
            with spool.transaction():
                assert all(spool.ack(worker, task, None, START) for task in tasks)
        spool.close()

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    all_taken = [number for numbers in taken.values() for number in numbers]
    assert len(all_taken) == len(set(all_taken)) == 200
    assert first.stats(START)["finished"] == 200
    first.close()


def test_of_many_that_ask_for_a_slot_one_gets_it(url: str) -> None:
    open_spool(url).close()
    outcomes: list[str] = []

    def ask() -> None:
        spool = open_spool(url)
        with spool.transaction():
            outcomes.append(spool.schedule("x", START, NewTask("a"), waits=False, now=START))
        spool.close()

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["queued", *["taken"] * 4]


def test_a_connection_that_is_cut_is_made_anew(postgres: Postgres) -> None:
    spool = open_spool(postgres.url)
    with spool.transaction():
        spool.enqueue([NewTask("cut")], START)
    postgres.cut("vivace tasks")
    with pytest.raises(SpoolUnavailable), spool.transaction():
        spool.enqueue([NewTask("cut")], START)
    with spool.transaction():
        spool.enqueue([NewTask("cut")], START)
    assert len(spool.select("", "cut", "", 10)) == 2
    spool.close()


def test_tables_that_are_gone_or_of_another_version_are_named(postgres: Postgres) -> None:
    spool = open_spool(postgres.url)
    postgres.ask("ALTER TABLE vivace_tasks RENAME COLUMN kills TO deaths")
    with pytest.raises(SpoolUnavailable, match="those of another version"), spool.transaction():
        spool.claim("w", ["a"], 1, 30.0, START)
    postgres.ask("DROP TABLE vivace_tasks, vivace_slots, vivace_tallies")
    with pytest.raises(SpoolUnavailable, match="the tables of the tasks are gone"):
        spool.stats(START)
    spool.close()
    open_spool(postgres.url).close()
    postgres.ask("DROP ROLE IF EXISTS stranger")
    postgres.ask("CREATE ROLE stranger LOGIN")
    other = open_spool(postgres.url.replace(f"user={postgres.user}", "user=stranger"))
    with pytest.raises(SpoolUnavailable, match="permission denied for table vivace_tasks"):
        other.get(1)
    other.close()


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpoolUnavailable, match="the database of the tasks cannot be used"):
        open_spool(f"postgresql:///x?host={tmp_path}")


@pytest.fixture(params=["postgres", "redis"])
def far_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return spool_url(request, tmp_path)


def test_a_redis_without_room_says_so_and_one_that_is_gone_is_named(
    start_redis: StartRedis, tmp_path: Path
) -> None:
    server = start_redis(maxmemory="3mb", maxmemory_policy="noeviction")
    spool = open_spool(server.url)
    with pytest.raises(SpoolFull, match="has no room"):
        for _ in range(1000):
            spool.enqueue([NewTask("a", payload=b"x" * 10_000)], START)
    server.stop()
    with pytest.raises(SpoolUnavailable, match="the Redis of the tasks cannot be used"):
        spool.enqueue([NewTask("a")], START)
    with pytest.raises(SpoolUnavailable):
        open_spool(server.url)
    spool.close()


def test_whoever_listens_hears_what_others_enqueue(far_url: str) -> None:
    heard: list[int] = []
    spool = open_spool(far_url)
    deaf = listen(far_url, lambda: heard.append(1))
    until(lambda: len(heard) == 1)  # it listens
    with spool.transaction():
        spool.enqueue([NewTask("heard")], START)
    until(lambda: len(heard) == 2)
    with spool.transaction():
        tasks = spool.claim("w", ["heard"], 1, 30.0, START)
    with spool.transaction():
        assert spool.release("w", tasks, START) == 1  # others may run it at once
    until(lambda: len(heard) == 3)
    deaf()
    spool.close()


async def test_a_runner_hears_of_work_from_another_machine(
    far_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = []
    seen: list[float] = []

    def note() -> None:
        seen.append(time.perf_counter())

    for name in ("here", "there"):
        config = Config({"TASKS_URL": far_url})
        books.append(Book("far", lambda config=config: config))  # type: ignore[misc]
        books[-1].declare(note)
        monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / name))
        assert books[-1].bells.place  # each has a folder of its own
    here, there = books
    async with running(here) as (runner, _):
        for _ in range(3):
            await there.functions["far.note"].enqueue()
        while runner.done < 3:
            await asyncio.sleep(0.005)
    here.close()
    there.close()
