"""The programs that a worker started end with it: each worker leads a process group of its own.

Rules of this file:

- Only a group that a worker made is ever signalled: its number is the worker's process id, and as long as
  anybody is in it no other process gets that number.
- What is left when a worker is gone is asked to end, and a moment later killed. Programs in a session of
  their own are left alone: whoever starts one so wants it to stay.
- Not at a terminal: there Ctrl-C and a debugger are for the whole group.
- Follows setpgid(2), kill(2).
"""

import os
import signal
import time
from contextlib import suppress
from typing import Final

__all__ = ["Groups", "lead_group"]

PATIENCE: Final = 1.0
"""Seconds from the request to end until the kill."""
LAST_PATIENCE: Final = 0.3
"""The same when the supervisor ends."""


def lead_group() -> None:
    """Make this process the leader of a group, unless it is at a terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        with suppress(OSError):
            os.setpgid(0, 0)


class Groups:
    """The groups of workers that are gone.

    Attributes:
        due: When `look` has something to do, monotonic seconds; infinity: not by itself.
    """

    def __init__(self) -> None:
        self._left: dict[int, float] = {}
        self.due = float("inf")

    def ended(self, pid: int, now: float) -> None:
        """A worker is gone: ask what it left to end."""
        if _send(pid, signal.SIGTERM):
            self._left[pid] = now + PATIENCE
            self.due = min(self.due, now + PATIENCE)

    def look(self, now: float) -> None:
        """Kill what did not end."""
        for pid in [pid for pid, until in self._left.items() if until <= now]:
            del self._left[pid]
            _send(pid, signal.SIGKILL)
        self.due = min(self._left.values(), default=float("inf"))

    def close(self) -> None:
        """The supervisor ends: kill what did not end by now."""
        until = time.monotonic() + LAST_PATIENCE
        while self._left and time.monotonic() < until:
            self._left = {pid: due for pid, due in self._left.items() if _send(pid, 0)}
            time.sleep(0.01)
        self.look(float("inf"))


def _send(group: int, number: int) -> bool:
    """Signal a group; whether anybody is in it."""
    try:
        os.killpg(group, number)
    except OSError:
        return False
    return True
