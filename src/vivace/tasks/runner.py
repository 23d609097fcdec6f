"""What runs tasks: takes them under a lease, calls their functions, and says how each ended.

Rules of this file:

- Nothing is taken that cannot be begun at once: what this process holds, no other one can help with.
- Leases are renewed by the clerk's thread: a task that holds up the loop does not lose its own.
- Of the tasks that were running when their process died it runs one at a time: so the one that kills is
  found, and those that were there by chance are not taken for it.
- A plain function runs in a thread of its own, which nobody can end: over its time-out it has failed, and if
  it goes on the process is replaced as soon as it has nothing else to do.
- A task that holds up the loop beyond its time-out takes its process with it: the clerk's thread sees to it.
- Whoever finds that the clock was set, or that everything stood still, trusts no lease until all could renew
  theirs, nor does one that has just begun: nobody loses a task for time that was missed.
- Stopping: nothing is taken from that moment on; what runs has the time that is given; what is left is given
  back last of all, so that nobody begins it while it still runs here.
"""

import asyncio
import contextlib
import contextvars
import faulthandler
import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from vivace.tasks.bells import Bell
from vivace.tasks.book import Book
from vivace.tasks.clerk import Clerk
from vivace.tasks.complaint import Complaint
from vivace.tasks.declared import TaskFunction
from vivace.tasks.errors import Retry, SpoolUnavailable
from vivace.tasks.records import Task
from vivace.tasks.spool import Spool, listen

__all__ = ["Runner", "current_task"]

logger = logging.getLogger("vivace.tasks")

LOOK: Final = 2.0
"""Seconds between two looks at a spool whose bell was not heard; nearly always it is."""
SWEEP: Final = 1.0
"""Seconds between two looks for tasks whose process is gone."""
JUMP: Final = 5.0
"""Seconds by which the clock may be off between two such looks before it is not trusted for a while."""
LONGEST_ERROR: Final = 8000
"""Characters of a traceback that are kept, its end."""
STUCK: Final = 5.0
"""Seconds after its time-out for which a thread may go on before the process is given up."""
BLOCKED: Final = 10.0
"""Seconds after a time-out for which the loop may stand still before the process is ended."""
HEED: Final = 0.5
"""Seconds that what is cancelled at a stop has to end; then it is given back all the same."""
_PAUSE: Final = 1.0
_current: contextvars.ContextVar[Task] = contextvars.ContextVar("vivace_task")


def current_task() -> Task:
    """The task that is being run here: its number, its attempt and all the rest.

    Raises:
        LookupError: None is.
    """
    return _current.get()


class Runner:
    """Runs the tasks of a book in this process.

    Args:
        book: The tasks, and the way to their spool.
        names: Of the tasks that it takes.
        concurrency: Tasks at a time.
        lease: Seconds for which a task is its own without a sign of life.
        clerk: Speaks with the spool; None: that of the book.

    Attributes:
        done: Attempts that went well.
        failed: Attempts that did not.
    """

    def __init__(
        self,
        book: Book,
        names: tuple[str, ...],
        concurrency: int,
        lease: float,
        clerk: Clerk | None = None,
    ) -> None:
        self.done = 0
        self.failed = 0
        self._book = book
        self._complaint = Complaint(logger)
        self._names = names
        self._most = concurrency
        self._lease = lease
        self._clerk = clerk or book.clerk
        self._bell: Bell = book.bells.hang()
        self.worker = self._bell.worker
        self._running: dict[int, tuple[Task, asyncio.Task[None]]] = {}
        self._awake = asyncio.Event()
        self._suspect = 0
        self._begun: dict[int, tuple[TaskFunction[Any, Any], float]] = {}
        self._cut: list[Task] = []
        self._stuck: dict[_Thread, float] = {}
        self._stopping = False
        self._overdue: set[int] = set()
        self._swept = (book.clock(), time.monotonic())
        self._trusts_at = time.monotonic() + lease  # what was before this one is not known

    # Its life

    async def run(self, stopping: asyncio.Event, patience: float) -> None:
        """Run tasks until told to stop, or until a function that cannot be ended takes up a place.

        Args:
            stopping: Is set to stop.
            patience: Seconds that what runs then has to end.
        """
        loop = asyncio.get_running_loop()
        loop.add_reader(self._bell.fileno(), self._ring)
        self._clerk.every(self._lease / 3, self._renew)
        deaf = listen(self._book.url, lambda: _wake(loop, self._awake))
        watch = asyncio.create_task(self._sweep(), name="vivace-sweep")
        wake = asyncio.create_task(self._wake_at(stopping), name="vivace-stopping")
        try:
            while not stopping.is_set() and (self._running or not self._retires):
                await self._turn()
        finally:
            self._stopping = True
            wake.cancel()
            await self._finish(patience)
            watch.cancel()
            deaf()
            loop.remove_reader(self._bell.fileno())
            self._clerk.every(self._lease, None)
            await self._give_back()
            self._bell.close()

    async def drain(self) -> int:
        """Run what is due until nothing is; how many attempts. For tests, and for scripts."""
        before = self.done + self.failed
        while await self._claim() or self._running:
            if self._running:
                await asyncio.wait([one for _, one in self._running.values()], return_when="FIRST_COMPLETED")
        return self.done + self.failed - before

    def close(self) -> None:
        """Take the bell down, after `drain`."""
        self._bell.close()

    @property
    def _retires(self) -> bool:
        """Whether a thread that nobody can end takes up a place: only a new process helps."""
        self._stuck = {thread: since for thread, since in self._stuck.items() if thread.is_alive()}
        return any(time.monotonic() - since > STUCK for since in self._stuck.values())

    async def _wake_at(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._awake.set()

    def _ring(self) -> None:
        self._bell.hush()
        self._awake.set()

    async def _turn(self) -> None:
        """Take what can be begun, or wait until something changes."""
        self._awake.clear()
        wait = LOOK
        try:
            if self._free():
                due = await self._clerk.do(self._next_due, reads=True)
                wait = self._wait_for(due)
                if due is not None and wait <= 0:
                    taken = await self._claim()
                    wait = 0.0 if taken and self._free() else LOOK
                self._complaint.over()
        except SpoolUnavailable as error:
            self._complaint.say(f"no tasks can be taken: {error}")
            wait = _PAUSE
        if wait > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._awake.wait()

    def _wait_for(self, due: float | None) -> float:
        return LOOK if due is None else min(due - self._book.clock(), LOOK)

    def _free(self) -> int:
        if self._stopping or self._retires:
            return 0
        return self._most - len(self._running) - len(self._stuck)

    # What it does with the spool; these run in the clerk's thread

    def _next_due(self, spool: Spool) -> float | None:
        return spool.next_due(self._names, self._book.clock(), suspect=self._suspect not in self._running)

    def _renew(self, spool: Spool) -> None:
        self._end_if_blocked()
        held = list(self._running)
        lost = set(held) - spool.extend(self.worker, held, self._lease, self._book.clock())
        for number in lost & self._running.keys():
            logger.warning("task %s is not ours any more: its lease ran out", number)

    def _end_if_blocked(self) -> None:
        over = {
            number for number, (function, since) in list(self._begun.items()) if _is_over(function, since)
        }
        for number in over & self._overdue:  # seen twice: after a standstill the loop gets its turn first
            name = self._begun[number][0].name
            logger.critical(
                "task %s (%s) holds up the loop beyond its timeout; its process ends", number, name
            )
            faulthandler.dump_traceback()
            os.kill(os.getpid(), signal.SIGKILL)
        self._overdue = over

    def _recover(self, spool: Spool) -> int:
        now = self._book.clock()
        spool.sweep(now)
        gone = self._book.bells.gone(spool.workers() - {self.worker})
        return spool.recover(gone, now, leases=self._trusts_clock(now))

    def _trusts_clock(self, now: float) -> bool:
        steady = time.monotonic()
        passed, ticked = now - self._swept[0], steady - self._swept[1]
        self._swept = (now, steady)
        if abs(passed - ticked) > JUMP or ticked > SWEEP + JUMP:
            self._trusts_at = steady + self._lease
        return steady >= self._trusts_at

    async def _sweep(self) -> None:
        """Look for the tasks of those who are gone."""
        while True:
            try:
                if count := await self._clerk.do(self._recover):
                    logger.warning("%s tasks were taken back from runners that are gone", count)
                    self._awake.set()
            except SpoolUnavailable:
                pass  # `_turn` says it
            await asyncio.sleep(SWEEP)

    # Tasks

    async def _claim(self) -> int:
        """Take tasks and begin them; how many."""
        limit = self._free()
        if not limit:
            return 0
        now, free = self._book.clock, self._suspect not in self._running
        taken = await self._clerk.do(
            lambda spool: spool.claim(self.worker, self._names, limit, self._lease, now(), suspect=free)
        )
        for task in taken:
            if task.kills:
                self._suspect = task.id
            self._begin(task)
        return len(taken)

    def _begin(self, task: Task) -> None:
        running = asyncio.create_task(self._run(task), name=f"{task.name} {task.id}")
        self._running[task.id] = (task, running)
        self._begun[task.id] = (self._book.functions[task.name], time.monotonic())
        running.add_done_callback(lambda _: self._ended(task.id))

    def _ended(self, number: int) -> None:
        self._running.pop(number, None)
        self._begun.pop(number, None)
        self._awake.set()

    async def _run(self, task: Task) -> None:
        function = self._book.functions[task.name]
        try:
            given = function.arguments.decode(task.payload)
        except Exception as error:  # noqa: BLE001 - a type of the app may raise anything
            await self._fail(task, f"its arguments do not fit the function as it is now: {error}", None)
            return
        _current.set(task)
        limit = asyncio.timeout(function.options.timeout)
        try:
            async with limit:
                result = await self._call(function, given)
        except asyncio.CancelledError:
            if self._stopping:
                self._cut.append(task)
                raise
            await self._fail(task, "it was cancelled", self._again_at(task, function, None))
        except Retry as error:
            await self._fail(task, str(error), self._again_at(task, function, error.after), quiet=True)
        except BaseException as error:  # SystemExit too: a task does not end its runner
            if isinstance(error, GeneratorExit) and self._stopping:
                raise
            text = "".join(traceback.format_exception(error))[-LONGEST_ERROR:]
            if limit.expired():
                text = f"it took longer than its timeout of {function.options.timeout:g} s"
            await self._fail(task, text, self._again_at(task, function, None))
        else:
            await self._succeed(task, function, result)

    async def _succeed(self, task: Task, function: TaskFunction[Any, Any], result: Any) -> None:
        try:
            octets = msgspec.json.encode(result) if function.options.keep else None
        except Exception as error:  # noqa: BLE001 - a type of the app may raise anything
            # Not run again: all that it does is done, and its result would be the same.
            await self._fail(task, f"it was done, but its result is not what JSON can say: {error}", None)
            return
        self.done += 1
        if not await self._insist(lambda spool: spool.ack(self.worker, task, octets, self._book.clock())):
            logger.warning("task %s (%s) was done, but it was not ours any more", task.id, task.name)

    def _again_at(self, task: Task, function: TaskFunction[Any, Any], after: float | None) -> float | None:
        if task.attempts >= task.max_attempts:
            return None
        wait = function.options.backoff.wait(task.attempts, self._book.chance()) if after is None else after
        return self._book.clock() + wait

    async def _fail(self, task: Task, error: str, again_at: float | None, *, quiet: bool = False) -> None:
        self.failed += 1
        error = _storable(error)
        last = error.strip().splitlines()[-1]
        what = f"attempt {task.attempts} of {task.max_attempts} of task {task.id} ({task.name})"
        if again_at is None:
            extra = {"event": "task.dead", "subject": task.name}
            logger.error("%s failed, it is dead: %s", what, error.strip(), extra=extra)
        elif not quiet:
            logger.warning(
                "%s failed, the next one is in %.3g s: %s",
                what,
                max(again_at - self._book.clock(), 0.0),
                last,
            )
        await self._insist(lambda spool: spool.nack(self.worker, task, error, again_at, self._book.clock()))

    async def _insist(self, work: Callable[[Spool], bool]) -> bool:
        """Tell the spool how a task ended, again and again until it heard it: the task is done anyway."""
        while True:
            try:
                return await self._clerk.do(work)
            except SpoolUnavailable as error:
                if self._stopping:
                    raise
                logger.warning("the end of a task could not be written, it is tried again: %s", error)
                await asyncio.sleep(_PAUSE)

    async def _call(self, function: TaskFunction[Any, Any], given: Mapping[str, Any]) -> Any:
        if function.is_async:
            return await function.function(**given)
        thread = _Thread(function.function, given)
        try:
            result = await thread.result
        except asyncio.CancelledError:
            self._stuck[thread] = time.monotonic()
            raise
        return await result if isinstance(result, Awaitable) else result

    # The end

    async def _finish(self, patience: float | None) -> None:
        """Wait for what runs; cancel what is still there then."""
        running = [one for _, one in self._running.values()]
        if running:
            _, left = await asyncio.wait(running, timeout=patience)
            for one in left:
                one.cancel()
            if left:
                await asyncio.wait(left, timeout=HEED)

    async def _give_back(self) -> None:
        left = [*self._cut, *(task for task, _ in self._running.values())]
        if not left:
            return
        try:
            given = await self._clerk.do(lambda spool: spool.release(self.worker, left, self._book.clock()))
        except SpoolUnavailable as error:
            logger.error("%s tasks were not done and stay until their leases end: %s", len(left), error)  # noqa: TRY400
        else:
            logger.warning("%s tasks were not done in time; others may run them now", given)


def _is_over(function: TaskFunction[Any, Any], since: float) -> bool:
    limit = function.options.timeout
    return limit is not None and time.monotonic() - since > limit + BLOCKED


class _Thread:
    """A call in a thread of its own: a daemon, so that it cannot hold up the end of the process."""

    def __init__(self, function: Callable[..., Any], given: Mapping[str, Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self.result: asyncio.Future[Any] = self._loop.create_future()
        self._context = contextvars.copy_context()
        self._call = lambda: function(**given)
        self._thread = threading.Thread(target=self._run, name="vivace-task", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether it goes on."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            value, error = self._context.run(self._call), None
        except BaseException as raised:  # noqa: BLE001 - it belongs to the task
            value, error = None, raised
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._settle, value, error)

    def _settle(self, value: Any, error: BaseException | None) -> None:
        if self.result.done():
            return
        if error is None:
            self.result.set_result(value)
        elif isinstance(error, StopIteration):
            self.result.set_exception(RuntimeError("a task raised StopIteration"))
        else:
            self.result.set_exception(error)


def _wake(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(event.set)


def _storable(text: str) -> str:
    """A text that every spool takes: UTF-8 has no surrogates, a text of PostgreSQL no zero."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
