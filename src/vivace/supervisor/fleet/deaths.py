"""Deaths of workers, and whether they are so many that the server should end.

Rules of this file:

- Pure: every call brings `now`.
- Many deaths alone end nothing: while anybody serves the server stays.
"""

from collections import deque
from typing import Final

__all__ = ["INTENSITY_PERIOD", "NOBODY", "Deaths"]

INTENSITY_PERIOD: Final = 60.0
"""Seconds over which deaths are counted."""
LEAST_INTENSITY: Final = 6
"""More deaths than this, and than three for each worker, are a crash loop; one worker's back-off allows 9."""
NOBODY: Final = 30.0
"""Seconds without any ready worker after which a crash loop ends the server, with exit code 5."""


class Deaths:
    """What died within a minute, and since when nobody is ready.

    Attributes:
        nobody_since: None while somebody is.
    """

    __slots__ = ("_times", "nobody_since")

    def __init__(self) -> None:
        self.nobody_since: float | None = None
        self._times: deque[float] = deque()

    def __len__(self) -> int:
        """How many there were within a minute, as of the last question."""
        return len(self._times)

    def add(self, now: float) -> None:
        """A worker died that was not asked to end."""
        self._times.append(now)

    def are_many(self, size: int, now: float) -> bool:
        """Whether it is a crash loop, for so many workers."""
        while self._times and self._times[0] < now - INTENSITY_PERIOD:
            self._times.popleft()
        return len(self._times) > max(3 * size, LEAST_INTENSITY)

    def end_at(self, size: int, now: float) -> float | None:
        """When the server ends because of them, as things are now; None: it does not."""
        if self.nobody_since is None or not self.are_many(size, now):
            return None
        return self.nobody_since + NOBODY
