"""Real processes and what each signal does to them."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from tests.supervisor.serving import Serving, clean_environment, is_refused, until

APP = """
import asyncio, logging, os, subprocess, sys, time
from vivace import Vivace

app = Vivace("sample")
log = logging.getLogger("mine")
log.propagate = False
log.addHandler(logging.FileHandler("mine.log"))


@app.get("/")
async def index(request):
    log.warning("a line")
    return {"pid": os.getpid()}


@app.get("/block")
async def block(request):
    print("block began", file=sys.stderr, flush=True)
    while True:
        time.sleep(0.01)


@app.get("/leave")
async def leave(request):
    subprocess.Popen(["sleep", "98765"])
    subprocess.Popen([sys.executable, "-c", DEAF])
    return {}


@app.get("/orphans")
async def orphans(request):
    code = "import subprocess\\nfor _ in range(500): subprocess.Popen(['sleep', '98764'])"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, start_new_session=True)
    await process.wait()
    return {}


DEAF = '''
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(98765)
'''
BOOT = float(os.environ.get("BOOT", 0))


@app.before_server_start
async def slowly(app):
    time.sleep(BOOT)
"""
RUN = ("-m", "vivace", "run", "sample:app", "--port", "0")


@pytest.fixture(autouse=True)
def app(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(APP)


def serve(tmp_path: Path, *options: str, **environ: str) -> Serving:
    return Serving([*RUN, *options], tmp_path, environ)


def pid_of(answer: str) -> int:
    return int(re.findall(r'"pid":(\d+)', answer)[0])


def workers_of(server: Serving, count: int) -> list[int]:
    seen: set[int] = set()

    def ask_once() -> bool:
        seen.add(pid_of(server.get()))
        return len(seen) >= count

    until(ask_once)
    return sorted(seen)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_line_is_lost_or_split_when_logs_are_reopened(tmp_path: Path, workers: str) -> None:
    options = ("--workers", workers, "--access-log-file", "access.log", "--supervise", "on")
    with serve(tmp_path, *options) as server:
        port = server.port

        def ask_250_times() -> None:
            with socket.create_connection(("127.0.0.1", port), 10) as client:
                for _ in range(250):
                    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    assert b"200 OK" in client.recv(65536)

        threads = [threading.Thread(target=ask_250_times) for _ in range(4)]
        for thread in threads:
            thread.start()
        for turn in range(3):
            time.sleep(0.05)
            for name in ("access.log", "mine.log"):
                os.rename(tmp_path / name, tmp_path / f"{name}.{turn}")
            server.signal(signal.SIGUSR1)
            for name in ("access.log", "mine.log"):
                until(partial(os.path.exists, tmp_path / name))
        for thread in threads:
            thread.join()
        assert server.stop() == 0
    lines = [line for file in tmp_path.glob("access.log*") for line in file.read_text().splitlines()]
    assert [json.loads(line)["status"] for line in lines] == [200] * 1000
    mine = [line for file in tmp_path.glob("mine.log*") for line in file.read_text().splitlines()]
    assert mine == ["a line"] * 1000


def test_a_log_that_cannot_be_opened_stops_the_start_and_not_the_server(tmp_path: Path) -> None:
    with serve(tmp_path, "--access-log-file", "nowhere/access.log") as server:
        assert server.wait() == 2
        assert "ACCESS_LOG_FILE nowhere/access.log cannot be opened" in server.log.replace(f"{tmp_path}/", "")
    (tmp_path / "logs").mkdir()
    with serve(tmp_path, "--access-log-file", "logs/access.log") as server:
        server.get()
        os.rename(tmp_path / "logs", tmp_path / "old")
        server.signal(signal.SIGUSR1)
        server.wait_for("ACCESS_LOG_FILE .*/logs/access.log cannot be opened")
        server.get()
        assert server.stop() == 0
    assert (tmp_path / "old" / "access.log").read_text().count("\n") == 2


def test_quit_shows_the_stacks_and_ends_within_two_seconds_though_a_loop_is_blocked(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2") as server, server.connect() as client:
        client.sendall(b"GET /block HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for("block began")
        start = time.monotonic()
        server.signal(signal.SIGQUIT)
        assert server.wait() == 0
        assert time.monotonic() - start < 2.5
        assert "in block" in server.log


@pytest.mark.parametrize("workers", ["1", "2"])
def test_quit_may_be_graceful_as_with_nginx(tmp_path: Path, workers: str) -> None:
    with serve(tmp_path, "--workers", workers, VIVACE_SIGQUIT="graceful") as server, server.connect() as kept:
        kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        kept.recv(65536)
        server.signal(signal.SIGQUIT)
        until(lambda: is_refused(server.port))
        kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"connection: close" in kept.recv(65536).lower()
        kept.close()
        assert server.wait() == 0
        assert "most recent call first" not in server.log


def test_a_terminal_that_goes_away_ends_nothing(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", f"import os, pty\nos.login_tty({theirs})\nos.execv(*{_run(2)!r})"],
        cwd=tmp_path,
        env=clean_environment(),
        pass_fds=[theirs],
        start_new_session=False,
    )
    os.close(theirs)
    text = ""
    while not (found := re.search(r"http://127.0.0.1:(\d+).*pid (\d+)", text, re.DOTALL)):
        text += os.read(ours, 4096).decode()
    os.close(ours)
    port = int(found[1])
    try:
        time.sleep(0.5)
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port), 5) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b"200 OK" in client.recv(65536)
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def _run(workers: int) -> tuple[str, list[str]]:
    return sys.executable, [sys.executable, *RUN, "--workers", str(workers)]


def test_the_number_of_workers_survives_a_restart(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "1", "--supervise", "on") as server:
        server.get()
        server.signal(signal.SIGTTIN)
        start = time.monotonic()
        server.wait_for("worker 2 serves")
        assert time.monotonic() - start < 1
        server.signal(signal.SIGHUP)
        server.wait_for("restarted: generation 2 serves")
        assert "become 1" not in server.log
        assert len(workers_of(server, 2)) == 2


def test_signals_are_heeded_while_workers_boot_slowly(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "8", "--supervise", "on", BOOT="30") as server:
        until(lambda: len(_descendants(server.process.pid)) >= 9)
        start = time.monotonic()
        server.signal(signal.SIGTTIN)
        server.wait_for("8 workers become 9")
        assert time.monotonic() - start < 0.1 + _slack()
        start = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert time.monotonic() - start < 2.5 + _slack()


def test_a_worker_heeds_its_own_signals(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "1", "--supervise", "on") as server:
        (worker,) = workers_of(server, 1)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGALRM, signal.SIGPIPE):
            os.kill(worker, number)
        os.kill(worker, signal.SIGUSR2)
        server.wait_for("most recent call first")
        assert workers_of(server, 1) == [worker]
        os.kill(worker, signal.SIGQUIT)
        server.wait_for("most recent call first", count=2)
        server.wait_for("serves as pid")
        (other,) = workers_of(server, 1)
        assert other != worker
        os.kill(other, signal.SIGTERM)
        server.wait_for("serves as pid", count=2)
        assert workers_of(server, 1) != [other]
        assert server.stop() == 0


def test_five_hundred_children_that_die_at_once_are_reaped_within_a_second(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2") as server:
        server.get("/orphans")
        until(lambda: len(_children(server.process.pid, "sleep")) == 500)
        orphans = _children(server.process.pid, "sleep")
        for pid in orphans:
            os.kill(pid, signal.SIGKILL)
        assert until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in orphans)) < 1 + _slack()
        assert "is replaced" not in server.log
        assert server.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_a_worker_started_ends_with_it(tmp_path: Path, number: int) -> None:
    with serve(tmp_path, "--workers", "1", "--supervise", "on") as server:
        (worker,) = workers_of(server, 1)
        server.get("/leave")
        until(lambda: len(_group(worker)) == 3)
        time.sleep(0.3)
        started = [pid for pid in _group(worker) if pid != worker]
        os.kill(worker, number)
        server.wait_for("serves as pid")
        until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in started), 5)
        server.get("/leave")
        (worker,) = workers_of(server, 1)
        until(lambda: len(_group(worker)) == 3)
        assert server.stop() == 0
        assert _group(worker) == []


def test_a_worker_has_no_descriptors_but_its_own(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2") as server:
        workers = workers_of(server, 2)
        one, other = (set(_open_files(worker)) for worker in workers)
        shared = {place for place in one & other if not place.startswith("anon_inode:")}
        for worker in workers:
            until(partial(_has_only_its_own, worker, shared))
        found = {place.partition(":")[0] for place in shared}
        assert found <= {"socket", "pipe", "/dev/null", str(tmp_path / "mine.log"), "/memfd"}
        assert sum(place.startswith(("socket:", "pipe:")) for place in shared) == 2


def _has_only_its_own(worker: int, shared: set[str]) -> bool:
    """The channel, and what uvloop needs for signals: a pair of sockets, two pipes."""
    kinds = [place.partition(":")[0] for place in _open_files(worker) if place not in shared]
    return sorted(kind for kind in kinds if kind != "anon_inode") == ["pipe"] * 4 + ["socket"] * 3


def _open_files(pid: int) -> list[str]:
    return [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]


def _stat(pid: str) -> list[str]:
    """The fields of a process behind its name: state, parent, group, session; none if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return [text.partition("(")[2].rpartition(")")[0], *text.rpartition(")")[2].split()]


def _all() -> dict[int, list[str]]:
    return {int(name): found for name in os.listdir("/proc") if name.isdigit() and (found := _stat(name))}


def _children(parent: int, name: str) -> list[int]:
    return [pid for pid, (called, _, over, *_) in _all().items() if int(over) == parent and called == name]


def _group(leader: int) -> list[int]:
    return [pid for pid, stat in _all().items() if int(stat[3]) == leader and stat[1] != "Z"]


def _descendants(session: int) -> list[int]:
    return [pid for pid, stat in _all().items() if int(stat[4]) == session and pid != session]


def _slack() -> float:
    """What a busy machine may add to a time that is measured."""
    return min(os.getloadavg()[0], 4.0) / 4
