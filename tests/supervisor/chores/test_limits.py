"""Real processes: workers that block, deadlock or grow are dealt with from outside, and others serve on."""

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_ctl import ctl
from tests.supervisor.serving import Serving, until
from vivace.config import Config
from vivace.supervisor.chores.limits import MemoryGuard
from vivace.supervisor.fleet.fleet import Fleet
from vivace.supervisor.fleet.handle import State, WorkerHandle
from vivace.supervisor.fleet.patience import Patience
from vivace.supervisor.workers.worker import loop_timeout

APP = """
import asyncio, os, re, sys, threading, time
from vivace import Vivace

app = Vivace("sample")
hoard = []


@app.get("/")
async def index(request):
    return {"pid": os.getpid()}


@app.get("/spin")
async def spin(request):
    spinning_here()


def spinning_here():
    while True:
        pass


@app.get("/sleep")
async def sleep(request):
    sleeping_here()


def sleeping_here():
    time.sleep(600)


@app.get("/regex")
async def regex(request):
    matching_here()


def matching_here():
    re.match("(a+)+$", "a" * 60 + "b")


@app.get("/lock")
def lock(request):
    locked_here()


def locked_here():
    held = threading.Lock()
    held.acquire()
    held.acquire()


@app.get("/grow")
async def grow(request):
    print("growing", file=sys.stderr, flush=True)
    for _ in range(int(request.args.get("by"))):
        hoard.append(b"x" * 1048576)
        await asyncio.sleep(0.002)
    return {"pid": os.getpid()}


@app.get("/die")
async def die(request):
    os.kill(os.getpid(), 11)
"""
RUN = ("-m", "vivace", "run", "sample.py", "--port", "0", "--no-access-log")


@pytest.fixture(autouse=True)
def app(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(APP)


def serve(cwd: Path, *options: str, **environ: str) -> Serving:
    return Serving([*RUN, *options], cwd, environ)


def send(server: Serving, path: str) -> Any:
    client = server.connect()
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    return client


@pytest.mark.parametrize(
    ("path", "where", "loop"),
    [
        ("/spin", "spinning_here", "uvloop"),
        ("/spin", "spinning_here", "asyncio"),
        ("/sleep", "sleeping_here", "uvloop"),
        ("/regex", "matching_here", "uvloop"),
    ],
)
def test_a_blocked_worker_is_shown_killed_and_replaced(
    tmp_path: Path, path: str, where: str, loop: str
) -> None:
    with serve(tmp_path, "--workers", "2", "--loop-timeout", "2", "--loop", loop) as server:
        server.get()
        client = send(server, path)
        begun = time.monotonic()
        name, pid = server.wait_for(
            r"(worker \d) \(pid (\d+)\): its loop has not turned for [12]\.\d s"
        ).groups()
        assert 0.9 < time.monotonic() - begun < 5
        server.wait_for(rf"in {where}")
        killed = server.wait_for(
            rf"{name} \(pid {pid}\) is killed \(LOOP_TIMEOUT\): its loop has not turned for (\d\.\d) s(.*)"
        )
        assert 2.0 <= float(killed[1]) < 5.0
        assert f"while it served GET {path}" in killed[2]
        at = time.monotonic()
        died = server.wait_for(
            rf"{name} \(pid {pid}\) ended with SIGKILL \(over LOOP_TIMEOUT\); it is replaced now; .*"
        )
        assert f"blocked by GET {path}" in died[0]
        server.wait_for(r"serves as pid")
        assert time.monotonic() - at < 1.0
        assert len(re.findall(f"in {where}", server.log)) >= 2, "at half the time and at its end"
        assert client.recv(100) == b""
        client.close()
        assert "200 OK" in server.get()
        assert server.stop() == 0


def test_other_requests_are_served_meanwhile(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2", "--loop-timeout", "1.5") as server:
        server.get()
        client = send(server, "/sleep")
        server.wait_for("has not turned")
        for _ in range(20):
            assert "200 OK" in server.get()
        server.wait_for(r"is killed \(LOOP_TIMEOUT")
        client.close()
        assert server.stop() == 0


def test_a_worker_without_a_thread_left_is_replaced_and_not_killed(tmp_path: Path) -> None:
    options = ("--workers", "2", "--threads", "1", "--loop-timeout", "1", "--response-timeout", "0.5")
    with serve(tmp_path, *options) as server:
        clients = [send(server, "/lock") for _ in range(6)]
        for client in clients:
            assert b" 503 " in client.recv(100)
        server.wait_for(r"worker \d \(pid \d+\) .*threads late=1 of 1")
        assert "200 OK" in server.get()
        until(lambda: late_threads(server, tmp_path) == [0, 0])
        assert "is killed" not in server.log
        assert "in locked_here" in server.log
        assert "it waited for one of 1 threads, which were busy (vivace-handler_0: GET /lock)" in server.log
        for client in clients:
            client.close()


def late_threads(server: Serving, cwd: Path) -> list[int]:
    answer = ctl("status", "--json", "--pid", str(server.process.pid), cwd=cwd).stdout
    return [worker["threads_late"] for worker in json.loads(answer)["workers"]]


def test_a_worker_that_has_a_thread_left_stays(tmp_path: Path) -> None:
    options = ("--workers", "1", "--supervise", "on", "--threads", "2", "--response-timeout", "0.5")
    with serve(tmp_path, *options) as server, send(server, "/lock") as client:
        assert b" 503 " in client.recv(100)
        until(lambda: late_threads(server, tmp_path) == [1])
        time.sleep(2.0)  # longer than it takes to be sure
        assert late_threads(server, tmp_path) == [1]
        assert "threads late" not in server.log


def test_a_debugged_or_developed_app_may_stand_still(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2", "--loop-timeout", "1", "--debug") as server:
        client = send(server, "/sleep")
        time.sleep(1.5)  # nothing comes that could be awaited
        assert "its loop" not in server.log
        client.close()


@pytest.mark.parametrize(
    ("settings", "reloads", "expected"),
    [
        ({}, False, 10.0),
        ({"LOOP_TIMEOUT": 0}, False, 0.0),
        ({"DEBUG": True}, False, 0.0),
        ({}, True, 0.0),
        ({"THREADS": 0}, False, 0.0),
        ({"THREADS": 0, "LOOP_TIMEOUT": 30}, False, 30.0),
    ],
)
def test_when_a_blocked_loop_is_a_fault(settings: dict[str, Any], reloads: bool, expected: float) -> None:
    assert loop_timeout(Config(settings), reloads=reloads) == expected


def test_a_stopped_worker_is_replaced_and_a_stopped_server_is_not(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2", "--loop-timeout", "1") as server:
        server.get()
        os.killpg(server.process.pid, signal.SIGSTOP)
        time.sleep(2)
        os.killpg(server.process.pid, signal.SIGCONT)
        assert "200 OK" in server.get()
        time.sleep(0.5)
        assert "is killed" not in server.log
        victim = int(re.findall(r'"pid":(\d+)', server.get())[0])
        os.kill(victim, signal.SIGSTOP)
        server.wait_for(rf"\(pid {victim}\) ended with SIGKILL")
        server.wait_for("serves as pid")
        assert server.stop() == 0


# Memory


def test_a_worker_over_its_memory_is_killed_within_two_seconds(tmp_path: Path) -> None:
    limit = 150 * 1048576
    with serve(tmp_path, "--workers", "2", "--memory-limit", str(limit)) as server:
        server.get()
        client = send(server, "/grow?by=200")
        server.wait_for("growing")
        begun = time.monotonic()
        killed = server.wait_for(
            r"\(pid (\d+)\) is killed \(WORKER_MEMORY_LIMIT\): it takes (\d+) MiB, more than 150"
        )
        assert time.monotonic() - begun < 6, "most of it is the growing"
        assert int(killed[2]) > 150
        server.wait_for(rf"\(pid {killed[1]}\) ended with SIGKILL \(over WORKER_MEMORY_LIMIT\)")
        server.wait_for("serves as pid")
        client.close()
        assert "200 OK" in server.get()
        assert server.stop() == 0


def test_only_who_is_over_the_limit_is_condemned() -> None:
    fleet = Fleet(3, Patience(1.0))
    fleet.workers = {pid: WorkerHandle(pid, pid, 0.0) for pid in (1, 2, 3)}
    fleet.workers[3].state = State.RETIRING
    weights = {1: 100, 2: 101, 3: 150}
    weighed: list[int] = []
    condemned: list[int] = []

    def weigh(pid: int) -> int:
        weighed.append(pid)
        return weights[pid]

    guard = MemoryGuard(100, fleet, lambda pid, *_: condemned.append(pid), weigh, lambda pid: pid * 60)
    guard.look(10.0)
    assert weighed == [2, 3]
    assert condemned == [2, 3]
    assert 10.0 < guard.due <= 12.0
    assert MemoryGuard(0, fleet, lambda *_: None).due == float("inf")


def test_a_worker_near_its_limit_is_told_of_until_it_is_far_from_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "vivace")
    fleet = Fleet(1, Patience(1.0))
    fleet.workers[7] = WorkerHandle(0, 7, 0.0, 1)
    weight = 90
    guard = MemoryGuard(100, fleet, lambda *_: None, lambda _: weight, lambda _: weight)
    said: list[tuple[int, float, bool]] = []
    for now, weight in ((0.0, 90), (5.0, 91), (10.0, 100), (15.0, 80), (20.0, 79), (20.5, 95), (25.0, 95)):
        guard.look(now)
        said += [(weight, now, r.__dict__.get("resolved", False)) for r in caplog.records]
        caplog.clear()
    assert said == [(91, 5.0, False), (79, 20.0, True), (95, 25.0, False)]
    del fleet.workers[7]
    guard.look(30.0)
    (record,) = caplog.records
    assert [record.__dict__[name] for name in ("event", "subject", "resolved")] == [
        "memory.soft",
        "worker 1",
        True,
    ]


# Deaths


def test_a_death_is_told_with_what_the_worker_did(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2") as server:
        server.get()
        send(server, "/die").close()
        died = server.wait_for(r"worker \d \(pid \d+\) ended with SIGSEGV; it is replaced now; (.*)")
        assert re.match(r"generation 1, had served for \d+\.\d s, \d+ requests", died[1])
        server.wait_for("serves as pid")
        assert server.stop() == 0


def test_a_limit_asks_for_a_supervisor(tmp_path: Path) -> None:
    with serve(tmp_path, "--loop-timeout", "1") as server:
        server.wait_for("supervisor pid")
        client = send(server, "/sleep")
        server.wait_for(r"is killed \(LOOP_TIMEOUT")
        until(lambda: "200 OK" in server.get())
        client.close()
