"""Background tasks of an app: started with the server, ended with it.

Rules of this file:

- A task that fails is logged with its name and reported as ``server.exception.report``; it never takes the
  server with it.
- A named task can be asked for its result until it is purged; one without a name is forgotten when it ends.
- Whatever still runs when the server stops is cancelled and awaited.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import Any

from vivace.errors import DeclarationError
from vivace.framework.handler import function_name, positional_count
from vivace.framework.signals import Event

__all__ = ["TaskGroup"]

logger = logging.getLogger("vivace.error")


class TaskGroup:
    """The background tasks of one app."""

    __slots__ = ("_named", "_nameless", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[tuple[Any, str | None, bool]] = []
        self._named: dict[str, asyncio.Task[Any]] = {}
        self._nameless: set[asyncio.Task[Any]] = set()

    def add(self, app: Any, task: Any, name: str | None, register: bool = True) -> asyncio.Task[Any] | None:
        """Start `task` now, or with the server if no loop runs yet.

        Args:
            app: Given to a function that takes an argument.
            task: A coroutine or another awaitable, or a function that gives one.
            name: To find it again.
            register: Keep it among the tasks of the app.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._waiting.append((task, name, register))
            return None
        return self._start(loop, app, task, name, register)

    def start_waiting(self, app: Any) -> None:
        """Start what was added before there was a loop."""
        waiting, self._waiting = self._waiting, []
        for task, name, register in waiting:
            self._start(asyncio.get_running_loop(), app, task, name, register)

    def _start(
        self, loop: asyncio.AbstractEventLoop, app: Any, task: Any, name: str | None, register: bool
    ) -> asyncio.Task[Any]:
        label = name or (function_name(task) if callable(task) else getattr(task, "__qualname__", "task"))
        coroutine = _as_coroutine(app, task)
        started = loop.create_task(coroutine, name=label)
        if name and register:
            former = self._named.get(name)
            if former is not None and not former.done():
                self._nameless.add(former)  # it runs on, and has to end with the server
            self._named[name] = started
        elif register:
            self._nameless.add(started)
        started.add_done_callback(partial(self._ended, app))
        return started

    def _ended(self, app: Any, task: asyncio.Task[Any]) -> None:
        self._nameless.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("background task %s failed", task.get_name(), exc_info=error)
            _report(app, error)

    def get(self, name: str, raise_exception: bool = True) -> asyncio.Task[Any] | None:
        """The task of that name, running or ended.

        Raises:
            DeclarationError: There is none, and `raise_exception` is true.
        """
        found = self._named.get(name)
        if found is None and raise_exception:
            raise DeclarationError(f'Registered task named "{name}" not found.', allowed=sorted(self._named))
        return found

    async def cancel(self, name: str, message: str | None, raise_exception: bool = True) -> None:
        """Cancel the task of that name and wait for its end.

        Raises:
            DeclarationError: There is none, and `raise_exception` is true.
        """
        task = self.get(name, raise_exception)
        if task is None:
            return
        task.cancel(message)
        await asyncio.wait((task,))

    def purge(self) -> None:
        """Forget the named tasks that have ended."""
        self._named = {name: task for name, task in self._named.items() if not task.done()}

    def known(self) -> list[asyncio.Task[Any]]:
        """Every running task, and the named ones that have ended."""
        return [*self._named.values(), *self._nameless]

    def cancel_all(self) -> list[asyncio.Task[Any]]:
        """Cancel every running task, and give them back to be awaited."""
        tasks = [task for task in self.known() if not task.done()]
        for task in tasks:
            task.cancel()
        return tasks

    async def shut_down(self) -> None:
        """Cancel everything, also what has not begun, and wait for it."""
        for task, _name, _register in self._waiting:
            if inspect.iscoroutine(task):
                task.close()
        self._waiting.clear()
        await asyncio.gather(*self.cancel_all(), return_exceptions=True)
        self.purge()


def _report(app: Any, error: BaseException) -> None:
    """Dispatch the report, unless nobody listens or the loop is closing."""
    loop = asyncio.get_running_loop()
    if app.signal_router.is_heard(Event.SERVER_EXCEPTION_REPORT.value) and not loop.is_closed():
        told = app.dispatch(Event.SERVER_EXCEPTION_REPORT, context={"exception": error}, inline=True)
        loop.create_task(told, name="vivace-report").add_done_callback(_log_report)


def _log_report(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("the report of an exception failed", exc_info=task.exception())


def _as_coroutine(app: Any, task: Any) -> Coroutine[Any, Any, Any]:
    if callable(task):
        task = task(app) if positional_count(task) else task()
        if not inspect.isawaitable(task):
            return _give(task)  # a plain function: its work is done
    if inspect.iscoroutine(task):
        return task
    if inspect.isawaitable(task):
        return _wait_for(task)
    raise TypeError(f"add_task takes a coroutine or a function that gives one, not {type(task).__name__}")


async def _give(value: Any) -> Any:
    return value


async def _wait_for(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
