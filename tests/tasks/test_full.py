"""A disk without room: whoever enqueues is told, what was there is whole, and with room it goes on."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import clean_environment
from tests.tasks.conftest import START
from tests.tasks.test_runner import drain
from vivace.errors import ServiceUnavailable
from vivace.tasks import SpoolFull, clerk
from vivace.tasks.book import Book
from vivace.tasks.records import NewTask
from vivace.tasks.sqlite import SqliteSpool

LIMITED = """
import asyncio, resource, sys
from vivace.config import Config
from vivace.tasks import SpoolFull
from vivace.tasks.book import Book

book = Book("app", lambda: Config({"TASKS_URL": sys.argv[1]}))
book.declare(lambda text: None, name="note")


async def main():
    task, count = book.functions["app.note"], 0
    await task.enqueue("first")
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
    try:
        while True:
            await task.enqueue("x" * 10_000)
            count += 1
    except SpoolFull as error:
        print(count + 1, error)


asyncio.run(main())
"""


def check(path: Path) -> int:
    spool = SqliteSpool(path)
    assert spool.query("PRAGMA integrity_check") == [("ok",)]
    (count,) = spool.query("SELECT count(*) FROM vivace_tasks")[0]
    spool.close()
    return int(count)


def test_a_file_that_may_not_grow_says_so_and_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "tasks.sqlite3"
    spool = SqliteSpool(path)
    spool.limit_pages(40)
    written = 0
    with pytest.raises(SpoolFull, match="has no room") as caught:
        while True:
            with spool.transaction():
                spool.enqueue([NewTask("a", payload=b"x" * 3000)], START)
            written += 1
    assert isinstance(caught.value, ServiceUnavailable)
    with spool.transaction():  # what is there can be taken and ended
        (task,) = spool.claim("w", ["a"], 1, 30.0, START)
        assert spool.ack("w", task, None, START)
    with spool.transaction():
        spool.enqueue([NewTask("a")], START)
    spool.close()
    assert check(path) == written


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limit of files here")
def test_a_disk_that_is_full_says_so_and_what_was_said_to_be_there_is_there(tmp_path: Path) -> None:
    path = tmp_path / "tasks.sqlite3"
    assert resource.RLIMIT_FSIZE >= 0
    answer = subprocess.run(
        [sys.executable, "-c", LIMITED, f"sqlite:///{path}", "300000"],
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment(),
        timeout=30,
    )
    count, _, error = answer.stdout.partition(" ")
    assert "has no room" in error
    assert "make room on its disk" in error
    assert check(path) == int(count) > 5


async def test_it_goes_on_when_there_is_room_again(
    book: Book, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "vivace.tasks")
    seen: list[int] = []
    task = book.declare(lambda number, text: seen.append(number), name="note")
    await task.enqueue(0, "x")
    await book.clerk.do(lambda spool: spool.limit_pages(40), reads=True)  # type: ignore[attr-defined]
    with pytest.raises(SpoolFull):
        for number in range(1, 1000):
            await task.enqueue(number, "x" * 3000)
    with pytest.raises(SpoolFull):
        await task.enqueue(999, "x" * 30_000)
    await drain(book)
    await task.enqueue(1000, "x")
    await drain(book)
    assert seen == [*range(len(seen) - 1), 1000]
    assert events(caplog) == [False]
    monkeypatch.setattr(clerk, "QUIET", 0.0)
    for _ in range(2):
        await task.enqueue(1001, "x")
    assert events(caplog) == [False, True]


def events(caplog: pytest.LogCaptureFixture) -> list[bool]:
    found = [record.__dict__ for record in caplog.records]
    return [one.get("resolved", False) for one in found if one.get("event") == "spool.full"]
