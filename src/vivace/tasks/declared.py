"""A function that is a task: called it runs here and now, enqueued it runs in a runner.

    @app.task(queue="mail", retries=5, backoff="exp:2s..10m", timeout=30)
    async def send(to: str) -> None: ...

    await send.enqueue("ada@example.org")
    await send.delay("5m").enqueue("ada@example.org")
    send.at(moment).enqueue_sync("ada@example.org")

Rules of this file: what the options mean is decided once, when the function is declared.
"""

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar

import msgspec

from vivace.errors import DeclarationError
from vivace.tasks.arguments import Arguments
from vivace.tasks.backoff import Backoff
from vivace.tasks.duration import parse_duration
from vivace.tasks.errors import BadArguments, TaskError, TaskFailed
from vivace.tasks.records import NewTask, Placed, Task

if TYPE_CHECKING:
    from vivace.tasks.book import Book
    from vivace.tasks.outbox import Within

__all__ = ["Handle", "Later", "Options", "TaskFunction"]

P = ParamSpec("P")
R = TypeVar("R")
Unique = bool | Callable[..., object]

MOST_RETRIES: Final = 10_000
MOST_PRIORITY: Final = 1_000_000
"""What every spool can sort by, below time."""
LAST_MOMENT: Final = 253_370_764_800.0
"""Seconds since the epoch at the begin of the year 9999: nothing is enqueued behind it, for dates end."""
_LONGEST_KEY: Final = 200
_FIRST_LOOK: Final = 0.005
_LAST_LOOK: Final = 0.25
"""Seconds between two looks for a result: at first, and after a while."""


class Options(msgspec.Struct, frozen=True):
    """What a task was declared with.

    Attributes:
        queue: To sort tasks by; TASK_QUEUES names those that runners take.
        retries: How many times it is run again after a failure.
        backoff: How long it waits before that.
        timeout: Seconds that an attempt may take; None: any.
        unique: Whether there is one at a time: of the same arguments, or of what this gives of them.
        priority: The greater one is taken first.
        keep: Seconds for which its result is kept.
    """

    queue: str
    retries: int
    backoff: Backoff
    timeout: float | None
    unique: Unique
    priority: int
    keep: float

    @classmethod
    def check(
        cls,
        name: str,
        queue: str,
        retries: int,
        backoff: str | float,
        timeout: float | str | None,
        unique: Unique,
        priority: Any,
        keep: float | str,
    ) -> "Options":
        """Read what a decorator was given.

        Raises:
            DeclarationError: Something of it cannot be.
        """
        if not queue or not all(c.isalnum() or c in "._-" for c in queue):
            raise DeclarationError(
                f"task {name}: queue {queue!r}: expected letters, digits, '.', '_' and '-', such as mail"
            )
        if not 0 <= retries <= MOST_RETRIES:
            raise DeclarationError(f"task {name}: retries={retries}: expected 0 to {MOST_RETRIES}")
        if not isinstance(priority, int) or abs(priority) > MOST_PRIORITY:
            raise DeclarationError(
                f"task {name}: priority={priority!r}: expected -{MOST_PRIORITY} to {MOST_PRIORITY}"
            )
        limit = None if timeout is None else parse_duration(timeout)
        if limit == 0:
            raise DeclarationError(f"task {name}: timeout=0: expected more, or None for any time")
        return cls(queue, retries, Backoff.parse(backoff), limit, unique, priority, parse_duration(keep))


class TaskFunction(Generic[P, R]):
    """A function that was declared as a task.

    Attributes:
        function: What was declared.
        name: By which it stands on the spool.
        options: What it was declared with.
        book: The tasks of its app.
    """

    def __init__(self, function: Callable[P, R], name: str, options: Options, book: "Book") -> None:
        self.function = function
        self.name = name
        self.options = options
        self.is_async = inspect.iscoroutinefunction(function)
        self.arguments = Arguments(function, name)
        self.book = book
        self.__doc__ = function.__doc__
        self.__name__ = name
        self.__module__ = function.__module__
        self.__qualname__ = getattr(function, "__qualname__", name)
        self.__wrapped__ = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it here and now, as the function that it is."""
        return self.function(*args, **kwargs)

    def of(self, app: Any) -> "TaskFunction[P, R]":
        """The task of one app, where a blueprint belongs to several: ``await send.of(app).enqueue(...)``.

        Raises:
            TaskError: It is no task of that app.
        """
        if app.work is not self.book:
            raise TaskError(f"task {self.name} is none of the app {app.name}")
        return self

    def placed(self) -> "TaskFunction[P, R]":
        """The task of an app that this one stands for."""
        return self

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> "Handle":
        """Put it on the spool, to be run as soon as a runner is free.

        Returns:
            What to ask for its state and result by.

        Raises:
            BadArguments: They are not what the function takes.
            SpoolFull: There is no room.
            SpoolUnavailable: The spool cannot be written.
        """
        here = self.placed()
        return await here.book.put(here, here.make(args, kwargs, None))

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> "Handle":
        """The same for code that may block: threads, scripts, WSGI."""
        here = self.placed()
        return here.book.put_now(here, here.make(args, kwargs, None))

    async def enqueue_many(self, calls: Iterable[Sequence[Any] | Mapping[str, Any]]) -> "list[Handle]":
        """Enqueue several in one transaction: all of them, or none.

        Args:
            calls: Of each its arguments, as a tuple or list, or by name as a mapping.

        Raises:
            BadArguments: One of them is not what the function takes; nothing is enqueued.
            SpoolUnavailable: See `enqueue`.
        """
        here = self.placed()
        made = [
            here.make((), dict(call), None) if isinstance(call, Mapping) else here.make(tuple(call), {}, None)
            for call in calls
        ]
        return await here.book.put_many(here, made)

    def at(self, moment: datetime) -> "Later[P, R]":
        """Not before a moment: ``await send.at(moment).enqueue(...)``.

        Args:
            moment: With a time zone; without one it is local time.

        Raises:
            BadArguments: It is no `datetime`, or none that has a place among the seconds since the epoch.
        """
        if not isinstance(moment, datetime):
            raise BadArguments(f"task {self.name}: at({moment!r}): expected a datetime")
        try:
            return Later(self.placed(), moment.timestamp())
        except (ValueError, OverflowError, OSError) as error:
            raise BadArguments(f"task {self.name}: at({moment!r}): {error}") from None

    def delay(self, wait: "float | str | timedelta") -> "Later[P, R]":
        """Not before that long from now: ``await send.delay("5m").enqueue(...)``.

        Args:
            wait: Seconds, a `timedelta`, or text such as ``5m``.

        Raises:
            DeclarationError: It is no length of time.
        """
        here = self.placed()
        return Later(here, here.book.clock() + parse_duration(wait))

    def in_transaction(self, connection: Any) -> "Within[P, R]":
        """Along with a transaction of the program's own: ``await send.in_transaction(db).enqueue(...)``.

        Rolled back it leaves no task, committed exactly one. The tasks have to be in the same PostgreSQL
        database.

        Args:
            connection: Of asyncpg, psycopg or Django, or a session or connection of SQLAlchemy, on which a
                transaction is open.
        """
        from vivace.tasks.outbox import Within

        return Within(self.placed(), connection)

    def handle(self, placed: Placed) -> "Handle":
        """What to ask for a task of it by."""
        return Handle(self.book, self, placed)

    def make(self, args: tuple[Any, ...], kwargs: dict[str, Any], run_at: float | None) -> NewTask:
        """The record of a call.

        Raises:
            BadArguments: The arguments are not what the function takes, or are too large.
        """
        values = self.arguments.bind(args, kwargs)
        payload = self.arguments.encode(values)
        most = self.book.config().TASK_MAX_PAYLOAD
        if run_at is not None and run_at > LAST_MOMENT:
            raise BadArguments(
                f"task {self.name}: its time is {run_at:g}, behind the last year that has a date"
            )
        if len(payload) > most:
            raise BadArguments(
                f"task {self.name}: its arguments take {len(payload)} octets; TASK_MAX_PAYLOAD allows {most}:"
                " store them elsewhere, and hand over where they are"
            )
        options = self.options
        return NewTask(
            name=self.name,
            payload=payload,
            queue=options.queue,
            priority=options.priority,
            run_at=run_at or 0.0,
            max_attempts=options.retries + 1,
            unique_key=self._key(values, payload),
            keep=options.keep,
        )

    def _key(self, values: dict[str, Any], payload: bytes) -> str | None:
        unique = self.options.unique
        if not unique:
            return None
        if unique is True:
            key = payload.decode()
        else:
            bound = self.arguments.signature.bind(**values)
            bound.apply_defaults()
            key = str(unique(*bound.arguments.values()))
        if len(key) <= _LONGEST_KEY and key.isprintable():
            return key
        from hashlib import sha256

        return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class Later(Generic[P, R]):
    """A task that is to be enqueued for a time to come."""

    def __init__(self, function: TaskFunction[P, R], run_at: float) -> None:
        self._function = function
        self._run_at = run_at

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> "Handle":
        """See `TaskFunction.enqueue`."""
        function = self._function
        return await function.book.put(function, function.make(args, kwargs, self._run_at))

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> "Handle":
        """See `TaskFunction.enqueue_sync`."""
        function = self._function
        return function.book.put_now(function, function.make(args, kwargs, self._run_at))

    def in_transaction(self, connection: Any) -> "Within[P, R]":
        """See `TaskFunction.in_transaction`."""
        from vivace.tasks.outbox import Within

        return Within(self._function, connection, self._run_at)


class Handle:
    """A task that was enqueued.

    Attributes:
        id: Its number.
        new: Whether it was put on the spool now; False: one with its unique key is there.
    """

    def __init__(self, book: "Book", function: TaskFunction[Any, Any], placed: Placed) -> None:
        self.id = placed.id
        self.new = placed.new
        self._book = book
        self._function = function

    def __repr__(self) -> str:
        return f"<task {self._function.name} {self.id}>"

    async def fetch(self) -> Task | None:
        """The task as it is now; None: it is done and was not kept, or it was dropped."""
        return await self._book.clerk.do(lambda spool: spool.get(self.id), reads=True)

    async def result(self, timeout: float | None = None) -> Any:
        """Wait for its end.

        Args:
            timeout: Seconds; None: any time.

        Returns:
            What the function returned, as the type of its annotation.

        Raises:
            TaskFailed: It is dead.
            TaskError: Its result is not kept, or not any more.
            TimeoutError: It took longer.
        """
        if not self._function.options.keep:
            name = self._function.name
            raise TaskError(f'the result of {name} is not kept: declare it with keep="1h"')
        pause = _FIRST_LOOK
        async with asyncio.timeout(timeout):
            while True:
                task = await self.fetch()
                if task is None:
                    raise TaskError(f"the result of task {self.id} is not kept any more")
                if task.state == "done":
                    return _read_result(self._function, task.result)
                if task.state == "dead":
                    error = task.last_error or ""
                    raise TaskFailed(f"task {self.id} ({task.name}) is dead: {_last_line(error)}", error)
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _LAST_LOOK)


def _read_result(function: TaskFunction[Any, Any], result: bytes | None) -> Any:
    hint = function.arguments.hints.get("return", Any)
    return msgspec.json.decode(result or b"null", type=type(None) if hint is None else hint)


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else "no reason is known"
