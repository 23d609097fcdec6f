"""Stages of a server's life: how often their commands run, and who is told."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from vivace.config.stages import parse_stages
from vivace.supervisor.beside.hooks import Hooks
from vivace.supervisor.ipc.channels import Channels
from vivace.supervisor.system.groups import Groups
from vivace.supervisor.system.reaper import Reaper


def turn(channels: Channels, hooks: Hooks, done: Callable[[], bool]) -> None:
    """Let a supervisor's turns go by until something is so."""
    until = time.monotonic() + 30
    while not done():
        assert time.monotonic() < until
        channels.wait(0.02)
        hooks.reap()


def test_a_stage_that_waits_is_run_once_for_all_who_ask_and_as_it_was_said_last(tmp_path: Path) -> None:
    channels = Channels()
    hooks = Hooks(channels, Reaper(), Groups())
    told: list[str] = []
    for number in range(4):
        text = f"echo {number} >> {tmp_path}/ran; while ! test -e {tmp_path}/go; do sleep 0.01; done"
        stages = parse_stages({"before_restart": ["sh", "-c", text]})
        hooks.run(stages, "before_restart", partial(_note, told, number), {})
    assert hooks.busy
    (tmp_path / "go").touch()
    turn(channels, hooks, lambda: len(told) == 4)
    assert told == ["0: ", "1: ", "2: ", "3: "]
    assert (tmp_path / "ran").read_text().split() == ["0", "3"]
    channels.close()


def test_nobody_is_told_of_a_stage_that_was_given_up() -> None:
    channels = Channels()
    hooks = Hooks(channels, Reaper(), Groups())
    told: list[str] = []
    stages = parse_stages({"before_restart": ["sleep", "99"]})
    for number in range(2):
        hooks.run(stages, "before_restart", partial(_note, told, number), {})
    hooks.give_up(time.monotonic())
    turn(channels, hooks, lambda: not hooks.busy)
    assert told == []
    channels.close()


def _note(told: list[str], number: int, why: str) -> None:
    told.append(f"{number}: {why}")
