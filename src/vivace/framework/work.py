"""What an app has for work beside its requests: tasks, schedules and files that are watched.

    @app.task(retries=5)
    async def send(to: str) -> None: ...

    @app.cron("0 3 * * *", tz="Europe/Madrid")
    async def clean() -> None: ...

Rules of this file:

- Declarations only: `vivace.tasks` does the work, in companions that are declared with the first task.
- Nothing of it is imported before an app declares something.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, overload

from vivace.framework.beside import Companion, Context

if TYPE_CHECKING:
    from vivace.config import Config
    from vivace.tasks.book import Book
    from vivace.tasks.declared import TaskFunction

__all__ = ["Working", "run_scheduler", "run_tasks"]

logger = logging.getLogger("vivace.tasks")

P = ParamSpec("P")
R = TypeVar("R")
Around = Callable[[Any], AsyncIterator[None]]

RETRIES: Final = 3
"""How many times a task is run again if its declaration does not say."""
BACKOFF: Final = "exp:2s..10m"
"""How long it waits before that if its declaration does not say."""
HISTORY: Final = 100
"""Runs of an interval that are kept if its declaration does not say how long; for a day at most."""
DAY: Final = 86400.0
CLEANUP: Final = 1.5
"""Seconds of the graceful time that are left for handing back what was not done."""


class Working:
    """What an app can have done beside its requests."""

    __slots__ = ()

    if TYPE_CHECKING:
        name: str
        config: Any
        companions: list[Companion]
        _work: Book | None

    @property
    def work(self) -> "Book":
        """The tasks and schedules of the app, and the way to their spool."""
        if self._work is None:
            from vivace.tasks.book import Book

            self._work = Book(self.name, self._give_config)  # type: ignore[misc] # a slot of the app
        return self._work

    def _give_config(self) -> "Config":
        found: Config = self.config
        return found

    @overload
    def task(self, function: Callable[P, R], /) -> "TaskFunction[P, R]": ...

    @overload
    def task(
        self,
        *,
        name: str = "",
        queue: str = "default",
        retries: int = RETRIES,
        backoff: str | float = BACKOFF,
        timeout: float | str | None = None,
        unique: bool | Callable[..., object] = False,
        priority: int = 0,
        keep: float | str = 0,
    ) -> "Callable[[Callable[P, R]], TaskFunction[P, R]]": ...

    def task(self, function: Callable[..., Any] | None = None, **options: Any) -> Any:
        """Declare a function as a task: enqueued, it runs in a process of its own, and survives a crash.

        Args:
            function: A coroutine function, or a plain one, which runs in a thread; its annotations say what
                its arguments have to be.
            **options: See below.

        The options are ``name`` (of the function if empty), ``queue``, ``retries`` (how many times it is run
        again after a failure; 0: it is never begun twice), ``backoff`` (``exp:2s..10m``, ``linear:5s..1m`` or
        ``fixed:30s``: how long it waits before that), ``timeout`` (of an attempt), ``unique`` (True: one
        of the same arguments at a time; a function: of what it gives of them), ``priority`` (the greater one
        first) and ``keep`` (how long its result is kept).

        Raises:
            DeclarationError: The name is taken, or an option or a parameter cannot be.
        """
        if function is None:
            return lambda given: self._declare_task(given, options)
        return self._declare_task(function, options)

    def _declare_task(
        self, function: Callable[..., Any], options: dict[str, Any]
    ) -> "TaskFunction[Any, Any]":
        made = self.work.declare(function, **options)
        self._need("tasks", run_tasks, self._count_runners, "runner")
        return made

    def cron(
        self,
        rule: str,
        *,
        tz: str = "UTC",
        overlap: str = "skip",
        catch_up: str = "last",
        **options: Any,
    ) -> "Callable[[Callable[P, R]], TaskFunction[P, R]]":
        """Run a function by a rule of cron: ``@app.cron("*/5 8-18 * * mon-fri", tz="Europe/Madrid")``.

        Args:
            rule: Minute, hour, day, month and weekday; or six fields, seconds first.
            tz: The time zone in which it is read.
            overlap: What becomes of a run whose predecessor is not done: ``skip``, ``queue`` or ``allow``.
            catch_up: Which of those that were missed are made up for: ``last``, ``all`` or ``none``.
            **options: Those of `task`; ``retries`` is 0 and ``keep`` a day if they are not said.

        Raises:
            DeclarationError: The rule, the zone or an option cannot be, or the function takes more than one
                argument, the time of the slot.
        """
        from vivace.tasks.schedule import Cron

        given = {"overlap": overlap, "catch_up": catch_up, **options}
        return self._scheduled(Cron(rule, tz), given)

    def every(
        self,
        length: float | str,
        *,
        jitter: float | str = 0,
        overlap: str = "skip",
        catch_up: str = "last",
        **options: Any,
    ) -> "Callable[[Callable[P, R]], TaskFunction[P, R]]":
        """Run a function at regular intervals, counted from the epoch: ``@app.every("30s", jitter="10%")``.

        Args:
            length: Seconds, or text such as ``30s``, ``5m``; at least a second.
            jitter: Each run starts up to so much later; a length of time, or a part such as ``10%``.
            overlap: See `cron`.
            catch_up: See `cron`.
            **options: See `cron`.
        """
        from vivace.tasks.schedule import Every, parse_jitter

        rule = Every(length)
        given = {"overlap": overlap, "catch_up": catch_up, "keep": min(DAY, HISTORY * rule.length), **options}
        return self._scheduled(rule, {"jitter": parse_jitter(jitter, rule.length), **given})

    def watch(
        self, pattern: str, *, debounce: float | str = 0.2, **options: Any
    ) -> "Callable[[Callable[P, R]], TaskFunction[P, R]]":
        """Run a function when files changed, came or went: ``@app.watch("conf/**/*.yml")``.

        Args:
            pattern: Of the files, ``**`` for any folders between; relative to where the server was started.
            debounce: How long nothing may change before it runs.
            **options: See `cron`. The function may take one argument: the list of these files.
        """

        def declare(function: Callable[..., Any]) -> Any:
            made = self.work.declare_watch(function, pattern, debounce, **options)
            return self._ran_by_itself(made)

        return declare

    def _scheduled(self, rule: Any, given: dict[str, Any]) -> Callable[[Callable[..., Any]], Any]:
        def declare(function: Callable[..., Any]) -> Any:
            return self._ran_by_itself(self.work.declare_schedule(function, rule, **given))

        return declare

    def _ran_by_itself(self, made: Any) -> Any:
        self._need("tasks", run_tasks, self._count_runners, "runner")
        self._need("scheduler", run_scheduler, 1, "scheduler")
        return made

    def _need(self, name: str, main: Callable[[Context], Any], instances: Any, kind: str) -> None:
        name = f"{self.name}.{name}"
        if all(known.name != name for known in self.companions):
            self.companions.append(Companion(name, main, instances, kind=kind, early=True, tells=True))

    def _count_runners(self, config: "Config") -> int:
        return config.TASK_WORKERS if self.work.needs_runners else 0

    def around_tasks(self, function: Around) -> Around:
        """Make what tasks need, in each process that runs them: an async generator with one ``yield``.

        What is before it runs before the first task, what is behind it after the last one: listeners of the
        server's start belong to the workers, and do not run there.

        Args:
            function: Called with the app.
        """
        self.work.around.append(asynccontextmanager(function))
        return function


async def run_tasks(context: Context) -> None:
    """Be a process that runs the tasks of an app, until told to stop."""
    from vivace.tasks.ephemeral import warn_of_ephemeral
    from vivace.tasks.errors import SpoolUnavailable
    from vivace.tasks.runner import Runner

    book, config = context.app.work, context.config
    if context.index == 0:
        warn_of_ephemeral(book.url)
    async with AsyncExitStack() as stack:
        for make in book.around:
            await stack.enter_async_context(make(context.app))
        names = book.names(config.TASK_QUEUES)
        try:
            runner = Runner(book, names, config.TASK_CONCURRENCY, config.TASK_LEASE)
        except SpoolUnavailable as error:
            logger.error("no tasks can be run: %s", error)  # noqa: TRY400 - its traceback says no more
            raise SystemExit(1) from None
        context.ready()
        grace = config.GRACEFUL_SHUTDOWN_TIMEOUT
        await runner.run(context.stopping, max(grace - CLEANUP, grace / 2))
    book.close()


async def run_scheduler(context: Context) -> None:
    """Be the process that puts scheduled runs on the spool, until told to stop."""
    from vivace.tasks.scheduler import Scheduler
    from vivace.tasks.watch import Watcher

    book = context.app.work
    scheduler, watcher = Scheduler(book), Watcher(book)
    context.ready()
    await asyncio.gather(scheduler.run(context.stopping), watcher.run(context.stopping))
    book.close()
