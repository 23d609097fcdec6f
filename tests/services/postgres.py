"""A PostgreSQL server of the tests' own, from Debian's package: `postgres` is started once per session.

Rules of this file:

- It listens on a Unix socket only, in a folder whose path is short enough for one; no port can be taken.
- Nothing in it outlives the session, so nothing is ever synced to the disk.
- PostgreSQL refuses to run as root: then it is the user `postgres` of the package.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

__all__ = ["Postgres", "postgres"]

PATIENCE = 30.0
"""Seconds for a start or a stop; the machine may be busy."""
_USER = "postgres"
_QUICK = ("fsync=off", "full_page_writes=off", "autovacuum=off", "shared_buffers=16MB")


class Postgres:
    """A running server.

    Attributes:
        folder: Where its socket is; what libpq takes as the host.
        user: A superuser; no password is asked for.
        url: Of its database `postgres`.
    """

    def __init__(self, folder: Path, argv: list[str], as_user: dict[str, Any]) -> None:
        self.folder = folder
        self.user = _USER
        self.url = f"postgresql:///postgres?host={folder}&user={_USER}"
        self._argv = argv
        self._as_user = as_user
        self._process: subprocess.Popen[Any] | None = None

    def start(self) -> None:
        """Start it, and return when it answers."""
        with (self.folder / "log").open("ab") as log:
            process: subprocess.Popen[Any] = subprocess.Popen(
                self._argv,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._as_user,
            )
        self._process = process
        _wait(self, process)

    def stop(self) -> None:
        """End it at once, and return when it is gone: as a machine that fails, whose disk stays."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(PATIENCE)

    def cut(self, name: str) -> None:
        """End the connections of applications whose name begins so."""
        self.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE starts_with(application_name, '{name}')"
        )

    def ask(self, query: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """The rows that a statement gives; none if it gives no rows."""
        with psycopg.connect(
            host=str(self.folder), user=self.user, dbname=database, autocommit=True
        ) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def connections(self, name: str) -> int:
        """How many connections an application of this name holds now."""
        quoted = name.replace("'", "''")
        ((count,),) = self.ask(f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{quoted}'")
        return int(count)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server that all tests of a session share; skips where PostgreSQL is not installed."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian package postgresql)")
    as_user: dict[str, Any] = {"user": _USER, "group": _USER, "extra_groups": []} if os.geteuid() == 0 else {}
    # Not in pytest's folder: that is closed to other users, and its path is too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="vivace-pg-"))
    try:
        if as_user:
            shutil.chown(folder, _USER, _USER)
        with _running(programs, folder, as_user) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    """The folder of the newest installed version's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb")
    return Path(elsewhere).resolve().parent if elsewhere else None


@contextmanager
def _running(programs: Path, folder: Path, as_user: dict[str, Any]) -> Iterator[Postgres]:
    data = folder / "data"
    choices = ("-U", _USER, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
    make = [str(programs / "initdb"), "-D", str(data), *choices]
    done = subprocess.run(make, cwd=folder, capture_output=True, text=True, check=False, **as_user)
    assert done.returncode == 0, f"initdb failed:\n{done.stdout}{done.stderr}"
    where = ("listen_addresses=", f"unix_socket_directories={folder}")
    settings = [f"-c{setting}" for setting in (*_QUICK, *where)]
    server = Postgres(folder, [str(programs / "postgres"), "-D", str(data), *settings], as_user)
    server.start()
    try:
        yield server
    finally:
        server.stop()  # what it would still write goes with the folder


def _wait(server: Postgres, process: "subprocess.Popen[Any]") -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            server.ask("SELECT 1")
        except psycopg.OperationalError:
            said = (server.folder / "log").read_text(errors="replace")
            assert process.poll() is None, f"PostgreSQL ended:\n{said}"
            assert time.monotonic() < deadline, f"PostgreSQL does not answer:\n{said}"
            time.sleep(0.02)
        else:
            return
