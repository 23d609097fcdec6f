"""Which events are told: each alarm once in a while, and its end once.

Rules of this file:

- Pure: every call brings `now`.
- An event and a subject are one alarm. What is held back is counted and told with the next. An end is told
  only if its beginning was.
"""

from typing import Final

import msgspec

from vivace.config.alarms import Alarm

__all__ = ["AlarmBook"]

MOST: Final = 1000
"""Alarms that are remembered; then the oldest is forgotten."""


class _Known:
    """One alarm."""

    __slots__ = ("held_back", "open", "told")

    def __init__(self, told: float) -> None:
        self.told = told
        self.open = True
        self.held_back = 0


class AlarmBook:
    """Remembers what was told.

    Args:
        interval: ALARM_INTERVAL in seconds.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._known: dict[tuple[str, str], _Known] = {}

    def note(self, alarm: Alarm, now: float) -> Alarm | None:
        """What is to be told of an event; None: nothing."""
        key = alarm.event, alarm.subject
        known = self._known.get(key)
        if alarm.resolved:
            if known is None or not known.open:
                return None
            known.open = False
            return alarm
        if known is None:
            self._remember(key, now)
            return alarm
        if now - known.told < self._interval:
            known.held_back += 1
            return None
        told = msgspec.structs.replace(alarm, held_back=known.held_back)
        known.told, known.open, known.held_back = now, True, 0
        return told

    def _remember(self, key: tuple[str, str], now: float) -> None:
        if len(self._known) >= MOST:
            del self._known[min(self._known, key=lambda one: self._known[one].told)]
        self._known[key] = _Known(now)
