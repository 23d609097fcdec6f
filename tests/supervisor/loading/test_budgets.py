"""What a worker is told of budgets, what is said at the start, and what stops it."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Launch, clean_environment
from vivace.config import Config
from vivace.errors import ConfigError
from vivace.framework.budget import declare, forget
from vivace.supervisor.loading.budgets import (
    bind_threads,
    budget_lines,
    enter_slot,
    place_process,
    refuse_budgets,
    refuse_early_connections,
    watched_budgets,
)
from vivace.supervisor.system.usage import Place

FOREIGN = """
import os, threading

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ["BUDGET_POSTGRES_SHARE"].encode()]
"""


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("VIVACE_SLOT", "VIVACE_WORKERS", "VIVACE_OVERLAP"):
        monkeypatch.delenv(name, raising=False)
    forget()
    yield
    forget()


def test_a_worker_reads_its_share_in_its_environment() -> None:
    config = Config(WORKERS=3, BUDGETS="postgres=20 redis=30,background=jobs:2")
    environ: dict[str, str] = {}
    place_process(config, 1, environ)
    assert environ == {
        "VIVACE_SLOT": "1",
        "VIVACE_WORKERS": "3",
        "VIVACE_OVERLAP": "1",
        "VIVACE_BUDGETS": "postgres=20 redis=30,background=jobs:2",
        "BUDGET_POSTGRES_SHARE": "5",
        "BUDGET_REDIS_SHARE": "6",
    }
    enter_slot(config, 3, environ)
    assert (environ["VIVACE_SLOT"], environ["BUDGET_POSTGRES_SHARE"]) == ("3", "4")


def test_the_template_tells_the_least_and_no_slot() -> None:
    environ = {"VIVACE_SLOT": "4"}
    place_process(Config(WORKERS=3, BUDGETS="postgres=20"), None, environ)
    assert "VIVACE_SLOT" not in environ
    assert environ["BUDGET_POSTGRES_SHARE"] == "4"


def test_a_background_process_reads_its_own() -> None:
    environ: dict[str, str] = {}
    place_process(Config(BUDGETS="redis=30,background=jobs:2"), "jobs", environ)
    assert (environ["VIVACE_SLOT"], environ["BUDGET_REDIS_SHARE"]) == ("jobs", "2")


def test_every_slot_together_stays_below_the_limit() -> None:
    config, total = Config(WORKERS=5, BUDGETS="postgres=20"), 0
    for slot in range(6):
        environ: dict[str, str] = {}
        place_process(config, slot, environ)
        total += int(environ["BUDGET_POSTGRES_SHARE"])
    assert total == 18
    with pytest.raises(ConfigError, match="slot 6 is none"):
        place_process(config, 6, {})


def test_the_command_line_beats_the_variable_in_the_worker_too() -> None:
    environ = {"BUDGET_POSTGRES": "40", "BUDGET_REDIS": "9,reserve=1"}
    config = Config.load(environ)
    config.add_budgets("postgres=20")
    place_process(config, 0, environ)
    again = Config.load(environ)
    assert again.BUDGETS == config.BUDGETS == "postgres=20 redis=9,reserve=1"


def test_what_the_program_declares_is_said_too() -> None:
    config = Config(WORKERS=2, BUDGETS="redis=30")
    declare("pg", config=lambda: config, limit=20)
    kept, who = "kept for people and migrations", "2 workers + 1 during restarts"
    assert budget_lines(config) == [
        f"Budget pg: 20 connections, 2 {kept}; {who}: 6 each",
        f"Budget redis: 30 connections, 3 {kept}; {who}: 9 each",
    ]


def test_a_worker_tells_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql:///shop?host=/run/pg")
    monkeypatch.delenv("REDIS_URL", raising=False)
    postgres, redis = watched_budgets(Config(WORKERS=2, BUDGETS="postgres=20 redis=30"))
    assert postgres.plan.share(0) == 6
    assert postgres.place == Place(unix=frozenset({"/run/pg/.s.PGSQL.5432"}))
    assert (redis.plan.name, redis.place) == ("redis", Place())


def test_a_number_for_a_budget_that_is_not_declared_yet_is_no_budget() -> None:
    config = Config(BUDGETS="pg=reserve=3")
    environ: dict[str, str] = {}
    place_process(config, 0, environ)
    assert budget_lines(config) == []
    assert "BUDGET_PG_SHARE" not in environ
    declare("pg", config=lambda: config, limit=20)
    assert "20 connections, 3 kept" in budget_lines(config)[0]


def test_what_cannot_work_stops_the_start() -> None:
    config = Config(WORKERS=30, BUDGETS="pg=20")
    for call in (refuse_budgets, lambda config: place_process(config, 0, {})):
        with pytest.raises(ConfigError, match=r"(?s)not every worker gets a connection.*1\. fewer workers"):
            call(config)
    refuse_budgets(Config(WORKERS=3, BUDGETS="pg=20"))


def test_a_refusal_names_the_variable_that_it_comes_from() -> None:
    config = Config.load({"BUDGET_LIMIT": "1"})
    with pytest.raises(ConfigError, match="Its numbers come from: environment BUDGET_LIMIT"):
        refuse_budgets(config)


def test_threads_follow_the_budget() -> None:
    config = Config(WORKERS=2, BUDGETS="pg=8")
    assert bind_threads(config)[0].startswith("THREADS is 2 instead of 4")
    assert config.THREADS == 2
    with pytest.raises(ConfigError, match="use --threads 2"):
        bind_threads(Config(WORKERS=2, BUDGETS="pg=8", THREADS=3))
    assert bind_threads(Config(WORKERS=2, BUDGETS="pg=20")) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_connection_that_is_open_before_the_fork_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(BUDGETS="postgres=20")
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("DATABASE_URL", f"postgres://127.0.0.1:{server.getsockname()[1]}/x")
        refuse_early_connections(config)
        with (
            socket.create_connection(server.getsockname()),
            pytest.raises(ConfigError, match="importing the app opened 1 of its connections"),
        ):
            refuse_early_connections(config)


def test_an_app_of_any_framework_reads_its_share(launch: Launch, free_port: int, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(FOREIGN)
    argv = [sys.executable, "-m", "vivace", "run", "shop", "--workers", "2", "--port", str(free_port)]
    server = launch([*argv, "--budget", "postgres=8"], free_port, cwd=tmp_path)
    assert server.get()[2] == b"2"
    assert server.stop() == 0
    assert "THREADS is 2 instead of 4: a worker has 2 connections of budget postgres" in server.output
    server = launch(argv, free_port, cwd=tmp_path, BUDGET_POSTGRES="20,reserve=5")
    assert server.get()[2] == b"5"
    assert server.stop() == 0


EARLY = """
from vivace import Vivace

app = Vivace("shop")
database = app.budget("postgres", limit=20)
made_at_import = database.sqlalchemy()

@app.get("/")
async def index(request):
    return {"share": database.share}

if __name__ == "__main__":
    app.run(port=0, workers=2)
"""


def test_a_pool_that_was_made_too_early_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(EARLY)

    def run(**environ: str) -> "subprocess.CompletedProcess[str]":
        argv = [sys.executable, "web.py"]
        env = clean_environment(**environ)
        return subprocess.run(
            argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30, check=False
        )

    done = run()
    assert done.returncode in {2, 3}
    assert (
        "a pool of 9 connections was made when it was not known yet that there are 2 workers" in done.stderr
    )


def test_the_same_pool_is_right_if_the_number_of_workers_is_known(
    launch: Launch, free_port: int, tmp_path: Path
) -> None:
    (tmp_path / "web.py").write_text(EARLY.replace("port=0, workers=2", ""))
    server = launch(
        [sys.executable, "web.py"], free_port, cwd=tmp_path, PORT=str(free_port), WEB_CONCURRENCY="2"
    )
    assert json.loads(server.get()[2]) == {"share": 6}
    assert server.stop() == 0
