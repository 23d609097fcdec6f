"""Crash loops and starts that fail: what is tried again, how fast, at what cost, and how it ends."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.supervisor.fleet.clock import Clock, serving
from tests.supervisor.serving import Serving
from vivace.supervisor.fleet.deaths import INTENSITY_PERIOD
from vivace.supervisor.system.procfs import processor_time

APP = """
import asyncio, os, sys, time
from vivace import Vivace

app = Vivace("sample")


@app.before_server_start
async def begin(app):
    if os.path.exists("slow"):
        time.sleep(2)
    if os.path.exists("bad") and not (os.path.exists("one") and os.environ["VIVACE_SLOT"] == "0"):
        raise RuntimeError("bad deploy")


@app.get("/")
async def index(request):
    return {"pid": os.getpid()}
"""
RUN = ("-m", "vivace", "run", "sample.py", "--port", "0", "--no-access-log")
SOON = """
import sys
from vivace.supervisor.fleet import deaths

deaths.NOBODY = 2.0
sys.argv[0] = "vivace"
from vivace.cli import main

main()
"""


@pytest.fixture(autouse=True)
def app(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(APP)


# The fleet


def test_a_mass_crash_makes_no_more_processes_than_there_are_places() -> None:
    clock = serving(4)
    made = clock.next_pid
    begun = clock.now
    while clock.now < begun + 0.39:  # the shortest second delay, with its jitter
        for pid in clock.pids():
            clock.exit(pid, -11)
        clock.advance(0.05)
    assert clock.next_pid - made == 4
    while clock.now < begun + 1.0:
        for pid in clock.pids():
            clock.exit(pid, -11)
        clock.advance(0.05)
    assert clock.next_pid - made <= 8


def test_planned_exits_do_not_count_as_deaths() -> None:
    clock = serving(2)
    for _ in range(50):
        oldest = min(clock.fleet.workers)
        clock.do(clock.fleet.recycle(oldest, "requests", clock.now))
        clock.all_ready()
        clock.advance(0.1)
        clock.leave()
    assert clock.now < 1000 + INTENSITY_PERIOD
    clock.exit(max(clock.pids()), -9)
    assert "it is replaced now" in clock.said[-1]
    assert not clock.ended()


def test_one_worker_that_fails_at_first_fails_the_start_and_later_is_a_crash() -> None:
    clock = Clock(3)
    clock.ready(1, 2)
    clock.exit(3, 3)
    assert clock.fleet.stopping
    assert clock.fleet.exit_code == 3
    clock = serving(3)
    clock.exit(3, 3)
    assert not clock.fleet.stopping
    assert "it is replaced now" in clock.said[-1]


def test_a_death_is_told_with_cause_and_facts() -> None:
    clock = serving(2)
    clock.do(clock.fleet.exited(1, -9, clock.now, "out of memory", "generation 1, 7 requests"))
    assert clock.said[-1] == (
        "worker 1 (pid 1) ended with SIGKILL (out of memory); it is replaced now; generation 1, 7 requests"
    )


def test_a_condemned_worker_is_killed_once_and_replaced() -> None:
    clock = serving(2)
    for _ in range(3):
        clock.do(clock.fleet.condemn(2, "LOOP_TIMEOUT", "its loop stands still", clock.now))
    clock.do(clock.fleet.condemn(99, "LOOP_TIMEOUT", "nobody", clock.now))
    assert clock.sent == [(2, signal.SIGKILL)]
    assert clock.said[-1] == "worker 2 (pid 2) is killed (LOOP_TIMEOUT): its loop stands still"
    clock.exit(2)
    assert clock.said[-1] == "worker 2 (pid 2) ended with SIGKILL (over LOOP_TIMEOUT); it is replaced now"
    assert len(clock.pids()) == 2


# Real processes


def test_a_start_that_fails_is_over_within_a_second_of_the_failure(tmp_path: Path) -> None:
    (tmp_path / "bad").touch()
    with Serving([*RUN, "--workers", "4"], tmp_path) as server:
        server.wait_for("bad deploy")
        failed = time.monotonic()
        assert server.wait() == 3
        assert time.monotonic() - failed < 1.0
        assert server.log.count("Error: listener begin") == 1


def test_one_of_several_that_fails_is_a_start_that_failed(tmp_path: Path) -> None:
    (tmp_path / "bad").touch()
    (tmp_path / "one").touch()
    with Serving([*RUN, "--workers", "2"], tmp_path) as server:
        assert server.wait() == 3


def test_a_slow_start_trips_no_time_out_of_the_loop(tmp_path: Path) -> None:
    (tmp_path / "slow").touch()
    with Serving([*RUN, "--workers", "1", "--loop-timeout", "0.5"], tmp_path) as server:
        assert "200 OK" in server.get()
        assert "its loop" not in server.log
        assert server.stop() == 0


def test_a_crash_loop_costs_little_and_ends_with_its_own_code(tmp_path: Path) -> None:
    (tmp_path / "soon.py").write_text(SOON)
    options = ("run", "sample.py", "--port", "0", "--no-access-log", "--workers", "2")
    with Serving(["soon.py", *options], tmp_path) as server:
        pids: set[int] = set()
        while len(pids) < 2:
            pids.add(int(re.findall(r'"pid":(\d+)', server.get())[0]))
        (tmp_path / "bad").touch()
        used, begun = processor_time(server.process.pid) or 0.0, time.monotonic()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        server.wait_for("ended with exit code 3", 4)
        spent = (processor_time(server.process.pid) or 0.0) - used
        assert spent < 0.1 * (time.monotonic() - begun)
        assert server.wait() == 5
        assert time.monotonic() - begun >= 2.0
        assert re.search(r"no worker was ready for \d+ s, \d+ died within a minute: it ends", server.log)
        assert len(re.findall("ended with exit code", server.log)) <= 12
