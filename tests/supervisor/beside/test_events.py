"""Each event of the server is told by a real one when it happens, and its end when it ends."""

import json
import os
import signal
import socket
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import find_free_port
from tests.supervisor.serving import Serving, ask, until

LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells what a socket drops, and a share of memory"
)
PATIENCE = 30.0
APP = """
import asyncio, os, time
from vivace import Vivace

app = Vivace("shop")
kept = []


@app.after_server_start
async def begin(app):
    app.alarm("test.began", "who tells of alarms is there once this was told")


@app.get("/")
async def index(request):
    return {}


@app.get("/slow")
async def slow(request):
    open("began", "w").close()
    await asyncio.sleep(1000)


@app.get("/block")
def block(request):
    open("began", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.01)
    return {}


@app.get("/grow")
async def grow(request):
    while weight() < 190 << 20:
        kept.append(os.urandom(1 << 20))
    return {}


def weight():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("Pss:"))


@app.get("/shrink")
async def shrink(request):
    kept.clear()
    return {}
"""
TOML = """[[alarm]]
on = ["{event}", "test.began"]
to = "exec:sh -c 'echo $(cat) >> told'"
"""


def told(folder: Path) -> list[dict[str, object]]:
    return [one for one in _all(folder) if one["event"] != "test.began"]


def _all(folder: Path) -> list[dict[str, object]]:
    path = folder / "told"
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., Serving]:
    def start(event: str, *more: str, app: str = APP, begins: bool = True) -> Serving:
        (tmp_path / "shop.py").write_text(app)
        (tmp_path / "vivace.toml").write_text(TOML.format(event=event))
        arguments = ["-m", "vivace", "run", "shop:app", "--bind", f"127.0.0.1:{find_free_port()}", *more]
        made = Serving(arguments, tmp_path)
        if begins:
            try:
                until(lambda: bool(_all(tmp_path)), PATIENCE)
            except AssertionError:
                made.__exit__(None, None, None)
                raise
        return made

    return start


Serve = Callable[..., Serving]


@pytest.mark.parametrize("how", ["stop", pytest.param("restart", marks=pytest.mark.once)])
def test_requests_that_are_cut(how: str, serve: Serve, tmp_path: Path) -> None:
    with serve(
        "drain.timeout", "--graceful-shutdown-timeout", "0.5", "--keep-alive-timeout", "0.5"
    ) as server:
        with server.connect() as client:
            ask(client, "/slow")
            until((tmp_path / "began").exists, PATIENCE)
            server.signal(signal.SIGTERM if how == "stop" else signal.SIGHUP)
            until(lambda: bool(told(tmp_path)), PATIENCE)
        (alarm,) = told(tmp_path)
        assert (alarm["subject"], alarm["level"]) == ("worker 1", "warning")
        assert alarm["message"] == "the time to stop is over: 1 request cut: 'GET /slow'"
        if how == "stop":
            assert server.wait(PATIENCE) == 0


@pytest.mark.once
def test_a_worker_that_does_not_leave(serve: Serve, tmp_path: Path) -> None:
    arguments = ["--graceful-shutdown-timeout", "0.5", "--loop-timeout", "0"]
    with serve("drain.timeout", *arguments, app=APP.replace("def block", "async def block")) as server:
        with server.connect() as client:
            ask(client, "/block")
            until((tmp_path / "began").exists, PATIENCE)
            server.signal(signal.SIGTERM)
            until(lambda: bool(told(tmp_path)), PATIENCE)
        assert server.wait(PATIENCE) is not None
        assert [one["event"] for one in told(tmp_path)] == ["drain.timeout"]


def test_a_stop_that_waits_for_nobody_is_none(serve: Serve, tmp_path: Path) -> None:
    with serve("*") as server:
        assert "200 OK" in server.get("/")
        assert server.stop() == 0
    assert told(tmp_path) == []


@LINUX
@pytest.mark.once
def test_a_worker_that_is_near_its_limit(serve: Serve, tmp_path: Path) -> None:
    with serve("memory.soft", "--memory-limit", str(200 << 20)) as server:
        server.get("/grow")
        until(lambda: len(told(tmp_path)) == 1, PATIENCE)
        server.get("/shrink")
        until(lambda: len(told(tmp_path)) == 2, PATIENCE)
        first, second = told(tmp_path)
        assert str(first["message"]).endswith("MiB; it is killed at 200")
        assert (first["resolved"], second["resolved"]) == (False, True)


@LINUX
def test_a_queue_that_is_full(serve: Serve, tmp_path: Path) -> None:
    blocked = APP.replace("def block", "async def block")
    admin = find_free_port()
    arguments = ["--backlog", "1", "--loop-timeout", "0", "--admin-bind", f"127.0.0.1:{admin}"]
    with serve("backlog.full", *arguments, app=blocked) as server:
        port = server.port
        clients: list[socket.socket] = []
        try:
            clients.append(server.connect())
            ask(clients[0], "/block")
            until((tmp_path / "began").exists, PATIENCE)
            for _ in range(8):
                clients.append(socket.socket())
                clients[-1].setblocking(False)
                clients[-1].connect_ex(("127.0.0.1", port))
            until(lambda: bool(told(tmp_path)), PATIENCE)
            with urllib.request.urlopen(f"http://127.0.0.1:{admin}/stats?format=uwsgi") as answer:
                figures = json.load(answer)
            assert figures["listen_queue"] == figures["sockets"][0]["queue"] == 2
            assert figures["listen_queue_errors"] >= 1
        finally:
            (tmp_path / "go").touch()
            for one in clients:
                one.close()
        (alarm,) = told(tmp_path)
        assert alarm["subject"] == f"127.0.0.1:{port}"
        assert str(alarm["message"]).startswith(f"the queue of 127.0.0.1:{port} is full: ")


@pytest.mark.parametrize(
    ("workers", "app", "why"),
    [
        ("1", "import nowhere_to_be_found", "No module named 'nowhere_to_be_found'"),
        ("2", APP + "\n@app.before_server_start\nasync def no(app):\n    raise OSError('no hub')", "no hub"),
    ],
)
def test_a_first_start_that_fails(workers: str, app: str, why: str, serve: Serve, tmp_path: Path) -> None:
    with serve("start.failed", "--workers", workers, app=app, begins=False) as server:
        assert server.wait(PATIENCE) == 3
    (alarm,) = told(tmp_path)
    assert "the start is given up" in str(alarm["message"])
    assert why in str(alarm["message"])


def test_an_address_that_is_taken(serve: Serve, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with serve("start.failed", "--bind", f"127.0.0.1:{port}", begins=False) as server:
            assert server.wait(PATIENCE) == 4
    (alarm,) = told(tmp_path)
    assert str(port) in str(alarm["message"])


def test_a_target_that_fails_then_does_not_hold_up_the_end(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "told").mkdir()
    with serve("start.failed", app="raise ValueError('no')", begins=False) as server:
        assert server.wait(PATIENCE) == 3
        assert "command sh was not told of the alarm start.failed: it ended with exit code" in server.log
    os.rmdir(tmp_path / "told")
