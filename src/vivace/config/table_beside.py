"""The settings about what runs beside the workers: foreign programs, and commands at stages.

A part of `vivace.config.table`, which says what a declaration is for.
"""

from typing import Final

from vivace.config.setting import Setting

__all__ = ["BESIDE_SETTINGS"]

_BESIDE: Final = "Beside the workers"

BESIDE_SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "DAEMON",
        "daemons",
        "",
        "Programs that run beside the workers: [[daemon]] tables of a file, or JSON; see docs/daemons.md.",
        _BESIDE,
        flag="-",
        scope="process",
    ),
    Setting(
        "PROCFILE",
        "str",
        "",
        "A Procfile whose processes, but for web and release, run beside the workers as daemons.",
        _BESIDE,
        scope="process",
    ),
    Setting(
        "HOOKS",
        "hooks",
        "",
        "Commands before_start, after_ready, before_restart and before_stop; see docs/daemons.md.",
        _BESIDE,
        flag="-",
        scope="process",
    ),
)
