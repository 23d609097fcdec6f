"""Whether files of the app have changed: by looking, four times a second.

Rules of this file:

- A file counts by its time; what is gone or cannot be read is not there.
"""

import os
from collections.abc import Iterable
from typing import Final

__all__ = ["FileWatch", "times_of"]

LOOK_EVERY: Final = 0.25
"""Seconds between two looks at the files of the app."""
_SKIPPED: Final = frozenset({"__pycache__", "node_modules"})


def times_of(names: Iterable[str]) -> dict[str, int]:
    """The times of those files that are there."""
    times = {}
    for name in names:
        try:
            times[name] = os.stat(name).st_mtime_ns
        except OSError:
            continue
    return times


class FileWatch:
    """Notices files that change.

    Args:
        folders: Whose files are looked at too, with those of their folders.

    Attributes:
        due: When to look next.
    """

    def __init__(self, folders: Iterable[str] = ()) -> None:
        self.due = 0.0
        self._folders = tuple(folders)
        self._files: frozenset[str] = frozenset()
        self._seen: dict[str, int] = {}

    def follow(self, files: Iterable[str]) -> None:
        """These files make the app from now on."""
        self._files = frozenset(files)
        self._seen = self._times()

    def look(self, now: float) -> tuple[str, ...]:
        """The files that changed, came or went since the last look."""
        self.due = now + LOOK_EVERY
        before, self._seen = self._seen, self._times()
        names = before.keys() | self._seen.keys()
        return tuple(sorted(name for name in names if before.get(name) != self._seen.get(name)))

    def _times(self) -> dict[str, int]:
        return times_of((*self._files, *self._inside()))

    def _inside(self) -> Iterable[str]:
        for folder in self._folders:
            for root, folders, names in os.walk(folder):
                folders[:] = [n for n in folders if n not in _SKIPPED and not n.startswith(".")]
                yield from (os.path.join(root, name) for name in names if not name.endswith(".pyc"))
