"""The setting about files that the server sends by itself, beside any app.

A part of `vivace.config.table`, which says what a declaration is for.
"""

from typing import Final

from vivace.config.setting import Setting

__all__ = ["STATIC_SETTINGS"]

STATIC_SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "STATIC",
        "mounts",
        "",
        "Folders whose files are sent without the app: /prefix=folder; --static may be given several times.",
        "Application",
        flag="-",
        scope="process",
    ),
)
