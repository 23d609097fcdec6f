"""`vivace tasks` and `vivace schedule`: what they print, what they do, and how they end."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.services.postgres import Postgres
from tests.tasks.conftest import postgres, redis_server, spool_url
from vivace.cli.group import vivace
from vivace.tasks.records import NewTask
from vivace.tasks.spool import Spool, open_spool

__all__ = ["postgres", "redis_server"]

APP = """
from vivace import Vivace
app = Vivace("shop")

@app.cron("0 3 * * *", tz="Europe/Madrid")
def nightly(): ...

@app.every("30s", jitter="10%", overlap="queue")
def often(): ...

@app.watch("conf/**/*.yml")
def changed(paths: list[str]): ...
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    return tmp_path


@pytest.fixture
def spool(folder: Path) -> Iterator[Spool]:
    """One task in each state: 1 ready, 2 later, 3 running, 4 and 5 dead."""
    made = open_spool("sqlite:///.vivace/tasks.sqlite3")
    with made.transaction():
        new = [NewTask("shop.a", payload=b'{"to":"ada"}'), NewTask("shop.a", run_at=9e9)]
        running = [NewTask("shop.b")] * 3
        made.enqueue([*new, *running], 1000.0)
        tasks = made.claim("w", ["shop.b"], 3, 30.0, 1000.0)
        for task in tasks[1:]:
            made.nack("w", task, "Traceback\nValueError: no luck", None, 1000.0)
    yield made
    made.close()


def call(*arguments: str) -> Result:
    return CliRunner().invoke(vivace, arguments)


def answer(*arguments: str) -> Any:
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_tasks_are_listed_with_their_states(spool: Spool) -> None:
    lines = call("tasks", "list").stdout.splitlines()
    assert lines[0].split() == ["id", "state", "queue", "name", "attempts", "due", "(UTC)", "last", "error"]
    assert lines[1].split()[:4] == ["5", "dead", "default", "shop.b"]
    assert lines[1].endswith("ValueError: no luck")
    assert lines[-1].startswith("1 later, 1 ready, 1 running, 2 dead; 0 done so far, 2 failed; the oldest is")


def test_a_list_can_be_narrowed(spool: Spool) -> None:
    assert [task["id"] for task in answer("tasks", "list", "--state", "dead")["tasks"]] == [5, 4]
    assert [task["id"] for task in answer("tasks", "list", "--name", "shop.a", "--limit", "1")["tasks"]] == [
        2
    ]
    assert answer("tasks", "list", "--queue", "mail")["tasks"] == []


def test_all_that_is_known_of_a_task_is_shown(spool: Spool) -> None:
    assert answer("tasks", "show", "1")["payload"] == {"to": "ada"}
    text = call("tasks", "show", "4").stdout
    assert "state:        dead" in text
    assert "ValueError: no luck" in text
    missing = call("tasks", "show", "99")
    assert (missing.exit_code, "there is no task 99" in missing.stderr) == (1, True)


def test_dead_tasks_are_run_again(spool: Spool) -> None:
    assert answer("tasks", "retry", "4") == {"done": [4], "problems": []}
    assert answer("tasks", "retry", "--dead") == {"done": [5], "problems": []}
    assert spool.stats(0)["states"] == {"ready": 3, "later": 1, "running": 1}
    refused = call("tasks", "retry", "3")
    assert (refused.exit_code, "task 3 is running" in refused.stderr) == (1, True)


def test_tasks_are_dropped_but_not_while_they_run(spool: Spool) -> None:
    assert answer("tasks", "drop", "1", "2") == {"done": [1, 2], "problems": []}
    refused = call("tasks", "drop", "3")
    assert (refused.exit_code, "it can be dropped when" in refused.stderr) == (1, True)
    assert answer("tasks", "drop", "--dead", "--name", "shop.b")["done"] == [5, 4]


@pytest.mark.parametrize("wrong", [[], ["1", "--dead"], ["1", "--name", "x"]])
def test_it_must_be_clear_which_tasks_are_meant(spool: Spool, wrong: list[str]) -> None:
    assert call("tasks", "drop", *wrong).exit_code == 2


def test_a_spool_that_is_not_there_is_not_made(folder: Path) -> None:
    result = call("tasks", "list", "--url", "sqlite:///none.sqlite3")
    assert (result.exit_code, "there is no spool none.sqlite3" in result.stderr) == (1, True)
    assert list(folder.iterdir()) == []


def test_a_kind_of_spool_that_is_none_is_named() -> None:
    result = call("tasks", "list", "--url", "mongodb://x")
    assert (result.exit_code, "'mongodb' is no kind of spool" in result.stderr) == (2, True)


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def url(request: pytest.FixtureRequest, folder: Path) -> str:
    """Of an empty spool of each engine."""
    found = spool_url(request, folder)
    open_spool(found).close()
    return found


@pytest.mark.parametrize("command", ["show", "retry", "drop"])
def test_a_task_that_is_not_there_is_named(url: str, command: str) -> None:
    result = call("tasks", command, "99", "--url", url)
    assert (result.exit_code, "there is no task 99" in result.stderr) == (1, True)
    assert call("tasks", "list", "--url", url).stdout == "nothing there; 0 done so far, 0 failed\n"


@pytest.mark.parametrize("command", [["list"], ["show", "1"], ["retry", "1"], ["drop", "1"]])
@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("postgres://me:geheim@127.0.0.1:1/x", 1, "the database of the tasks cannot be used: connection"),
        ("redis://:geheim@127.0.0.1:1/0", 1, "the Redis of the tasks cannot be used: Error 111"),
        ("postgres://me:ge heim@h/x", 2, "TASKS_URL cannot be read as a URL of PostgreSQL"),
        ("redis://:geheim@127.0.0.1:no/0", 2, "TASKS_URL cannot be read as a URL of Redis"),
        ("redis://:geheim@127.0.0.1:1/no", 2, "TASKS_URL cannot be read as a URL of Redis"),
        ("redis://[::1", 2, "TASKS_URL cannot be read: Invalid IPv6 URL"),
        ("sqlite:///wrong.sqlite3", 1, "the spool wrong.sqlite3 cannot be used: file is not a database"),
    ],
)
def test_a_spool_that_cannot_be_reached_or_read_is_named_in_one_line(
    folder: Path, url: str, code: int, said: str, command: list[str]
) -> None:
    (folder / "wrong.sqlite3").write_text("no database" * 100)
    result = call("tasks", *command, "--url", url)
    (line,) = result.stderr.splitlines()
    assert (result.exit_code, line.startswith(f"Error: {said}")) == (code, True), result.stderr
    assert "heim" not in result.stderr


def test_tables_of_another_version_are_named(postgres: Postgres) -> None:
    postgres.ask("DROP TABLE IF EXISTS vivace_tasks, vivace_tallies")
    postgres.ask("CREATE TABLE vivace_tasks (id INTEGER)")
    postgres.ask("CREATE TABLE vivace_tallies (name TEXT)")
    result = call("tasks", "list", "--url", postgres.url)
    postgres.ask("DROP TABLE vivace_tasks, vivace_tallies")
    assert result.exit_code == 1
    assert "the tables of the tasks are gone, or those of another version" in result.stderr


def test_schedules_are_shown_with_their_next_times(folder: Path) -> None:
    (folder / "web_schedules.py").write_text(APP)
    lines = call("schedule", "web_schedules.py").stdout.splitlines()
    assert lines[0] == "shop.nightly: 0 3 * * * Europe/Madrid (overlap skip, catch_up last)"
    assert all("T03:00:00+0" in line for line in lines[1:6])
    assert lines[6] == "shop.often: every 30s (overlap queue, catch_up last, jitter 3 s)"
    assert lines[12] == "shop.changed: watch conf/**/*.yml (debounce 0.2 s)"
    shown = answer("schedule", "web_schedules.py", "--count", "2")
    assert [len(one["next"]) for one in shown] == [2, 2, 0]
