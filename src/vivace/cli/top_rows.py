"""What `vivace top` shows of each worker, and how it is made of what a supervisor tells.

Rules of this file:

- Plain values in, plain text out: it is drawn elsewhere, or written where there is no terminal.
- Rates and times are those since the look before; counts are those of the process.
- Whatever a stranger may have chosen is escaped: a terminal obeys some octets.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from vivace.cli.columns import show_age, show_number, show_size
from vivace.server.durations import DURATIONS

__all__ = ["COLUMNS", "NARROW", "SORTS", "Looks", "cells", "heading", "quantile", "safe", "show_time"]

Row = dict[str, Any]

SORTS: Final[dict[str, tuple[str, Callable[[Row], Any]]]] = {
    "w": ("worker", lambda one: one["worker"]),
    "s": ("rate", lambda one: -(one.get("rate") or 0.0)),
    "l": ("latency", lambda one: -(one.get("p95") or 0.0)),
    "a": ("active", lambda one: -(one.get("active") or 0)),
    "p": ("cpu", lambda one: -(one.get("cpu") or 0.0)),
    "m": ("memory", lambda one: -(one.get("rss") or 0)),
}
"""Key -> what it sorts by, and how."""
COLUMNS: Final = (
    *("WORKER", "PID", "GEN", "STATE", "UP", "SERVED", "REQ/S", "P95", "4XX", "5XX", "ACTIVE"),
    *("CONNS", "DELAY", "CPU", "RSS", "EXITS", "OLDEST"),
)
NARROW: Final = ("WORKER", "STATE", "UP", "REQ/S", "P95", "5XX", "ACTIVE", "CPU", "RSS", "OLDEST")
"""What of `COLUMNS` there is room for in a terminal of 80 columns."""
_WIDEST: Final = 240
"""Characters of a line at most."""


class _Look(NamedTuple):
    """A process at the last look."""

    uptime: float
    served: int
    counts: Sequence[int]


class Looks:
    """Remembers the last look, to tell what came since."""

    def __init__(self) -> None:
        self._before: dict[int, _Look] = {}

    def rows(self, workers: Sequence[Row], key: str) -> list[Row]:
        """The workers in order, with ``rate`` (a second), ``p95`` (seconds) and ``new`` (durations).

        Args:
            workers: As a supervisor tells them.
            key: Of `SORTS`.
        """
        now = {one["pid"]: _look(one) for one in workers if one.get("pid")}
        found = []
        for one in workers:
            look = now.get(one.get("pid") or 0, _look(one))
            then = self._before.get(one.get("pid") or 0, look)
            new = [count - had for count, had in zip(look.counts, then.counts, strict=False)]
            passed = look.uptime - then.uptime
            rate = (look.served - then.served) / passed if passed > 0.05 else 0.0
            found.append({**one, "rate": rate, "new": new, "p95": quantile(new, 0.95)})
        self._before = now
        return sorted(found, key=lambda one: (SORTS[key][1](one), one["worker"]))


def _look(one: Row) -> _Look:
    counts = (one.get("durations") or {}).get("counts", (0,) * len(DURATIONS))
    return _Look(one.get("uptime") or 0.0, one.get("served") or 0, counts)


def quantile(counts: Sequence[int], share: float) -> float | None:
    """Seconds within which that share of requests was answered, as near as the counts tell; None of nothing.

    Args:
        counts: By `DURATIONS`.
        share: Above 0, up to 1.
    """
    wanted = sum(counts) * share
    below = 0.0
    for count, bound in zip(counts, DURATIONS, strict=False):
        if count and count >= wanted:
            return below + (bound - below) * wanted / count if bound < float("inf") else below
        wanted -= count
        below = bound
    return None


def heading(server: Mapping[str, Any], rows: Sequence[Row], order: str) -> str:
    """Two lines about the server.

    Args:
        server: As a supervisor tells it.
        rows: Of `Looks`.
        order: By what they are sorted.
    """
    ready = f"{server['ready']} of {server['wanted']} workers ready"
    rate = sum(one["rate"] for one in rows)
    p95 = quantile([sum(counts) for counts in zip(*(one["new"] for one in rows), strict=False)], 0.95)
    quick = f"95 % within {show_time(p95)}, " if p95 is not None else ""
    first = f"{server['name']}: {server['state']}, {ready}, generation {server['generation']}"
    return f"{safe(first)}\nup {show_age(server['uptime'])}, {rate:.0f} requests/s, {quick}by {order}"


def cells(one: Row, columns: Sequence[str] = COLUMNS) -> list[str]:
    """The texts of a row.

    Args:
        one: Of `Looks`.
        columns: Which, of `COLUMNS`.
    """
    oldest = one.get("oldest")
    responses = one.get("responses") or {}
    texts = [
        str(one["worker"]),
        show_number(one.get("pid") or None),
        show_number(one.get("generation")),
        one["state"],
        show_age(one.get("uptime")),
        show_number(one.get("served")),
        f"{one['rate']:.0f}",
        show_time(one["p95"]),
        *(show_number(responses.get(name)) for name in ("4xx", "5xx")),
        *(show_number(one.get(name)) for name in ("active", "connections")),
        show_time(one.get("delay_p95")),
        "-" if one.get("cpu") is None else f"{one['cpu'] * 100:.0f}%",
        show_size(one.get("rss")),
        str(one["restarts"]),
        one.get("suspect") or (f"{oldest['request']} {oldest['age']:.1f}s" if oldest else ""),
    ]
    return [safe(text) for name, text in zip(COLUMNS, texts, strict=True) if name in columns]


def show_time(seconds: float | None) -> str:
    """A short time."""
    if seconds is None:
        return "-"
    if seconds >= 1.0:
        return f"{seconds:.1f}s"
    return f"{seconds * 1000:.1f}ms" if seconds < 0.01 else f"{seconds * 1000:.0f}ms"


def safe(text: str) -> str:
    """A text without anything that a terminal obeys, and without very long lines."""
    lines = [line if len(line) <= _WIDEST else f"{line[:_WIDEST]}..." for line in text.split("\n")]
    shown = "\n".join(lines)
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in shown)
