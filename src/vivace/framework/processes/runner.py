"""What runs in a process of a pool: calls are taken, begun in order, cancelled, answered.

Rules of this file:

- A plain function runs in a thread, the same one for each call and for what prepares it, so that the loop
  hears cancellations; a thread cannot be stopped: what a cancelled call gives is dropped, and the next one
  waits for its end.
- Who is gone has nothing running and nothing waiting here.
- A call is begun when its caller surely knows of it: so none that kills its process is begun twice.
"""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import msgspec

from vivace.errors import BadRequest, SanicException
from vivace.framework.processes.host import Guest
from vivace.framework.processes.words import CREDIT, Word

__all__ = ["Function", "Runner"]

logger = logging.getLogger("vivace.error")

LONGEST_ERROR: Final = 8000
"""Characters of an error's text that go to the caller."""
_END: Final = object()


class Function:
    """The function of a pool, as its process calls it.

    Args:
        function: Plain or coroutine function, generator or asynchronous generator function.
        init: Gives what is its first argument; None: it has no such argument.
        concurrency: Calls at a time.
    """

    def __init__(
        self, function: Callable[..., Any], init: Callable[[], Any] | None, concurrency: int
    ) -> None:
        self._function = function
        self._init = init
        self._first: tuple[Any, ...] = ()
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="vivace-pool")
        self._is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        self._types = _types_of(function, skip=init is not None)
        self.streams = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)

    async def prepare(self) -> None:
        """Make its first argument."""
        if self._init is None:
            return
        if inspect.iscoroutinefunction(self._init):
            self._first = (await self._init(),)
        else:
            self._first = (await self.in_thread(self._init),)

    async def in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a plain function; if nobody waits any more, its end is waited for all the same."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, _guarded, function, arguments)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise

    async def call(self, arguments: list[Any], named: dict[str, Any]) -> Any:
        """One call.

        Raises:
            BadRequest: An argument is not what the function's annotation says.
        """
        given, named = self._convert(arguments, named)
        if self._is_async:
            return await self._function(*self._first, *given, **named)
        return await self.in_thread(lambda: self._function(*self._first, *given, **named))

    async def stream(self, arguments: list[Any], named: dict[str, Any]) -> AsyncIterator[Any]:
        """One call whose results come one by one; see `call`."""
        given, named = self._convert(arguments, named)
        made = self._function(*self._first, *given, **named)
        if self._is_async:
            try:
                async for item in made:
                    yield item
            finally:
                await made.aclose()
            return
        try:
            while (item := await self.in_thread(next, made, _END)) is not _END:
                yield item
        finally:
            await self.in_thread(made.close)

    def _convert(self, arguments: list[Any], named: dict[str, Any]) -> tuple[Iterator[Any], dict[str, Any]]:
        by_place, by_name = self._types
        try:
            given = [
                msgspec.convert(value, by_place[i]) if i < len(by_place) else value
                for i, value in enumerate(arguments)
            ]
            kept = {k: msgspec.convert(v, by_name[k]) if k in by_name else v for k, v in named.items()}
        except (
            msgspec.ValidationError
        ) as error:  # one that the function itself raises is no fault of its caller
            raise BadRequest(str(error)) from None
        return iter(given), kept

    def close(self) -> None:
        """The end; a thread that still runs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _guarded(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    try:
        return function(*arguments)
    except StopIteration as error:  # no future takes it: whoever awaits one would wait for ever
        raise RuntimeError("it raised StopIteration") from error


def _describe(error: BaseException) -> str:
    """What its caller is told of an error: whatever it is, it can be sent."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an error of the app that cannot even be shown
        text = "it cannot be shown"
    return text[:LONGEST_ERROR].encode("utf-8", "backslashreplace").decode()


def _types_of(function: Callable[..., Any], *, skip: bool) -> tuple[list[Any], dict[str, Any]]:
    """What the annotations of a function say, by place and by name; `skip`: not of its first parameter."""
    try:
        parameters = list(inspect.signature(function, eval_str=True).parameters.values())[skip:]
    except (NameError, TypeError, ValueError):
        return [], {}
    places, names = [], {}
    for one in parameters:
        kind = Any if one.annotation is one.empty else one.annotation
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD):
            places.append(kind)
        if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD):
            names[one.name] = kind
    return places, names


class _Job:
    """A call."""

    __slots__ = ("arguments", "credit", "dropped", "guest", "more", "named", "number", "task", "until")

    def __init__(self, guest: Guest, number: int, until: float, arguments: Any, named: Any) -> None:
        self.guest = guest
        self.number = number
        self.until = until
        self.arguments = arguments
        self.named = named
        self.task: asyncio.Task[None] | None = None
        self.dropped = False
        self.credit = CREDIT
        self.more = asyncio.Event()

    def drop(self) -> None:
        """Nobody waits for it any more."""
        self.dropped = True
        if self.task is not None:
            self.task.cancel()

    def tell(self, word: Word, *fields: Any) -> None:
        """Tell its caller something."""
        self.guest.tell(word, self.number, *fields)


class Runner:
    """Takes calls.

    Args:
        function: What is called.
        name: Of the pool.
        concurrency: Calls at a time.
        most: Calls that may wait.
    """

    def __init__(self, function: Function, name: str, concurrency: int, most: int) -> None:
        self._function = function
        self._name = name
        self._concurrency = concurrency
        self._most = most
        self._waiting: deque[_Job] = deque()
        self._running: dict[tuple[Guest, int], _Job] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    def stuck(self, now: float, patience: float) -> int:
        """How many calls run that long after their time, if all do that run; else 0. For any thread.

        Args:
            now: In the time of the loop.
            patience: Seconds behind its time for which a call may go on.
        """
        running = list(self._running.values())
        return len(running) if all(job.until + patience <= now for job in running) else 0

    def hear(self, guest: Guest, frame: list[Any]) -> None:
        """A worker says something."""
        word, number, *fields = frame
        if word == Word.CALL:
            self._take(guest, number, *fields)
        elif word == Word.CANCEL:
            self._cancel(guest, number)
        elif word == Word.MORE and (job := self._running.get((guest, number))) is not None:
            job.credit += fields[0]
            job.more.set()

    def _take(self, guest: Guest, number: int, seconds: float, arguments: Any, named: Any) -> None:
        if self._closed:
            guest.tell(Word.AWAY, number)
        elif len(self._running) >= self._concurrency and len(self._waiting) >= self._most:
            guest.tell(Word.FULL, number)
        else:
            until = asyncio.get_running_loop().time() + seconds
            self._waiting.append(_Job(guest, number, until, arguments, named))
            self._idle.clear()
            self._begin()

    def _begin(self) -> None:
        while self._waiting and len(self._running) < self._concurrency:
            job = self._waiting.popleft()
            self._running[job.guest, job.number] = job
            job.task = asyncio.create_task(self._run(job))
            # Not in the coroutine: a task that is cancelled before its first step never runs any of it.
            job.task.add_done_callback(partial(self._done, job))

    def _done(self, job: _Job, _task: "asyncio.Task[None]") -> None:
        del self._running[job.guest, job.number]
        self._begin()
        if not self._running:
            self._idle.set()

    def _cancel(self, guest: Guest, number: int) -> None:
        job = self._running.get((guest, number))
        if job is not None:
            job.drop()
        else:
            self._waiting = deque(j for j in self._waiting if (j.guest, j.number) != (guest, number))

    def leave(self, guest: Guest) -> None:
        """A worker is gone."""
        self._waiting = deque(job for job in self._waiting if job.guest is not guest)
        for job in [job for job in self._running.values() if job.guest is guest]:
            job.drop()

    async def _run(self, job: _Job) -> None:
        try:
            if asyncio.get_running_loop().time() < job.until:  # else nobody waits for it any more
                await self._answer(job)
        except asyncio.CancelledError:
            if job.dropped:
                raise
            job.tell(Word.FAILED, 0, "it was cancelled")  # by what it called
        except SanicException as error:
            job.tell(Word.FAILED, error.status_code, _describe(error))
        except GeneratorExit:
            raise
        except BaseException as error:  # SystemExit too: a call does not end the process of others
            logger.exception("a call of pool %s failed", self._name)
            job.tell(Word.FAILED, 0, f"{type(error).__name__}: {_describe(error)}")

    async def _answer(self, job: _Job) -> None:
        job.tell(Word.STARTED)
        await job.guest.told()  # else one that takes the process with it would be begun again in the next
        if self._function.streams:
            await self._stream(job)
            job.tell(Word.END)
        else:
            job.tell(Word.RESULT, await self._function.call(job.arguments, job.named))

    async def _stream(self, job: _Job) -> None:
        items = self._function.stream(job.arguments, job.named)
        try:
            async for item in items:
                while not job.credit:
                    job.more.clear()
                    await job.more.wait()
                job.credit -= 1
                job.tell(Word.ITEM, item)
        finally:
            await items.aclose()  # type: ignore[attr-defined]

    async def close(self) -> None:
        """Take nothing any more, send away who waits, and wait until what runs is done."""
        self._closed = True
        waiting, self._waiting = self._waiting, deque()
        for job in waiting:
            job.tell(Word.AWAY)
        if self._running:
            await self._idle.wait()
