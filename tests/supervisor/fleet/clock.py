"""A fleet that is driven by events and a clock that is only a number."""

import random

from vivace.supervisor.fleet.actions import (
    Abandon,
    Action,
    Done,
    Force,
    Load,
    Retire,
    Say,
    Send,
    Spawn,
    Unload,
)
from vivace.supervisor.fleet.fleet import Fleet
from vivace.supervisor.fleet.handle import State
from vivace.supervisor.fleet.patience import ECHO, Patience

PATIENCE = Patience(graceful=10.0, boot=60.0, idle=5.0, canary=1.0)


class Clock:
    """Plays the supervisor: loads at once, gives each fork a new process id."""

    def __init__(self, size: int, *, loads: bool = True, delay: float = 0.0) -> None:
        self.fleet = Fleet(size, PATIENCE._replace(delay=delay), random.Random(7))
        self.now = 1000.0
        self.next_pid = 1
        self.loads = loads
        self.loading: list[int] = []
        self.unloaded: list[int] = []
        self.said: list[str] = []
        self.sent: list[tuple[int, int]] = []
        self.retired: list[int] = []
        self.patient: list[int] = []
        self.forced: list[int] = []
        self.abandoned: list[int] = []
        self.stuck = False
        self.done: list[tuple[int, bool]] = []
        self.do(self.fleet.start(self.now))

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Spawn) and self.stuck:
                continue
            if isinstance(action, Spawn):
                pid = self.next_pid
                self.next_pid += 1
                self.do(self.fleet.spawned(action.slot, pid))
            elif isinstance(action, Load):
                self.loading.append(action.generation)
                if self.loads:
                    self.load()
            elif isinstance(action, Send):
                self.sent.append((action.pid, action.signal))
            elif isinstance(action, Abandon):
                self.abandoned.append(action.generation)
            elif isinstance(action, Force):
                self.forced.append(action.pid)
            elif isinstance(action, Retire):
                self.retired.append(action.pid)
                self.patient += [action.pid] if action.patient else []
            elif isinstance(action, Unload):
                self.unloaded.append(action.generation)
            elif isinstance(action, Done):
                self.done.append((action.generation, action.good))
            else:
                assert isinstance(action, Say)
                self.said.append(action.text)

    def load(self) -> None:
        self.do(self.fleet.loaded(self.loading.pop(0), self.now))

    def fail_load(self) -> None:
        self.do(self.fleet.load_failed(self.loading.pop(0), 3, self.now))

    def ready(self, *pids: int) -> None:
        for pid in pids:
            self.do(self.fleet.ready(pid, self.now))

    def all_ready(self) -> None:
        self.ready(*(pid for pid, w in list(self.fleet.workers.items()) if w.state is State.STARTING))

    def exit(self, pid: int, code: int = -9) -> None:
        self.do(self.fleet.exited(pid, code, self.now))

    def leave(self) -> None:
        """All that were told to leave do so."""
        for pid in self.retired:
            self.exit(pid, 0)
        self.retired.clear()

    def stop(self) -> None:
        self.now += 2 * ECHO  # later than any signal before
        self.do(self.fleet.stop(self.now))

    def hand(self) -> None:
        if not self.fleet.leaving and self.fleet.booted:
            self.do(self.fleet.hand_over(self.now))

    def back(self) -> None:
        self.do(self.fleet.take_back(self.now))

    def restart(self) -> None:
        self.do(self.fleet.restart(self.now))

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.do(self.fleet.tick(self.now))

    def pids(self) -> list[int]:
        return list(self.fleet.workers)

    def ended(self) -> bool:
        return self.fleet.done

    def leaving(self) -> bool:
        return self.fleet.leaving

    def booted(self) -> bool:
        return self.fleet.booted

    def restarting(self) -> bool:
        return self.fleet.restarting

    def generations(self) -> list[int]:
        return sorted(w.generation for w in self.fleet.workers.values() if w.state is State.READY)


def serving(size: int, *, loads: bool = True, delay: float = 0.0) -> Clock:
    clock = Clock(size, delay=delay)
    clock.all_ready()
    clock.loads = loads
    return clock
