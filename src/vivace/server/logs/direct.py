"""The log on standard error where LOG_TO names no place: written at once as long as that cannot block.

Rules of this file:

- The last words of a process that dies are there: a line is written by whoever logs it, before `write`
  returns, unless the descriptor takes nothing now or lines wait already; then it waits with them.
- Nobody waits for a reader. To look whether a pipe has room is not enough, for others write to it as well:
  the kernel is asked to write without waiting. O_NONBLOCK is not set on the descriptor, which others share.
- The order of lines is that in which they were logged; the rest of a line that was cut comes before all else.
- Follows write(2), pwritev2(2) and pipe(7) of Linux; elsewhere the descriptor is only looked at.
"""

import errno
import os
import select
import stat
import time
from typing import Final

from vivace.server.logs.places import FilePlace
from vivace.server.logs.shipper import Entry, Shipper
from vivace.server.logs.whole import WHOLE

__all__ = ["DirectLog", "write_now"]

_REST: Final = Entry(0.0, 0, "")
"""Stands in the queue for the rest of a line."""
_NO_WAIT: Final[int] = getattr(os, "RWF_NOWAIT", 0)
_AGAIN: Final = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
SOON: Final = 0.01
"""Seconds after which drops are told once the log goes on."""


def write_now(file: int, data: bytes) -> int:
    """Write as much as can be written without waiting.

    Args:
        file: A descriptor; what is neither pipe, socket nor terminal never makes anybody wait.
        data: What to write.

    Returns:
        How many octets were written.

    Raises:
        OSError: It cannot be written to, now or ever.
    """
    mode = os.fstat(file).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(file)):
        return os.write(file, data)
    try:
        if _NO_WAIT:
            return os.pwritev(file, [data], -1, _NO_WAIT)
    except BlockingIOError:
        return 0
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            raise
    return _write_anew(file, data)


def _write_anew(file: int, data: bytes) -> int:
    """For terminals, named pipes and old kernels: what is opened again has flags of its own."""
    try:
        other = os.open(f"/proc/self/fd/{file}", _AGAIN)
    except OSError:
        return _write_if_ready(file, data)
    try:
        return os.write(other, data)
    except BlockingIOError:
        return 0
    finally:
        os.close(other)


def _write_if_ready(file: int, data: bytes) -> int:
    """Where it cannot be opened again: what is writable takes `WHOLE` octets, if nobody else was faster."""
    poll = select.poll()
    poll.register(file, select.POLLOUT)
    try:
        return os.write(file, data) if len(data) <= WHOLE and poll.poll(0) else 0
    except BlockingIOError:
        return 0


class _Place(FilePlace):
    """A descriptor that also takes lines at once."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor=descriptor)
        self._rest = b""

    @property
    def ready(self) -> bool:
        """Whether the last line that was written is whole."""
        return not self._rest and not self._torn

    def take(self, entry: Entry) -> Entry | None:
        """Write what can be written without waiting; what is to wait is returned."""
        data = f"{entry.text}\n".encode("utf-8", "backslashreplace")
        try:
            done = write_now(self._file, data)
        except OSError:  # the thread tries again, and tells
            return entry
        if not done:
            return entry
        self._rest = data[done:]
        return _REST if self._rest else None

    def send(self, entries: list[Entry]) -> None:
        """See `Place.send`; the rest of a line first."""
        while self._rest:
            self._rest = self._rest[self._write(memoryview(self._rest)) :]
        entries[:] = [one for one in entries if one is not _REST]
        if entries:
            super().send(entries)

    def close(self, *, forked: bool = False) -> None:
        """See `Place.close`; the rest of a line is the parent's."""
        if forked:
            self._rest = b""
        super().close(forked=forked)


class DirectLog(Shipper):
    """Takes lines to a descriptor: at once, or by the thread where that would have to wait.

    Args:
        descriptor: Where to.
        size: Lines that may wait.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self._direct = _Place(descriptor)
        super().__init__(self._direct, size)

    def write(self, level: int, text: str) -> None:
        """Write a line, or let it wait; whoever calls sees to it that nobody else does meanwhile."""
        entry: Entry | None = Entry(time.time(), level, text)
        with self._lock:
            idle = self._direct.ready and not self._waiting and not self._under_way
        if idle and entry is not None:
            entry = self._direct.take(entry)
        if entry is not None:
            self.put(entry)

    def close(self, seconds: float = 2.0) -> None:
        """See `Shipper.close`; what was dropped and not told is told."""
        super().close(seconds)
        untold = self.dropped - self._told
        if untold and not self._telling:
            self._told = self.dropped
            self._say(f"{untold} lines of the log were dropped: {self.place.name} was not read")

    def _is_time(self) -> bool:
        """Whoever reads again is told at once what is missing."""
        return not self._waiting or super()._is_time()

    def _until_told(self) -> float:
        return super()._until_told() if self.dropped == self._told else SOON
