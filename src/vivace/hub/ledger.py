"""Words about who may stay in a group, kept for a while: for those who were away when they were said.

Rules of this file:

- No I/O and no clock: the time is an argument.
- Whoever hears a word twice knows it by its id, so it is said again rather than not at all.
"""

from collections import OrderedDict
from typing import Final

__all__ = ["KEPT", "MOST", "Ledger"]

KEPT: Final = 300.0
"""Seconds for which a word is said again."""
MOST: Final = 1000
"""Words that are kept at most; the oldest goes first."""


class Ledger:
    """What was said lately."""

    __slots__ = ("_said",)

    def __init__(self) -> None:
        self._said: OrderedDict[bytes, float] = OrderedDict()

    def add(self, payload: bytes, now: float) -> bool:
        """Keep a word; give whether it is new."""
        if payload in self._said:
            return False
        self._said[payload] = now
        if len(self._said) > MOST:
            self._said.popitem(last=False)
        return True

    def recent(self, now: float) -> list[bytes]:
        """What is kept, oldest first."""
        while self._said and next(iter(self._said.values())) + KEPT <= now:
            self._said.popitem(last=False)
        return list(self._said)
