"""Tables of the command line: columns, and how numbers are shown in them."""

from collections.abc import Sequence
from typing import Any, Final

__all__ = ["align", "show_age", "show_number", "show_size", "table_beside"]


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with each column as wide as its widest cell."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def show_number(value: int | None) -> str:
    """A number, or that there is none."""
    return "-" if value is None else str(value)


def show_age(seconds: float | None) -> str:
    """A time in its largest fitting unit."""
    if seconds is None:
        return "-"
    if seconds < 100:
        return f"{seconds:.0f}s"
    minutes = int(seconds // 60)
    if minutes < 100:
        return f"{minutes}m"
    return f"{minutes // 60}h" if minutes < 6000 else f"{minutes // 1440}d"


def show_size(octets: int | None) -> str:
    """Octets in mebioctets."""
    return "-" if octets is None else f"{octets / 1048576:.0f}M"


_BESIDE: Final = ("BESIDE", "KIND", "PID", "GEN", "STATE", "UP", "CPU", "RSS", "EXITS", "")


def table_beside(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What runs beside the workers; nothing if there is nothing.

    Args:
        rows: As a supervisor tells them.
    """
    return align([_BESIDE, *map(_row, rows)]) if rows else []


def _row(one: dict[str, Any]) -> list[str]:
    index = f" {one['index'] + 1}" if one["index"] else ""
    seconds = one.get("cpu_seconds")
    return [
        one["name"] + index,
        one["kind"],
        show_number(one["pid"] or None),
        show_number(one["generation"] or None),
        one["state"],
        show_age(one["uptime"] if one["pid"] else None),
        "-" if seconds is None else f"{seconds:.1f}s",
        show_size(one.get("rss")),
        str(one["restarts"]),
        _why(one),
    ]


def _why(one: dict[str, Any]) -> str:
    last = one["last_exit"]["how"] if one.get("last_exit") else ""
    if one["state"] == "backoff":
        return f"next try in {one['due'] or 0.0:.1f}s; {last}".rstrip("; ")
    return last if one["state"] == "ended" else ""
