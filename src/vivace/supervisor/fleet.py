"""What to do with the workers when one is ready or dead, a signal came or time passed.

Rules of this file:

- Pure: no processes, no signals, no clock; every event brings `now`, every answer is a list of actions.
- A first generation that cannot start ends everything with the failed worker's exit code: a broken deploy
  must be seen. Later a dead worker is replaced for as long as the server runs.
- A worker that served for a while is replaced at once. One that dies soon after its start is replaced after
  0.1 s, 0.2 s, 0.4 s ... at most 30 s, so that a crash loop costs little.
- A stop is graceful within one deadline; a second signal forces it (workers are told by SIGQUIT, for SIGTERM
  may have reached them from the platform too); whoever is left then is killed. Nothing waits for ever.
"""

import logging
import signal
from typing import Final, NamedTuple

from vivace.supervisor.handle import State, WorkerHandle, describe_exit

__all__ = ["FORCED", "KILL_AFTER", "Action", "Fleet", "Say", "Send", "Spawn"]

KILL_AFTER: Final = 3.0
"""Seconds after GRACEFUL_SHUTDOWN_TIMEOUT when a worker that is still there is killed."""
FORCED: Final = 2.0
"""Seconds that a forced stop gives the workers."""
FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 30.0
SOON: Final = 5.0
"""A worker that served for less than this many seconds died soon."""


class Spawn(NamedTuple):
    """Fork a worker for a slot; answer with `spawned` or `spawn_failed`."""

    slot: int


class Send(NamedTuple):
    """Send a signal to a worker."""

    pid: int
    signal: int


class Say(NamedTuple):
    """Write a line to the log."""

    level: int
    text: str


Action = Spawn | Send | Say


class _Slot:
    """A place for a worker; `due` is when its next one is forked, None while one lives."""

    __slots__ = ("booted", "deaths", "due")

    def __init__(self, now: float) -> None:
        self.booted = False
        self.deaths = 0
        self.due: float | None = now


class Fleet:
    """The workers and what is to become of them.

    Args:
        size: The number of workers.
        graceful: GRACEFUL_SHUTDOWN_TIMEOUT in seconds.

    Attributes:
        exit_code: Of the supervisor, once `done`.
        stopping: A stop began.
        workers: The living ones by process id.
    """

    def __init__(self, size: int, graceful: float) -> None:
        self.size = size
        self.graceful = graceful
        self.workers: dict[int, WorkerHandle] = {}
        self.stopping = False
        self.exit_code = 0
        self._forced = False
        self._slots: list[_Slot] = []
        self._deadline: float | None = None

    @property
    def done(self) -> bool:
        """The stop is complete."""
        return self.stopping and not self.workers

    @property
    def booted(self) -> bool:
        """Every slot had a worker that served."""
        return bool(self._slots) and all(slot.booted for slot in self._slots)

    def start(self, now: float) -> list[Action]:
        """The server starts."""
        self._slots = [_Slot(now) for _ in range(self.size)]
        return self.tick(now)

    def spawned(self, slot: int, pid: int, now: float) -> None:
        """A worker was forked."""
        self._slots[slot].due = None
        self.workers[pid] = WorkerHandle(slot, pid, now)

    def spawn_failed(self, slot: int, why: str, now: float) -> list[Action]:
        """The system refused a process."""
        wait = self._back_off(slot, now)
        return [Say(logging.ERROR, f"worker {slot + 1} cannot be forked: {why}; next try in {wait:g} s")]

    def ready(self, pid: int, now: float) -> list[Action]:
        """A worker serves."""
        worker = self.workers.get(pid)
        if worker is None or worker.state is not State.STARTING:
            return []
        worker.state = State.READY
        worker.ready = now
        again = self._slots[worker.slot].booted
        self._slots[worker.slot].booted = True
        return [Say(logging.INFO, f"worker {worker.slot + 1} serves again as pid {pid}")] if again else []

    def exited(self, pid: int, code: int, now: float) -> list[Action]:
        """A worker is gone; `code` is negative for a signal. Processes that are none of ours are ignored."""
        worker = self.workers.pop(pid, None)
        if worker is None:
            return []
        who = f"worker {worker.slot + 1} (pid {pid})"
        if self.stopping:
            return self._left(worker, who, code)
        if worker.ready is None and not self._slots[worker.slot].booted:
            return self._failed_first(who, code, now)
        lived = worker.ready is not None and now - worker.ready >= SOON
        wait = self._at_once(worker.slot, now) if lived else self._back_off(worker.slot, now)
        when = f"in {wait:g} s" if wait else "now"
        text = f"{who} ended with {describe_exit(code)}; it is replaced {when}"
        return [Say(logging.ERROR, text), *self.tick(now)]

    def stop(self, now: float) -> list[Action]:
        """A signal to stop came: the first lets requests finish, the second forces, the third kills."""
        if not self.stopping:
            return self._begin_stop(now)
        if not self._forced:
            self._forced = True
            self._deadline = now + FORCED
            return [Say(logging.WARNING, "a second signal: the stop is forced"), *self._send(signal.SIGQUIT)]
        return self._send(signal.SIGKILL)

    def tick(self, now: float) -> list[Action]:
        """Time passed: fork what is due, kill what did not leave in time."""
        if self.stopping:
            return self._kill_late(now)
        return [Spawn(i) for i, slot in enumerate(self._slots) if slot.due is not None and slot.due <= now]

    def next_tick(self) -> float | None:
        """When `tick` has something to do; None if not before another event."""
        if self.stopping:
            return self._deadline
        return min((slot.due for slot in self._slots if slot.due is not None), default=None)

    def _begin_stop(self, now: float) -> list[Action]:
        self.stopping = True
        self._deadline = now + self.graceful + KILL_AFTER
        for worker in self.workers.values():
            worker.state = State.STOPPING
        return self._send(signal.SIGTERM)

    def _failed_first(self, who: str, code: int, now: float) -> list[Action]:
        self.exit_code = code if code in (2, 3, 4) else 3
        said = Say(
            logging.ERROR, f"{who} ended with {describe_exit(code)} before it served; the start is given up"
        )
        return [said, *self._begin_stop(now)]

    def _left(self, worker: WorkerHandle, who: str, code: int) -> list[Action]:
        if code == 0 or self.exit_code:
            return []
        level = logging.WARNING
        return [Say(level, f"{who} ended with {describe_exit(code)} while it stopped ({worker.state.value})")]

    def _kill_late(self, now: float) -> list[Action]:
        if self._deadline is None or now < self._deadline or not self.workers:
            return []
        self._deadline = None
        pids = ", ".join(map(str, self.workers))
        text = f"the time to stop is over: killed {pids}, and with it the requests still running there"
        return [Say(logging.WARNING, text), *self._send(signal.SIGKILL)]

    def _send(self, number: int) -> list[Action]:
        return [Send(pid, number) for pid in self.workers]

    def _at_once(self, slot: int, now: float) -> float:
        self._slots[slot].deaths = 0
        self._slots[slot].due = now
        return 0.0

    def _back_off(self, slot: int, now: float) -> float:
        # The exponent is bounded, for a loop of crashes may last for days.
        wait = min(FIRST_DELAY * 2.0 ** min(self._slots[slot].deaths, 20), LONGEST_DELAY)
        self._slots[slot].deaths += 1
        self._slots[slot].due = now + wait
        return wait
