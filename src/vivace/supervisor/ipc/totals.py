"""What the workers of a place have done in all, as it stands in shared memory.

Rules of this file:

- No number here ever becomes less: scrapers take a fall for a restart of the server, and count twice.
- A number is one aligned word, and so is never read half written.
"""

import mmap
import operator
import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from vivace.server.durations import CLASSES, DURATIONS

__all__ = ["LAYOUT", "NOTHING", "SIZE", "Totals"]

_ALL: Final = struct.Struct(f"=2Q{len(CLASSES)}Q{len(DURATIONS)}Qd")
SIZE: Final = _ALL.size
"""Octets of `Totals` in memory."""
LAYOUT: Final = f"1-{_ALL.format}"
"""Who reads the memory of another version must have the same."""


class Totals(NamedTuple):
    """What workers have done.

    Attributes:
        served: Requests that arrived.
        answers: Responses by `CLASSES`, with those to messages that were no requests.
        took: Requests by `DURATIONS`: each one is counted once.
        seconds: How long all of them took.
        lost_lines: Of the log and the access log, which no place took.
    """

    served: int
    answers: tuple[int, ...]
    took: tuple[int, ...]
    seconds: float
    lost_lines: int = 0

    @property
    def errors(self) -> int:
        """Responses with a status of 500 or more."""
        return self.answers[-1]

    def plus(self, other: "Totals") -> "Totals":
        """Both together."""
        return self._each(operator.add, other)

    def minus(self, other: "Totals") -> "Totals":
        """What came since `other`."""
        return self._each(operator.sub, other)

    def _each(self, make: Callable[[Any, Any], Any], other: "Totals") -> "Totals":
        return Totals(
            make(self.served, other.served),
            tuple(map(make, self.answers, other.answers)),
            tuple(map(make, self.took, other.took)),
            make(self.seconds, other.seconds),
            make(self.lost_lines, other.lost_lines),
        )

    def write(self, memory: mmap.mmap, offset: int) -> None:
        """Put it into memory."""
        counts = self.served, self.lost_lines, *self.answers, *self.took
        _ALL.pack_into(memory, offset, *counts, self.seconds)

    @classmethod
    def read(cls, memory: mmap.mmap | bytes, offset: int) -> "Totals":
        """What is in memory."""
        served, lost, *counts, seconds = _ALL.unpack_from(memory, offset)
        return cls(served, tuple(counts[: len(CLASSES)]), tuple(counts[len(CLASSES) :]), seconds, lost)


NOTHING: Final = Totals(0, (0,) * len(CLASSES), (0,) * len(DURATIONS), 0.0)
"""Before anything was done."""
