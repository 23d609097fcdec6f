"""Faults of the machine: no descriptors, processes or memory, a full disk, a reader that is gone, time."""

import ast
import contextlib
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.crowd import Crowd
from bench.restarts import change, serving
from bench.stage import Stage, app_text, until
from tests.conftest import ROOT

pytestmark = pytest.mark.once

RUN = [sys.executable, "-m", "vivace", "run", "trial:app", "--port", "{port}", "--no-access-log"]
GROUPS = Path("/sys/fs/cgroup")


def restart(stage: Stage, value: int) -> None:
    change(stage.folder, value)
    stage.send(signal.SIGHUP)


def served(stage: Stage, value: int) -> bool:
    return until(lambda: stage.serves(value), 15.0) < 15.0


# Descriptors


def test_with_no_descriptors_left_idle_clients_make_room(tmp_path: Path) -> None:
    (tmp_path / "trial.py").write_text(app_text(tmp_path, package="vivace"))
    with Stage(["prlimit", "--nofile=64:64", *RUN, "--workers", "2"], tmp_path) as stage:
        stage.wait_until_serving()
        place = ("127.0.0.1", stage.port)
        idle = [socket.create_connection(place, 5.0) for _ in range(200)]
        family = [psutil.Process(pid) for pid in stage.family()]
        before = sum(sum(process.cpu_times()[:2]) for process in family)
        start = time.monotonic()
        answers = [stage.ask(patience=5.0) for _ in range(5)]
        until(lambda: time.monotonic() - start > 1.0)
        spent = sum(sum(process.cpu_times()[:2]) for process in family) - before
        assert all(answer.startswith("1 ") for answer in answers), answers
        assert spent < 0.3, "who has no descriptors does not spin"
        for client in idle:
            client.close()
        assert until(stage.serves, 2.0) < 2.0
        assert "Traceback" not in stage.log
        stage.send(signal.SIGTERM)
        assert stage.wait(10.0) == 0


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits other processes")
def test_a_supervisor_without_descriptors_says_so_and_goes_on() -> None:
    with serving() as stage:
        used = len(os.listdir(f"/proc/{stage.process.pid}/fd"))
        before = resource.prlimit(stage.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(stage.process.pid, resource.RLIMIT_NOFILE, (used, before[1]))
        restart(stage, 2)
        assert until(lambda: "the old one goes on serving" in stage.log or "given up" in stage.log) < 30, (
            stage.log
        )
        assert stage.serves(1)
        resource.prlimit(stage.process.pid, resource.RLIMIT_NOFILE, before)
        restart(stage, 3)
        assert served(stage, 3), stage.log
        assert len(os.listdir(f"/proc/{stage.process.pid}/fd")) <= used + 3
        stage.send(signal.SIGTERM)
        assert stage.wait(10.0) == 0


def test_restarts_leave_no_descriptor_behind() -> None:
    def held(stage: Stage) -> int:
        return len(os.listdir(f"/proc/{stage.process.pid}/fd"))

    with serving("--keep-alive-timeout", "0.1") as stage:
        first = held(stage)
        for value in (2, 3, 4):
            restart(stage, value)
            until(lambda value=value: f"generation {value} serves" in stage.log)  # type: ignore[misc]
            assert until(lambda: held(stage) <= first, 5.0) < 5.0, (first, held(stage))


# Processes and memory


@contextlib.contextmanager
def group(kind: str) -> Iterator[Path]:
    """A control group of our own; skips where there is none to be had."""
    path = GROUPS / kind / f"vivace-test-{os.getpid()}"
    try:
        path.mkdir()
        (path / "cgroup.procs").read_text()
    except OSError:
        pytest.skip(f"control groups ({kind}) are not ours to make here")
    try:
        yield path
    finally:
        until(lambda: not (path / "cgroup.procs").read_text(), 5.0)
        path.rmdir()


def test_a_system_that_refuses_processes_is_asked_again(tmp_path: Path) -> None:
    with group("pids") as path, serving() as stage:
        for pid in stage.family():
            (path / "cgroup.procs").write_text(str(pid))
        until(lambda: int((path / "pids.current").read_text()) >= 4)
        (path / "pids.max").write_text((path / "pids.current").read_text().strip())
        restart(stage, 2)
        assert until(lambda: "old" in stage.log.split("restarting")[-1]) < 30, stage.log
        assert stage.serves(1)
        (path / "pids.max").write_text("max")
        restart(stage, 3)
        assert served(stage, 3), stage.log


GREEDY = """

@app.get("/greedy")
async def greedy(request):
    return framework.text("1 " + str(len([bytearray(b"x" * 2**20) for _ in range(400)])))
"""


def test_a_worker_that_takes_all_the_memory_is_named_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "trial.py").write_text(app_text(tmp_path, package="vivace") + GREEDY)
    with group("memory") as path:
        (path / "memory.limit_in_bytes").write_text(str(160 * 2**20))
        script = f"echo $$ > {path}/cgroup.procs; exec " + " ".join([*RUN, "--workers", "2"])
        with Stage(["bash", "-c", script], tmp_path) as stage:
            stage.wait_until_serving()
            until(lambda: "Listening on" in stage.log)
            born = set(stage.noted("served"))
            assert stage.ask("/greedy", 20.0) == "reset"
            assert until(lambda: set(stage.noted("served")) - born) < 5.0, stage.log
            assert "out of memory" in stage.log
            assert stage.process.poll() is None
            assert stage.serves(1)
            stage.send(signal.SIGTERM)
            assert stage.wait(10.0) == 0


def test_a_worker_goes_before_its_supervisor_when_memory_runs_out() -> None:
    def badness(pid: int) -> int:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())

    with serving() as stage:
        supervisor = badness(stage.process.pid)
        assert all(badness(pid) > supervisor for pid in stage.noted("served"))


# Disks and readers


def test_a_log_on_a_full_disk_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "trial.py").write_text(app_text(tmp_path, package="vivace"))
    files = ["--access-log", "--access-log-file", "/dev/full", "--workers", "2"]
    script = " ".join([*RUN[:-1], *files]) + " 2>/dev/full >/dev/full"
    with Stage(["bash", "-c", f"exec {script}"], tmp_path) as stage:
        stage.wait_until_serving()
        restart(stage, 2)
        assert served(stage, 2)
        stage.send(signal.SIGTERM)
        assert stage.wait(10.0) == 0


def test_a_log_that_nobody_reads_any_more_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "trial.py").write_text(app_text(tmp_path, package="vivace"))
    # `true` leaves at once: whatever is written after that is a broken pipe.
    script = " ".join([*RUN[:-1], "--access-log", "--workers", "2"]) + " 2> >(true) > >(true)"
    with Stage(["bash", "-c", f"exec {script}"], tmp_path) as stage:
        stage.wait_until_serving()
        restart(stage, 2)
        assert served(stage, 2)
        stage.send(signal.SIGTERM)
        assert stage.wait(10.0) == 0


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
def test_a_pid_file_on_a_full_disk_is_named(tmp_path: Path) -> None:
    (tmp_path / "trial.py").write_text(app_text(tmp_path, package="vivace"))
    full = tmp_path / "full"
    full.mkdir()
    own = ["unshare", "--mount"]
    if subprocess.run([*own, "true"], capture_output=True, check=False).returncode:
        pytest.skip("unshare is not permitted here")
    script = (
        f"mount -t tmpfs -o size=4k none {full} && (cat /dev/zero > {full}/fill || true) 2>/dev/null; exec "
    )
    script += " ".join([*RUN, "--workers", "2", "--pid-file", f"{full}/pid"])
    with Stage([*own, "bash", "-c", script], tmp_path) as stage:
        until(lambda: stage.code is not None or "No space" in stage.log, 15.0)
        assert "No space left on device" in stage.log
        assert "Traceback" not in stage.log


# Time


def test_a_supervisor_that_was_stopped_for_a_while_harms_nobody() -> None:
    """As a machine that sleeps does: for all timers a long time passes at once."""
    with serving("--boot-timeout", "3") as stage:
        born = stage.noted("served")
        os.kill(stage.process.pid, signal.SIGSTOP)
        with Crowd(stage.port, 4, 0.01) as crowd:
            time.sleep(3.5)
            os.kill(stage.process.pid, signal.SIGCONT)
            crowd.wait(crowd.answered + 100)
        assert not crowd.failed
        assert stage.noted("served") == born
        restart(stage, 2)
        assert served(stage, 2)


WALL = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow"}
KNOWN = {
    "server/access.py": "the time that a line of the log shows",
    "server/state.py": "the Date field",
    "server/certificates.py": "the end of a certificate is a date",
    "server/logs/direct.py": "the time that the line of dropped ones shows",
    "server/logs/handler.py": "the same, of lines of the access log",
    "server/logs/sealed.py": "the time in a datagram",
    "server/tls.py": "the end of a certificate is a date",
    "supervisor/stats/uwsgi_stats.py": "uWSGI tells when a worker began as a date",
    "supervisor/telling/last_words.py": "the time in an alarm",
    "supervisor/telling/pidfile.py": "the start of another process, beside the time of a file",
}


def test_no_timer_follows_the_clock_on_the_wall() -> None:
    """A clock that is set makes nobody wait, and ends nothing: only dates are read from it."""
    found = set()
    source = ROOT / "src" / "vivace"
    for part in ("server", "supervisor", "protocols", "interfaces"):
        for path in (source / part).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute) and ast.unparse(node) in WALL:
                    found.add(str(path.relative_to(source)))
    assert found <= KNOWN.keys(), found - KNOWN.keys()


UPLOADS = """
from vivace import Vivace, text

app = Vivace("uploads")


@app.get("/")
async def index(request):
    return text("1 1")


@app.post("/form")
async def form(request):
    return {"size": len(request.files["file"][0].body)}


def wsgi(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(str(len(body)))))])
    return [str(len(body)).encode()]


app.mount("/wsgi", wsgi)
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
def test_uploads_on_a_full_disk_are_refused_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "trial.py").write_text(UPLOADS)
    disk = tmp_path / "disk"
    disk.mkdir()
    own = ["unshare", "--mount"]
    if subprocess.run([*own, "true"], capture_output=True, check=False).returncode:
        pytest.skip("unshare is not permitted here")
    options = ["--form-spool-size", "65536", "--wsgi-buffer-size", "65536"]
    script = f"mount -t tmpfs -o size=64k none {disk} && exec " + " ".join([*RUN, *options])
    with Stage([*own, "bash", "-c", script], tmp_path, {"TMPDIR": str(disk)}) as stage:
        stage.wait_until_serving()
        data = b"x" * 1_000_000
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
        ways = {"/form": (head + data + b"\r\n--b--\r\n", {"size": 1_000_000}), "/wsgi": (data, 1_000_000)}
        for path, (body, _) in ways.items():
            assert upload(stage.port, path, body)[0] == 507
            assert stage.serves(1)
        assert stage.log.count("an upload could not be kept: [Errno 28] No space left on device; TMPDIR") == 2
        assert "Traceback" not in stage.log
        inside = ["nsenter", "--mount", "--target", str(stage.process.pid)]
        subprocess.run([*inside, "mount", "-o", "remount,size=8m", str(disk)], check=True)
        for path, (body, kept) in ways.items():
            assert upload(stage.port, path, body) == (200, kept)


def upload(port: int, path: str, body: bytes) -> tuple[int, object]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", path, body, {"Content-Type": "multipart/form-data; boundary=b"})
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if response.status == 200 else text
    finally:
        connection.close()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits other processes")
def test_a_supervisor_without_descriptors_does_not_spin_for_who_asks_it() -> None:
    with serving("--control", "./c.sock") as stage:
        pid = stage.process.pid
        until((stage.folder / "c.sock").exists)
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), before[1]))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(stage.folder / "c.sock"))
            start = psutil.Process(pid).cpu_times()
            time.sleep(1.0)
            end = psutil.Process(pid).cpu_times()
        assert end.user + end.system - start.user - start.system < 0.3
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(stage.folder / "c.sock"))
            client.sendall(b'{"command": "status"}\n')
            assert client.recv(100).startswith(b'{"ok":true')
