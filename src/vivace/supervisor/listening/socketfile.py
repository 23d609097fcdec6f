"""The file of a Unix socket that was made here: removed only while it is still that one."""

import os
from contextlib import suppress

__all__ = ["SocketFile"]


class SocketFile:
    """A file as it is now.

    Args:
        path: Where it is; relative ones are taken from the folder of now.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        self._made = self._identity()

    def _identity(self) -> tuple[int, int]:
        found = os.lstat(self._path)
        return found.st_dev, found.st_ino

    @property
    def is_ours(self) -> bool:
        """It is there, and nobody has put another in its place."""
        try:
            return self._identity() == self._made
        except OSError:
            return False

    def remove(self) -> None:
        """Remove it if it is ours."""
        with suppress(OSError):
            if self.is_ours:
                os.unlink(self._path)
