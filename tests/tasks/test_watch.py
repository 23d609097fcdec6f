"""Files that are watched: what counts as a change, and when it is told."""

import os
from pathlib import Path

import pytest

from tests.tasks.test_runner import drain
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
