"""The private folder with the sockets between the processes of one server.

Rules of this file:

- Nobody but the user who runs the server can enter it (0700). It is removed at the end; what a killed server
  has left is removed by the next one.
- Whoever lives in a folder holds a shared lock in it, so a folder of the dead is known by its free lock.
- A supervisor that replaces another one goes on in the same folder.
- Follows unix(7), flock(2).
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final

from vivace.supervisor.control.control import control_folder

__all__ = ["VARIABLE", "Folder"]

VARIABLE: Final = "VIVACE_RUN"
"""Where the processes of a server find the folder."""
LONGEST: Final = 50
"""Octets of the folder above: the path of a socket has 107, and names of services need some."""
_BEGIN: Final = "vivace-run-"
_LOCK: Final = "lock"


class Folder:
    """The folder of this server.

    Args:
        inherited: That of the supervisor which this one replaces; empty: a new one.

    Attributes:
        path: Where it is.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, inherited: str = "") -> None:
        if inherited:
            self.path = inherited
        else:
            above = control_folder()
            if len(os.fsencode(above)) > LONGEST:
                above = tempfile.gettempdir() if len(tempfile.gettempdir()) <= LONGEST else "/tmp"  # noqa: S108
            _sweep(above)
            self.path = tempfile.mkdtemp(prefix=_BEGIN, dir=above)
        self._lock = os.open(os.path.join(self.path, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def tell(self, environ: MutableMapping[str, str]) -> None:
        """Let child processes find it.

        Args:
            environ: Usually `os.environ`.
        """
        environ[VARIABLE] = self.path

    def leave(self) -> None:
        """In a child: the lock is its parent's."""
        os.close(self._lock)

    def close(self, environ: MutableMapping[str, str], *, remove: bool) -> None:
        """The end.

        Args:
            environ: From which the variable is taken.
            remove: Nobody else goes on in it.
        """
        environ.pop(VARIABLE, None)
        os.close(self._lock)
        if remove:
            shutil.rmtree(self.path, ignore_errors=True)


def _sweep(above: str) -> None:
    """Remove the folders of servers that were killed."""
    with suppress(OSError):
        for name in os.listdir(above):
            if name.startswith(_BEGIN):
                _remove_dead(os.path.join(above, name))


def _remove_dead(path: str) -> None:
    try:
        lock = os.open(os.path.join(path, _LOCK), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    else:
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)
