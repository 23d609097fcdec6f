"""How many workers: a number, or two between which the server decides by the load.

Rules of this file:

- The number is the greatest that there may ever be: what is shared out among workers is shared by it.
"""

import re
from typing import Final

__all__ = ["MOST_WORKERS", "WorkerRange", "is_possible", "least_workers", "parse_range", "show_workers"]

MOST_WORKERS: Final = 256
"""What a server that runs may be told to have at most: a slip of the finger must not end a machine."""

_RANGE: Final = re.compile(r"([0-9]{1,5})\s*\.\.\s*([0-9]{1,5})", re.ASCII)


class WorkerRange(int):
    """The greatest number of workers.

    Attributes:
        least: How many there are at least.
    """

    least: int

    @classmethod
    def of(cls, least: int, most: int) -> "WorkerRange":
        """From `least` to `most` workers."""
        made = cls(most)
        made.least = least
        return made


def parse_range(text: str) -> tuple[int, int] | None:
    """The two numbers of ``2..8``; None if it is not of that form."""
    found = _RANGE.fullmatch(text.strip())
    return (int(found[1]), int(found[2])) if found else None


def is_possible(workers: object) -> bool:
    """Whether a server that runs may be told to have so many."""
    return isinstance(workers, int) and not isinstance(workers, bool) and 1 <= workers <= MOST_WORKERS


def least_workers(workers: int) -> int:
    """The least number of workers that a value of WORKERS asks for."""
    return workers.least if isinstance(workers, WorkerRange) else workers


def show_workers(workers: int) -> str:
    """A value of WORKERS as a person writes it."""
    least = least_workers(workers)
    return f"{least}..{int(workers)}" if least != workers else str(int(workers))
