"""Which events are told: each alarm once in a while, and its end once.

Rules of this file:

- Pure: every call brings `now`, seconds of a clock that all processes of a machine share.
- An event and a subject are one alarm. What is held back is counted and told with the next. An end is told
  only if its beginning was.
- Whoever was told that it is over is told that it began again, at the end of the interval at the latest.
- Subjects may come from strangers, such as paths: of one event only so many are told in an interval.
"""

from typing import Final

import msgspec

from vivace.config.alarms import Alarm

__all__ = ["AlarmBook"]

MOST: Final = 1000
"""Alarms that are remembered; then the oldest is forgotten."""
SUBJECTS: Final = 20
"""Subjects of one event that are told in an interval."""


class _Known(msgspec.Struct):
    """One alarm, or an event that has too many subjects.

    Attributes:
        told: When it was told.
        open: Its beginning was told, and its end was not.
        held_back: How often it was not told since.
        subjects: Of an event: how many were told since.
        waits: What is told when the interval is over.
    """

    told: float
    open: bool = True
    held_back: int = 0
    subjects: int = 0
    waits: Alarm | None = None


class AlarmBook:
    """Remembers what was told.

    Args:
        interval: ALARM_INTERVAL in seconds.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._known: dict[tuple[str, str], _Known] = {}
        self._events: dict[str, _Known] = {}

    def note(self, alarm: Alarm, now: float) -> Alarm | None:
        """What is to be told of an event; None: nothing."""
        key = alarm.event, alarm.subject
        known = self._known.get(key)
        if alarm.resolved:
            return self._end(alarm, known)
        if known is None:
            return self._begin(key, alarm, now)
        if now - known.told < self._interval:
            known.held_back += 1
            if not known.open:
                known.waits = alarm
            return None
        return self._tell(known, alarm, now)

    def due(self, now: float) -> list[Alarm]:
        """What was held back and is to be told now."""
        found = []
        for known in (*self._known.values(), *self._events.values()):
            if known.waits is not None and now - known.told >= self._interval:
                known.held_back -= 1  # itself
                found.append(self._tell(known, known.waits, now))
        for alarm in found:
            self._remember((alarm.event, alarm.subject), now)
        return found

    def next_due(self) -> float:
        """When `due` has something; infinity: nothing waits."""
        waiting = [one.told for one in (*self._known.values(), *self._events.values()) if one.waits]
        return min(waiting, default=float("inf")) + self._interval

    def save(self) -> bytes:
        """All of it, for the book of the next process."""
        return msgspec.json.encode([[[*key, known] for key, known in self._known.items()], self._events])

    def restore(self, data: bytes) -> None:
        """Remember what `save` of another book gave; what cannot be read is left out."""
        kind = tuple[list[tuple[str, str, _Known]], dict[str, _Known]]
        try:
            alarms, self._events = msgspec.json.decode(data, type=kind)
        except msgspec.MsgspecError:
            return
        self._known = {(event, subject): known for event, subject, known in alarms}

    def _end(self, alarm: Alarm, known: _Known | None) -> Alarm | None:
        if known is None:
            return None
        known.waits = None
        was_open, known.open = known.open, False
        return alarm if was_open else None

    def _begin(self, key: tuple[str, str], alarm: Alarm, now: float) -> Alarm | None:
        event = self._events.get(alarm.event)
        if event is None or now - event.told >= self._interval:
            if event is None and len(self._events) >= MOST:
                del self._events[min(self._events, key=lambda name: self._events[name].told)]
            held_back = event.held_back if event is not None else 0
            alarm = msgspec.structs.replace(alarm, held_back=held_back) if held_back else alarm
            event = self._events[alarm.event] = _Known(now)
        if event.subjects >= SUBJECTS:
            event.held_back += 1
            event.waits = alarm
            return None
        event.subjects += 1
        self._remember(key, now)
        return alarm

    def _remember(self, key: tuple[str, str], now: float) -> None:
        if key not in self._known and len(self._known) >= MOST:
            del self._known[min(self._known, key=lambda one: self._known[one].told)]
        self._known[key] = _Known(now)

    def _tell(self, known: _Known, alarm: Alarm, now: float) -> Alarm:
        told = msgspec.structs.replace(alarm, held_back=known.held_back)
        known.told, known.open, known.held_back, known.waits = now, True, 0, None
        known.subjects = 0
        return told
