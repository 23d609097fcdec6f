"""Short forms of the trials of `bench/restarts.py`: restarts, recycling, bad deploys, kills, memory."""

import os
import signal
from pathlib import Path

import pytest

from bench.restarts import RUN, TRIALS, Options, change, resident, serving
from bench.stage import Stage, app_text, until
from vivace.supervisor.system import children

pytestmark = pytest.mark.once

SHORT = Options(restarts=3, requests=2000, clients=64, pause=0.05, boot=0.3, slack=4.0)


@pytest.mark.parametrize("name", [name for name in TRIALS if name != "spawns"])
def test_the_supervisor_keeps_its_word(name: str) -> None:
    found = TRIALS[name](SHORT)
    assert found.holds, f"{found.text} (asked: {found.asked})"


def test_the_memory_of_the_supervisor_does_not_grow_with_its_workers() -> None:
    with serving("--max-requests", "1", "--keep-alive-timeout", "0.1") as stage:
        sizes: list[int] = []
        for count in (15, 30, 45):
            until(lambda count=count: stage.ask() and len(stage.noted("served")) >= count)  # type: ignore[misc]
            sizes.append(resident(stage.process.pid))
        assert sizes[-1] - sizes[0] < 128 * 1024, sizes
        stage.send(signal.SIGTERM)
        assert stage.wait() == 0


def test_a_supervisor_that_is_killed_while_it_starts_leaves_nobody() -> None:
    """Whatever is being forked at that moment notices, too."""
    for _ in range(5):
        with serving("--workers", "4") as stage:
            change(stage.folder, 2)
            stage.send(signal.SIGHUP)
            until(lambda stage=stage: len(stage.noted("imported")) > 1)  # type: ignore[misc]
            os.kill(stage.process.pid, signal.SIGKILL)
            stage.wait()
            assert until(lambda stage=stage: not stage.family()) < 1.0  # type: ignore[misc]


def test_a_process_whose_parent_is_gone_ends_at_once() -> None:
    """Neither the parent nor the process between: it was adopted by a stranger."""

    def child() -> int:
        children.tie_to(1 << 30, patience=60.0)
        return 0

    pid = children.fork(child)
    took = until(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is not None, 5.0)
    assert took < 1.0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_whoever_comes_while_the_app_is_imported_waits(tmp_path: Path, workers: str) -> None:
    (tmp_path / "trial.py").write_text(app_text(tmp_path, boot=0.8, package="vivace"))
    with Stage([*RUN, "--workers", workers], tmp_path) as stage:
        until(lambda: stage.noted("imported"))
        assert stage.ask(patience=10.0).startswith("1 ")
