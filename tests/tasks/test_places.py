"""Where tasks are kept: settings at their edges, the folder of state, and disks that do not stay."""

import logging
from pathlib import Path
from typing import Any

import pytest

from vivace.config import Config
from vivace.errors import ConfigError
from vivace.tasks.book import Book
from vivace.tasks.ephemeral import warn_of_ephemeral, why_ephemeral
from vivace.tasks.errors import SpoolUnavailable
from vivace.tasks.records import NewTask
from vivace.tasks.spool import open_spool
from vivace.tasks.sqlite import SqliteSpool, path_of

MOUNTS = """\
22 1 0:21 / / rw - overlay overlay rw
23 22 8:1 / /data rw - ext4 /dev/sda1 rw
24 22 0:22 / /run rw - tmpfs tmpfs rw
25 22 0:22 broken line
"""


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("TASK_WORKERS", 0, 64),
        ("TASK_CONCURRENCY", 1, 1000),
        ("TASK_LEASE", 1, None),
        ("TASK_MAX_PAYLOAD", 64, None),
    ],
)
def test_settings_at_their_edges(name: str, least: int, most: int | None) -> None:
    config = Config()
    for good in (least, most or 10_000):
        setattr(config, name, good)
        assert getattr(config, name) == good
    for wrong in (least - 1, *([] if most is None else [most + 1])):
        with pytest.raises(ConfigError, match=name):
            setattr(config, name, wrong)


def test_the_password_of_the_spool_is_not_shown() -> None:
    from vivace.config.table import BY_NAME

    assert BY_NAME["TASKS_URL"].show("postgres://me:secret@host/db") == "********"


def test_queues_are_words(tmp_path: Path) -> None:
    config = Config({"TASK_QUEUES": "mail default"})
    book = Book("app", lambda: config)
    book.declare(lambda: None, name="a", queue="mail")
    book.declare(lambda: None, name="b", queue="slow")
    assert book.names(config.TASK_QUEUES) == ("app.a",)


def test_without_a_url_it_is_a_file_where_state_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    book = Book("app", Config)
    assert book.url == f"sqlite:///{tmp_path}/.vivace/tasks.sqlite3"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/shop:/var/lib/other")
    assert book.url == "sqlite:////var/lib/shop/tasks.sqlite3"


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///a/b.db", "a/b.db"), ("sqlite:////a/b.db", "/a/b.db"), ("sqlite:///a%20b.db", "a b.db")],
)
def test_the_file_of_a_url(url: str, path: str) -> None:
    assert path_of(url) == Path(path)


def test_a_place_that_cannot_be_written_is_named(book: Book) -> None:
    for url in ("sqlite:////proc/none/tasks.sqlite3", "sqlite:////proc/tasks.sqlite3"):
        with pytest.raises(SpoolUnavailable, match="/proc"):
            open_spool(url)


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tasks.sqlite3"
    spool = SqliteSpool(path)
    spool.query("PRAGMA user_version = 99")
    spool.close()
    with pytest.raises(SpoolUnavailable, match="is of version 99"):
        SqliteSpool(path)


def put(spool: SqliteSpool) -> int:
    with spool.transaction():
        return spool.enqueue([NewTask("a")], 1.0)[0].id


def test_a_file_that_was_taken_away_takes_nothing_more_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tasks.sqlite3"
    one, two = SqliteSpool(path), SqliteSpool(path)
    for spool in (one, two):
        put(spool)
    for file in tmp_path.glob("tasks.sqlite3*"):
        file.rename(tmp_path / f"old-{file.name}")
    numbers = [put(one), put(two), put(one)]
    assert [task.id for task in two.select("", "", "", 10)] == numbers[::-1]
    assert caplog.text.count("was taken away or replaced") == 2
    three = SqliteSpool(path)
    assert len(three.select("", "", "", 10)) == 3
    for spool in (one, two, three):
        spool.close()


def test_a_place_that_went_away_is_asked_for_each_time_until_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "volume"
    folder.mkdir()
    spool = SqliteSpool(folder / "tasks.sqlite3")
    put(spool)
    folder.rename(tmp_path / "away")
    for _ in range(2):
        with pytest.raises(SpoolUnavailable, match="cannot be made: No such file"):
            put(spool)
        with pytest.raises(SpoolUnavailable, match="cannot be made"):
            spool.select("", "", "", 10)
    (tmp_path / "away").rename(folder)
    assert (put(spool), len(spool.select("", "", "", 10))) == (2, 2)
    spool.close()


def test_the_file_is_for_its_owner(tmp_path: Path) -> None:
    SqliteSpool(tmp_path / "tasks.sqlite3").close()
    assert (tmp_path / "tasks.sqlite3").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("url", "environ", "found"),
    [
        ("sqlite:////data/tasks.db", {}, ""),
        ("sqlite:////data/tasks.db", {"DYNO": "web.1"}, "the disk of a dyno"),
        ("sqlite:////app/tasks.db", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "the disk of a pod"),
        ("sqlite:////data/tasks.db", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, ""),
        ("sqlite:////app/tasks.db", {}, "the disk of a container"),
        ("sqlite:////run/tasks.db", {}, "it is in memory"),
        ("postgres://x/y", {"DYNO": "web.1"}, ""),
    ],
)
def test_disks_that_do_not_stay_are_known(url: str, environ: dict[str, str], found: str) -> None:
    why = why_ephemeral(url, environ, MOUNTS)
    assert why.startswith(found)
    assert bool(why) == bool(found)


def test_the_warning_names_the_choices(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setenv("DYNO", "web.1")
    with caplog.at_level(logging.WARNING):
        warn_of_ephemeral("sqlite:///x.db")
    (record,) = caplog.records
    for word in ("TASKS_URL", "postgres://", "redis://", "volume"):
        assert word in record.getMessage()
