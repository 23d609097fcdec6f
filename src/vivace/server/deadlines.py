"""Time-outs for any number of connections from one coarse timer.

Rules of this file:

- Arming costs nothing per request: a connection only writes its deadline down. It lies in one slot of
  the wheel and is looked at when that slot comes round, at the latest `horizon` seconds later; a
  deadline that moved away meanwhile is simply put into a later slot.
- So a time-out is never early and late by two ticks at most.
- A thing lies in one slot at most, and leaves no trace once it is removed.
- The monotonic clock is handed in by the caller: tests turn the wheel by hand.
- Follows the rule "one timer wheel per worker, O(1)".
"""

import logging
from typing import Final, Protocol

__all__ = ["Deadlines", "Timed"]


logger = logging.getLogger("vivace.server")

_MOMENT: Final = 0.001


class Timed(Protocol):
    """What can lie in the wheel.

    Attributes:
        slot: Where it lies, kept by the wheel; None: nowhere.
    """

    slot: "set[Timed] | None"

    def check(self, now: float) -> float:
        """Act on what is due; return when to look again (monotonic seconds), or 0.0: forget me."""
        ...

    def abort(self) -> None:
        """End at once: `check` failed."""
        ...


class Deadlines:
    """A ring of slots, each a set of things to look at in that tick.

    Args:
        tick: Seconds between two slots.
        horizon: The longest time, in seconds, after which everything is looked at again.
        now: The monotonic time at the start.

    Attributes:
        tick: As given.
        horizon: As given.
    """

    __slots__ = ("_index", "_slots", "_turned", "horizon", "tick")

    def __init__(self, tick: float, horizon: float, now: float) -> None:
        self.tick = tick
        self.horizon = max(horizon, tick)
        self._slots: list[set[Timed]] = [set() for _ in range(int(self.horizon / tick) + 3)]
        self._index = 0
        self._turned = now

    def add(self, timed: Timed, when: float) -> None:
        """Look at `timed` at `when` or, if that is beyond the horizon, at the horizon; at no other time."""
        self.remove(timed)
        ahead = int((when - self._turned) / self.tick) + 1
        last = len(self._slots) - 1
        if ahead < 1:
            ahead = 1
        elif ahead > last:
            ahead = last
        slot = self._slots[(self._index + ahead) % len(self._slots)]
        slot.add(timed)
        timed.slot = slot

    def remove(self, timed: Timed) -> None:
        """Do not look at `timed` again."""
        if timed.slot is not None:
            timed.slot.discard(timed)
            timed.slot = None

    def _look(self, timed: Timed, now: float) -> float:
        """One thing that fails must not keep the others from their time-outs."""
        try:
            return timed.check(now)
        except Exception:
            logger.exception("a deadline could not be kept")
            timed.abort()
            return 0.0

    def until_turn(self, now: float) -> float:
        """Seconds until the next slot comes round; a moment more, so that it is not missed by a hair."""
        return max(self._turned + self.tick - now, 0.0) + _MOMENT

    def turn(self, now: float) -> None:
        """Look at everything whose slot has come since the last turn."""
        steps = min(int((now - self._turned) / self.tick), len(self._slots))
        if steps == len(self._slots):
            self._turned = now - steps * self.tick
        for _ in range(steps):
            self._turned += self.tick
            self._index = (self._index + 1) % len(self._slots)
            due, self._slots[self._index] = self._slots[self._index], set()
            while due:
                timed = due.pop()
                timed.slot = None
                when = self._look(timed, now)
                if when:
                    self.add(timed, when)
