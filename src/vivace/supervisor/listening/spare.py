"""Accepting where there may be no descriptor left.

Rules of this file:

- A client that cannot be taken is sent away at once: left in the queue it would wake the selector for ever.
- One descriptor is kept in reserve for that.
- Follows accept(2).
"""

import contextlib
import errno
import os
import socket

__all__ = ["Spare"]


class Spare:
    """A descriptor in reserve."""

    def __init__(self) -> None:
        self._descriptor = -1
        self._take()

    def accept(self, listener: socket.socket) -> socket.socket | None:
        """Take the next client; None if there is none, or if it had to be sent away."""
        try:
            return listener.accept()[0]
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._send_away(listener)
            return None

    def close(self) -> None:
        """Give it back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            self._descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _send_away(self, listener: socket.socket) -> None:
        self.close()
        with contextlib.suppress(OSError):
            listener.accept()[0].close()
        self._take()
