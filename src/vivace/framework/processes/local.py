"""Where the processes of a service or pool are: under a supervisor in its folder, else in this very process.

Rules of this file:

- Without a supervisor, in tests and under another server, the function runs here, as a task of the app: over
  the same socket, with the same queue, once.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any, Final

from vivace.errors import DeadlineExceeded, WorkerDied
from vivace.framework.beside import Context
from vivace.framework.processes.caller import Caller
from vivace.framework.processes.words import VARIABLE

__all__ = ["Place", "folder_of", "in_own_process"]

LATE: Final = 5.0
"""Seconds that a thread waits for the loop beyond what the work may take."""

Main = Callable[[Context], Coroutine[Any, Any, None]]


def folder_of(context: Context) -> str:
    """The folder of the sockets, for a process beside the workers.

    Args:
        context: Of it.

    Raises:
        RuntimeError: There is none.
    """
    folder = str(getattr(context, "folder", "")) or os.environ.get(VARIABLE, "")
    if not folder:
        raise RuntimeError(
            f"{context.name} has no folder for its socket: the server could make none, and has said why"
        )
    return folder


def in_own_process(context: Context) -> bool:
    """Whether a supervisor made the process of a context, and makes another one when it ends."""
    return not hasattr(context, "folder")


class Place:
    """Finds the processes of a name.

    Args:
        app: That has it.
        name: The name.
        count: How many processes there are, under a supervisor.
        main: What runs in each of them.
    """

    def __init__(self, app: Any, name: str, count: Callable[[], int], main: Main) -> None:
        self._app = app
        self._name = name
        self._count = count
        self._main = main
        self._caller: Caller | None = None
        self._belongs: tuple[int, asyncio.AbstractEventLoop] | None = None
        self.count = 0

    def caller(self) -> Caller:
        """The connections of this process and this event loop."""
        belongs = (os.getpid(), asyncio.get_running_loop())
        if self._caller is None or self._belongs != belongs:
            self._belongs = belongs
            folder = os.environ.get(VARIABLE, "")
            self.count = self._count() if folder else 1
            self._caller = Caller(self._name, self.count, folder or self._begin_here())
        return self._caller

    def from_thread(self, work: Coroutine[Any, Any, Any], seconds: float) -> Any:
        """Do something on the loop of the server, for one of its threads, and wait for it.

        Args:
            work: What is done; it has an end of its own.
            seconds: That it may take; a little more is waited for.

        Raises:
            WorkerDied: No server runs in this process.
            DeadlineExceeded: The loop is held up.
            RuntimeError: It is the thread of the loop, which would wait for itself.
        """
        loop = self._app.server_loop
        if loop is None or not loop.is_running():
            work.close()
            raise WorkerDied(
                f"{self._name} cannot be reached: no server of {self._app.name} runs in this process"
            )
        if asyncio._get_running_loop() is loop:
            work.close()
            raise RuntimeError(f"{self._name}: this is the thread of the loop, where it is awaited")
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result(seconds + LATE)
        except TimeoutError:
            future.cancel()
            raise DeadlineExceeded(f"{self._name}: the loop of the server did not answer") from None

    def _begin_here(self) -> str:
        folder = tempfile.mkdtemp(prefix="vivace-")
        self._app.add_task(self._live(folder), name=None)
        return folder

    async def _live(self, folder: str) -> None:
        context = Context(self._app, self._app.config, self._name)
        context.folder = folder  # type: ignore[attr-defined]
        try:
            await self._main(context)
        finally:
            if self._caller is not None:
                self._caller.close()
            self._caller = None
            shutil.rmtree(folder, ignore_errors=True)
