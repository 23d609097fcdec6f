"""What workers say is heard, in whatever order it and the news of their birth arrive."""

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.supervisor.fleet.clock import PATIENCE
from vivace.supervisor.fleet.actions import Action, Spawn
from vivace.supervisor.fleet.fleet import Fleet
from vivace.supervisor.generations.autopsy import Autopsy
from vivace.supervisor.generations.workforce import Workforce
from vivace.supervisor.ipc.channels import Channels
from vivace.supervisor.ipc.messages import Channel, Made, Order, Report, Wish
from vivace.supervisor.ipc.scoreboard import Scoreboard
from vivace.supervisor.system.reaper import Reaper

READY = Report(True, "app")


class Template:
    """A generation whose template is played by the test."""

    number = 1
    unsafe = ""

    def __init__(self) -> None:
        self.channel, self.other = Channel.pair()
        self.other.takes = True

    def take(self) -> Channel:
        """The channel of the worker that is to be forked."""
        orders = self.other.receive()
        assert orders == [Order("fork", 0)]
        return Channel(socket.socket(fileno=self.other.take_descriptor()))


class Scene:
    """A workforce with a fleet of one."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, Any]] = []
        self.answer: Callable[[int], Any] = lambda _: None
        self.fleet = Fleet(1, PATIENCE)
        self.channels = Channels()
        self.board = Scoreboard()
        self.template = Template()
        self.workforce = Workforce(
            self.fleet,
            self.do,
            self.channels,
            Reaper(),
            self.hear,
            lambda *_: 0,
            Autopsy(self.board),
        )
        self.fleet.start(0.0)
        self.do(self.fleet.loaded(1, 0.0))
        self.worker = self.template.take()
        self.process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

    def hear(self, pid: int, message: Any) -> None:
        self.heard.append((pid, message))
        self.answer(pid)

    def do(self, actions: Any) -> None:
        for action in actions:
            self.act(action)

    def act(self, action: Action) -> None:
        if isinstance(action, Spawn):
            self.workforce.spawn(self.template, action.slot)  # type: ignore[arg-type]

    def end(self) -> None:
        """Kill the process that plays the worker; it stays to be reaped."""
        os.kill(self.process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for channel in (self.worker, self.template.channel, self.template.other):
            channel.close()
        self.channels.close()
        self.board.close()


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.close()


def test_what_a_worker_says_before_its_process_is_known_is_heard_then(scene: Scene) -> None:
    scene.worker.send(READY)
    scene.worker.send(Wish("recycle", "why"))
    scene.channels.wait(5)
    assert scene.heard == []
    scene.channels.wait(0)  # nothing is left that would wake it again and again
    scene.workforce.made(1, Made(0, scene.process.pid))
    assert scene.heard == [(scene.process.pid, READY), (scene.process.pid, Wish("recycle", "why"))]


def test_what_it_says_afterwards_is_heard_at_once(scene: Scene) -> None:
    scene.workforce.made(1, Made(0, scene.process.pid))
    scene.worker.send(READY)
    scene.channels.wait(5)
    assert scene.heard == [(scene.process.pid, READY)]


def test_a_worker_that_ended_before_it_was_known_is_heard_and_buried(scene: Scene) -> None:
    scene.worker.send(Report(False, "it failed", code=3))
    scene.worker.close()
    for _ in range(2):
        scene.channels.wait(0.1)
    scene.end()
    scene.workforce.made(1, Made(0, scene.process.pid))
    assert scene.heard == [(scene.process.pid, Report(False, "it failed", code=3))]
    assert not scene.fleet.workers


def test_who_is_not_known_hears_nothing(scene: Scene) -> None:
    assert scene.workforce.send(4_000_000, Order("retire")) is False


def test_what_a_worker_said_last_may_be_answered(scene: Scene) -> None:
    scene.workforce.made(1, Made(0, scene.process.pid))
    answered: list[bool] = []
    scene.answer = lambda pid: answered.append(scene.workforce.send(pid, Order("log-level")))
    scene.worker.send(READY)
    scene.end()
    scene.workforce.reap()
    assert len(answered) == 1
    assert not scene.fleet.workers


def test_without_descriptors_a_worker_is_missing_and_nothing_ends(scene: Scene) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    scene.workforce.made(1, Made(0, scene.process.pid))
    scene.end()
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        scene.workforce.reap()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert not scene.fleet.workers
