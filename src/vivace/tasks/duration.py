"""Lengths of time as people write them: ``30s``, ``5m``, ``1h30m``.

Rules of this file: a number is seconds; text needs units; nothing is negative, endless or not a number.
"""

import math
import re
from datetime import timedelta
from typing import Final

from vivace.errors import DeclarationError

__all__ = ["parse_duration", "show_duration"]

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART: Final = r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d|w)"
_WHOLE: Final = re.compile(rf"(?:{_PART}\s*)+", re.ASCII)


def parse_duration(value: float | str | timedelta) -> float:
    """The seconds of a length of time.

    Args:
        value: A number of seconds, a `timedelta`, or text such as ``500ms``, ``30s``, ``1h30m``, ``2d``.

    Raises:
        DeclarationError: It is none.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if math.isfinite(value) and value >= 0:
            return float(value)
    elif isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return sum(float(count) * _UNITS[unit] for count, unit in re.findall(_PART, value))
    raise DeclarationError(
        f"{value!r} is no length of time; expected seconds, or text such as 500ms, 30s, 5m, 1h30m or 2d"
    )


def show_duration(seconds: float) -> str:
    """The same in the largest unit that leaves a short number, such as ``1.5h``."""
    for unit in ("d", "h", "m"):
        if seconds >= _UNITS[unit]:
            return f"{seconds / _UNITS[unit]:.3g}{unit}"
    return f"{seconds:.3g}s"
