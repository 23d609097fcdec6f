"""Files that are watched: what counts as a change, and when it is told."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.tasks.test_runner import drain
from vivace.errors import DeclarationError
from vivace.tasks.book import Book
from vivace.tasks.watch import Watcher


@pytest.fixture
def seen(book: Book, tmp_path: Path) -> list[list[str]]:
    told: list[list[str]] = []

    def note(paths: list[str]) -> None:
        told.append([os.path.basename(path) for path in paths])

    book.declare_watch(note, f"{tmp_path}/conf/**/*.yml", 0.2)
    (tmp_path / "conf" / "deep").mkdir(parents=True)
    (tmp_path / "conf" / "old.yml").write_text("a")
    return told


async def test_changes_are_told_when_it_is_quiet_again(
    book: Book, seen: list[list[str]], tmp_path: Path
) -> None:
    watcher = Watcher(book)
    await watcher.look(0.0)
    (tmp_path / "conf" / "deep" / "new.yml").write_text("a")
    (tmp_path / "conf" / "other.txt").write_text("a")
    await watcher.look(1.0)
    (tmp_path / "conf" / "old.yml").write_text("ab")
    await watcher.look(1.1)
    await watcher.look(1.29)
    assert await drain(book) == 0
    await watcher.look(1.31)
    assert await drain(book) == 1
    assert seen == [["new.yml", "old.yml"]]
    await watcher.look(2.0)
    assert await drain(book) == 0


async def test_a_file_that_goes_has_changed(book: Book, seen: list[list[str]], tmp_path: Path) -> None:
    watcher = Watcher(book)
    (tmp_path / "conf" / "old.yml").unlink()
    await watcher.look(1.0)
    await watcher.look(1.3)
    await drain(book)
    assert seen == [["old.yml"]]


async def test_what_was_there_at_the_start_is_no_change(book: Book, seen: list[list[str]]) -> None:
    watcher = Watcher(book)
    await watcher.look(1.0)
    await watcher.look(2.0)
    assert (await drain(book), seen) == (0, [])


async def test_a_stop_tells_what_is_not_quiet_yet(book: Book, seen: list[list[str]], tmp_path: Path) -> None:
    watcher, stopping = Watcher(book), asyncio.Event()
    (tmp_path / "conf" / "old.yml").write_text("ab")
    stopping.set()
    await watcher.run(stopping)
    await drain(book)
    assert seen == [["old.yml"]]


async def test_a_name_that_is_no_utf_8_ends_nothing(
    book: Book, seen: list[list[str]], tmp_path: Path
) -> None:
    watcher = Watcher(book)
    (tmp_path / "conf" / os.fsdecode(b"\xff.yml")).touch()
    await watcher.look(1.0)
    await watcher.look(1.3)
    await drain(book)
    assert seen == [["\\xff.yml"]]


async def test_more_files_than_a_task_is_told_of_are_told_by_several(
    book: Book, seen: list[list[str]], tmp_path: Path
) -> None:
    watcher = Watcher(book)
    for number in range(1500):
        (tmp_path / "conf" / f"{number}.yml").touch()
    await watcher.look(1.0)
    await watcher.look(1.3)
    await drain(book)
    assert [len(told) for told in seen] == [1000, 500]


async def test_names_too_long_for_one_task_are_told_by_several(
    book: Book, seen: list[list[str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = Watcher(book)
    for number in range(8):
        (tmp_path / "conf" / f"{number}{'x' * 100}.yml").touch()
    (tmp_path / "conf" / f"{'y' * 240}.yml").touch()
    book.config().TASK_MAX_PAYLOAD = len(str(tmp_path)) + 150
    await watcher.look(1.0)
    await watcher.look(1.3)
    await drain(book)
    assert [len(told) for told in seen] == [1] * 8
    assert "a change cannot be told: " in caplog.text


def test_an_argument_that_cannot_be_the_files_is_refused_when_it_is_declared(book: Book) -> None:
    def note(path: str) -> None: ...

    with pytest.raises(DeclarationError, match="and is given a list"):
        book.declare_watch(note, "conf/*", 0.2)
