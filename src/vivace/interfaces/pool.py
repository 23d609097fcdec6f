# cython: language_level=3, annotation_typing=False
"""Threads for code that blocks, and the two hand-overs: from the loop to a thread and back.

Rules of this file:

- Two threads of CPython take turns, and a turn costs more than a small request does. So what a turn of the
  loop brings is handed over at its end, to one thread, which goes on until nothing is left; and the loop is
  woken once for all that was done until it looks.
- A thread that blocks does not keep others waiting: what is still queued after `NUDGE` wakes further threads.
- A thread sleeps in a lock of its own; the one that went to sleep last is woken first.
- There is one pool a loop, however many apps are mounted: THREADS is the number of threads of a worker.
- Threads are daemons: an app that never returns does not keep the process from ending.
"""

import asyncio
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from vivace.protocols.threads import AtWork, teams

__all__ = ["Job", "Settled", "ThreadPool", "open_pool"]

logger = logging.getLogger("vivace.error")

NUDGE: Final = 0.001
"""Seconds after which jobs that wait for a thread wake further ones."""
RETRY: Final = 1.0
"""Seconds until a thread that could not be started is tried again."""
SWITCH_INTERVAL: Final = 0.001
"""Seconds for which a thread that computes may keep the others, the loop among them, from running.

CPython's default is five times that. Beside two requests that only compute, small ones come to 870/s then,
with a median of 9.5 ms; with this to 3500/s, with 2.5 ms, and those that compute take 4 % longer.
"""
DEFAULT_INTERVAL: Final = 0.005
STOP_TIME: Final = 1.0
"""Seconds that threads get to end once the pool is closed."""


class Job(Protocol):
    """What a thread does."""

    def run(self) -> None:
        """Do it; called in a thread."""

    def describe(self) -> str:
        """What it is, for the log."""
        ...


class Settled(Protocol):
    """What the loop does about something that happened in a thread."""

    def settle(self) -> None:
        """Do it; called on the loop's thread."""


def open_pool(size: int) -> "ThreadPool":
    """The pool of the running loop, to be given back by `ThreadPool.close`.

    Args:
        size: Threads at most, unless it is open already.
    """
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop)
    if pool is None:
        pool = _pools[loop] = ThreadPool(size, "vivace-wsgi", loop)
        if sys.getswitchinterval() == DEFAULT_INTERVAL:  # else somebody has chosen another
            sys.setswitchinterval(SWITCH_INTERVAL)
    pool.users += 1
    return pool


class ThreadPool:
    """Up to `size` threads that start when they are needed.

    Args:
        size: Threads at most.
        name: What their names begin with.
        loop: The event loop that hands over and is handed back.

    Attributes:
        loop: That loop.
        users: How many have to close it.
    """

    __slots__ = (
        "__weakref__",
        "_called",
        "_closed",
        "_done",
        "_handing",
        "_idle",
        "_jobs",
        "_name",
        "_nudged",
        "_size",
        "_tasks",
        "_threads",
        "loop",
        "users",
    )

    def __init__(self, size: int, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.users = 0
        self._size = size
        self._name = name
        self._jobs: deque[Any] = deque()
        self._done: deque[Any] = deque()
        self._idle: list[_Worker] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._threads: list[_Worker] = []
        self._handing = False
        self._nudged = False
        self._called = False
        self._closed = False
        teams.add(self)

    def submit(self, job: Job) -> None:
        """Let a thread run `job`; called on the loop's thread."""
        self._jobs.append(job)
        if not self._handing:
            self._handing = True
            self.loop.call_soon(self._hand_over)

    def post(self, item: Settled) -> None:
        """Let the loop settle `item`; called in any thread."""
        self._done.append(item)
        if not self._called:
            self._called = True
            try:
                self.loop.call_soon_threadsafe(self._settle)
            except RuntimeError:  # the loop is closed: nobody waits for it any more
                return

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run what the loop has to do for a job beside others; called on the loop's thread."""
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hand_over(self) -> None:
        """At the end of a turn of the loop: wake one thread for all that came."""
        self._handing = False
        self._wake_one()
        if len(self._jobs) > 1 and not self._nudged and (self._idle or len(self._threads) < self._size):
            self._nudged = True
            self.loop.call_later(NUDGE, self._nudge)

    def _wake_one(self) -> None:
        if self._idle:
            try:
                self._idle.pop().lock.release()
            except IndexError:  # it found a job by itself just now
                return
        elif len(self._threads) < self._size:
            self._start_one()

    def _start_one(self) -> None:
        worker = _Worker(self, f"{self._name}-{len(self._threads) + 1}")
        try:
            worker.thread.start()
        except RuntimeError as error:  # the system has no more
            logger.error("no thread for the WSGI app: %s", error)  # noqa: TRY400  # where it came from is plain
            self.loop.call_later(RETRY, self._nudge)
            return
        self._threads.append(worker)

    def _nudge(self) -> None:
        """Jobs still wait: the threads that are awake are busy or blocked."""
        self._nudged = False
        for _ in range(min(len(self._jobs), self._size)):
            self._wake_one()

    def _settle(self) -> None:
        # Before the queue is emptied: what is put there later calls again.
        self._called = False
        done = self._done
        while done:
            try:
                done.popleft().settle()
            except Exception:
                logger.exception("an answer of a thread could not be sent")

    @property
    def size(self) -> int:
        """Threads at most."""
        return self._size

    def at_work(self) -> list[AtWork]:
        """The threads that call the app right now; each answers one request."""
        found = [(worker.thread, getattr(worker.job, "stream", None)) for worker in self._threads]
        return [AtWork(t.ident, t.name, stream) for t, stream in found if t.ident and stream is not None]

    def waits(self, stream: Any) -> bool:
        """Whether a request waits until one of the threads is free."""
        return any(getattr(job, "stream", None) is stream for job in list(self._jobs))

    async def close(self) -> None:
        """End the threads with the last user; those at work after `STOP_TIME` are named and left behind."""
        self.users -= 1
        if self.users > 0:
            return
        self._closed = True
        teams.discard(self)
        _pools.pop(self.loop, None)
        if not _pools and sys.getswitchinterval() == SWITCH_INTERVAL:
            sys.setswitchinterval(DEFAULT_INTERVAL)
        until = time.monotonic() + STOP_TIME
        while self._threads and time.monotonic() < until:
            for worker in self._threads:
                worker.wake()
            self._threads = [worker for worker in self._threads if worker.thread.is_alive()]
            await asyncio.sleep(0.005)
        for worker in self._threads:
            job = worker.job
            logger.warning(
                "%s is still at work after the stop: %s; the process ends without it",
                worker.thread.name,
                job.describe() if job is not None else "between two requests",
            )

    def work(self, worker: "_Worker") -> None:
        """The life of a thread."""
        jobs = self._jobs
        while True:
            try:
                job = jobs.popleft()
            except IndexError:
                if self._closed:
                    return
                self._sleep(worker)
                continue
            worker.job = job
            try:
                job.run()
            except BaseException:
                logger.exception("%s failed", worker.thread.name)
            worker.job = job = None

    def _sleep(self, worker: "_Worker") -> None:
        idle = self._idle
        idle.append(worker)
        # What was queued before the loop could see this thread sleep would wake nobody.
        if self._jobs or self._closed:
            try:
                idle.remove(worker)
                return
            except ValueError:  # it was just chosen, and its lock is about to be released
                pass
        worker.lock.acquire()


class _Worker:
    """A thread and the lock in which it sleeps."""

    __slots__ = ("job", "lock", "thread")

    def __init__(self, pool: ThreadPool, name: str) -> None:
        self.lock = threading.Lock()
        self.lock.acquire()
        self.job: Any = None
        self.thread = threading.Thread(target=pool.work, args=(self,), name=name, daemon=True)

    def wake(self) -> None:
        """Wake it if it sleeps; called when the pool is closed."""
        if self.lock.locked():
            try:
                self.lock.release()
            except RuntimeError:
                return


_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, ThreadPool] = WeakKeyDictionary()
"""The open pool of each loop."""
