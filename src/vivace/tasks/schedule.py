"""When something is due: rules of cron, and of regular intervals.

    */5 8-18 * * mon-fri        every fifth minute of the working hours
    30s                         at every half minute of the clock

Rules of this file:

- A slot is a moment that follows from the rule alone: every process on every machine finds the same ones.
- Follows cron of Debian where clocks change, as the library cronsim does: what falls into the hour that is
  left out runs right behind it; what falls into the hour that comes twice runs once, or in both if hourly.
"""

from datetime import UTC, datetime, tzinfo
from hashlib import sha256
from typing import Final, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from vivace.errors import DeclarationError
from vivace.tasks.duration import parse_duration, show_duration

__all__ = [
    "CATCH_UPS",
    "OVERLAPS",
    "Cron",
    "Every",
    "Rule",
    "Schedule",
    "Watch",
    "check_words",
    "parse_jitter",
]

OVERLAPS: Final = ("skip", "queue", "allow")
"""What becomes of a slot whose run before is not done: it is left out, waits, or runs beside."""
CATCH_UPS: Final = ("last", "all", "none")
"""Of the slots that passed while no scheduler ran, these are run."""
SHORTEST: Final = 1.0
"""Seconds of the shortest interval; slots of cron are no closer."""
LONGEST: Final = 10 * 366 * 86400.0
"""Seconds of the longest: ten years."""
LATE: Final = 30.0
"""Seconds after which a slot counts as one that passed while no scheduler ran."""
MOST_MISSED: Final = 1000
"""Slots that are made up for, and that wait for a run before them; older ones are left out."""


class Rule(Protocol):
    """Where the slots are."""

    zone: tzinfo
    """In which they are shown."""

    def after(self, moment: float) -> float:
        """The next slot after a moment."""
        ...

    def last(self, moment: float) -> float:
        """The last slot that is not after a moment."""
        ...


class Cron:
    """A rule of cron.

    Args:
        text: Five fields; or six, with seconds before them.
        zone: The name of a time zone, such as ``Europe/Madrid``.

    Raises:
        DeclarationError: The rule or the zone is none.
    """

    def __init__(self, text: str, zone: str = "UTC") -> None:
        self.text = text
        self.zone: tzinfo = _find_zone(zone)
        from cronsim import CronSimError

        try:
            self.after(0.0)
        except (CronSimError, StopIteration) as error:
            raise DeclarationError(
                f"cron {text!r} cannot be: {str(error) or 'there is no such day'}; expected minute, hour,"
                " day, month and weekday, such as '*/5 8-18 * * mon-fri'"
            ) from None

    def after(self, moment: float) -> float:
        """See `Rule`."""
        return self._next(moment, reverse=False)

    def last(self, moment: float) -> float:
        """See `Rule`."""
        slot = self._next(moment + 1.0, reverse=True)  # behind it, since it may be a slot itself
        # Backwards, the library passes over slots of the hour that comes twice.
        while (later := self.after(slot)) <= moment:
            slot = later
        return slot

    def _next(self, moment: float, reverse: bool) -> float:
        from cronsim import CronSim

        start = datetime.fromtimestamp(int(moment), self.zone)
        return next(CronSim(self.text, start, reverse=reverse)).timestamp()

    def __str__(self) -> str:
        return self.text if self.zone is UTC else f"{self.text} {self.zone}"


class Every:
    """A regular interval, counted from the epoch: a restart does not move it.

    Args:
        length: Seconds, or text such as ``30s``.

    Raises:
        DeclarationError: It is none, shorter than `SHORTEST` or longer than `LONGEST`.
    """

    def __init__(self, length: float | str) -> None:
        self.length = parse_duration(length)
        self.zone: tzinfo = UTC
        if self.length < SHORTEST:
            raise DeclarationError(f"every {length!r}: expected at least {show_duration(SHORTEST)}")
        if self.length > LONGEST:
            raise DeclarationError(f"every {length!r}: expected {show_duration(LONGEST)} at most")

    def after(self, moment: float) -> float:
        """See `Rule`."""
        return (moment // self.length + 1) * self.length

    def last(self, moment: float) -> float:
        """See `Rule`."""
        return moment // self.length * self.length

    def __str__(self) -> str:
        return f"every {show_duration(self.length)}"


class Schedule(msgspec.Struct, frozen=True):
    """Something that is run again and again.

    Attributes:
        name: Of its task.
        rule: When.
        overlap: One of `OVERLAPS`.
        catch_up: One of `CATCH_UPS`.
        jitter: Seconds within which each run starts behind its slot.
    """

    name: str
    rule: Rule
    overlap: str = "skip"
    catch_up: str = "last"
    jitter: float = 0.0

    def due(self, since: float, now: float) -> list[float]:
        """The slots after a moment that are to be run now.

        Args:
            since: The last slot that was dealt with.
            now: The time.
        """
        if self.rule.after(since) > now:
            return []
        last = self.rule.last(now)
        if self.catch_up == "all":
            return self._newest(since, last)
        return [last] if self.catch_up == "last" or now - last <= LATE else []

    def _newest(self, since: float, slot: float) -> list[float]:
        # From the end: since the clock was set there may be more than could ever be counted.
        found: list[float] = []
        while slot > since and len(found) < MOST_MISSED:
            found.append(slot)
            slot = self.rule.last(slot - SHORTEST)
        return found[::-1]

    def start_of(self, slot: float) -> float:
        """When the run of a slot starts: the same everywhere, also where chance decides."""
        digest = sha256(f"{self.name} {slot}".encode()).digest()
        return slot + self.jitter * int.from_bytes(digest[:4], "big") / 2**32

    def key_of(self, slot: float) -> str:
        """What is there once among the runs that are not done."""
        return str(slot) if self.overlap == "allow" else "run"

    def next_slots(self, now: float, count: int) -> list[datetime]:
        """The next slots, in the zone of the rule."""
        found: list[datetime] = []
        for _ in range(count):
            now = self.rule.after(now)
            found.append(datetime.fromtimestamp(now, self.rule.zone))
        return found


class Watch(msgspec.Struct, frozen=True):
    """Files that are watched.

    Attributes:
        name: Of the task.
        pattern: Such as ``conf/**/*.yml``.
        debounce: Seconds for which nothing may change before the task is enqueued.
    """

    name: str
    pattern: str
    debounce: float


def check_words(name: str, overlap: str, catch_up: str) -> None:
    """Refuse words that are none of ours.

    Raises:
        DeclarationError: One is not.
    """
    for what, word, allowed in (("overlap", overlap, OVERLAPS), ("catch_up", catch_up, CATCH_UPS)):
        if word not in allowed:
            raise DeclarationError(f"{name}: {what}={word!r}: expected {', '.join(allowed)}", allowed=allowed)


def parse_jitter(jitter: float | str, length: float) -> float:
    """The seconds of a jitter: a length of time, or a part of the interval such as ``10%``.

    Raises:
        DeclarationError: It is neither, or longer than the interval.
    """
    if isinstance(jitter, str) and jitter.endswith("%") and jitter[:-1].strip().isdecimal():
        seconds = length * int(jitter[:-1]) / 100
    else:
        seconds = parse_duration(jitter)
    if seconds > length:
        raise DeclarationError(f"jitter={jitter!r} is longer than the interval of {show_duration(length)}")
    return seconds


def _find_zone(name: str) -> tzinfo:
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise DeclarationError(
            f"tz={name!r}: there is no such time zone here; expected a name such as Europe/Madrid (where the"
            " system has none at all, install tzdata)"
        ) from None
