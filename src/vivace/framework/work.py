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
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

from vivace.errors import ConfigError
from vivace.framework.beside import Companion, Context
from vivace.framework.declaring_work import Declare, DeclaringWork

if TYPE_CHECKING:
    from vivace.config import Config
    from vivace.framework.part_work import PartWork
    from vivace.tasks.book import Book

__all__ = ["Working", "run_scheduler", "run_tasks"]

logger = logging.getLogger("vivace.tasks")

Around = Callable[[Any], AsyncIterator[None]]

CLEANUP: Final = 1.5
"""Seconds of the graceful time that are left for handing back what was not done."""


class Working(DeclaringWork):
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

    def _add_work(self, declare: Declare, *, by_itself: bool) -> Any:
        made = declare(self.work, {})
        self._need_for_work(by_itself)
        return made

    def check_work(self, works: "Iterable[PartWork]") -> None:
        """Refuse what a blueprint declares, if it cannot be part of this app.

        Raises:
            DeclarationError: The name of a task is taken.
        """
        for work in works:
            if not work.task.is_of(self.work):
                self.work.check_name(f"{self.work.prefix}.{work.task.name}", work.task.function)

    def take_work(self, works: "Iterable[PartWork]") -> None:
        """Take over what a blueprint declares; what is there already stays as it is."""
        for work in works:
            if not work.task.is_of(self.work):
                work.declare(self.work, {"name": work.task.name})
                work.task.join(self.work)
                self._need_for_work(work.by_itself)

    def _need_for_work(self, by_itself: bool) -> None:
        self._need("tasks", run_tasks, self._count_runners, "runner")
        if by_itself:
            self._need("scheduler", run_scheduler, 1, "scheduler")

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


@contextmanager
def _in_one_line(what: str) -> Iterator[None]:
    """What is wrong with the spool is said without a traceback, which says no more."""
    from vivace.tasks.errors import SpoolUnavailable

    try:
        yield
    except (ConfigError, SpoolUnavailable) as error:
        logger.error("%s: %s", what, error)  # noqa: TRY400
        raise SystemExit(1) from None


async def run_tasks(context: Context) -> None:
    """Be a process that runs the tasks of an app, until told to stop."""
    from vivace.tasks.ephemeral import warn_of_ephemeral
    from vivace.tasks.runner import Runner

    book, config = context.app.work, context.config
    async with AsyncExitStack() as stack:
        stack.enter_context(_in_one_line("no tasks can be run"))
        if context.index == 0:
            warn_of_ephemeral(book.url)
        for make in book.around:
            await stack.enter_async_context(make(context.app))
        names = book.names(config.TASK_QUEUES)
        runner = Runner(book, names, config.TASK_CONCURRENCY, config.TASK_LEASE)
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
    with _in_one_line("nothing can be scheduled"):
        await asyncio.gather(scheduler.run(context.stopping), watcher.run(context.stopping))
    book.close()
