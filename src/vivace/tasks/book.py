"""The tasks of an app, and this process's way to their spool.

Rules of this file:

- The spool is opened when it is first used, in each process for itself: an app is imported before the fork.
- A name stands on the spool for as long as a task waits: two functions cannot share one.
"""

import asyncio
import hashlib
import logging
import os
import random
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

from vivace.config import Config
from vivace.errors import DeclarationError
from vivace.tasks.bells import Bells
from vivace.tasks.clerk import Clerk
from vivace.tasks.declared import Handle, Options, TaskFunction, Unique
from vivace.tasks.duration import parse_duration
from vivace.tasks.errors import BadArguments, SpoolUnavailable
from vivace.tasks.records import NewTask
from vivace.tasks.schedule import Rule, Schedule, Watch, check_words
from vivace.tasks.spool import Spool, is_file, open_spool
from vivace.tasks.state import state_folder

__all__ = ["BACKOFF", "RETRIES", "Book", "Carrier"]

logger = logging.getLogger("vivace.tasks")

RETRIES: Final = 3
"""How many times a task is run again if its declaration does not say."""
BACKOFF: Final = "exp:2s..10m"
"""How long it waits before that if its declaration does not say."""


class Carrier(Protocol):
    """What carries tasks instead of the spool."""

    def register(self, function: TaskFunction[Any, Any]) -> None:
        """Let it know a task."""
        ...

    def send(self, function: TaskFunction[Any, Any], task: NewTask, now: float) -> Any:
        """Enqueue a task; gives what has `id`, `new` and `result`."""
        ...


class Book:
    """The tasks of one app.

    Args:
        prefix: Goes before the names of tasks: apps that share a spool do not mix theirs up.
        config: Gives the settings.
        clock: Gives the seconds since the epoch.
        chance: Gives numbers from 0 to 1.

    Attributes:
        functions: The tasks by name.
        schedules: What is run again and again.
        watches: The files that are watched.
        carrier: Carries tasks instead of the spool.
        outbox_found: Whether a connection of the program was seen to know the tables of the tasks.
        around: Make what tasks need, of the app.
    """

    def __init__(
        self,
        prefix: str,
        config: Callable[[], Config],
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.prefix = prefix
        self.config = config
        self.clock = clock
        self.chance = chance
        self.functions: dict[str, TaskFunction[Any, Any]] = {}
        self.schedules: list[Schedule] = []
        self.watches: list[Watch] = []
        self.around: list[Callable[[Any], AbstractAsyncContextManager[None]]] = []
        self.carrier: Carrier | None = None
        self.outbox_found = False
        self._by_itself = False
        self._clerk: Clerk | None = None
        self._bells: tuple[int, Bells] | None = None

    def declare(
        self,
        function: Callable[..., Any],
        *,
        name: str = "",
        queue: str = "default",
        retries: int = RETRIES,
        backoff: str | float = BACKOFF,
        timeout: float | str | None = None,
        unique: Unique = False,
        priority: int = 0,
        keep: float | str = 0,
    ) -> TaskFunction[Any, Any]:
        """Make a task of a function; see `Working.task` of the framework.

        Raises:
            DeclarationError: The name is taken, or an option or parameter cannot be.
        """
        name = name or getattr(function, "__name__", "")
        if not name or "<" in name:
            raise DeclarationError(f"{function!r} has no name to stand on the spool: give name=")
        name = f"{self.prefix}.{name}"
        self.check_name(name, function)
        options = Options.check(name, queue, retries, backoff, timeout, unique, priority, keep)
        made = TaskFunction(function, name, options, self)
        self.functions[name] = made
        if self.carrier is not None and not self._by_itself:
            self.carrier.register(made)
        return made

    def check_name(self, name: str, function: Callable[..., Any]) -> None:
        """Refuse the name of a task that another function has.

        Raises:
            DeclarationError: It is taken.
        """
        if name in self.functions:
            other = self.functions[name].function
            raise DeclarationError(
                f"two tasks are called {name}: {other.__module__}.{other.__qualname__} and"
                f" {function.__module__}.{function.__qualname__}; give one of them name="
            )

    def hand_to(self, carrier: "Carrier") -> None:
        """Let something else than the spool carry the tasks, those that come later too.

        Schedules and watched files stay on the spool.

        Raises:
            DeclarationError: It cannot carry one of them.
        """
        own = self._names_by_itself()
        for function in self.functions.values():
            if function.name not in own:
                carrier.register(function)
        self.carrier = carrier

    @property
    def needs_runners(self) -> bool:
        """Whether there is anything that runners of ours have to run."""
        return self.carrier is None or bool(self.schedules or self.watches)

    def declare_schedule(
        self,
        function: Callable[..., Any],
        rule: Rule,
        *,
        jitter: float = 0.0,
        overlap: str = "skip",
        catch_up: str = "last",
        **options: Any,
    ) -> TaskFunction[Any, Any]:
        """Make a task of a function that is run again and again; see `Working.cron` and `Working.every`.

        Raises:
            DeclarationError: See `declare`; or `overlap` or `catch_up` is unknown.
        """
        made = self._declare_run(function, options, datetime.now(rule.zone))
        check_words(made.name, overlap, catch_up)
        self.schedules.append(Schedule(made.name, rule, overlap, catch_up, jitter))
        return made

    def declare_watch(
        self, function: Callable[..., Any], pattern: str, debounce: float | str, **options: Any
    ) -> TaskFunction[Any, Any]:
        """Make a task of a function that is run when files changed; see `Working.watch`."""
        made = self._declare_run(function, options, ["path"])
        self.watches.append(Watch(made.name, pattern, parse_duration(debounce)))
        return made

    def _declare_run(
        self, function: Callable[..., Any], options: dict[str, Any], argument: Any
    ) -> TaskFunction[Any, Any]:
        # Nobody is there to ask for the result: what went wrong is found among the tasks, for a day.
        given: dict[str, Any] = {"retries": 0, "keep": "1d", **options}
        self._by_itself = True
        try:
            made = self.declare(function, **given)
        finally:
            self._by_itself = False
        if len(made.arguments.signature.parameters) > 1:
            del self.functions[made.name]
            raise DeclarationError(
                f"task {made.name} takes {made.arguments.signature}: it may take one argument, the"
                " time of its slot or the files that changed"
            )
        try:
            made.arguments.encode(dict.fromkeys(made.arguments.signature.parameters, argument))
        except BadArguments as error:  # said now: nobody is there to hear it when a run is due
            del self.functions[made.name]
            raise DeclarationError(f"{error}, and is given a {type(argument).__name__}") from None
        return made

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_clerk": None, "_bells": None}

    @property
    def url(self) -> str:
        """Of the spool: TASKS_URL, or a file where state is kept."""
        return self.config().TASKS_URL or f"sqlite:///{state_folder() / 'tasks.sqlite3'}"

    @property
    def clerk(self) -> Clerk:
        """Speaks with the spool, for this process."""
        if self._clerk is None or not self._clerk.alive:
            self._clerk = Clerk(self.open, self.ring)
        return self._clerk

    def open(self) -> Spool:
        """Open the spool.

        Raises:
            ConfigError: TASKS_URL names none.
            SpoolUnavailable: It cannot be opened.
        """
        return open_spool(self.url)

    @property
    def bells(self) -> Bells:
        """The bells of this machine.

        Raises:
            SpoolUnavailable: Their folder cannot be made.
        """
        if self._bells is None or self._bells[0] != os.getpid():
            try:
                self._bells = (os.getpid(), Bells(self._bells_folder()))
            except OSError as error:
                raise SpoolUnavailable(
                    f"the folder {self._bells_folder()}, where runners listen, cannot be made:"
                    f" {error.strerror}; set TASKS_URL or STATE_DIRECTORY to a place that can be written"
                ) from error
        return self._bells[1]

    def _bells_folder(self) -> Path:
        url = self.url
        if is_file(url):
            from vivace.tasks.sqlite import path_of

            path = path_of(url)
            return path.with_name(path.name + "-bells")
        return state_folder() / f"bells-{hashlib.sha256(url.encode()).hexdigest()[:12]}"

    def ring(self) -> None:
        """Wake the runners of this machine; that of another one looks by itself."""
        try:
            self.bells.ring()
        except SpoolUnavailable as error:
            logger.debug("%s", error)

    async def put(self, function: TaskFunction[Any, Any], task: NewTask) -> Handle:
        """Enqueue a task; see `TaskFunction.enqueue`."""
        if self.is_carried(function):
            return await asyncio.to_thread(self.carrier.send, function, task, self.clock())  # type: ignore[union-attr]
        placed = await self.clerk.do(lambda spool: spool.enqueue([task], self.clock())[0])
        return function.handle(placed)

    async def put_many(self, function: TaskFunction[Any, Any], tasks: list[NewTask]) -> list[Handle]:
        """Enqueue several tasks; see `TaskFunction.enqueue_many`."""
        if self.is_carried(function):
            return [await self.put(function, task) for task in tasks]
        placed = await self.clerk.do(lambda spool: spool.enqueue(tasks, self.clock()))
        return [function.handle(one) for one in placed]

    def put_now(self, function: TaskFunction[Any, Any], task: NewTask) -> Handle:
        """The same for code that may block."""
        if self.carrier is not None and self.is_carried(function):
            sent: Handle = self.carrier.send(function, task, self.clock())
            return sent
        placed = self.clerk.do_now(lambda spool: spool.enqueue([task], self.clock())[0])
        return function.handle(placed)

    async def stats(self) -> Mapping[str, Any]:
        """How many tasks are in each state, of which functions, and how late the oldest is: `Spool.stats`."""
        return await self.clerk.do(lambda spool: spool.stats(self.clock()), reads=True)

    def is_carried(self, function: TaskFunction[Any, Any]) -> bool:
        """Whether something else than the spool carries a task."""
        return self.carrier is not None and function.name not in self._names_by_itself()

    def _names_by_itself(self) -> set[str]:
        return {one.name for one in self.schedules} | {one.name for one in self.watches}

    def names(self, queues: str) -> tuple[str, ...]:
        """The tasks that runners of some queues take.

        Args:
            queues: TASK_QUEUES: names with a space between them; empty: all.
        """
        wanted = queues.replace(",", " ").split()
        return tuple(
            name
            for name, one in self.functions.items()
            if (not wanted or one.options.queue in wanted) and not self.is_carried(one)
        )

    def close(self) -> None:
        """Let go of the spool; what waits is done first."""
        clerk, self._clerk = self._clerk, None
        if clerk is not None:
            clerk.close()
        if self._bells is not None:
            if self._bells[0] == os.getpid():
                self._bells[1].close()
            self._bells = None
