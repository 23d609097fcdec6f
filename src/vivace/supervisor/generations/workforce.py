"""The worker processes: how they are made, heard and buried.

Rules of this file:

- What is to happen to workers the fleet decides; here it is done, and what happened is told to the fleet.
- A worker is forked by its generation's template or from here; until its process is known it is coming.
- What a worker said last is read before its end is judged.
"""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from vivace.supervisor.fleet.actions import Action
from vivace.supervisor.fleet.fleet import Fleet
from vivace.supervisor.fleet.handle import WorkerHandle, describe_exit
from vivace.supervisor.generations.autopsy import Autopsy
from vivace.supervisor.generations.generation import Generation
from vivace.supervisor.generations.template import MakeWorker
from vivace.supervisor.ipc.channels import Channels
from vivace.supervisor.ipc.messages import Channel, Made, Order, Report, Told, Wish
from vivace.supervisor.system.children import fork
from vivace.supervisor.system.groups import Groups
from vivace.supervisor.system.reaper import Reaper

__all__ = ["Child", "Exit", "Workforce", "send_signal"]


class Child:
    """A worker, as the selector knows it; its process id is 0 until it is known."""

    __slots__ = ("channel", "early", "generation", "pid", "slot")

    def __init__(self, generation: int, slot: int, channel: Channel) -> None:
        self.generation = generation
        self.slot = slot
        self.channel = channel
        self.pid = 0
        self.early: list[Report | Wish | Told] = []


class Exit(NamedTuple):
    """How the last worker of a place ended.

    Attributes:
        times: How many have ended there so far.
        how: Its state, and its exit code or signal.
        when: Monotonic seconds.
    """

    times: int
    how: str
    when: float


class Workforce:
    """The processes of a fleet.

    Args:
        fleet: Is told what happens.
        do: Does what it says to that.
        channels: Where workers are heard.
        reaper: Tells how processes ended.
        heard: Called with the process id and what a worker tells.
        become_worker: Runs in a worker that is forked from here.
        autopsy: Finds out about the dead.

    Attributes:
        exits: How the last worker of each place ended.
        groups: What the workers that are gone have left.
    """

    def __init__(
        self,
        fleet: Fleet,
        do: Callable[[Sequence[Action]], None],
        channels: Channels,
        reaper: Reaper,
        heard: Callable[[int, Report | Wish | Told], None],
        become_worker: MakeWorker,
        autopsy: Autopsy,
    ) -> None:
        self._fleet = fleet
        self._do = do
        self._channels = channels
        self._reaper = reaper
        self._heard = heard
        self._become_worker = become_worker
        self._autopsy = autopsy
        self.exits: dict[int, Exit] = {}
        self.groups = Groups()
        self._children: dict[int, Child] = {}
        self._coming: dict[tuple[int, int], Child] = {}

    # Making

    def spawn(self, generation: Generation, slot: int) -> None:
        """Make a worker for a place."""
        try:
            ours, theirs = Channel.pair()
        except OSError as error:
            self._do(self._fleet.spawn_failed(slot, error.strerror or str(error), time.monotonic()))
            return
        child = Child(generation.number, slot, ours)
        self._coming[generation.number, slot] = child
        self._channels.follow(ours, partial(self._on_worker, child))
        try:
            if generation.channel is not None and not generation.unsafe:
                if not generation.channel.send(Order("fork", slot), theirs.fileno()):
                    self._not_made(child, "its template takes no orders")
                return
            pid = fork(partial(self._become_worker, generation.job, theirs, slot, ""))
        except OSError as error:
            self._not_made(child, error.strerror or str(error))
        else:
            self.made(generation.number, Made(slot, pid))
        finally:
            theirs.close()

    def made(self, generation: int, made: Made) -> None:
        """A template has forked a worker, or could not."""
        child = self._coming.get((generation, made.slot))
        if child is None:
            return
        if not made.pid:
            self._not_made(child, made.why)
            return
        del self._coming[generation, made.slot]
        child.pid = made.pid
        self._children[made.pid] = child
        self._do(self._fleet.spawned(made.slot, made.pid))
        early, child.early = child.early, []
        for message in early:
            self._heard(made.pid, message)
        self._reap(made.pid)

    def orphaned(self, generation: int) -> None:
        """A template is gone: what it was to make will not come."""
        for (number, _slot), child in list(self._coming.items()):
            if number == generation:
                self._not_made(child, "its template is gone")

    def _not_made(self, child: Child, why: str) -> None:
        del self._coming[child.generation, child.slot]
        self._channels.forget(child.channel)
        self._do(self._fleet.spawn_failed(child.slot, why, time.monotonic()))

    # Hearing and telling

    def send(self, pid: int, order: Order) -> bool:
        """Tell a worker; False if it hears no more."""
        child = self._children.get(pid)
        return child is not None and child.channel.send(order)

    def _on_worker(self, child: Child) -> bool:
        """Read what is there; whether there may be more."""
        messages = self._channels.receive(child.channel)
        for message in messages or ():
            if not isinstance(message, Report | Wish | Told):
                continue
            if child.pid:
                self._heard(child.pid, message)
            else:  # it was faster than its template, which has yet to say who it is
                child.early.append(message)
        return bool(messages)

    # Burying

    def reap(self) -> None:
        """Tell the fleet who has ended."""
        for pid in list(self._fleet.workers):
            self._reap(pid)

    def _reap(self, pid: int) -> None:
        if (code := self._reaper.exit_code(pid)) is None:
            return
        child = self._children[pid]
        while child.channel in self._channels and self._on_worker(child):
            pass
        self._channels.forget(child.channel)
        del self._children[pid]
        worker = self._fleet.workers[pid]
        self._note_exit(worker, code)
        now = time.monotonic()
        self.groups.ended(pid, now)
        cause, facts = self._autopsy.cause(code), self._autopsy.facts(worker, now)
        self._do(self._fleet.exited(pid, code, now, cause, facts))

    def _note_exit(self, worker: WorkerHandle, code: int) -> None:
        before = self.exits.get(worker.slot)
        times = before.times if before is not None else 0
        how = f"{worker.state.value}: {describe_exit(code)}"
        self.exits[worker.slot] = Exit(times + 1, how, time.monotonic())


def send_signal(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
