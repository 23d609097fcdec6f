"""Clients that found the queue of a listening socket full are told of: they wait, or give up.

Rules of this file:

- What counts is what both say, the socket and the system: the one also drops what port scans send, the other
  does not know sockets. Unix sockets have no such number.
- Nobody is asked but the sockets, as long as they have dropped nothing.
"""

import logging
import socket
from collections.abc import Callable, Sequence
from typing import Final

from vivace.supervisor.system.queues import count_dropped, count_overflows

__all__ = ["BacklogWatch"]

logger = logging.getLogger("vivace")

EVERY: Final = 2.0
"""Seconds between two looks."""
QUIET: Final = 60.0
"""Seconds without a full queue after which it is over."""


class BacklogWatch:
    """Tells of full queues.

    Args:
        listeners: Their addresses and sockets.
        dropped: Counts what a socket has dropped; None: nobody knows.
        overflows: Counts full queues of the whole system; likewise.

    Attributes:
        due: See `Chore`.
    """

    def __init__(
        self,
        listeners: Sequence[tuple[str, socket.socket]],
        dropped: Callable[[socket.socket], int | None] = count_dropped,
        overflows: Callable[[], int | None] = count_overflows,
    ) -> None:
        self._dropped = dropped
        self._overflows = overflows
        known = ((name, one, dropped(one)) for name, one in listeners)
        self._seen = {name: (one, count) for name, one, count in known if count is not None}
        self._all = (overflows() if self._seen else None) or 0
        self._full: dict[str, float] = {}
        self.due = 0.0 if self._seen else float("inf")

    def look(self, now: float) -> None:
        """See `Chore`."""
        self.due = now + EVERY
        found = self._news()
        if found:
            before, self._all = self._all, self._overflows() or self._all
            for name, count in found.items():
                if lost := min(count, self._all - before):
                    self._tell(name, lost, now)
        for name in [name for name, since in self._full.items() if now >= since + QUIET]:
            del self._full[name]
            text = "the queue of %s was not full for %g s"
            logger.info(text, name, QUIET, extra=_event(name, resolved=True))

    def _news(self) -> dict[str, int]:
        """What each socket has dropped since the last look."""
        found: dict[str, int] = {}
        for name, (one, before) in self._seen.items():
            count = self._dropped(one)
            if count is not None and count != before:
                self._seen[name] = one, count
                found[name] = (count - before) % 2**32
        return found

    def _tell(self, name: str, lost: int, now: float) -> None:
        if name not in self._full:
            logger.warning(
                "the queue of %s is full: %d connections were not let in; the workers do not accept them as"
                " fast as they come (more workers, or a larger BACKLOG for short bursts)",
                name,
                lost,
                extra=_event(name),
            )
        self._full[name] = now


def _event(name: str, *, resolved: bool = False) -> dict[str, object]:
    return {"event": "backlog.full", "subject": name, "resolved": resolved}
