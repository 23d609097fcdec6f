"""The methods of an app for its background tasks.

Rules of this file:

- Nothing is kept here: `TaskGroup` holds the tasks.
"""

import asyncio
from typing import Any

from vivace.framework.tasks import TaskGroup

__all__ = ["Background"]


class Background:
    """What an app can run beside its requests."""

    __slots__ = ()

    _tasks: TaskGroup

    def add_task(
        self, task: Any, *, name: str | None = None, register: bool = True
    ) -> "asyncio.Task[Any] | None":
        """Run a coroutine in the background: from now on or, if no loop runs, from the server's start on.

        Args:
            task: A coroutine or another awaitable, or a function of nothing or of the app; what it gives is
                awaited if it can be.
            name: For `get_task` and `cancel_task`.
            register: Keep it among `tasks`, and cancel it when the server stops.

        Returns:
            The task, or None if it starts later.
        """
        return self._tasks.add(self, task, name, register)

    def get_task(self, name: str, *, raise_exception: bool = True) -> "asyncio.Task[Any] | None":
        """The background task of that name, running or ended.

        Args:
            name: As given to `add_task`.
            raise_exception: False: give None if there is none.

        Raises:
            DeclarationError: There is none.
        """
        return self._tasks.get(name, raise_exception)

    async def cancel_task(self, name: str, msg: str | None = None, *, raise_exception: bool = True) -> None:
        """Cancel the background task of that name and wait for its end.

        Args:
            name: As given to `add_task`.
            msg: Given to its ``CancelledError``.
            raise_exception: False: do nothing if there is none.

        Raises:
            DeclarationError: There is none.
        """
        await self._tasks.cancel(name, msg, raise_exception)

    def purge_tasks(self) -> None:
        """Forget the named tasks that have ended."""
        self._tasks.purge()

    def shutdown_tasks(self, timeout: float | None = None, increment: float = 0.1) -> None:
        """Cancel every background task; where the loop does not run, wait for their end.

        Args:
            timeout: Seconds to wait; default: GRACEFUL_SHUTDOWN_TIMEOUT.
            increment: Taken and not needed: the end is awaited, not asked for again and again.
        """
        tasks = self._tasks.cancel_all()
        if not tasks or tasks[0].get_loop().is_running():
            return
        patience = self.config.GRACEFUL_SHUTDOWN_TIMEOUT if timeout is None else timeout  # type: ignore[attr-defined]
        tasks[0].get_loop().run_until_complete(asyncio.wait(tasks, timeout=patience))

    @property
    def tasks(self) -> "list[asyncio.Task[Any]]":
        """The running background tasks, and the named ones that have ended but are not purged."""
        return self._tasks.known()
