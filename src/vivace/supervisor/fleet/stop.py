"""How the workers of a fleet are stopped: with a delay, gracefully, by force, or for another server's sake.

Rules of this file:

- Pure, as all of this folder.
- A stop may begin with a delay, in which everything goes on but nobody new should be sent here; it is
  graceful within one deadline; a second signal forces it; whoever is left then is killed. Nothing waits for
  ever.
- A worker that is still starting is told again and again: Python shows a signal that comes just before a
  blocking call to nobody until that call is over, or another signal cuts it short.
- A server that another one replaces retires all workers; should the other end, it makes new ones.
"""

import logging
import signal
from collections.abc import Iterable

from vivace.supervisor.fleet.actions import Abandon, Action, Force, Retire, Say, Send
from vivace.supervisor.fleet.handle import State, WorkerHandle
from vivace.supervisor.fleet.patience import AGAIN, ECHO, FORCED, KILL_AFTER, Patience

__all__ = ["Stopping"]


class Stopping:
    """Workers and their end; the rest of their life is that of `vivace.supervisor.fleet.fleet.Fleet`.

    Args:
        patience: How long is waited for what.

    Attributes:
        workers: The living ones by process id.
        coming: Those that were asked for and have no process yet, by their place.
        stopping: A stop began: workers end.
        handed: They end because another server serves in their place.
    """

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.workers: dict[int, WorkerHandle] = {}
        self.coming: dict[int, WorkerHandle] = {}
        self.stopping = False
        self.handed = False
        self._forced = False
        self._hurried = False
        self._asked_at = -ECHO
        self._leave_at: float | None = None
        self._deadline: float | None = None
        self._unready: set[int] = set()
        self._again_at = 0.0

    @property
    def done(self) -> bool:
        """The stop is complete."""
        return self.stopping and not self.workers and not self.coming

    @property
    def leaving(self) -> bool:
        """A stop was asked for, and has begun or will in a moment: readiness is over."""
        return self.stopping or self._leave_at is not None

    @property
    def ready_count(self) -> int:
        """Workers that serve and will go on."""
        return sum(w.state is State.READY for w in self.workers.values())

    def _is_stopping(self) -> bool:
        # As a call: a type checker takes an attribute that was asked before for what it was then.
        return self.stopping

    def _all(self) -> list[WorkerHandle]:
        return [*self.workers.values(), *self.coming.values()]

    def stop(self, now: float, *, forced: bool = False) -> list[Action]:
        """A signal to stop came: the first lets requests finish, the second forces, the third kills.

        What comes within `ECHO` of the one before is the same request.

        Args:
            now: The time.
            forced: Already the first one forces.
        """
        if now < self._asked_at + ECHO and (self._forced or not forced):
            return []
        self._asked_at = now
        if self.handed and not self._hurried:
            return self._hurry(now)
        if self.stopping:
            return self._force(now)
        second = self._leave_at is not None
        if self.patience.delay and self.ready_count and not (second or forced):
            self._leave_at = now + self.patience.delay
            text = f"stopping: not ready any more, accepting for {self.patience.delay:g} s"
            return [Say(logging.INFO, text)]
        actions = self._begin_stop(now)
        return [*actions, *self._force(now)] if second or forced else actions

    def hand_over(self, now: float) -> list[Action]:
        """Another server serves on the same sockets: the workers retire."""
        self.handed = True
        retired = [Retire(w.pid) if w.state is State.READY else Send(w.pid, signal.SIGTERM)
                   for w in self.workers.values() if w.counts]  # fmt: skip
        self._begin_stop(now)
        self._deadline = now + self.patience.idle + self.patience.graceful + KILL_AFTER
        return list(retired)

    def _begin_stop(self, now: float) -> list[Action]:
        self._leave_at = None
        self.stopping = True
        self._deadline = now + self.patience.graceful + KILL_AFTER
        self._unready = {pid for pid, worker in self.workers.items() if worker.ready is None}
        self._again_at = now + AGAIN
        for worker in self._all():
            worker.state = State.STOPPING
        return self._send(signal.SIGTERM)

    def _stop_unready(self, pid: int) -> list[Action]:
        self._unready.add(pid)
        return [Send(pid, signal.SIGTERM)]

    def _go_on_stopping(self, now: float) -> list[Action]:
        if not self._unready or now < self._again_at:
            return self._kill_late(now)
        self._unready &= self.workers.keys()
        self._again_at = now + AGAIN
        return [*(Send(pid, signal.SIGTERM) for pid in sorted(self._unready)), *self._kill_late(now)]

    def _next_step(self) -> float | None:
        """When a stop that has begun has something to do."""
        again = self._again_at if self._unready else None
        return min((at for at in (self._deadline, again) if at is not None), default=None)

    def _force(self, now: float) -> list[Action]:
        if self._forced:
            return self._send(signal.SIGKILL)
        self._forced = True
        self._deadline = now + FORCED
        return [Say(logging.INFO, "the stop is forced"), *(Force(pid) for pid in self.workers)]

    def _hurry(self, now: float) -> list[Action]:
        """A signal while the workers of a server that was replaced retire: no longer than a stop takes."""
        self._hurried = True
        self._deadline = min(self._deadline or now, now + self.patience.graceful + KILL_AFTER)
        return []

    def _kill_late(self, now: float) -> list[Action]:
        if self._deadline is None or now < self._deadline:
            return []
        self._deadline = None
        never = self._abandon(self.coming.values())
        self.coming.clear()
        if not self.workers:
            return never
        pids = ", ".join(map(str, self.workers))
        text = f"the time to stop is over: killed {pids}, and with it the requests still running there"
        return [*never, Say(logging.WARNING, text), *self._send(signal.SIGKILL)]

    def _send(self, number: int) -> list[Action]:
        return [Send(pid, number) for pid in self.workers]

    def _abandon(self, coming: Iterable[WorkerHandle]) -> list[Action]:
        return [Abandon(generation) for generation in sorted({w.generation for w in coming})]
