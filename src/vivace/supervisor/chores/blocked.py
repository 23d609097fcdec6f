"""Whether a worker is blocked: its loop does not turn, and nothing else of it moves either.

Rules of this file:

- Pure: what workers have said comes from outside, with the time.
- A worker is judged by what changes, not by what it promises: a new heartbeat, or a request that began.
- What it is asked for comes in steps: its stacks at half the time and at the end of it, then its life.
- When this process itself was held up (stopped, starved, a machine asleep), nobody's time has passed.
"""

from collections.abc import Hashable, Mapping
from enum import Enum
from typing import Final, NamedTuple

__all__ = ["DUMP_TIME", "BlockJudge", "Sign", "Step", "Verdict"]

DUMP_TIME: Final = 0.2
"""Seconds that a worker gets to write its stacks before it is killed."""
_LOOKS: Final = 20
"""So often a worker is looked at within the time that it may be blocked for."""
_LONGEST_PAUSE: Final = 0.5
_MOMENT: Final = 0.001
_HELD_UP: Final = 4
"""A look that comes so many times later than it was planned says something of us, not of the workers."""


class Sign(NamedTuple):
    """A sign of life.

    Attributes:
        heartbeat: When its loop turned last, monotonic seconds.
        mark: Changes when anything else happens.
    """

    heartbeat: float
    mark: Hashable = None


class Step(Enum):
    """What is to be done to a blocked worker."""

    WARN = "warn"
    SHOW = "show"
    END = "end"


class Verdict(NamedTuple):
    """A worker is blocked.

    Attributes:
        pid: Its process id.
        step: What is to be done: WARN at half the time, with its stacks; SHOW its stacks again; END it.
        late: Seconds since it moved.
    """

    pid: int
    step: Step
    late: float


class _Case:
    """What is known of one worker."""

    __slots__ = ("moved", "sign", "steps")

    def __init__(self, sign: Sign, moved: float) -> None:
        self.sign = sign
        self.moved = moved
        self.steps = 0


class BlockJudge:
    """Judges the workers of a server.

    Args:
        limit: LOOP_TIMEOUT in seconds; 0: nobody is judged.

    Attributes:
        due: When to look next; infinity if nobody is judged.
    """

    def __init__(self, limit: float) -> None:
        self._limit = 0.0
        self._cases: dict[int, _Case] = {}
        self._looked: float | None = None
        self.due = float("inf")
        self.limit = limit

    @property
    def limit(self) -> float:
        """LOOP_TIMEOUT in seconds; 0: nobody is judged."""
        return self._limit

    @limit.setter
    def limit(self, limit: float) -> None:
        if limit != self._limit:
            self._limit = limit
            self._looked = None
            self.due = 0.0 if limit else float("inf")

    @property
    def pause(self) -> float:
        """Seconds between two looks."""
        return min(self._limit / _LOOKS, _LONGEST_PAUSE)

    def look(self, signs: Mapping[int, Sign], now: float) -> list[Verdict]:
        """Judge the workers that serve, by their process ids."""
        held_up = self._held_up(now)
        self._looked = now
        self.due = now + self.pause if self._limit else float("inf")
        self._cases = {pid: self._follow(pid, sign, now, held_up) for pid, sign in signs.items()}
        return [verdict for pid, case in self._cases.items() for verdict in self._judge(pid, case, now)]

    def _held_up(self, now: float) -> float:
        """Seconds for which this process did not run."""
        if self._looked is None:
            return 0.0
        passed = now - self._looked
        return passed - self.pause if passed > max(_HELD_UP * self.pause, 1.0) else 0.0

    def _follow(self, pid: int, sign: Sign, now: float, held_up: float) -> _Case:
        case = self._cases.get(pid)
        if case is None:
            return _Case(sign, now)
        if sign != case.sign:
            moved = sign.heartbeat if sign.mark == case.sign.mark else now
            case.sign, case.moved, case.steps = sign, min(max(moved, case.moved), now), 0
        elif held_up:
            case.moved = min(case.moved + held_up, now)
        return case

    def _judge(self, pid: int, case: _Case, now: float) -> list[Verdict]:
        if not self._limit:
            return []
        late = now - case.moved
        times = (self._limit / 2, self._limit, self._limit + DUMP_TIME)
        if case.steps >= len(times):
            return []
        if late < times[case.steps]:
            self.due = min(self.due, max(case.moved + times[case.steps], now + _MOMENT))
            return []
        step = (Step.WARN, Step.SHOW, Step.END)[case.steps]
        case.steps += 1
        if case.steps == 2:  # it has the time to write, however late we were
            self.due = min(self.due, now + DUMP_TIME)
        return [Verdict(pid, step, late)]
