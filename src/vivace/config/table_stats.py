"""The settings about figures: who is told them, and how often memory is written down.

A part of `vivace.config.table`, which says what a declaration is for.
"""

from typing import Final

from vivace.config.setting import Setting

__all__ = ["STATS_SETTINGS"]

_STATS: Final = "Figures"

STATS_SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "ADMIN_TOKEN",
        "str",
        "",
        "The Bearer token that /metrics and /stats want; without one only this machine is told.",
        _STATS,
        flag="-",
        scope="process",
        secret=True,
    ),
    Setting(
        "ADMIN_CERT",
        "str",
        "",
        "The certificate that ADMIN_BIND is served with by HTTPS, and its chain: a file in PEM form.",
        _STATS,
        scope="process",
    ),
    Setting(
        "ADMIN_KEY",
        "str",
        "",
        "Its private key: a file in PEM form; empty: it is in the same file.",
        _STATS,
        scope="process",
    ),
    Setting(
        "STATS_BIND",
        "binds",
        "",
        "Where uwsgitop gets figures: 127.0.0.1:port or unix:/path, none that others reach; or nowhere.",
        _STATS,
        scope="process",
    ),
    Setting(
        "MEMORY_REPORT",
        "float",
        0.0,
        "A line of the log with the memory of each process is written so often; 0 is never.",
        _STATS,
        "seconds",
        minimum=0.0,
        maximum=86400.0,
        scope="process",
    ),
)
