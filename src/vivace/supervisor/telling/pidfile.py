"""The pid file: which process to signal, for those who have no better way.

Rules of this file:

- It is written once the server serves, whole, and locked for as long as the process lives.
- One that names a live server stops the start (exit code 2). One that is left over is taken over: nobody
  holds its lock, and its process is gone, is this one, or began after the file was written.
- It is removed only while it names this process.
"""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from vivace.errors import StartupError

__all__ = ["PidFile"]

_SLACK: Final = 2.0
"""Seconds by which the clocks of files and of processes may differ."""


class PidFile:
    """A file that names this process.

    Args:
        path: Where; empty: none, and nothing is done.
        before: A process that may be named there now: the supervisor that this one replaces.
    """

    def __init__(self, path: str, before: int = 0) -> None:
        self._path = os.path.abspath(path) if path else ""
        self._before = before
        self._lock = -1
        self._pid = 0

    def check(self) -> None:
        """Look whether the file can be written, before anything else is done.

        Raises:
            StartupError: Another server runs, or the folder is not there; exit code 2.
        """
        if not self._path:
            return
        folder = os.path.dirname(self._path)
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
            raise _refusal(f"the pid file {self._path} cannot be written: no such folder, or not ours")
        owner = self._owner()
        if owner:
            raise _refusal(f"the pid file {self._path} names the process {owner}, which runs")

    def write(self) -> None:
        """Name this process; nothing of an older file remains.

        Raises:
            StartupError: Another server was faster, or the file cannot be written; exit code 2.
        """
        if not self._path or self._lock >= 0:
            return
        made = f"{self._path}.{os.getpid()}"
        try:
            self._write(made)
        except OSError as error:
            with suppress(OSError):
                os.unlink(made)
            self._let_go()
            text = f"the pid file {self._path} cannot be written: {error.strerror or error}"
            raise _refusal(text) from error

    def _write(self, made: str) -> None:
        self._lock = os.open(made, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self._pid = os.getpid()
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(self._lock, b"%d\n" % self._pid)
        try:
            os.link(made, self._path)  # unlike a rename it fails if somebody was faster
            os.unlink(made)
        except FileExistsError:
            owner = self._owner()
            if owner:
                os.unlink(made)
                self._let_go()
                raise _refusal(f"the pid file {self._path} names the process {owner}, which runs") from None
            os.rename(made, self._path)

    def write_again(self) -> None:
        """Name this process after another one, that replaced it, is gone."""
        self._let_go()
        with suppress(StartupError):
            self.write()

    def remove(self) -> None:
        """Remove the file if it names this process, and this process wrote it."""
        if self._lock < 0 or self._pid != os.getpid():
            return
        with suppress(OSError):
            ours = os.fstat(self._lock)
            found = os.stat(self._path)
            if (ours.st_dev, ours.st_ino) == (found.st_dev, found.st_ino):
                os.unlink(self._path)
        self._let_go()

    def close(self) -> None:
        """A child calls it after the fork: the lock is the supervisor's."""
        self._let_go()

    def _let_go(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _owner(self) -> int:
        """The id of the live process that the file names; 0 if there is none that stands in the way."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return 0
        try:
            text = os.read(fd, 32).strip()
            written = os.fstat(fd).st_mtime
            locked = _is_locked(fd)
        finally:
            os.close(fd)
        pid = int(text) if text.isdigit() else 0
        if pid in (0, self._before):
            return 0
        return pid if locked or (pid != os.getpid() and _runs(pid, written)) else 0


def _refusal(text: str) -> StartupError:
    return StartupError(text, stage="pid file", exit_code=2)


def _is_locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def _runs(pid: int, written: float) -> bool:
    """Whether a process lives that was there when the file was written."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    began = _start_of(pid)
    return began is None or began <= written + _SLACK


def _start_of(pid: int) -> float | None:
    """When a process began, in seconds since 1970; None if the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        ticks = int(text.rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")
