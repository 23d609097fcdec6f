"""Counts what groups lose, and says so, not more than once a minute for each.

Rules of this file:

- A group message that finds a channel full is dropped for that channel, silently for the sender: that is the
  specification. Here it is counted, logged, and told to `on_drop`.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from django.utils.module_loading import import_string

__all__ = ["MINUTE", "Drops", "OnDrop"]

logger = logging.getLogger("vivace.channels")

MINUTE: Final = 60.0
"""Seconds between two lines about one group."""
_MAX_GROUPS: Final = 10_000
"""Groups that are counted apart; those beyond are counted as one, ``(others)``."""

OnDrop = Callable[[str, str], None]


class _Count:
    """What one group lost."""

    __slots__ = ("said_at", "total", "unsaid")

    def __init__(self) -> None:
        self.total = 0
        self.unsaid = 0
        self.said_at = float("-inf")


class Drops:
    """The counts of a process.

    Args:
        on_drop: Called with the group and the channel, or None; or its dotted path.
        clock: Gives the time in seconds.
    """

    def __init__(self, on_drop: OnDrop | str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._on_drop: OnDrop | None = import_string(on_drop) if isinstance(on_drop, str) else on_drop
        self._clock = clock
        self._counts: dict[str, _Count] = {}

    def add(self, group: str, channel: str, capacity: int) -> None:
        """A channel of a group was full.

        Args:
            group: Which one.
            channel: The full one.
            capacity: What it holds.
        """
        self._say(
            group,
            "the group %s lost %d messages, the last one for the channel %s: its reader leaves %d unread,"
            " which is the capacity; read faster, send less, or raise `capacity`",
            channel,
            capacity,
        )
        if self._on_drop is not None:
            try:
                self._on_drop(group, channel)
            except Exception:
                logger.exception("on_drop of the channel layer failed")

    def gap(self, group: str, reason: str) -> None:
        """Messages of a group were lost on the way here; nobody knows how many.

        Args:
            group: Which one.
            reason: What the hub says.
        """
        self._say(group, "the group %s lost messages (%d times by now): %s", reason)

    def _say(self, group: str, text: str, *more: object) -> None:
        now = self._clock()
        if group not in self._counts and len(self._counts) >= _MAX_GROUPS:
            group = "(others)"
        count = self._counts.setdefault(group, _Count())
        count.total += 1
        count.unsaid += 1
        if now - count.said_at >= MINUTE:
            logger.warning(text, group, count.unsaid, *more)
            count.unsaid, count.said_at = 0, now

    @property
    def totals(self) -> dict[str, int]:
        """What each group lost since the start."""
        return {group: count.total for group, count in self._counts.items()}
