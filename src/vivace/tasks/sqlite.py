"""The spool in one file of SQLite: what needs no other program.

Rules of this file:

- ``synchronous = FULL`` with a write-ahead log: what was enqueued survives a loss of power.
- Whoever finds the file locked asks again after half a millisecond: SQLite's own waiting grows to 100 ms, and
  lets one of two busy runners take nearly everything.
- A file that is replaced while servers run, by a backup that was brought back, is found by what comes next.
- Follows the documentation of SQLite, "Write-Ahead Logging" and "Result and Error Codes".
"""

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from vivace.tasks.errors import SpoolFull, SpoolUnavailable
from vivace.tasks.sql import SCHEMA, SqlSpool
from vivace.tasks.state import make_folder

__all__ = ["SqliteSpool", "connect", "path_of"]

logger = logging.getLogger("vivace.tasks")

VERSION: Final = 1
PATIENCE: Final = 5.0
"""Seconds after which a file that others hold is given up."""
_PAUSE: Final = 0.0005
_KINDS: Final = {"serial": "INTEGER PRIMARY KEY AUTOINCREMENT", "octets": "BLOB", "number": "REAL"}
_FULL: Final = {"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_TRUNCATE"}
_FULL_TOO: Final = {"SQLITE_IOERR_SHMSIZE", "SQLITE_TOOBIG"}


def path_of(url: str) -> Path:
    """The file of ``sqlite:///relative`` or ``sqlite:////absolute``."""
    parts = urlsplit(url)
    return Path(unquote(parts.netloc + parts.path.removeprefix("/")))


def connect(url: str) -> "SqliteSpool":
    """Open the file of a URL; its folder is made if it is not there.

    Raises:
        SpoolUnavailable: It cannot be.
    """
    path = path_of(url)
    try:
        make_folder(path.parent)
    except OSError as error:
        raise SpoolUnavailable(
            f"the spool {path} cannot be made: {error.strerror}; set TASKS_URL to a place that can be written"
        ) from error
    return SqliteSpool(path)


class SqliteSpool(SqlSpool):
    """A spool in a file; for one thread.

    Args:
        path: Of the file.

    Raises:
        SpoolUnavailable: It cannot be opened, or a newer Vivace made it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._open()

    def _open(self) -> None:
        self._inode: tuple[int, int] | None = None
        _make_file(self._path)
        with self._told():
            self._connection = sqlite3.connect(
                self._path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=64
            )
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise
        self._inode = _inode_of(self._path)

    def _follow(self) -> None:
        """Go on with the file that is there now: what is written to one that was taken away goes with it."""
        if self._inode is None or _inode_of(self._path) != self._inode:
            logger.warning("the spool %s was taken away or replaced: it is opened anew", self._path)
            self.close()
            self._open()

    def _prepare(self) -> None:
        self._patiently("PRAGMA journal_mode = WAL")
        for pragma in ("synchronous = FULL", "temp_store = MEMORY", "mmap_size = 0"):
            self._connection.execute(f"PRAGMA {pragma}")
        version = self._patiently("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise SpoolUnavailable(
                f"the spool {self._path} is of version {version}; this Vivace knows {VERSION}: take a newer"
            )
        if version < VERSION:
            with self._transaction():
                for statement in SCHEMA:
                    self._connection.execute(statement.format(**_KINDS))
                self._connection.execute(f"PRAGMA user_version = {VERSION}")

    def transaction(self) -> AbstractContextManager[None]:
        """See `Spool`."""
        self._follow()
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._told():
            self._patiently("BEGIN IMMEDIATE")
            try:
                yield
                self._write_tallies()
                self._connection.execute("COMMIT")
            except BaseException:
                self._tally.clear()
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _explained(self, error: sqlite3.Error) -> SpoolUnavailable:
        name = getattr(error, "sqlite_errorname", "")
        if name in _FULL or name in _FULL_TOO:
            return SpoolFull(f"the spool {self._path} has no room ({error}): make room on its disk")
        return SpoolUnavailable(f"the spool {self._path} cannot be used: {error}")

    def _patiently(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run a statement that others may be in the way of."""
        last = time.monotonic() + PATIENCE
        while True:
            try:
                return self._connection.execute(statement, values)
            except sqlite3.OperationalError as error:
                locked = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                if not locked or time.monotonic() > last:
                    raise
            time.sleep(_PAUSE)

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run a statement; its rows."""
        if self._inode is not None and self._connection.in_transaction:
            return self._connection.execute(statement, values).fetchall()
        self._follow()
        with self._told():
            return self._patiently(statement, values).fetchall()

    def limit_pages(self, pages: int) -> None:
        """Let it grow no further than so many pages of 4 KiB; for tests of a full disk."""
        self._connection.execute(f"PRAGMA max_page_count = {pages}")

    def close(self) -> None:
        """See `Spool`."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()


def _inode_of(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _make_file(path: Path) -> None:
    """Make the file before SQLite does: what tasks are about is nobody else's business."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise SpoolUnavailable(
            f"the spool {path} cannot be made: {error.strerror}; set TASKS_URL to a place that can be written"
        ) from error
