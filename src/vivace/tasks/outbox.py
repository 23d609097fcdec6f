"""Enqueue inside a transaction of the program's own: rolled back it leaves no task, committed exactly one.

    async with connection.transaction():
        await connection.execute("INSERT INTO orders ...")
        await send.in_transaction(connection).enqueue("ada@example.org")

The row of the task is written through the connection of the program, so the database itself keeps the two
together (the "transactional outbox"). Runners hear of it with the commit.

Rules of this file:

- The tasks have to be in the same PostgreSQL database; elsewhere it is refused, with what to do instead.
- No library of databases is imported here: a connection is known by what it can do.
- Nothing is committed, rolled back or tried again: the transaction is the program's, and so are the errors
  of its driver.
"""

import inspect
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, ParamSpec, TypeVar

from vivace.tasks.errors import TaskError
from vivace.tasks.records import Placed
from vivace.tasks.spool import scheme_of
from vivace.tasks.sql import NEW, SAME, values_of

if TYPE_CHECKING:
    from vivace.tasks.declared import Handle, TaskFunction

__all__ = ["Within"]

P = ParamSpec("P")
R = TypeVar("R")

# PostgreSQL hands a notice over with the commit, and once however often it was given.
_NEW_AND_RING: Final = f"WITH placed AS ({NEW}) SELECT id, pg_notify('vivace_tasks', '') FROM placed"  # noqa: S608
# Not by its name at first: what was not found by name is not found until the transaction ends.
_THERE: Final = (
    "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class"
    " WHERE relname = 'vivace_tasks' AND pg_catalog.pg_table_is_visible(oid))"
)
_THERE_NOW: Final = "SELECT to_regclass('vivace_tasks') IS NOT NULL"
_INSTEAD: Final = (
    "enqueue after the commit instead (Django: transaction.on_commit(lambda: task.enqueue_sync(...))), or set"
    " TASKS_URL to the database of the transaction, postgres://..."
)
_IDLE: Final = 0
"""libpq's PQTRANS_IDLE: no transaction is open."""
_Steps = Generator[Any, Any, Placed]


class Line(NamedTuple):
    """A connection of the program, as far as it is needed here.

    Attributes:
        ask: Runs a statement with ``?`` for values; gives its rows, or an awaitable of them.
        waits: Whether it has to be awaited.
        idle: How a transaction is begun, if none is.
    """

    ask: Callable[[str, Sequence[Any]], Any]
    waits: bool
    idle: str = ""


class Within(Generic[P, R]):
    """A task that is to be enqueued inside a transaction; see `TaskFunction.in_transaction`."""

    def __init__(self, function: "TaskFunction[P, R]", connection: Any, run_at: float | None = None) -> None:
        self._function = function
        self._connection = connection
        self._run_at = run_at

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> "Handle":
        """Put it there with the commit; for asyncpg, psycopg's AsyncConnection and SQLAlchemy's AsyncSession.

        Returns:
            What to ask for its state by, behind the commit.

        Raises:
            BadArguments: They are not what the function takes.
            TaskError: The tasks are not in this database, no transaction is open, or the connection is none
                of those.
        """
        steps, answer = self._steps(args, kwargs, waits=True), None
        try:
            while True:
                answer = await steps.send(answer)
        except StopIteration as end:
            return self._function.handle(end.value)

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> "Handle":
        """The same for code that may block: for psycopg's Connection, SQLAlchemy's Session, and Django."""
        steps, answer = self._steps(args, kwargs, waits=False), None
        try:
            while True:
                answer = steps.send(answer)
        except StopIteration as end:
            return self._function.handle(end.value)

    def _steps(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, waits: bool) -> _Steps:
        """What is asked, one by one: gives answers, or awaitables of them, and takes answers."""
        function, line = self._function, self._line(waits=waits)
        book = function.book
        task = function.make(args, kwargs, self._run_at)
        if not book.outbox_found:
            found = yield line.ask(_THERE, ())
            if not found[0][0]:
                yield book.clerk.do(_open, reads=True) if waits else book.clerk.do_now(_open, reads=True)
                found = yield line.ask(_THERE_NOW, ())
            if not found[0][0]:
                raise TaskError(
                    f"task {task.name}: the database of this connection has no table vivace_tasks, or not on"
                    " its search_path: it has to be the one that TASKS_URL names"
                )
            book.outbox_found = True
        while True:
            placed = yield line.ask(_NEW_AND_RING, values_of(task, book.clock()))
            if placed:
                return Placed(placed[0][0], new=True)
            placed = yield line.ask(SAME, (task.name, task.unique_key))
            if placed:
                return Placed(placed[0][0], new=False)

    def _line(self, *, waits: bool) -> Line:
        function = self._function
        carried = function.book.is_carried(function)
        scheme = scheme_of(function.book.url)
        if carried or not scheme.startswith("postgres"):
            where = "carried by another system" if carried else f"kept in {scheme}"
            raise TaskError(
                f"task {function.name} cannot be enqueued inside a transaction, for it is {where}: {_INSTEAD}"
            )
        line = _line_of(self._connection)
        if line is None:
            kind = type(self._connection)
            raise TaskError(
                f"task {function.name}: in_transaction() was given a {kind.__module__}.{kind.__qualname__};"
                " expected a connection to PostgreSQL of asyncpg, psycopg or Django, or a session or a"
                " connection of SQLAlchemy"
            )
        if line.waits != waits:
            word, other = ("enqueue_sync(...)", "") if waits else ("enqueue(...)", "await ")
            raise TaskError(
                f"task {function.name}: this connection {'blocks' if waits else 'has to be awaited'}: write"
                f" {other}task.in_transaction(connection).{word}"
            )
        if line.idle:
            raise TaskError(
                f"task {function.name}: no transaction is open on this connection, so there is nothing to go"
                f" along with: write {line.idle} around it"
            )
        return line


def _open(_: object) -> None:
    """Opened, a spool has its tables."""


def _line_of(given: Any) -> Line | None:
    kinds = {kind.__module__.partition(".")[0] for kind in type(given).__mro__}
    if "sqlalchemy" in kinds:
        return _of_sqlalchemy(given)
    if hasattr(given, "in_atomic_block"):
        return _of_django(given)
    if "asyncpg" in kinds and hasattr(given, "is_in_transaction"):
        idle = "" if given.is_in_transaction() else "`async with connection.transaction():`"
        return Line(lambda statement, values: given.fetch(_numbered(statement), *values), True, idle)
    if "psycopg" in kinds and hasattr(given, "info"):
        return _of_psycopg(given)
    return None


def _of_psycopg(given: Any) -> Line:
    from psycopg.rows import tuple_row

    waits = inspect.iscoroutinefunction(given.execute)
    idle = given.autocommit and given.info.transaction_status == _IDLE

    def ask(statement: str, values: Sequence[Any]) -> Any:
        with given.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(_percent(statement), values).fetchall()

    async def ask_and_wait(statement: str, values: Sequence[Any]) -> Any:
        async with given.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(_percent(statement), values)
            return await cursor.fetchall()

    begin = f"`{'async ' if waits else ''}with connection.transaction():`"
    return Line(ask_and_wait if waits else ask, waits, begin if idle else "")


def _of_django(given: Any) -> Line | None:
    if given.vendor != "postgresql":
        return None
    begun = given.in_atomic_block or not given.get_autocommit()

    def ask(statement: str, values: Sequence[Any]) -> Any:
        with given.cursor() as cursor:
            cursor.execute(_percent(statement), values)
            return cursor.fetchall()

    return Line(ask, False, "" if begun else "`with transaction.atomic():`")


def _of_sqlalchemy(given: Any) -> Line | None:
    from sqlalchemy import text

    if not hasattr(given, "execute"):
        return None
    dialect = given.dialect if hasattr(given, "dialect") else given.get_bind().dialect
    if dialect.name != "postgresql":
        return None
    waits = inspect.iscoroutinefunction(given.execute)

    def call(statement: str, values: Sequence[Any]) -> Any:
        named = {f"v{number}": value for number, value in enumerate(values)}
        return given.execute(text(_replaced(statement, ":v{}", 0)), named)

    async def ask_and_wait(statement: str, values: Sequence[Any]) -> Any:
        return (await call(statement, values)).fetchall()

    return Line(
        ask_and_wait if waits else lambda statement, values: call(statement, values).fetchall(), waits
    )


def _percent(statement: str) -> str:
    return statement.replace("?", "%s")


def _numbered(statement: str) -> str:
    return _replaced(statement, "${}", 1)


def _replaced(statement: str, mark: str, first: int) -> str:
    """The statement with marks that have numbers."""
    head, *rest = statement.split("?")
    return head + "".join(mark.format(number) + part for number, part in enumerate(rest, first))
