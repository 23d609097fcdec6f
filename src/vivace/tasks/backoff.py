"""How long a task that failed waits for its next attempt.

Rules of this file: chance is an argument, so that a test knows the answer.
"""

import re
from typing import Final, NamedTuple

from vivace.errors import DeclarationError
from vivace.tasks.duration import parse_duration

__all__ = ["Backoff"]

JITTER: Final = 0.25
"""The part of a wait that chance may take off, so that what failed together does not come back together."""
_RULE: Final = re.compile(r"(?:(exp|linear|fixed):)?([^.+]+(?:\.[0-9]+\w*)?)(?:\.\.([^+]+))?(?:\+jitter)?")


class Backoff(NamedTuple):
    """A rule for waits.

    Attributes:
        kind: ``exp``: twice as long each time; ``linear``: longer by the first each time; ``fixed``.
        first: Seconds before the second attempt.
        most: The longest wait, in seconds.
    """

    kind: str
    first: float
    most: float

    @classmethod
    def parse(cls, rule: "str | float") -> "Backoff":
        """Read ``exp:2s..10m``, ``linear:5s..1m``, ``fixed:30s`` or ``30s``; ``+jitter`` is always meant.

        Raises:
            DeclarationError: It is no rule.
        """
        if not isinstance(rule, str):
            return cls("fixed", *[parse_duration(rule)] * 2)
        found = _RULE.fullmatch(rule.strip())
        if found is None or (found[3] is None) != (found[1] in (None, "fixed")):
            raise DeclarationError(
                f"backoff {rule!r} is not understood; expected exp:2s..10m, linear:5s..1m or fixed:30s"
            )
        first = parse_duration(found[2])
        most = parse_duration(found[3]) if found[3] else first
        if most < first:
            raise DeclarationError(f"backoff {rule!r}: the longest wait is shorter than the first")
        return cls(found[1] or "fixed", first, most)

    def wait(self, attempt: int, chance: float) -> float:
        """Seconds until the next attempt.

        Args:
            attempt: The number of the one that failed, from 1.
            chance: From 0 to 1: nothing, or all of the jitter, is taken off.
        """
        steps = {"exp": 2.0 ** min(attempt - 1, 60), "linear": float(attempt)}
        length = min(self.first * steps.get(self.kind, 1.0), self.most)
        return length * (1.0 - JITTER * chance)
