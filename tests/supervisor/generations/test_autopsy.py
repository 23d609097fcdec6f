"""What is said of a worker that died."""

import os
import signal
import time

import pytest

from vivace.supervisor.fleet.handle import WorkerHandle
from vivace.supervisor.generations import autopsy
from vivace.supervisor.generations.autopsy import Autopsy
from vivace.supervisor.ipc.scoreboard import Phase, Scoreboard


def test_only_a_kill_is_blamed_on_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    kills = [3]
    monkeypatch.setattr(autopsy, "oom_kills", lambda: kills[0])
    board = Scoreboard()
    dead = Autopsy(board)
    assert dead.cause(-signal.SIGKILL) == ""
    kills[0] = 4
    assert dead.cause(-signal.SIGSEGV) == ""
    assert dead.cause(-signal.SIGKILL) == "out of memory"
    assert dead.cause(-signal.SIGKILL) == ""
    board.close()


def test_the_last_deeds_are_told() -> None:
    board = Scoreboard()
    entry = board.enter(1, 2)
    assert entry is not None
    reading = board.read(1, os.getpid())
    assert reading is not None
    worker = WorkerHandle(1, reading.pid, 100.0, 2)
    dead = Autopsy(board)
    assert dead.facts(worker, 103.0) == "generation 2, not ready 3.0 s after it was made"
    worker.ready = 101.0
    assert dead.facts(worker, 103.0) == "generation 2, had served for 2.0 s"
    now = time.monotonic()
    worker.ready = now - 2.0
    entry.enter(Phase.SERVING)
    entry.beat(now, 0.0, 7, 0, 0, 1, 0, "", 0.0)
    entry.note("GET", b"/last")
    assert dead.facts(worker, now).endswith("had served for 2.0 s, 7 requests, the last to begin GET /last")
    entry.beat(now, 0.0, 8, 0, 2, 1, 0, "GET /slow", now - 5)
    assert dead.facts(worker, now).endswith("8 requests, 2 in progress, the longest GET /slow for 5.0 s")
    entry.blocked_by("GET /block")
    assert dead.facts(worker, now + 3.0).endswith("8 requests, blocked by GET /block")
    board.close()
