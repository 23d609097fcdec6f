"""The memory report: what each process of a server takes, alone and with others.

Rules of this file:

- PSS adds up to what the server takes in all; USS is what the end of one process would give back; RSS counts
  what is shared once for each.
- Nothing here asks a process: it is all read from /proc.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from vivace.supervisor.system.procfs import Memory, children, memory_of

__all__ = ["MemoryReport", "weigh"]

logger = logging.getLogger("vivace")


def weigh(
    workers: Iterable[Mapping[str, Any]], beside: Iterable[Mapping[str, Any]], pid: int = 0
) -> list[dict[str, Any]]:
    """A row of each process: what it is, its pid, and its memory in octets; None where that is not told.

    Args:
        workers: As `Status.workers` gives them.
        beside: What runs beside them.
        pid: Of the supervisor; 0: this process.
    """
    pid = pid or os.getpid()
    names = {pid: "supervisor"}
    names |= {one["pid"]: f"worker {one['worker']}" for one in workers if one.get("pid")}
    names |= {one["pid"]: str(one["name"]) for one in beside if one.get("pid")}
    for child in children(pid):
        names.setdefault(child, "template")
    rows = []
    for number, name in names.items():
        found = memory_of(number)
        sizes: dict[str, int | None] = dict.fromkeys(Memory._fields)
        if found is not None:
            sizes.update(found._asdict())
        rows.append({"process": name, "pid": number, **sizes})
    return rows


class MemoryReport:
    """Writes the report into the log from time to time; a chore.

    Args:
        every: MEMORY_REPORT in seconds; 0: never.
        rows: Gives the rows of `weigh`.

    Attributes:
        due: See `vivace.supervisor.chores.housekeeping.Chore`.
    """

    def __init__(self, every: float, rows: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        self.due = time.monotonic() + every if every else float("inf")
        self._every = every
        self._rows = rows

    def look(self, now: float) -> None:
        """Write one."""
        rows = self._rows()
        said = [
            f"{one['process']} {_mega(one['rss'])}/{_mega(one['pss'])}/{_mega(one['uss'])}" for one in rows
        ]
        total = _mega(sum(one["pss"] or 0 for one in rows))
        logger.info("memory (rss/pss/uss): %s; in all %s", ", ".join(said), total)
        self.due = now + self._every


def _mega(octets: int | None) -> str:
    return "-" if octets is None else f"{octets >> 20}M"
