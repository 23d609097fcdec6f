"""Pools: functions of an app that are called in processes of their own, and give their results back.

    @app.pool(size=2, init=load_model)
    def predict(model, text):
        return model.predict(text)

    answer = await predict("hello")                       # in a handler

Rules of this file:

- A call is answered, refused (`QueueFull`), out of its time (`DeadlineExceeded`) or the victim of a process
  that died while it ran (`WorkerDied`); a call that was not begun goes to another process then.
- Who does not wait any more, because his client left, has his call cancelled.
- A generator function gives an asynchronous iterator: ``async for piece in predict(...)``.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from vivace.errors import DeadlineExceeded, DeclarationError, QueueFull, WorkerDied
from vivace.framework.beside import Companion, Context
from vivace.framework.processes.caller import Again, Ask, Caller, Line, next_item
from vivace.framework.processes.host import Host
from vivace.framework.processes.local import Place, folder_of, in_own_process
from vivace.framework.processes.overdue import STUCK, watch_overdue
from vivace.framework.processes.runner import Function, Runner
from vivace.framework.processes.words import CREDIT, Word, place_of

__all__ = ["Pool"]


class Pool:
    """A pool as its app knows it; call it to call its function in one of its processes.

    Args:
        app: That declares it.
        function: What is called: plain, coroutine, generator or asynchronous generator function.
        name: Of it.
        size: Processes.
        init: Called once in each process; what it gives is the first argument of each call.
        max_queue: Calls that may wait, in all processes together.
        timeout: Seconds that a call may take, with its time in the queue.
        concurrency: Calls that one process works on at a time.
        grace: Seconds that calls may still take when the process is to stop; None: GRACEFUL_SHUTDOWN_TIMEOUT.

    Attributes:
        function: See above; so `name`.

    Raises:
        DeclarationError: One of them cannot be.
    """

    def __init__(
        self,
        app: Any,
        function: Callable[..., Any],
        name: str,
        size: "int | Callable[[Any], int]" = 1,
        init: Callable[[], Any] | None = None,
        max_queue: int = 100,
        timeout: float = 30.0,
        concurrency: int = 1,
        grace: float | None = None,
    ) -> None:
        for what, value, least in (("max_queue", max_queue, 0), ("concurrency", concurrency, 1)):
            if value < least:
                raise DeclarationError(f"pool {name}: {what}={value}; expected {least} or more")
        if not timeout > 0:
            raise DeclarationError(f"pool {name}: timeout={timeout}; expected seconds above 0")
        self.function = function
        self.name = name
        self._init = init
        self._most = max_queue
        self._timeout = timeout
        self._concurrency = concurrency
        self._streams = Function(function, init, 1).streams
        companion = Companion(name, self._main, size, "always", grace, kind="pool", tells=True)
        self._companion = companion
        self._place = Place(app, name, lambda: companion.count(app.config), self._main)
        app.companions.append(companion)

    # In a worker

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function in one of the processes.

        Returns:
            A coroutine that gives the result; for a generator function an asynchronous iterator.

        Raises:
            QueueFull: As many calls wait as may.
            DeadlineExceeded: It was not done in its time.
            WorkerDied: Its process died while it ran, or there is none.
            RemoteError: The function has raised; HTTP exceptions come as what they are.
            TypeError: An argument cannot be encoded.
            MessageTooLarge: The arguments are too long.
        """
        return self._stream(args, kwargs) if self._streams else self._call(args, kwargs)

    def call_sync(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function from a thread of the server: of a WSGI app, of a plain handler.

        Returns:
            The result; for a generator function the list of its items.

        Raises:
            WorkerDied: See `__call__`; or no server runs in this process.
            RuntimeError: This is the thread of the loop.
        """
        work = self._all_items(args, kwargs) if self._streams else self._call(args, kwargs)
        return self._place.from_thread(work, self._timeout)

    async def _all_items(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        return [item async for item in self._stream(args, kwargs)]

    async def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        until = asyncio.get_running_loop().time() + self._timeout
        try:
            async with asyncio.timeout_at(until):
                return await self._until_answered(args, kwargs, until)
        except TimeoutError:
            raise self._too_late() from None

    async def _until_answered(self, args: tuple[Any, ...], kwargs: dict[str, Any], until: float) -> Any:
        caller, full = self._place.caller(), set[int]()
        while True:
            index, line, ask = await self._ask(caller, full, args, kwargs, until)
            try:
                return await ask.answer
            except Again:
                continue
            except QueueFull:
                full.add(index)
            except asyncio.CancelledError:
                line.cancel(ask)
                raise

    async def _ask(
        self, caller: Caller, full: set[int], args: tuple[Any, ...], kwargs: dict[str, Any], until: float
    ) -> tuple[int, Line, Ask]:
        """Find a process that may take the call."""
        loop = asyncio.get_running_loop()
        while len(full) < self._place.count:
            try:
                index, line = await caller.choose(full, loop.time() if full else until)
                ask = await line.ask(Word.CALL, max(until - loop.time(), 0.0), args, kwargs)
            except Again:
                continue
            except WorkerDied:
                if full:
                    break
                raise
            return index, line, ask
        raise QueueFull(f"pool {self.name} has {self._most} calls waiting, and takes no more now")

    def _too_late(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"pool {self.name} did not answer within {self._timeout:g} s")

    async def _stream(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncIterator[Any]:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._timeout
        caller, full, count = self._place.caller(), set[int](), 0
        while True:
            index, line, ask = await self._ask(caller, full, args, kwargs, until)
            try:
                while (item := await self._item(ask, until)) is not None:
                    count += 1
                    yield item[0]
                    if count % (CREDIT // 2) == 0:
                        line.tell(Word.MORE, ask.number, CREDIT // 2)
                await ask.answer
            except Again:
                continue
            except QueueFull:
                full.add(index)
                continue
            finally:
                line.cancel(ask)
            return

    async def _item(self, ask: Ask, until: float) -> Any:
        try:
            async with asyncio.timeout_at(until):
                return await next_item(ask)
        except TimeoutError:
            raise self._too_late() from None

    # In its process

    async def _main(self, context: Context) -> None:
        function = Function(self.function, self._init, self._concurrency)
        processes = max(self._companion.count(context.config), 1)
        runner = Runner(function, self.name, self._concurrency, -(-self._most // processes))
        await function.prepare()
        host = Host(place_of(folder_of(context), self.name, context.index), runner.hear, runner.leave)
        try:
            await host.open()
            if in_own_process(context):
                watch_overdue(self.name, lambda: runner.stuck(time.monotonic(), STUCK))
            context.ready()
            await context.stopping.wait()
            host.shut()
            await runner.close()
            await host.part()
        finally:
            host.close()
            function.close()
