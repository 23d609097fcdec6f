"""The listening sockets of a configuration: opened once, before any worker, and cleaned up at the end.

Rules of this file:

- One descriptor per address, shared by all workers; a worker that leaves never closes it for the others.
- The file of a Unix socket is removed only while it is still the one that was made here.
"""

import os
import socket
from collections.abc import Sequence

from vivace.config import Config
from vivace.server import bind_tcp, bind_unix

__all__ = ["Listeners"]


class Listeners:
    """The sockets that UNIX, or HOST and PORT, ask for.

    Args:
        config: Of the process.
        given: A bound socket to listen on, instead.

    Attributes:
        sockets: Listening and non-blocking.

    Raises:
        StartupError: An address cannot be used; exit code 4.
    """

    def __init__(self, config: Config, given: socket.socket | None = None) -> None:
        self._path = ""
        self._made: tuple[int, int] | None = None
        if given is not None:
            given.listen(config.BACKLOG)
            given.setblocking(False)
            self.sockets = [given]
        elif config.UNIX:
            self.sockets = [bind_unix(config.UNIX, config.UNIX_MODE, config.BACKLOG)]
            self._path = os.path.abspath(config.UNIX)
            self._made = _identity(self._path)
        else:
            self.sockets = bind_tcp(config.HOST, config.PORT, config.BACKLOG)

    @classmethod
    def adopt(cls, sockets: Sequence[socket.socket]) -> "Listeners":
        """Those that another process has opened and cleans up."""
        made = cls.__new__(cls)
        made._path = ""
        made._made = None
        made.sockets = list(sockets)
        return made

    def addresses(self) -> list[str]:
        """Where it can be reached, as one would type it."""
        return [f"unix:{self._path}"] if self._path else [_url(one) for one in self.sockets]

    def close(self) -> None:
        """Close this process's part; clients are refused once the workers have closed theirs too."""
        for one in self.sockets:
            one.close()
        self.sockets = []

    def remove(self) -> None:
        """Remove the file of a Unix socket if it is still ours."""
        if self._made is not None and _identity(self._path) == self._made:
            os.unlink(self._path)
        self._made = None


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _url(one: socket.socket) -> str:
    if one.family == socket.AF_UNIX:
        return f"unix:{one.getsockname()}"
    host, port = one.getsockname()[:2]
    return f"http://[{host}]:{port}" if one.family == socket.AF_INET6 else f"http://{host}:{port}"
