"""Whether a program beside the workers can be used: somebody listens, it has said so, or it has written it.

Rules of this file:

- A look never waits: a connection that is on its way is looked at again. Only the name of a host has to be
  looked up, once, and after a failure not at once again.
- Follows sd_notify(3) for programs that speak to systemd.
"""

import errno
import os
import re
import select
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final

__all__ = ["EVERY", "Listening", "Notified", "Probe", "Wrote", "make_probe"]

EVERY: Final = 0.05
"""Seconds between two looks."""
LOOK_UP_AGAIN: Final = 5.0
"""Seconds until the name of a host that was not found is looked up again: it may hold up the supervisor."""
_IN_PROGRESS: Final = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EINTR})


class Probe:
    """Knows when a program can be used; this one: at once."""

    environ: Mapping[str, str] = MappingProxyType({})
    """What the program needs in its environment."""

    def look(self) -> bool:
        """Whether it can be used now."""
        return True

    def line(self, text: str) -> None:
        """It has written a line."""

    def close(self) -> None:
        """The end."""


class Listening(Probe):
    """It accepts connections.

    Args:
        ready: ``tcp:6379``, ``tcp:host:6379`` or ``unix:/path``.
    """

    def __init__(self, ready: str) -> None:
        kind, _, rest = ready.partition(":")
        host, _, port = rest.rpartition(":")
        self._unix = kind == "unix"
        self._address: tuple[str, int] | str = rest if self._unix else (host or "127.0.0.1", int(port))
        self._trying: socket.socket | None = None
        self._place: tuple[int, tuple[Any, ...] | str] | None = None
        self._failed_at = float("-inf")

    def look(self) -> bool:
        """See `Probe`."""
        if self._trying is None and not self._begin():
            return False
        trying = self._trying
        if trying is None:  # it came about at once
            return True
        _, writable, _ = select.select([], [trying], [], 0)
        if not writable:
            return False
        good = trying.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        self.close()
        return good

    def _begin(self) -> bool:
        """Connect; False: that cannot be."""
        if self._place is None and time.monotonic() < self._failed_at + LOOK_UP_AGAIN:
            return False
        try:
            family, address = self._place = self._place or self._look_up()
            trying = socket.socket(family, socket.SOCK_STREAM)
        except OSError:
            self._failed_at = time.monotonic()
            return False
        trying.setblocking(False)
        code = trying.connect_ex(address)
        if code in _IN_PROGRESS:
            self._trying = trying
        else:
            trying.close()
        return code == 0 or code in _IN_PROGRESS

    def _look_up(self) -> tuple[int, tuple[Any, ...] | str]:
        if isinstance(self._address, str):
            return socket.AF_UNIX, self._address
        found = socket.getaddrinfo(*self._address, type=socket.SOCK_STREAM)[0]
        return found[0], found[4]

    def close(self) -> None:
        """See `Probe`."""
        if self._trying is not None:
            self._trying.close()
            self._trying = None


class Wrote(Probe):
    """It has written a line.

    Args:
        expression: That such a line fits.
    """

    def __init__(self, expression: str) -> None:
        self._expression = re.compile(expression)
        self._seen = False

    def look(self) -> bool:
        """See `Probe`."""
        return self._seen

    def line(self, text: str) -> None:
        """See `Probe`."""
        self._seen = self._seen or self._expression.search(text) is not None


class Notified(Probe):
    """It says so as to systemd.

    Args:
        path: Where the socket is made that it says so on.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        with suppress(FileNotFoundError):
            os.unlink(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(path)
        self.environ = {"NOTIFY_SOCKET": path}
        self._seen = False

    def look(self) -> bool:
        """See `Probe`."""
        with suppress(BlockingIOError):
            while data := self._socket.recv(4096):
                self._seen = self._seen or b"READY=1" in data.split(b"\n")
        return self._seen

    def close(self) -> None:
        """See `Probe`."""
        self._socket.close()
        with suppress(OSError):
            os.unlink(self._path)


def make_probe(ready: str, folder: str, name: str) -> Probe:
    """What looks whether a program can be used.

    Args:
        ready: See `vivace.config.daemons.Daemon`.
        folder: The private folder of the server.
        name: Of the program.

    Raises:
        OSError: The system refused.
    """
    if ready.startswith(("tcp:", "unix:")):
        return Listening(ready)
    if ready.startswith("log:"):
        return Wrote(ready.removeprefix("log:"))
    return Notified(os.path.join(folder, f"notify-{name}")) if ready else Probe()
