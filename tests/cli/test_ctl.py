"""`vivace ctl` with real servers: what it says, what it does, how it ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.supervisor.serving import PATIENCE, Serving, ask, change, clean_environment, until

APP = """
import asyncio, logging, os, sys, time
from vivace import Vivace

app = Vivace("shop")
VALUE = 1
log = logging.getLogger("shop")


@app.get("/")
async def index(request):
    log.debug("somebody asks")
    return {"value": VALUE, "pid": os.getpid()}


@app.get("/wait/<number:int>")
async def wait(request, number):
    await asyncio.sleep(60)


@app.get("/block")
async def block(request):
    print("block began", file=sys.stderr, flush=True)
    time.sleep(60)


@app.get("/bad")
async def bad(request):
    raise RuntimeError("bad")


if __name__ == "__main__":
    app.run(port=0, workers=2, access_log=False)
"""
RUN = ("-m", "vivace", "run", "shop.py", "--port", "0", "--workers", "2", "--no-access-log")
PROGRAM = ("shop.py",)


@pytest.fixture(autouse=True)
def app(tmp_path: Path) -> Path:
    path = tmp_path / "shop.py"
    path.write_text(APP)
    return path


def ctl(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vivace", "ctl", *arguments],
        cwd=cwd,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def talk(pid: str, *lines: bytes) -> list[dict[str, Any]]:
    """Speak to the socket without our own client."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(f"\0vivace/{os.geteuid()}/{pid}")
        client.sendall(b"\n".join([*lines, b""]))
        client.shutdown(socket.SHUT_WR)
        data = b""
        while piece := client.recv(65536):
            data += piece
        return [json.loads(line) for line in data.splitlines()]


class Controlled(Serving):
    """A server, and `vivace ctl` for it."""

    def __init__(self, folder: Path, *options: str, way: tuple[str, ...] = RUN) -> None:
        super().__init__([*way, *options], folder)
        self.folder = folder

    @property
    def supervisor(self) -> str:
        return self.wait_for(r"supervisor pid (\d+)")[1]

    def ctl(self, *arguments: str, code: int = 0) -> str:
        done = ctl(*arguments, "--pid", self.supervisor, cwd=self.folder)
        assert done.returncode == code, done
        return done.stdout if code == 0 else done.stderr

    def json(self, command: str) -> dict[str, Any]:
        """What `--json` prints, without the process that prints it."""
        (found,) = talk(self.supervisor, json.dumps({"command": command}).encode())
        assert found["ok"]
        return found

    def generations(self) -> list[int]:
        return [one["generation"] for one in self.json("workers")["workers"] if one["state"] == "ready"]


def sums(workers: list[dict[str, Any]], *names: str) -> tuple[int, ...]:
    return tuple(sum(one[name] for one in workers) for name in names)


def test_status_tells_of_the_server_and_of_each_worker(tmp_path: Path) -> None:
    with Controlled(tmp_path) as server, server.connect() as first, server.connect() as second:
        ask(first, "/wait/1?secret=x")
        until(lambda: server.json("status")["workers"][0]["active"] is not None)
        ask(second, "/wait/2")
        server.get("/bad")

        def settled() -> bool:
            workers = server.json("status")["workers"]
            return sums(workers, "active", "errors") == (2, 1)

        until(settled)
        status = server.json("status")
        overview = status["server"]
        assert overview["name"] == "shop"
        assert overview["state"] == "serving"
        assert (overview["ready"], overview["wanted"], overview["generation"]) == (2, 2, 1)
        assert overview["threads"] == 4
        assert overview["addresses"] == [f"http://127.0.0.1:{server.port}"]
        assert overview["pid"] == int(server.supervisor)
        assert [one["worker"] for one in status["workers"]] == [1, 2]
        for one in status["workers"]:
            assert one["state"] == "ready"
            assert one["generation"] == 1
            assert one["rss"] > 1_000_000
            assert 0 <= one["cpu"] < 64
            assert one["restarts"] == 0
            assert one["last_exit"] is None
        oldest = [one["oldest"]["request"] for one in status["workers"] if one["oldest"]]
        assert set(oldest) <= {"GET /wait/1", "GET /wait/2"}
        assert "secret" not in json.dumps(status)
        assert json.loads(server.ctl("status", "--json")).keys() == status.keys()
        text = server.ctl("status")
        assert text.startswith("shop: serving, 2 of 2 workers ready, generation 1, up ")
        assert text.splitlines()[3].split()[:4] == ["WORKER", "PID", "GEN", "STATE"]
        assert "GET /wait/" in text


def test_stats_sum_up(tmp_path: Path) -> None:
    with Controlled(tmp_path) as server:
        for _ in range(5):
            server.get()
        until(lambda: server.json("stats")["totals"]["served"] == 5)
        stats = server.json("stats")
        assert stats["totals"]["errors"] == stats["totals"]["active"] == 0
        assert stats["totals"]["pss"] == sum(one["pss"] for one in stats["workers"])
        assert stats["totals"]["pss"] < stats["totals"]["rss"]
        assert stats["counters"]["responses"]["2xx"] == sum(stats["counters"]["durations"]["counts"]) == 5
        text = server.ctl("stats")
        assert "5 requests, 0 errors, 0 in progress" in text
        assert "answers since the start: 5 2xx; 50 % within " in text


def test_a_blocked_worker_is_told_with_its_request_and_without_its_help(tmp_path: Path) -> None:
    with Controlled(tmp_path) as server, server.connect() as client:
        ask(client, "/block")
        until(lambda: "blocked" in server.ctl("workers"))
        (blocked,) = (one for one in server.json("workers")["workers"] if one["state"] == "blocked")
        assert blocked["suspect"] == "GET /block"
        assert blocked["late"] > 1
        began = time.monotonic()
        server.json("status")
        assert time.monotonic() - began < 5


def test_what_became_of_earlier_workers_is_told(tmp_path: Path) -> None:
    with Controlled(tmp_path) as server:
        assert server.port

        def first() -> dict[str, Any]:
            found: dict[str, Any] = talk(server.supervisor, b'{"command": "workers"}')[0]["workers"][0]
            return found

        def kill() -> int:
            pid = int(first()["pid"])
            os.kill(pid, signal.SIGKILL)
            return pid

        pid = kill()
        until(lambda: first().get("pid") != pid and first()["state"] == "ready")
        assert first()["restarts"] == 1
        assert first()["last_exit"]["how"] == "ready: SIGKILL"
        kill()
        until(lambda: first()["state"] == "backoff")
        (answer,) = talk(server.supervisor, b'{"command": "status"}')
        assert answer["server"]["state"] == "degraded"
        assert 0 < answer["workers"][0]["due"] < 1
        until(lambda: first()["state"] == "ready")
        assert first()["restarts"] == 2


def test_a_stopped_process_keeps_nobody_from_an_answer(tmp_path: Path) -> None:
    with Controlled(tmp_path) as server:
        pid = server.json("workers")["workers"][0]["pid"]
        os.kill(pid, signal.SIGSTOP)
        until(lambda: server.json("workers")["workers"][0]["state"] == "blocked")
        os.kill(pid, signal.SIGCONT)
        until(lambda: server.json("workers")["workers"][0]["state"] == "ready")


@pytest.mark.parametrize("way", [RUN, PROGRAM], ids=["command", "program"])
def test_restart_and_wait_ends_when_every_worker_is_new(
    tmp_path: Path, app: Path, way: tuple[str, ...]
) -> None:
    with Controlled(tmp_path, way=way) as server:
        assert server.port
        change(app, "VALUE = 1", "VALUE = 2")
        assert "generation 2 serves" in server.ctl("restart", "--wait")
        assert set(server.generations()) == {2}
        until(lambda: '"value":2' in server.get())


@pytest.mark.parametrize("way", [RUN, PROGRAM], ids=["command", "program"])
def test_restart_into_broken_code_ends_with_3_and_says_why(
    tmp_path: Path, app: Path, way: tuple[str, ...]
) -> None:
    with Controlled(tmp_path, way=way) as server:
        assert server.port
        change(app, "VALUE = 1", "VALUE = 2\nraise RuntimeError('a bad deploy')")
        text = server.ctl("restart", "--wait", code=3)
        assert "the old one goes on serving" in text
        assert "a bad deploy" in (text if way is RUN else server.log)
        assert "the log says why" in text or way is RUN
        assert '"value":1' in server.get()
        change(app, "raise RuntimeError('a bad deploy')", "")
        server.ctl("reload", "--wait")
        assert set(server.generations()) == {3}


def test_restart_into_code_that_dies_soon_ends_with_3(tmp_path: Path, app: Path) -> None:
    with Controlled(tmp_path) as server:
        assert server.port
        dies = "import threading\n@app.after_server_start\nasync def die(app):\n"
        dies += "    threading.Timer(0.3, os._exit, (9,)).start()\n"
        change(app, "VALUE = 1", f"VALUE = 2\n{dies}")
        assert "the restart is given up" in server.ctl("restart", "--wait", code=3)
        assert '"value":1' in server.get()


def begin_restart(server: Controlled, folder: Path) -> "subprocess.Popen[str]":
    """`vivace ctl restart --wait`, which waits; the restart has begun."""
    waiting = subprocess.Popen(
        [sys.executable, "-m", "vivace", "ctl", "restart", "--wait", "--pid", server.supervisor],
        cwd=folder,
        env=clean_environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    server.wait_for("restarting: the app is loaded anew")
    return waiting


def test_a_restart_that_another_one_overtakes_ends_with_3(tmp_path: Path, app: Path) -> None:
    with Controlled(tmp_path) as server:
        assert server.port
        change(app, "VALUE = 1", "VALUE = 2\ntime.sleep(3)")
        first = begin_restart(server, tmp_path)
        change(app, "time.sleep(3)", "")
        server.ctl("restart", "--wait")
        _, said = first.communicate(timeout=PATIENCE)
        assert first.returncode == 3
        assert "a later restart took its place" in said


def test_stop_waits_for_the_end(tmp_path: Path) -> None:
    with Controlled(tmp_path) as server:
        pid = server.supervisor
        assert server.ctl("stop") == f"shop (pid {pid}) stopped\n"
        assert server.wait(1.0) == 0
        assert "asks for a stop" in server.log


def test_a_forced_stop_does_not_wait_for_requests(tmp_path: Path) -> None:
    with Controlled(tmp_path) as server, server.connect() as client:
        ask(client, "/wait/1")
        until(lambda: server.json("stats")["totals"]["active"] == 1)
        server.ctl("stop", "--force")
        assert server.wait(5.0) == 0


def test_a_restart_that_a_stop_ends_is_told_so(tmp_path: Path, app: Path) -> None:
    with Controlled(tmp_path) as server:
        assert server.port
        change(app, "VALUE = 1", "VALUE = 2\ntime.sleep(30)")
        restart = begin_restart(server, tmp_path)
        server.ctl("stop", "--no-wait")
        _, said = restart.communicate(timeout=PATIENCE)
        assert (restart.returncode, said) == (3, "Error: the server stops\n")


def test_scale_changes_the_number_of_workers_and_a_restart_keeps_it(tmp_path: Path) -> None:
    with Controlled(tmp_path) as server:
        assert server.port
        assert server.ctl("scale", "3") == "2 workers become 3\n"
        until(lambda: server.json("status")["server"]["ready"] == 3)
        server.ctl("restart", "--wait")
        assert server.json("status")["server"]["wanted"] == 3
        server.ctl("scale", "1")
        until(lambda: len(server.json("workers")["workers"]) == 1)
        for wrong in ("0", "257"):
            assert "from 1 to 256" in server.ctl("scale", wrong, code=2)


def test_a_worker_that_finishes_a_long_request_is_listed_as_retiring(tmp_path: Path) -> None:
    with Controlled(tmp_path) as server, server.connect() as client:
        ask(client, "/wait/1")
        until(lambda: server.json("stats")["totals"]["active"] == 1)
        server.ctl("restart", "--wait")
        workers = server.json("workers")["workers"]
        states = sorted((one["state"], one["generation"], one["active"]) for one in workers)
        assert states[-1] == ("retiring", 1, 1)
        assert [state[:2] for state in states[:2]] == [("ready", 2), ("ready", 2)]


def test_what_signals_change_is_seen_within_a_second(tmp_path: Path) -> None:
    with Controlled(tmp_path) as server:
        assert server.port
        os.kill(int(server.supervisor), signal.SIGTTIN)
        assert until(lambda: server.json("status")["server"]["wanted"] == 3) < 1.0
        os.kill(int(server.supervisor), signal.SIGTTOU)
        assert until(lambda: server.json("status")["server"]["wanted"] == 2) < 1.0


def test_dump_shows_requests_tasks_and_threads(tmp_path: Path) -> None:
    with Controlled(tmp_path) as server, server.connect() as client:
        ask(client, "/wait/7?secret=x")
        until(lambda: server.json("stats")["totals"]["active"] == 1)
        dumps = server.json("dump")["dumps"]
        assert [one["worker"] for one in dumps] == [1, 2]
        text = "\n".join(one["text"] for one in dumps)
        assert re.search(r"GET /wait/7 for \d+\.\d s\n  File .*shop\.py\", line \d+, in wait", text)
        assert "thread 'MainThread'" in text
        assert "secret" not in text
        assert server.ctl("dump", "2").startswith("worker 2 (pid ")
        assert "there is no worker 9" in server.ctl("dump", "9", code=1)


def test_dump_is_quick(shared: Controlled) -> None:
    times = []
    for _ in range(10):
        began = time.monotonic()
        (answer,) = talk(shared.supervisor, b'{"command": "dump"}')
        times.append(time.monotonic() - began)
        assert len(answer["dumps"]) == 2
    assert min(times) < 0.05


def test_dump_of_a_blocked_worker_shows_where_it_blocks(tmp_path: Path) -> None:
    with Controlled(tmp_path) as server, server.connect() as client:
        ask(client, "/block")
        server.wait_for("block began")
        assert re.search(r"shop\.py\", line \d+, in block\n", server.ctl("dump"))


def test_dump_of_a_worker_that_holds_the_interpreter_goes_to_the_log(tmp_path: Path, app: Path) -> None:
    change(app, "time.sleep(60)", "import re; re.match(r'(a+)+$', 'a' * 60 + 'b')")
    with Controlled(tmp_path) as server, server.connect() as client:
        ask(client, "/block")
        server.wait_for("block began")
        assert "its stacks go to its standard error" in server.ctl("dump")
        server.wait_for(r"shop\.py\", line \d+ in block")


def test_the_level_of_the_log_changes_in_all_workers_and_those_to_come(tmp_path: Path) -> None:
    with Controlled(tmp_path) as server:
        server.get()
        assert "somebody asks" not in server.log
        assert server.ctl("log-level", "debug") == "the level is DEBUG\n"

        def seen() -> bool:
            server.get()
            return "somebody asks" in server.log

        until(seen)
        server.ctl("scale", "3")
        until(lambda: server.json("status")["server"]["ready"] == 3)
        assert server.ctl("log-level", "warning") == "the level is WARNING\n"
        assert "Invalid value" in server.ctl("log-level", "loud", code=2)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{}", "there is no command None; there are status, workers"),
        (b'{"command": 1}', "there is no command 1"),
        (b'{"command": "format"}', "there is no command 'format'"),
        (b'{"command": "restart", "wait": 1}', "wait is true or false, not 1"),
        (b'{"command": "scale"}', "not None"),
        (b'{"command": "scale", "workers": true}', "not True"),
        (b'{"command": "log-level", "level": 3}', "level is one of DEBUG"),
        (b'{"command": "dump", "worker": "x"}', "there is no worker 'x'"),
    ],
)
def test_what_cannot_be_done_is_said(shared: Controlled, line: bytes, says: str) -> None:
    (answer,) = talk(shared.supervisor, line)
    assert answer["ok"] is False
    assert says in answer["error"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("shared")
    (folder / "shop.py").write_text(APP)
    with Controlled(folder) as server:
        assert server.port
        yield server


def test_a_storm_of_requests_holds_nobody_up(shared: Controlled) -> None:
    answers = talk(shared.supervisor, *[b'{"command": "status"}'] * 200)
    assert len(answers) == 200
    assert all(answer["ok"] for answer in answers)


def test_workers_hold_nothing_of_the_control_socket(shared: Controlled) -> None:
    pids = [one["pid"] for one in shared.json("workers")["workers"]]
    inode = next(
        line.split()[6]
        for line in Path("/proc/net/unix").read_text().splitlines()
        if line.endswith(f"@vivace/{os.geteuid()}/{shared.supervisor}")
    )
    for pid in pids:
        links = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
        assert f"socket:[{inode}]" not in links


def test_servers_are_found_by_pid_file_by_path_and_by_settings(tmp_path: Path) -> None:
    options = ("--pid-file", "shop.pid", "--control", "shop.sock")
    with Controlled(tmp_path, *options) as server:
        assert server.port
        until((tmp_path / "shop.pid").exists)
        for named in (("--socket", "shop.sock"),):
            assert json.loads(ctl("status", "--json", *named, cwd=tmp_path).stdout)["ok"]
        (tmp_path / "vivace.toml").write_text('CONTROL = "shop.sock"\n')
        assert json.loads(ctl("status", "--json", cwd=tmp_path).stdout)["ok"]
    (tmp_path / "vivace.toml").write_text('PID_FILE = "other.pid"\n')
    with Controlled(tmp_path, "--pid-file", "other.pid") as server:
        assert server.port
        until((tmp_path / "other.pid").exists)
        for way in ((), ("--pid-file", "other.pid")):
            assert json.loads(ctl("status", "--json", *way, cwd=tmp_path).stdout)["ok"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--pid", "1"), "the process 1 has no control socket: a server has a control socket if"),
        (("--socket", "none.sock"), "no server answers at none.sock"),
        (("--pid-file", "none.pid"), "the pid file none.pid cannot be read: No such file or directory"),
    ],
)
def test_when_no_server_is_found_it_says_why(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    done = ctl("status", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert says in done.stderr
    answer = json.loads(ctl("status", "--json", *arguments, cwd=tmp_path).stdout)
    assert answer["ok"] is False
    assert says in answer["error"]


def test_of_several_servers_the_one_of_this_folder_is_meant(tmp_path: Path, app: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        (folder / "shop.py").write_text(app.read_text())
    with Controlled(folders[0]) as one, Controlled(folders[1]) as two:
        for server in (one, two):
            supervisor = server.supervisor
            assert f"supervisor pid {supervisor}," in ctl("status", cwd=server.folder).stdout
        done = ctl("status", cwd=tmp_path)
        assert done.returncode == 1
        for server in (one, two):
            assert f"{server.supervisor} ({server.folder})" in done.stderr


def test_a_pid_file_that_is_left_over_is_said_to_be(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / "old.pid").write_text(f"{ended.pid}\n")
    assert "which is gone" in ctl("status", "--pid-file", "old.pid", cwd=tmp_path).stderr
    (tmp_path / "old.pid").write_text("nothing\n")
    assert "names no process" in ctl("status", "--pid-file", "old.pid", cwd=tmp_path).stderr


def test_a_single_process_has_none_and_one_is_told_what_to_do(tmp_path: Path) -> None:
    way = ("-m", "vivace", "run", "shop.py", "--port", "0", "--no-access-log")
    with Serving(way, tmp_path) as server:
        assert server.port
        done = ctl("status", "--pid", str(server.process.pid), cwd=tmp_path)
        assert done.returncode == 1
        assert "--supervise on" in done.stderr


def test_without_a_control_socket_it_serves_all_the_same(tmp_path: Path) -> None:
    with Controlled(tmp_path, "--control", "off") as server:
        server.get()
        assert "has no control socket" in server.ctl("status", code=1)
        assert "control socket" not in server.log
