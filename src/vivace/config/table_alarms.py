"""The settings about alarms: who is told of what, and how often.

A part of `vivace.config.table`, which says what a declaration is for.
"""

from typing import Final

from vivace.config.setting import Setting

__all__ = ["ALARM_SETTINGS"]

_ALARMS: Final = "Alarms"

ALARM_SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "ALARM",
        "alarms",
        "",
        "Who is told of what: [[alarm]] tables of a file, or JSON; see docs/alarms.md.",
        _ALARMS,
        flag="-",
        scope="process",
        secret=True,
    ),
    Setting(
        "ALARM_INTERVAL",
        "float",
        300.0,
        "Time in which the same alarm is told once; how often it happened is told with the next.",
        _ALARMS,
        "seconds",
        minimum=0,
        maximum=86_400,
    ),
)
