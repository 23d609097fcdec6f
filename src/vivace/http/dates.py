"""Dates of HTTP (RFC 9110 section 5.6.7): one format is written, three are read.

Rules: no locale takes part; a value that is not exactly one of the three formats is no date (``None``, for a
recipient ignores such a field); the clock is an argument.
"""

import math
import re
from datetime import UTC, datetime
from typing import Final

__all__ = ["format_date", "parse_date"]

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LONG_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_TIME: Final = r"([0-9]{2}):([0-9]{2}):([0-9]{2})"
_DAY: Final = "|".join(_DAYS)
_LONG_DAY: Final = "|".join(_LONG_DAYS)
_MONTH: Final = "|".join(_MONTHS)
_IMF: Final = re.compile(rf"({_DAY}), ([0-9]{{2}}) ({_MONTH}) ([0-9]{{4}}) {_TIME} GMT")
_RFC850: Final = re.compile(rf"(?:{_LONG_DAY}), ([0-9]{{2}})-({_MONTH})-([0-9]{{2}}) {_TIME} GMT")
_ASCTIME: Final = re.compile(rf"({_DAY}) ({_MONTH}) ([0-9]{{2}}| [0-9]) {_TIME} ([0-9]{{4}})")


def format_date(timestamp: float) -> str:
    """Write `timestamp` as an IMF-fixdate, such as ``Sun, 06 Nov 1994 08:49:37 GMT``.

    Args:
        timestamp: Seconds since 1970-01-01 UTC; a fraction is cut off.
    """
    when = datetime.fromtimestamp(math.floor(timestamp), UTC)
    return (
        f"{_DAYS[when.weekday()]}, {when.day:02d} {_MONTHS[when.month - 1]} {when.year:04d} "
        f"{when.hour:02d}:{when.minute:02d}:{when.second:02d} GMT"
    )


def parse_date(value: str, now: float | None = None) -> float | None:
    """Read a date in any of the three formats of RFC 9110 section 5.6.7.

    Args:
        value: The field's value, without surrounding white space.
        now: Seconds since 1970: decides the century of a two-digit year (not more than 50 years ahead, as the
            section demands). Without it 70 to 99 are 19xx and 00 to 69 are 20xx.

    Returns:
        Seconds since 1970-01-01 UTC; None if `value` is not a date.
    """
    if found := _IMF.fullmatch(value):
        name, day, month, year, hour, minute, second = found.groups()
        return _assemble(name, int(year), month, day, hour, minute, second)
    if found := _RFC850.fullmatch(value):
        day, month, short, hour, minute, second = found.groups()
        return _assemble(None, _full_year(int(short), now), month, day, hour, minute, second)
    if found := _ASCTIME.fullmatch(value):
        name, month, day, hour, minute, second, year = found.groups()
        return _assemble(name, int(year), month, day, hour, minute, second)
    return None


def _assemble(
    name: str | None, year: int, month: str, day: str, hour: str, minute: str, second: str
) -> float | None:
    # The grammar allows second 60 (a leap second), which datetime does not know.
    leap = second == "60"
    seconds = 59 if leap else int(second)
    try:
        when = datetime(year, _MONTHS.index(month) + 1, int(day), int(hour), int(minute), seconds, tzinfo=UTC)
    except ValueError:
        return None
    if name is not None and name != _DAYS[when.weekday()]:
        return None
    return when.timestamp() + leap


def _full_year(short: int, now: float | None) -> int:
    if now is None:
        return 1900 + short if short >= 70 else 2000 + short
    current = datetime.fromtimestamp(now, UTC).year
    year = current - current % 100 + short
    return year - 100 if year > current + 50 else year
