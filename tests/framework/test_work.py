"""Tasks and schedules of a served app: runners beside the workers, killed, stopped and restarted."""

import asyncio
import json
import os
import signal
import sqlite3
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.supervisor.serving import Serving, until
from vivace import Request, Vivace
from vivace.errors import DeclarationError
from vivace.framework.beside import Context
from vivace.framework.work import run_scheduler, run_tasks

APP = """
import asyncio, os, time
from vivace import Request, Vivace

app = Vivace("shop")


@app.around_tasks
async def pool(app):
    app.ctx.pool = "a pool"
    yield
    open("closed", "a").write("x")


@app.task(keep="1h")
async def add(a: int, b: int = 2) -> int:
    return a + b


@app.task
async def note(sent: float) -> None:
    with open("notes", "a") as file:
        file.write(f"{time.time() - sent} {os.getpid()} {app.ctx.pool}\\n")


@app.task(retries=1)
async def slow(n: int) -> None:
    with open("slow", "a") as file:
        file.write(f"{os.getpid()} {n} {time.time()}\\n")
    while not os.path.exists(f"go{n}"):
        await asyncio.sleep(0.01)
    with open("done", "a") as file:
        file.write(f"{n}\\n")


@app.every("1s")
def block() -> None:
    open("blocked", "a").write("x")
    time.sleep(3)


@app.get("/")
async def index(request):
    return {"pid": os.getpid()}


@app.get("/add")
async def do_add(request):
    return {"sum": await (await add.enqueue(3)).result(10)}


@app.get("/note")
async def do_note(request):
    await note.enqueue(time.time())
    return {}


@app.get("/slow")
async def do_slow(request):
    await slow.enqueue(int(request.args.get("n")))
    return {}
"""


ARGUMENTS = ["-m", "vivace", "run", "shop.py", "--port", "0", "--task-workers", "2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shop")
    (made / "shop.py").write_text(APP)
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Serving]:
    """One server for the tests that leave it as it was."""
    with Serving(ARGUMENTS, folder, {"VIVACE_GRACEFUL_SHUTDOWN_TIMEOUT": "3"}) as made:
        assert made.port
        yield made


def lines(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def begun(folder: Path, number: int) -> list[list[str]]:
    """Process and time of each attempt of a slow task."""
    return [[pid, at] for pid, n, at in lines(folder / "slow") if n == str(number)]


@pytest.mark.once
def test_requests_enqueue_and_runners_run(server: Serving, folder: Path) -> None:
    assert '{"sum":5}' in server.get("/add")
    for _ in range(20):
        server.get("/note")
    until(lambda: len(lines(folder / "notes")) == 20)
    found = lines(folder / "notes")
    assert statistics.median(float(line[0]) for line in found) < 0.5  # by a bell, not by looking
    serving = json.loads(server.get("/").rpartition("\n")[2])["pid"]
    assert str(serving) not in {line[1] for line in found}
    assert all(line[2:] == ["a", "pool"] for line in found)


@pytest.mark.once
def test_a_runner_that_is_killed_hands_on_its_tasks_at_once(server: Serving, folder: Path) -> None:
    server.get("/slow?n=1")
    until(lambda: len(begun(folder, 1)) == 1)
    first = int(begun(folder, 1)[0][0])
    os.kill(first, signal.SIGKILL)
    assert until(lambda: len(begun(folder, 1)) == 2) < 5  # within a second where nothing else is at work
    assert int(begun(folder, 1)[1][0]) != first
    (folder / "go1").touch()
    until(lambda: lines(folder / "done") == [["1"]])


@pytest.mark.once
def test_a_body_of_three_seconds_delays_no_request(server: Serving, folder: Path) -> None:
    until((folder / "blocked").exists)
    longest = 0.0
    for _ in range(50):
        began = time.perf_counter()
        server.get("/")
        longest = max(longest, time.perf_counter() - began)
    assert longest < 2.5  # less than a body takes


@pytest.mark.once
def test_task_workers_hand_on_what_they_cannot_finish(server: Serving, folder: Path) -> None:
    server.get("/slow?n=2")
    until(lambda: len(begun(folder, 2)) == 1)
    children = psutil.Process(server.process.pid).children(recursive=True)
    assert len(children) >= 5  # template, worker, two runners, a scheduler
    server.signal(signal.SIGHUP)
    # The runner of the old code gives back what it runs when its time is over; that of the new code takes it.
    assert until(lambda: len(begun(folder, 2)) == 2) < 10
    assert begun(folder, 2)[0][0] != begun(folder, 2)[1][0]
    assert server.stop() == 0
    until(lambda: not any(child.is_running() for child in children))
    state = look(
        folder, "SELECT state, attempts, max_attempts, kills FROM vivace_tasks WHERE name = 'shop.slow'"
    )
    assert state == [("ready", 2, 4, 0)]
    assert (folder / "closed").read_text()


def look(folder: Path, statement: str) -> list[Any]:
    connection = sqlite3.connect(folder / ".vivace" / "tasks.sqlite3")
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


# Declarations, in this process


def test_processes_are_declared_with_the_first_task_of_their_kind() -> None:
    app = Vivace("declaring")
    assert app.companions == []

    @app.task
    async def one() -> None: ...

    @app.task(retries=0)
    async def two() -> None: ...

    assert [(c.name, c.kind, c.count(app.config)) for c in app.companions] == [
        ("declaring.tasks", "runner", 1)
    ]

    @app.every("5m")
    async def three() -> None: ...

    assert [c.name for c in app.companions] == ["declaring.tasks", "declaring.scheduler"]
    app.config.TASK_WORKERS = 0
    assert app.companions[0].count(app.config) == 0


def test_decorated_functions_stay_functions() -> None:
    app = Vivace("calling")

    @app.task
    def double(n: int) -> int:
        return n * 2

    @app.cron("0 0 * * *")
    def nightly() -> str:
        return "done"

    assert (double(2), nightly()) == (4, "done")


def test_the_same_name_twice_is_refused() -> None:
    app = Vivace("naming")
    app.task(test_decorated_functions_stay_functions)
    with pytest.raises(DeclarationError, match="two tasks are called naming"):
        app.task(test_decorated_functions_stay_functions)


def test_history_of_an_interval_is_a_hundred_runs_and_a_day_at_most() -> None:
    app = Vivace("keeping")

    def run() -> None: ...

    kept = [
        app.every("30s", name="a")(run).options.keep,
        app.every("1h", name="b")(run).options.keep,
        app.every("1h", name="c", keep=5)(run).options.keep,
        app.cron("0 0 * * *", name="d")(run).options.keep,
    ]
    assert kept == [3000, 86400, 5, 86400]


async def test_companions_run_here_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = Vivace("here")
    seen = asyncio.Event()

    @app.every("1s")
    async def beat() -> None:
        seen.set()

    contexts = [Context(app, app.config, name) for name in ("tasks", "scheduler")]
    lives = [
        asyncio.create_task(main(context))
        for main, context in zip((run_tasks, run_scheduler), contexts, strict=True)
    ]
    async with asyncio.timeout(10):
        await seen.wait()
    for context in contexts:
        context.stop()
    await asyncio.gather(*lives)


@pytest.mark.once
def test_tasks_run_on_a_machine_of_their_own_too(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    with Serving(["-m", "vivace", "tasks", "run", "shop.py"], tmp_path) as runner:
        runner.wait_for("Running shop.tasks, shop.scheduler of shop.py")
        until((tmp_path / "blocked").exists)
        assert runner.stop() == 0
    assert (tmp_path / "closed").read_text() == "x"


async def test_strangers_do_not_read_where_tasks_are_kept(tmp_path: Path) -> None:
    app = Vivace("full")
    app.config.TASKS_URL = "sqlite:////proc/none/tasks.sqlite3"

    @app.task
    async def note() -> None: ...

    @app.get("/")
    async def index(request: Request) -> dict[str, int]:
        return {"id": (await note.enqueue()).id}

    _, response = await app.asgi_client.get("/")
    assert response.status == 503
    assert "The service cannot take this on now." in response.text
    assert "/proc" not in response.text


@pytest.mark.parametrize(("main", "said"), [(run_tasks, "run"), (run_scheduler, "scheduled")])
def test_a_url_that_nobody_can_read_is_said_in_one_line(
    caplog: pytest.LogCaptureFixture, main: Any, said: str
) -> None:
    app = Vivace("lost")
    app.config.TASKS_URL = "redis://127.0.0.1:none"
    app.every("1h")(test_decorated_functions_stay_functions)
    with pytest.raises(SystemExit):
        asyncio.run(main(Context(app, app.config, "tasks")))
    assert f"can be {said}: TASKS_URL cannot be read as a URL of Redis" in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.once
@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("mongodb://x", 2, "Error: TASKS_URL: 'mongodb' is no kind of spool"),
        ("redis://127.0.0.1:none", 1, "no tasks can be run: TASKS_URL cannot be read"),
    ],
)
def test_runners_of_their_own_end_where_there_is_no_spool(
    tmp_path: Path, url: str, code: int, said: str
) -> None:
    (tmp_path / "shop.py").write_text(APP)
    with Serving(["-m", "vivace", "tasks", "run", "shop.py"], tmp_path, {"VIVACE_TASKS_URL": url}) as runner:
        assert runner.wait() == code
        assert said in runner.log
        assert "Traceback" not in runner.log


@pytest.mark.once
def test_a_kind_of_spool_that_is_none_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    with Serving(ARGUMENTS, tmp_path, {"VIVACE_TASKS_URL": "mongodb://x"}) as server:
        assert server.wait() == 2
        assert "TASKS_URL: 'mongodb' is no kind of spool" in server.log
        assert "Traceback" not in server.log


def test_a_runner_without_a_spool_says_so_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    app = Vivace("lost")
    app.config.TASKS_URL = "sqlite:////proc/none/tasks.sqlite3"
    app.task(test_decorated_functions_stay_functions)
    with pytest.raises(SystemExit):
        asyncio.run(run_tasks(Context(app, app.config, "tasks")))
    assert "no tasks can be run: the folder /proc/none" in caplog.text
    assert "Traceback" not in caplog.text
