"""Files that are watched: when they changed, and are quiet again, a task is enqueued.

Rules of this file:

- A look lists the files and compares time and size; the time of the look is an argument. That works on every
  file system, also on those that tell nobody of changes.
- Looks take a twentieth of the time at most: where there are many files they become rare.
- What changed while nobody looked is not known.
"""

import asyncio
import contextlib
import logging
import os
import time
from glob import iglob
from typing import Final

from vivace.tasks.book import Book
from vivace.tasks.complaint import Complaint
from vivace.tasks.errors import BadArguments, SpoolUnavailable
from vivace.tasks.schedule import Watch

__all__ = ["Watcher"]

logger = logging.getLogger("vivace.tasks")

PACE: Final = 0.1
"""Seconds between two looks, if they are quick."""
_SHARE: Final = 20.0
_MOST: Final = 1000
"""Names of files that one task is told of."""
Stamp = tuple[int, int, int]


class _Eye:
    """What was seen of one pattern."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.known = stamps(watch.pattern)
        self.changed: set[str] = set()
        self.since = 0.0

    def look(self, now: float) -> list[str]:
        """The files that changed and are quiet since; empty if there is none or it is not quiet yet."""
        found = stamps(self.watch.pattern)
        if found != self.known:
            self.changed |= {path for path, _ in found.items() ^ self.known.items()}
            self.known, self.since = found, now
        if not self.changed or now - self.since < self.watch.debounce:
            return []
        changed = sorted(self.changed)
        self.changed = set(changed[_MOST:])
        return changed[:_MOST]


class Watcher:
    """Looks after the files of a book.

    Args:
        book: What is watched, and the way to the spool.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._complaint = Complaint(logger)
        self._eyes = [_Eye(watch) for watch in book.watches]

    async def run(self, stopping: asyncio.Event) -> None:
        """Look until told to stop."""
        while self._eyes and not stopping.is_set():
            began = time.monotonic()
            await self.look(began)
            wait = max(PACE, (time.monotonic() - began) * _SHARE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await stopping.wait()
        # Who takes this one's place knows nothing of what is not quiet yet.
        await self.look(float("inf"))

    async def look(self, now: float) -> None:
        """Look at all files, and enqueue what is due.

        Args:
            now: Seconds of any clock that goes on evenly.
        """
        for eye in self._eyes:
            while changed := await asyncio.to_thread(eye.look, now):
                if not await self._enqueue(eye, changed):
                    break

    async def _enqueue(self, eye: _Eye, changed: list[str]) -> bool:
        """Tell of some files; False if that has to be done again."""
        function = self._book.functions[eye.watch.name]
        given = dict.fromkeys(list(function.arguments.signature.parameters)[:1], changed)
        try:
            await self._book.put(function, function.make((), given, None))
        except SpoolUnavailable as error:
            eye.changed.update(changed)  # it is tried again with the next look
            self._complaint.say(f"{eye.watch.name} cannot be enqueued: {error}")
            return False
        except BadArguments as error:
            return await self._enqueue_parts(eye, changed, error)
        self._complaint.over()
        return True

    async def _enqueue_parts(self, eye: _Eye, changed: list[str], error: BadArguments) -> bool:
        """They were too many for one task, or one of them is not to be told of."""
        if len(changed) == 1:
            logger.error("a change cannot be told: %s", error)
            return True
        half = len(changed) // 2
        first = await self._enqueue(eye, changed[:half])
        return await self._enqueue(eye, changed[half:]) and first


def stamps(pattern: str) -> dict[str, Stamp]:
    """The files of a pattern, and what tells whether they changed."""
    found: dict[str, Stamp] = {}
    for path in iglob(pattern, recursive=True, include_hidden=True):
        with contextlib.suppress(OSError):
            status = os.stat(path)
            found[_shown(path)] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found


def _shown(path: str) -> str:
    """A name as JSON can say it: one that is no UTF-8 has its octets written out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
