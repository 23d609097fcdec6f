"""What to do with the workers when one is ready or dead, code was loaded, a signal came or time passed.

Rules of this file:

- Pure: no processes, no signals, no clock; every event brings `now`, every answer is a list of actions.
- Workers are made of a generation of the code. The one that workers shall have is the target; who has
  another, or is to be recycled, is stale: it serves on until a fresh one has taken its place.
- A first generation that cannot start ends everything with the failed worker's exit code: a broken deploy
  must be seen. A later one that cannot start leaves the proven one serving, and says why.
- New workers first, as many as the surge allows: there are never fewer ready workers than asked for, unless
  they die by themselves.
- One planned replacement at a time; what is planned never counts as a death.
- A dead worker is replaced for as long as the server runs (see `slots.py`). Only if deaths are many and
  nobody was ready for a while does the server end, so that the platform may start it anew.
- How it stops is told in `stop.py`; a server that was replaced and has to go on makes new workers.
"""

import logging
import random
import signal
from collections import deque
from typing import Final

from vivace.supervisor.fleet.actions import (
    START_FAILED,
    Action,
    Done,
    Load,
    Retire,
    Say,
    Send,
    Spawn,
    Unload,
)
from vivace.supervisor.fleet.deaths import NOBODY, Deaths
from vivace.supervisor.fleet.handle import State, WorkerHandle, describe_exit
from vivace.supervisor.fleet.patience import KILL_AFTER, Patience
from vivace.supervisor.fleet.slots import LONGEST_DELAY, Slots
from vivace.supervisor.fleet.stop import Stopping

__all__ = ["Fleet"]

WATCHDOG: Final = 1
"""The exit code of a worker that its own watchdog ends, when it does not stop in time."""


class Fleet(Stopping):
    """The workers and what is to become of them.

    Args:
        size: The number of workers.
        patience: How long is waited for what.
        chance: For the jitter of delays.
        surge: Workers beyond their number while some are replaced.

    Attributes, beside those of `Stopping`:
        exit_code: Of the supervisor, once `done`.
        size: The number of workers.
        strict: No place beyond the surge is ever taken: something is shared out by places.
        target: The generation that workers shall have.
    """

    def __init__(
        self, size: int, patience: Patience, chance: random.Random | None = None, surge: int = 1
    ) -> None:
        super().__init__(patience)
        self.size = size
        self.surge = surge
        self.exit_code = 0
        self.target = 0
        self.booted = False
        self._owes_restart = False
        self.strict = False
        self._slots = Slots(chance or random.SystemRandom())
        self._newest = 0
        self._proven = 0
        self._loaded: set[int] = set()
        self._loading: dict[int, float] = {}
        self._canary = False
        self._recycle: deque[tuple[int, str]] = deque()
        self._deaths = Deaths()
        self._load_due: float | None = None
        self._now = 0.0

    # What is asked

    @property
    def restarting(self) -> bool:
        """New code is on its way."""
        return self.booted and (self.target != self._proven or any(g != self.target for g in self._loading))

    @property
    def newest(self) -> int:
        """The generation that was asked for last, whatever became of it."""
        return self._newest

    def backing_off(self, now: float) -> dict[int, float]:
        """Places that wait after deaths, and until when."""
        return self._slots.due_times(now)

    def next_tick(self) -> float | None:
        """When `tick` has something to do; None if not before another event."""
        if self.stopping:
            return self._next_step()
        times = [*self._loading.values(), *(self._judged_at(w) for w in self._all())]
        times += [self._slots.next_due(self._now), self._load_due, self._leave_at]
        times.append(self._deaths.end_at(self.size, self._now))
        return min((time for time in times if time is not None), default=None)

    # What happened

    def start(self, now: float) -> list[Action]:
        """The server starts."""
        self._deaths.nobody_since = now
        return self._load(now)

    def restart(self, now: float) -> list[Action]:
        """New code is wanted. What another restart has begun is given up: the later one wins."""
        if self.leaving:
            return []
        if not self.booted:
            self._owes_restart = True
            return [Say(logging.INFO, "a restart was asked for before the start is over: it follows")]
        actions: list[Action] = []
        for generation in [g for g in self._loading if g != self.target]:
            del self._loading[generation]
            actions += [Unload(generation), Done(generation, False, "a later restart took its place")]
        return [*actions, *self._load(now)]

    def loaded(self, generation: int, now: float) -> list[Action]:
        """The code of a generation is there: workers can be made of it."""
        if self._loading.pop(generation, None) is None:
            return [] if generation == self.target else [Unload(generation)]
        if generation < self.target and generation != self._proven:
            return [Unload(generation)]
        self._loaded.add(generation)
        if generation <= self.target:
            return self.tick(now)
        given_up = self.target if self.target not in (0, self._proven) else None
        self.target = generation
        self._canary = self.booted
        self._slots.forget()
        left: list[Action] = []
        if given_up is not None:
            self._loaded.discard(given_up)
            left = [Unload(given_up), Done(given_up, False, "a later restart took its place")]
        return [*left, *self.tick(now)]

    def load_failed(self, generation: int, code: int, now: float) -> list[Action]:
        """The code of a generation cannot be imported; the reason was told already."""
        if self._loading.pop(generation, None) is None:
            return []
        if not self.booted:
            return self._give_up_start("the app could not be loaded", code, now)
        if generation == self.target:  # it served already, and what workers are made of was lost
            self._load_due = now + LONGEST_DELAY
            return [Say(logging.ERROR, f"no workers can be made; next try in {LONGEST_DELAY:g} s")]
        text = "the new code cannot be loaded: the old one goes on serving"
        said = Say(logging.ERROR, text, "restart.aborted")
        return [said, Unload(generation), Done(generation, False, text)]

    def lost(self, generation: int, now: float) -> list[Action]:
        """What workers of a generation are made of is gone, after it was loaded."""
        if generation in self._loading:
            return self.load_failed(generation, 3, now)
        self._loaded.discard(generation)
        if self.stopping or generation != self.target or self._load_due is not None:
            return []
        text = f"the template of generation {generation} is gone; it is loaded again"
        return [Say(logging.ERROR, text), *self._load_again(now)]

    def spawned(self, slot: int, pid: int) -> list[Action]:
        """A worker was made for a place."""
        worker = self.coming.pop(slot, None)
        if worker is None:  # nobody waits for it any more
            return [Send(pid, signal.SIGKILL)]
        worker.pid = pid
        self.workers[pid] = worker
        if worker.state is State.RETIRING:
            return [Retire(pid)]
        return self._stop_unready(pid) if worker.state is State.STOPPING else []

    def spawn_failed(self, slot: int, why: str, now: float) -> list[Action]:
        """There will be no process for a place: the system refused, or what was to fork it is gone."""
        self._now = now
        worker = self.coming.pop(slot, None)
        if worker is None or not worker.counts:
            return []
        wait = self._slots.refused(slot, now)
        return [Say(logging.ERROR, f"worker {slot + 1} cannot be forked: {why}; next try in {wait:.1f} s")]

    def ready(self, pid: int, now: float) -> list[Action]:
        """A worker serves."""
        worker = self.workers.get(pid)
        if worker is None or worker.state is not State.STARTING:
            return []
        worker.state = State.READY
        worker.ready = now
        self._deaths.nobody_since = None
        said: list[Action] = []
        if self.booted:
            said = [
                Say(
                    logging.INFO,
                    f"{worker.name} serves as pid {pid}",
                    "worker.crash",
                    worker.name,
                    resolved=True,
                )
            ]
        elif self.ready_count >= self.size:
            self.booted = True
            self._proven = self.target
            said = self.restart(now) if self._owes_restart else []
        return [*said, *self.tick(now)]

    def recycle(self, pid: int, reason: str, now: float) -> list[Action]:
        """A worker is to be replaced by a new one of the same code."""
        worker = self.workers.get(pid)
        if worker is None or worker.reason or any(pid == one for one, _ in self._recycle):
            return []
        self._recycle.append((pid, reason))
        return self.tick(now)

    def resize(self, size: int, now: float, why: str = "") -> list[Action]:
        """Another number of workers, at least 1."""
        size = max(size, 1)
        if self.leaving or size == self.size:
            return []
        text = f"{self.size} workers become {size}" + (f" ({why})" if why else "")
        self.size = size
        return [Say(logging.INFO, text), *self.tick(now)]

    def dismiss(self, pid: int, why: str, now: float) -> list[Action]:
        """One worker fewer, and which one; nothing happens while workers are replaced or missing."""
        worker = self.workers.get(pid)
        if worker is None or worker.state is not State.READY or self.size <= 1:
            return []
        if self.stopping or self.restarting or self._is_stale(worker) or self.ready_count < self.size:
            return []
        text = f"{self.size} workers become {self.size - 1} ({why}): {worker.name} (pid {pid}) leaves"
        self.size -= 1
        return [Say(logging.INFO, text), *self._retire(worker, now), *self.tick(now)]

    def condemn(self, pid: int, limit: str, why: str, now: float) -> list[Action]:
        """A worker is over a hard limit: it is killed, and replaced like others that die."""
        worker = self.workers.get(pid)
        if worker is None or worker.doomed:
            return []
        worker.doomed = f"over {limit}"
        text = f"{worker.name} (pid {pid}) is killed ({limit}): {why}"
        event = "memory.hard" if "MEMORY" in limit else "worker.blocked"
        return [Say(logging.ERROR, text, event, worker.name), Send(pid, signal.SIGKILL), *self.tick(now)]

    def exited(self, pid: int, code: int, now: float, cause: str = "", facts: str = "") -> list[Action]:
        """A worker is gone. Processes that are none of ours are ignored.

        Args:
            pid: Its process id.
            code: Negative for a signal.
            now: The time.
            cause: What else is known of the reason.
            facts: What it did last.
        """
        worker = self.workers.pop(pid, None)
        if worker is None:
            return []
        worker.doomed, worker.facts = worker.doomed or cause, facts
        who = f"{worker.name} (pid {pid})"
        if self.stopping or not worker.counts:
            return [*self._left(worker, who, code), *self.tick(now)]
        if not self.booted and worker.ready is None:
            return self._give_up_start(f"{who} ended with {describe_exit(code)} before it served", code, now)
        return self._died(worker, who, code, now)

    def take_back(self, now: float) -> list[Action]:
        """The other server is gone before this one was: new workers serve in place of those that retire."""
        if not self.handed:
            return []
        self.stopping = self.handed = self._hurried = self._forced = False
        self._deadline = None
        self._unready.clear()
        self._deaths.nobody_since = now
        for worker in self._all():
            if worker.state is State.STOPPING:
                worker.state = State.RETIRING
                worker.until = now + self.patience.idle + self.patience.graceful + KILL_AFTER
        lost = self.target not in self._loaded and self.target not in self._loading
        return [*(self._load_again(now) if lost else ()), *self.tick(now)]

    def tick(self, now: float) -> list[Action]:
        """Time passed: make who is due, retire who is replaced, kill who did not leave in time."""
        self._now = now
        if self.stopping:
            return self._go_on_stopping(now)
        if self._leave_at is not None and self._leave_at <= now:
            return self._begin_stop(now)
        actions = self._judge_times(now)
        return actions if self._is_stopping() else [*actions, *self._go_on(now)]

    def _go_on(self, now: float) -> list[Action]:
        actions: list[Action] = []
        if self._load_due is not None and self._load_due <= now:
            actions += self._load_again(now)
        self._end_canary(now)
        actions += self._begin_recycling()
        actions += self._make_missing(now)
        if retired := self._retire_stale(now):
            actions += [*retired, *self._make_missing(now)]  # a place may have become free
        return [*actions, *self._end_of_restart()]

    # Making and retiring

    def _fresh(self) -> list[WorkerHandle]:
        return [w for w in self._all() if w.counts and not self._is_stale(w)]

    def _stale(self) -> list[WorkerHandle]:
        return [w for w in self._all() if w.counts and self._is_stale(w)]

    def _is_stale(self, worker: WorkerHandle) -> bool:
        return worker.generation != self.target or bool(worker.reason)

    def _make_missing(self, now: float) -> list[Action]:
        if self.target not in self._loaded:
            return []
        wanted = 1 if self._canary else self.size
        waiting = self._slots.waiting(now)
        fresh, stale = len(self._fresh()), len(self._stale())
        taken = {w.slot for w in self._all()}
        actions: list[Action] = []
        room = self.size + self.surge - waiting
        room -= len(taken) if self.strict else fresh + stale
        while fresh + waiting < wanted and room > 0:
            room -= 1
            slot = self._slots.free(taken, now)
            taken.add(slot)
            fresh += 1
            self.coming[slot] = WorkerHandle(slot, 0, now, self.target)
            actions.append(Spawn(self.target, slot))
        return actions

    def _retire_stale(self, now: float) -> list[Action]:
        fresh, stale = self._fresh(), self._stale()
        serving = [w for w in stale if w.state is State.READY]
        unready = [w for w in stale if w.state is State.STARTING]
        ready = len(serving)
        if self._canary:  # the proven ones stay, as many as there shall be, until new ones are known to live
            serving.sort(key=lambda w: (w.generation == self._proven, not w.reason, w.started))
            unready = [w for w in unready if w.generation != self._proven]
        else:
            serving.sort(key=lambda w: w.started)
            ready += sum(w.state is State.READY for w in fresh)
        leaving = [*unready, *serving[: max(ready - self.size, 0)]]
        if len(fresh) > self.size:  # fewer are wanted than before: the youngest leave
            leaving += sorted(fresh, key=lambda w: (w.started, w.pid))[self.size :]
        return [action for worker in leaving for action in self._retire(worker, now)]

    def _retire(self, worker: WorkerHandle, now: float) -> list[Action]:
        patient = bool(worker.reason) and worker.generation == self.target
        wait = max(self.patience.idle, self.patience.sockets) if patient else self.patience.idle
        worker.state = State.RETIRING
        worker.until = now + wait + self.patience.graceful + KILL_AFTER
        return [Retire(worker.pid, patient)] if worker.pid else []

    def _begin_recycling(self) -> list[Action]:
        while self._recycle and not self._stale() and not self.restarting and self.booted:
            pid, reason = self._recycle.popleft()
            worker = self.workers.get(pid)
            if worker is not None and worker.state is State.READY:
                worker.reason = reason
                event = "memory.soft" if reason.startswith("memory") else ""
                text = f"{worker.name} (pid {pid}) is recycled: {reason}"
                return [Say(logging.WARNING if event else logging.INFO, text, event, worker.name)]
        return []

    # A restart

    def _load(self, now: float) -> list[Action]:
        self._newest += 1
        self._loading[self._newest] = now + self.patience.boot
        return [Load(self._newest)]

    def _load_again(self, now: float) -> list[Action]:
        self._load_due = None
        self._loading[self.target] = now + self.patience.boot
        return [Load(self.target)]

    def _end_canary(self, now: float) -> None:
        if any(w.ready is not None and w.lived(now) >= self.patience.canary for w in self._fresh()):
            self._canary = False

    def _end_of_restart(self) -> list[Action]:
        if self.target in (0, self._proven) or self._canary or not self.booted:
            return []
        fresh = self._fresh()
        if self._stale() or sum(w.state is State.READY for w in fresh) < self.size:
            return []
        old, self._proven = self._proven, self.target
        self._loaded.discard(old)
        text = f"restarted: generation {self.target} serves"
        said = Say(logging.INFO, text, "restart.aborted", resolved=True)
        return [said, Unload(old), Done(self.target, True, text)]

    def _abort_restart(self, why: str, now: float) -> list[Action]:
        bad, self.target = self.target, self._proven
        self._canary = False
        self._loaded.discard(bad)
        self._slots.forget()
        text = f"{why}; the restart is given up, the old code goes on serving"
        said: list[Action] = [
            Say(logging.ERROR, text, "restart.aborted"),
            Unload(bad),
            Done(bad, False, text),
        ]
        if self.target not in self._loaded:
            said += self._load_again(now)
        return [*said, *self.tick(now)]

    # Deaths

    def _died(self, worker: WorkerHandle, who: str, code: int, now: float) -> list[Action]:
        how = f"{who} ended with {describe_exit(code)}" + (f" ({worker.doomed})" if worker.doomed else "")
        if not self.ready_count and self._deaths.nobody_since is None:
            self._deaths.nobody_since = now
        new = self.target != self._proven and worker.generation == self.target
        if new and (self._canary or worker.ready is None):
            return self._abort_restart(how, now)
        self._deaths.add(now)
        wait = self._slots.died(worker.slot, worker.lived(now), now)
        when = f"in {wait:.1f} s" if wait else "now"
        facts = f"; {worker.facts}" if worker.facts else ""
        event = "worker.crash" if worker.ready is not None else "worker.boot_failed"
        if self._deaths.are_many(self.size, now):
            event = "crash_loop"
        subject = "" if event == "crash_loop" else worker.name
        text = f"{how}; it is replaced {when}{facts}"
        return [Say(logging.ERROR, text, "" if worker.doomed else event, subject), *self.tick(now)]

    def _left(self, worker: WorkerHandle, who: str, code: int) -> list[Action]:
        if code == 0 or self.exit_code:
            return []
        text = f"{who} ended with {describe_exit(code)} while it stopped ({worker.state.value})"
        late = code in (WATCHDOG, -signal.SIGKILL) and not self._forced
        event = "drain.timeout" if late else ""
        return [Say(logging.WARNING, text, event, worker.name)]

    def _give_up_start(self, how: str, code: int, now: float) -> list[Action]:
        self.exit_code = code if code in (2, 3, 4) else 3
        said = Say(logging.ERROR, f"{how}; the start is given up", START_FAILED)
        return [said, *self._begin_stop(now)]

    # Time

    def _judged_at(self, worker: WorkerHandle) -> float | None:
        if worker.until is not None:
            return worker.until
        if worker.state is State.STARTING:
            return worker.started + self.patience.boot
        if self._canary and worker.ready is not None and worker.generation == self.target:
            return worker.ready + self.patience.canary
        return None

    def _judge_times(self, now: float) -> list[Action]:
        actions: list[Action] = []
        for worker in self.workers.values():
            if worker.state is State.READY or (due := self._judged_at(worker)) is None or due > now:
                continue
            event, text = "drain.timeout", f"{worker.name} (pid {worker.pid}) did not leave in time"
            if worker.state is State.STARTING:
                event = ""
                text = f"{worker.name} (pid {worker.pid}) was not ready within {self.patience.boot:g} s"
            worker.until = now + KILL_AFTER
            said = Say(logging.WARNING, f"{text}: killed", event, worker.name)
            actions += [said, Send(worker.pid, signal.SIGKILL)]
        actions += self._judge_coming(now)
        for generation in [g for g, due in self._loading.items() if due <= now]:
            text = f"the app was not imported after {self.patience.boot:g} s"
            actions += [Say(logging.ERROR, text), *self.load_failed(generation, 3, now)]
        if (end := self._deaths.end_at(self.size, now)) is not None and now >= end:
            text = f"no worker was ready for {NOBODY:g} s, {len(self._deaths)} died within a minute: it ends"
            self.exit_code = 5
            actions += [Say(logging.ERROR, text, "crash_loop"), *self._begin_stop(now)]
        return actions

    def _judge_coming(self, now: float) -> list[Action]:
        late = [w for w in self.coming.values() if (due := self._judged_at(w)) is not None and due <= now]
        if not late:
            return []
        for worker in late:
            worker.until = now + self.patience.boot
        text = f"{late[0].name} was not forked within {self.patience.boot:g} s: its template is killed"
        said = [Say(logging.ERROR, text), *self._abandon(late)]
        return said if self.booted else [*said, *self._give_up_start(late[0].name, 3, now)]
