"""Whether files have changed that a program watches: by looking, once a second.

Rules of this file:

- A file counts by its time, length and inode; a folder by those of all that is in it.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Final

__all__ = ["EVERY", "Changes"]

EVERY: Final = 1.0
"""Seconds between two looks."""
_MOST: Final = 10_000
"""Files that are looked at, at most."""


class Changes:
    """Looks at files.

    Args:
        paths: Files and folders; none: nothing is ever looked at.

    Attributes:
        due: When `look` has something to do, monotonic seconds; infinity: never.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = list(paths)
        self._known = _state(self._paths)
        self.due = 0.0 if paths else float("inf")

    def look(self, now: float) -> bool:
        """Whether something has changed since the last look."""
        if now < self.due:
            return False
        self.due = now + EVERY
        before, self._known = self._known, _state(self._paths)
        return before != self._known


def _state(paths: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    found: dict[str, tuple[int, int, int]] = {}
    for path in paths:
        for name in _files(path):
            try:
                status = os.stat(name)
            except OSError:
                continue
            found[name] = (status.st_mtime_ns, status.st_size, status.st_ino)
            if len(found) >= _MOST:
                return found
    return found


def _files(path: str) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
        return
    for folder, _, names in os.walk(path):
        for name in names:
            yield os.path.join(folder, name)
