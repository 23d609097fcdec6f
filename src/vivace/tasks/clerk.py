"""The one thread of a process that speaks with the spool.

Rules of this file:

- What waits at the same time is done in one transaction: many that enqueue pay for one write to disk.
- Of a transaction that fails each part is tried again alone, so that nobody fails for his neighbour.
- Whoever waits on a loop is answered by one wake-up of that loop per transaction, however many they are.
- After a fork there is no thread: `alive` says so, and a new clerk is made.
"""

import asyncio
import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from vivace.tasks.errors import SpoolFull, SpoolUnavailable
from vivace.tasks.spool import Spool

__all__ = ["Clerk"]

logger = logging.getLogger("vivace.tasks")

MOST: Final = 500
"""Jobs that one transaction may have."""
QUIET: Final = 60.0
"""Seconds without a write that found no room after which that is over: small ones may fit in between."""
_T = TypeVar("_T")


class _Job:
    """Something to do with the spool, and who waits for it."""

    __slots__ = ("answer", "done", "error", "loop", "reads", "work")

    def __init__(self, work: Callable[[Spool], Any], reads: bool, done: Any) -> None:
        self.work = work
        self.reads = reads
        self.done = done
        self.loop: asyncio.AbstractEventLoop | None = None
        self.answer: Any = None
        self.error: BaseException | None = None


class Clerk:
    """Does jobs on a spool, in a thread of its own that starts with the first one.

    Args:
        open_spool: Opens the spool, in that thread; tried again with each job until it succeeds.
        told: Called after each transaction that wrote something, in that thread.
    """

    def __init__(self, open_spool: Callable[[], Spool], told: Callable[[], object] | None = None) -> None:
        self._open = open_spool
        self._told = told
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._spool: Spool | None = None
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._beat: Callable[[Spool], object] | None = None
        self._pace = 0.0
        self._full: float | None = None

    @property
    def alive(self) -> bool:
        """Whether it is of this process, and not of the one that this was forked from."""
        return self._pid == os.getpid()

    def every(self, seconds: float, beat: Callable[[Spool], object] | None) -> None:
        """Let it do something regularly, in a transaction, also while the loop stands still.

        Args:
            seconds: Between two times.
            beat: What; None: nothing any more.
        """
        self._pace, self._beat = seconds, beat
        self._jobs.put(_Job(_nothing, True, Future()))  # it may be waiting for ever
        self._start()

    async def do(self, work: Callable[[Spool], _T], *, reads: bool = False) -> _T:
        """Have something done, and wait for it without blocking the loop.

        Args:
            work: Called with the spool; it may be called twice, if the first time was undone.
            reads: It writes nothing, and needs no transaction.

        Raises:
            SpoolUnavailable: It cannot be done now.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()
        job = _Job(work, reads, future)
        job.loop = loop
        self._jobs.put(job)
        self._start()
        return await future

    def do_now(self, work: Callable[[Spool], _T], *, reads: bool = False) -> _T:
        """The same for code that may block."""
        future: Future[_T] = Future()
        self._jobs.put(_Job(work, reads, future))
        self._start()
        return future.result()

    def close(self) -> None:
        """Finish what waits, and end."""
        if self._thread is not None and self.alive:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def _start(self) -> None:
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="vivace-spool", daemon=True)
                    self._thread.start()

    # In the thread.

    def _work(self) -> None:
        due = time.monotonic()
        while True:
            wait = max(due - time.monotonic(), 0.0) if self._beat is not None else None
            jobs, ends = self._gather(wait)
            if jobs:
                self._do_all(jobs)
            if self._beat is not None and time.monotonic() >= due:
                due = time.monotonic() + self._pace
                self._do_beat(self._beat)
            if ends:
                break
        if self._spool is not None:
            self._spool.close()

    def _gather(self, wait: float | None) -> tuple[list[_Job], bool]:
        jobs: list[_Job] = []
        with contextlib.suppress(queue.Empty):
            job = self._jobs.get(timeout=wait)
            while job is not None:
                jobs.append(job)
                if len(jobs) >= MOST:
                    return jobs, False
                job = self._jobs.get_nowait()
            return jobs, True
        return jobs, False

    def _do_beat(self, beat: Callable[[Spool], object]) -> None:
        try:
            spool = self._opened()
            with spool.transaction():
                beat(spool)
        except Exception as error:  # noqa: BLE001 - it is tried again
            logger.warning("leases could not be renewed: %s", error)

    def _opened(self) -> Spool:
        if self._spool is None:
            self._spool = self._open()
        return self._spool

    def _do_all(self, jobs: list[_Job]) -> None:
        try:
            spool = self._opened()
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait
            for job in jobs:
                job.error = error
        else:
            for job in [job for job in jobs if job.reads]:
                _do_one(spool, job)
            writes = [job for job in jobs if not job.reads]
            if writes:
                self._write(spool, writes)
        _answer(jobs)

    def _write(self, spool: Spool, jobs: list[_Job]) -> None:
        try:
            with spool.transaction():
                for job in jobs:
                    job.answer = job.work(spool)
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait
            if isinstance(error, SpoolFull):
                self._tell_full(error)
            if len(jobs) == 1 or isinstance(error, SpoolUnavailable):
                for job in jobs:
                    job.error = error
            else:
                for job in jobs:
                    self._write(spool, [job])
            return
        if self._full is not None and time.monotonic() >= self._full + QUIET:
            self._full = None
            logger.info("the spool of tasks has room again", extra={"event": "spool.full", "resolved": True})
        if self._told is not None:
            self._told()

    def _tell_full(self, error: SpoolFull) -> None:
        """Whoever wanted to write gets the error; who runs the server is told once."""
        if self._full is None:
            logger.error("%s", error, extra={"event": "spool.full"})
        self._full = time.monotonic()


def _nothing(_: Spool) -> None:
    pass


def _do_one(spool: Spool, job: _Job) -> None:
    try:
        job.answer = job.work(spool)
    except Exception as error:  # noqa: BLE001 - it belongs to who waits
        job.error = error


def _answer(jobs: list[_Job]) -> None:
    """Tell those who wait, each loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in jobs:
        if job.loop is None:
            _settle(job)
        else:
            by_loop.setdefault(job.loop, []).append(job)
    for loop, its in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle_all, its)


def _settle_all(jobs: list[_Job]) -> None:
    for job in jobs:
        if not job.done.done():
            _settle(job)


def _settle(job: _Job) -> None:
    if job.error is not None:
        job.done.set_exception(job.error)
    else:
        job.done.set_result(job.answer)
