"""The spool in PostgreSQL, for more than one machine and for disks that do not stay.

Rules of this file:

- It speaks through psycopg 3, an extra that is imported here and nowhere else.
- A task is chosen with ``FOR UPDATE SKIP LOCKED``: no runner waits for another.
- A connection that broke is made anew with the next call; what was going on then did not happen.
- Our own tables and not those of a queue library: docs/tasks.md says which promises these could not keep.
- Follows the documentation of PostgreSQL, "SELECT, The Locking Clause" and "NOTIFY".
"""

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from vivace.errors import ConfigError
from vivace.tasks.errors import SpoolFull, SpoolUnavailable
from vivace.tasks.records import NewTask, Placed, Task
from vivace.tasks.sql import SCHEMA, SqlSpool

__all__ = ["PostgresSpool", "connect", "listen"]

PATIENCE: Final = 10
"""Seconds after which a server that does not answer is given up."""
CHANNEL: Final = "vivace_tasks"
_KINDS: Final = {
    "serial": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "octets": "BYTEA",
    "number": "DOUBLE PRECISION",
}
_LOCK: Final = 0x76697661
"""Held while the tables are made: two that start at once would do it both."""
_PAUSE: Final = 2.0


def connect(url: str) -> "PostgresSpool":
    """Open the spool of a database; its tables are made if they are not there.

    Raises:
        ConfigError: psycopg is not installed, or the URL cannot be read.
        SpoolUnavailable: The database cannot be reached.
    """
    return PostgresSpool(url)


def _driver() -> Any:
    try:
        import psycopg
    except ImportError as error:
        raise ConfigError(
            "TASKS_URL names PostgreSQL, whose driver is not installed: pip install 'psycopg[binary]'",
            key="TASKS_URL",
        ) from error
    return psycopg


def _open(driver: Any, url: str) -> Any:
    try:
        return driver.connect(
            url, autocommit=True, connect_timeout=PATIENCE, fallback_application_name="vivace tasks"
        )
    except driver.ProgrammingError:
        # What libpq says of it may name a part of a password.
        raise ConfigError(
            "TASKS_URL cannot be read as a URL of PostgreSQL: expected postgres://user:password@host/database,"
            " with % and two digits for what is special in a password",
            key="TASKS_URL",
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


class PostgresSpool(SqlSpool):
    """A spool in a database; for one thread.

    Args:
        url: As libpq takes it.
    """

    picking = " FOR UPDATE SKIP LOCKED"
    # An array is made once; a plain subquery may be run again for each row, and lock more than it should.
    picked = "id = ANY(ARRAY({}))"
    number = "CAST(? AS DOUBLE PRECISION)"

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._driver = _driver()
        self._connection: Any = None
        self._rings = False
        self._connected()

    def _connected(self) -> Any:
        if self._connection is None or self._connection.closed:
            with self._told():
                self._connection = _open(self._driver, self._url)
                self._prepare()
        return self._connection

    def _prepare(self) -> None:
        # Asked first: a role that serves may not be allowed to make tables.
        found = self._connection.execute("SELECT to_regclass('vivace_tallies') IS NOT NULL").fetchone()
        if found[0]:
            return
        with self._connection.transaction():
            self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            for statement in SCHEMA:
                self._connection.execute(statement.format(**_KINDS))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Spool`."""
        with self._told(), self._connected().transaction():
            try:
                self._rings = False
                yield
                self._write_tallies()
                if self._rings:
                    self._connection.execute(f"NOTIFY {CHANNEL}")
            except BaseException:
                self._tally.clear()
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._driver.errors.DiskFull as error:
            raise SpoolFull(f"the database of the tasks has no room: {_first_line(error)}") from error
        except (self._driver.errors.UndefinedTable, self._driver.errors.UndefinedColumn) as error:
            raise SpoolUnavailable(
                f"the tables of the tasks are gone, or those of another version ({_first_line(error)}); a"
                " start makes them if they are not there"
            ) from error
        except (self._driver.DataError, self._driver.IntegrityError):
            raise  # of one task, and not of the database
        except self._driver.Error as error:
            raise SpoolUnavailable(
                f"the database of the tasks cannot be used: {_first_line(error)}"
            ) from error

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run a statement; its rows."""
        connection = self._connected()
        with self._told():
            cursor = connection.execute(statement.replace("?", "%s"), values)
            return cursor.fetchall() if cursor.description else []

    def _enqueue(self, task: NewTask, now: float) -> Placed:
        self._rings = True
        return super()._enqueue(task, now)

    def release(self, worker: str, tasks: Collection[Task], now: float) -> int:
        """See `Spool`."""
        self._rings = True
        return super().release(worker, tasks, now)

    def retry(self, number: int, now: float) -> str:
        """See `Spool`."""
        self._rings = True
        return super().retry(number, now)

    def close(self) -> None:
        """See `Spool`."""
        if self._connection is not None:
            self._connection.close()


def listen(url: str, heard: Callable[[], object]) -> Callable[[], object]:
    """Call something whenever somebody enqueued, on any machine; gives what ends it.

    Args:
        url: Of the database.
        heard: Called in a thread.
    """
    ends = threading.Event()
    driver = _driver()

    def follow() -> None:
        while not ends.is_set():
            with contextlib.suppress(driver.Error, ConfigError), _open(driver, url) as connection:
                connection.execute(f"LISTEN {CHANNEL}")
                heard()  # of what was enqueued before
                while not ends.is_set():
                    for _ in connection.notifies(timeout=_PAUSE, stop_after=1):
                        heard()
            ends.wait(_PAUSE)

    threading.Thread(target=follow, name="vivace-ears", daemon=True).start()
    return ends.set
