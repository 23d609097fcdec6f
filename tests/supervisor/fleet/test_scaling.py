"""More workers for more load, fewer when they idle: by a clock that is a number, and by real processes."""

import os
import re
import socket
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.supervisor.fleet.clock import serving
from tests.supervisor.serving import Serving, until
from vivace.config import Config
from vivace.config.workers import WorkerRange, least_workers
from vivace.errors import ConfigError
from vivace.supervisor.chores.adaptive import Scaling
from vivace.supervisor.fleet.fleet import Fleet
from vivace.supervisor.fleet.handle import State, WorkerHandle
from vivace.supervisor.fleet.patience import Patience
from vivace.supervisor.fleet.scaling import GROW_AFTER, IDLE, SHARE_AFTER, Change, Load, Scaler
from vivace.supervisor.ipc.messages import Report
from vivace.supervisor.ipc.scoreboard import Phase, Scoreboard
from vivace.supervisor.telling.banner import banner

IDLE_TIME = 60.0


class Days:
    """A server whose workers are as busy as a test says."""

    def __init__(self, least: int = 2, most: int = 8, size: int = 2) -> None:
        self.scaler = Scaler(least, most, IDLE_TIME)
        self.size = size
        self.now = 1000.0
        self.changes: list[tuple[float, Change]] = []
        self.active: dict[int, int] = {}
        self.boot = 0.0
        self.settled_at = 0.0

    def pass_time(self, seconds: float, share: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += 0.5
            loads = {pid: Load(share, self.active.get(pid, 0)) for pid in range(1, self.size + 1)}
            settled = self.now >= self.settled_at
            change = self.scaler.decide(loads, self.size, self.now, settled=settled)
            if change is not None:
                if change.size > self.size:
                    self.settled_at = self.now + self.boot
                self.size = change.size
                self.changes.append((self.now, change))

    def sizes(self) -> list[int]:
        return [change.size for _, change in self.changes]


def test_a_load_in_between_changes_nothing() -> None:
    days = Days(size=4)
    for share in (IDLE, 0.5, 0.75):
        days.pass_time(600, share)
    assert days.changes == []


def test_busy_workers_get_help_in_growing_steps() -> None:
    days = Days()
    days.pass_time(GROW_AFTER, 0.9)
    assert days.changes == []
    days.pass_time(20, 0.9)
    assert days.sizes() == [3, 5, 8]
    assert "90% busy for 2 s" in days.changes[0][1].why


def test_a_peak_that_is_over_at_once_changes_nothing() -> None:
    days = Days()
    for _ in range(100):
        days.pass_time(1.5, 1.0)
        days.pass_time(0.5, 0.4)
    assert days.changes == []


def test_steps_begin_small_again_after_a_while() -> None:
    days = Days()
    days.pass_time(3, 0.9)
    days.pass_time(30, 0.5)
    days.pass_time(3, 0.9)
    assert days.sizes() == [3, 4]


def test_workers_that_are_being_made_are_waited_for() -> None:
    days = Days()
    days.boot = 30.0
    days.pass_time(30, 1.0)
    assert days.sizes() == [3]
    days.pass_time(10, 1.0)
    assert days.sizes() == [3, 4]


def test_idle_workers_leave_one_by_one() -> None:
    days = Days(size=5)
    days.pass_time(IDLE_TIME, 0.05)
    assert days.changes == []
    days.pass_time(1, 0.05)
    assert days.sizes() == [4]
    assert days.changes[0][1].leaving == 5, "the youngest"
    days.pass_time(600, 0.05)
    assert days.sizes() == [4, 3, 2]
    times = [when for when, _ in days.changes]
    assert all(later - before >= IDLE_TIME for before, later in pairwise(times))


def test_a_worker_with_requests_does_not_leave() -> None:
    days = Days(size=3)
    days.active = {1: 1, 3: 1}
    days.pass_time(IDLE_TIME + 1, 0.05)
    assert [change.leaving for _, change in days.changes] == [2]
    days = Days(size=3)
    days.active = {1: 1, 2: 1, 3: 2}
    days.pass_time(600, 0.05)
    assert days.changes == []
    days.active = {1: 1, 2: 1}
    days.pass_time(1, 0.05)
    assert [change.leaving for _, change in days.changes] == [3]


def test_a_busy_moment_keeps_them_all() -> None:
    days = Days(size=3)
    for _ in range(20):
        days.pass_time(IDLE_TIME - 5, 0.1)
        days.pass_time(1, 0.5)
    assert days.changes == []


def test_bounds_that_were_passed_are_kept_to_again() -> None:
    days = Days(least=3, size=1)
    days.pass_time(1, 0.5)
    assert days.sizes() == [3]
    days = Days(most=4, size=6)
    days.pass_time(60, 1.0)
    assert days.changes == []


def test_without_workers_or_while_they_are_replaced_nothing_is_decided() -> None:
    scaler = Scaler(1, 4, 1.0)
    for now in range(100):
        assert scaler.decide({1: Load(1.0)}, 1, float(now), settled=False) is None
        assert scaler.decide({}, 1, float(now), settled=True) is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.5, 100)), max_size=30))
def test_any_day_stays_within_bounds_and_does_not_swing(day: list[tuple[float, float]]) -> None:
    days = Days(least=1, most=6, size=1)
    work = 0.0
    for amount, seconds in day:
        work = amount * 6
        end = days.now + seconds
        while days.now < end:
            days.pass_time(0.5, min(work / days.size, 1.0))
    assert all(1 <= size <= 6 for size in days.sizes())
    for (one, before), (other, after) in pairwise(days.changes):
        if after.leaving:
            assert other - one >= IDLE_TIME or before.leaving
    count = len(days.changes)
    for _ in range(4000):  # the same load for half an hour: it comes to rest
        days.pass_time(0.5, min(work / days.size, 1.0))
    late = [when for when, _ in days.changes[count:]]
    assert not [when for when in late if when > days.now - 1000]
    assert min(work / days.size, 1.0) <= max(SHARE_AFTER, 0.75) or days.size == 6


# The fleet


def test_the_fleet_lets_the_named_worker_go_and_no_other() -> None:
    clock = serving(3)
    clock.do(clock.fleet.dismiss(2, "idle", clock.now))
    assert clock.retired == [2]
    assert clock.fleet.size == 2
    assert "3 workers become 2 (idle): worker 2 (pid 2) leaves" in clock.said
    clock.leave()
    clock.advance(100)
    assert sorted(clock.pids()) == [1, 3]


def test_the_fleet_lets_nobody_go_in_a_restart_or_a_stop_or_the_last() -> None:
    clock = serving(2, loads=False)
    clock.do(clock.fleet.dismiss(77, "idle", clock.now))
    clock.restart()
    clock.do(clock.fleet.dismiss(2, "idle", clock.now))
    assert clock.retired == []
    clock = serving(1)
    clock.do(clock.fleet.dismiss(1, "idle", clock.now))
    assert clock.retired == []
    clock = serving(2)
    clock.stop()
    clock.do(clock.fleet.dismiss(1, "idle", clock.now))
    assert clock.retired == []
    assert clock.fleet.size == 2


def test_growth_is_told_with_its_reason() -> None:
    clock = serving(2)
    clock.do(clock.fleet.resize(4, clock.now, "90% busy for 2 s"))
    assert "2 workers become 4 (90% busy for 2 s)" in clock.said
    assert len(clock.pids()) == 4


# What is measured


def test_what_a_worker_does_is_the_most_of_time_threads_and_lateness() -> None:
    fleet = Fleet(1, Patience(1.0))
    worker = fleet.workers[os.getpid()] = WorkerHandle(0, os.getpid(), 0.0)
    worker.state, worker.ready = State.READY, 0.0
    fleet.booted = True
    board = Scoreboard()
    entry = board.enter(0, 1)
    assert entry is not None
    entry.enter(Phase.SERVING)
    seen: list[dict[int, Load]] = []

    class Watcher(Scaler):
        def decide(self, loads: Any, size: int, now: float, *, settled: bool) -> None:
            seen.append(dict(loads))

    used = [0.0]
    scaling = Scaling(Watcher(1, 2, 1.0), fleet, board, lambda *_: None, lambda pid: used[0])
    scaling.threads = 4

    def share(now: float, lag: float = 0.0, busy: int = 0) -> float:
        entry.beat(now, lag, 0, 0, 3, 0, 0, "", 0.0, busy, 0)
        scaling.look(now)
        assert scaling.due > now
        return seen[-1][os.getpid()].share

    assert share(100.0) == 0.0
    used[0] = 0.2
    assert share(101.0) == pytest.approx(0.2)
    assert share(102.0, busy=3) == 0.75
    assert share(103.0, busy=8) == 1.0
    assert share(104.0, lag=0.2) == 1.0
    assert seen[-1][os.getpid()].active == 3
    board.close()


@pytest.mark.parametrize(
    ("free", "weight", "expected"),
    [(None, 50, 5), (1000, 50, 5), (110, 50, 4), (99, 50, 3), (49, 50, 0), (0, 0, 5)],
)
def test_there_are_no_more_than_there_is_memory_for(
    free: int | None, weight: int, expected: int, caplog: pytest.LogCaptureFixture
) -> None:
    clock = serving(2)

    class Grower(Scaler):
        def decide(self, loads: Any, size: int, now: float, *, settled: bool) -> Change:
            return Change(5, 0, "busy")

    sizes: list[int] = []
    board = Scoreboard()
    scaling = Scaling(
        Grower(1, 8, 1.0),
        clock.fleet,
        board,
        lambda change, _: sizes.append(change.size),
        lambda pid: 0.0,
        lambda pid: weight,
        lambda: free,
    )
    for now in range(3):
        scaling.look(float(now))
    assert sizes == ([expected] * 3 if expected else [])
    assert caplog.text.count("there is no memory for another") == (0 if expected else 1)
    board.close()


# The setting


@pytest.mark.parametrize(
    ("text", "least", "most"), [("2..8", 2, 8), (" 1 .. 4 ", 1, 4), ("3..3", 3, 3), ("5", 5, 5)]
)
def test_two_numbers_are_bounds(text: str, least: int, most: int) -> None:
    config = Config(WORKERS=text)
    assert (least_workers(config.WORKERS), config.WORKERS) == (least, most)
    again = Config()
    again.complete(config)
    assert least_workers(again.WORKERS) == least


@pytest.mark.parametrize("text", ["8..2", "0..4", "2..", "..3", "2...4", "1..5000", "2-8", "a..b", "-1..2"])
def test_bounds_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"WORKERS: .* expected auto, a whole number, or two such as 2\.\.8"
    ):
        Config(WORKERS=text)


def test_the_start_shows_the_bounds() -> None:
    report = Report(True, "app", "CPython", "uvloop", 4, 15.0)
    lines = banner(report, ["http://x"], Config(WORKERS=WorkerRange.of(2, 8)), supervised=True)
    assert any("2..8 worker processes" in line for line in lines)


# Real processes

APP = """
import time
from vivace import Vivace

app = Vivace("sample")


@app.get("/")
async def index(request):
    return {}


@app.get("/think")
def think(request):
    time.sleep(0.05)
    return {}
"""


class Load10:
    """Clients that keep every thread busy."""

    def __init__(self, port: int) -> None:
        self.failed: list[str] = []
        self._port = port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._go_on) for _ in range(10)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self) -> None:
        while not self._stop.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self._port), 20) as client:
                    client.sendall(b"GET /think HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    answer = b""
                    while piece := client.recv(65536):
                        answer += piece
                if not answer.startswith(b"HTTP/1.1 200 "):
                    self.failed.append(answer.decode())
            except OSError as error:
                self.failed.append(repr(error))


def test_load_brings_workers_and_idleness_takes_them_away(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(APP)
    options = (
        "--workers",
        "1..2",
        "--workers-idle-timeout",
        "1",
        "--threads",
        "2",
        "--keep-alive-timeout",
        "1",
    )
    run = ("-m", "vivace", "run", "sample.py", "--port", "0", "--no-access-log", *options)
    with Serving(run, tmp_path) as server:
        server.wait_for(r"1\.\.2 worker processes")
        load = Load10(server.port)
        try:
            server.wait_for(r"1 workers become 2 \(\d+% busy for 2 s\)")
            server.wait_for("worker 2 serves as pid")
        finally:
            load.end()
        server.wait_for(
            r"2 workers become 1 \(\d+% busy, for 1 s less than 30%\): worker \d \(pid \d+\) leaves"
        )
        assert load.failed == []
        assert "200 OK" in server.get()
        until(lambda: len(re.findall("workers become", server.log)) == 2)
        assert server.stop() == 0
