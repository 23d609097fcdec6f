"""Background tasks of an app: started with the server, ended with it.

Rules of this file:

- A task that fails is logged with its name; it never takes the server with it.
- Whatever still runs when the server stops is cancelled and awaited.
"""

import asyncio
import inspect
import logging
from collections.abc import Coroutine
from typing import Any

from vivace.framework.handler import function_name, positional_count

__all__ = ["TaskGroup"]

logger = logging.getLogger("vivace.error")


class TaskGroup:
    """The background tasks of one app."""

    __slots__ = ("_tasks", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[tuple[Any, str | None]] = []
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    def add(self, app: Any, task: Any, name: str | None) -> asyncio.Task[Any] | None:
        """Start `task` now, or with the server if no loop runs yet.

        Args:
            app: Given to a function that takes an argument.
            task: A coroutine, or a function that gives one.
            name: To find it again.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._waiting.append((task, name))
            return None
        return self._start(loop, app, task, name)

    def start_waiting(self, app: Any) -> None:
        """Start what was added before there was a loop."""
        waiting, self._waiting = self._waiting, []
        for task, name in waiting:
            self._start(asyncio.get_running_loop(), app, task, name)

    def _start(
        self, loop: asyncio.AbstractEventLoop, app: Any, task: Any, name: str | None
    ) -> asyncio.Task[Any]:
        label = name or (function_name(task) if callable(task) else getattr(task, "__qualname__", "task"))
        coroutine = _as_coroutine(app, task)
        started = loop.create_task(coroutine, name=label)
        self._tasks[name or f"{label}-{id(started):x}"] = started
        started.add_done_callback(self._ended)
        return started

    def _ended(self, task: asyncio.Task[Any]) -> None:
        for name, other in list(self._tasks.items()):
            if other is task:
                del self._tasks[name]
        if not task.cancelled() and task.exception() is not None:
            logger.error("background task %s failed", task.get_name(), exc_info=task.exception())

    def get(self, name: str) -> asyncio.Task[Any] | None:
        """The running task of that name."""
        return self._tasks.get(name)

    def running(self) -> list[asyncio.Task[Any]]:
        """Every running task."""
        return list(self._tasks.values())

    async def shut_down(self) -> None:
        """Cancel everything and wait for it."""
        for task, _name in self._waiting:
            if inspect.iscoroutine(task):
                task.close()
        self._waiting.clear()
        tasks = self.running()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _as_coroutine(app: Any, task: Any) -> Coroutine[Any, Any, Any]:
    if callable(task):
        task = task(app) if positional_count(task) else task()
    if inspect.iscoroutine(task):
        return task
    if inspect.isawaitable(task):
        return _wait_for(task)
    raise TypeError(f"add_task takes a coroutine or a function that gives one, not {type(task).__name__}")


async def _wait_for(awaitable: Any) -> Any:
    return await awaitable
