"""How processes ended: our own children, and orphans that the system hands to us.

Rules of this file:

- Not by waitpid(-1): with ``app.run()`` the app's code may have children of its own in this process.
- An orphan may prove to be a worker whose making was not told yet: its exit code is remembered.
"""

import os
from collections.abc import Iterable
from typing import Final

__all__ = ["Reaper"]

_REMEMBERED: Final = 256


class Reaper:
    """Asks the system how processes ended."""

    def __init__(self) -> None:
        self._strangers: dict[int, int] = {}

    def exit_code(self, pid: int) -> int | None:
        """How a process ended, negative for a signal; None if it lives."""
        try:
            found, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # reaped with the orphans, or the app's code in this process waited for it
            return self._strangers.pop(pid, 1)
        self._strangers.pop(pid, None)  # another's, that had this number before
        return os.waitstatus_to_exitcode(status) if found else None

    def reap_adopted(self, own: Iterable[int]) -> bool:
        """End the life of orphans; False if one of `own` was found ended, and is left to `exit_code`."""
        known = set(own)
        try:
            # WNOWAIT: a look first, for a worker may have ended since it was asked for.
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                if ended.si_pid in known:
                    return False
                _, status = os.waitpid(ended.si_pid, 0)
                self._strangers[ended.si_pid] = os.waitstatus_to_exitcode(status)
                if len(self._strangers) > _REMEMBERED:
                    del self._strangers[next(iter(self._strangers))]
        except ChildProcessError:
            return True
        return True
