"""The settings of clients that joined groups, and of event streams.

A part of `vivace.config.table`, which says what a declaration is for.
"""

from typing import Final

from vivace.config.setting import Setting

__all__ = ["GROUP_SETTINGS"]

_GROUPS: Final = "Groups"

GROUP_SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "GROUP_BUFFER_SIZE",
        "int",
        524_288,
        "Messages of groups that may wait for a client that is slow, beside HUB_QUEUE of them.",
        _GROUPS,
        "octets",
        minimum=1,
    ),
    Setting(
        "GROUP_RECHECK_GRACE",
        "float",
        60.0,
        "How long whether a client may stay in a group can fail to be checked; then it is out.",
        _GROUPS,
        "s",
        minimum=0,
    ),
    Setting(
        "SSE_HEARTBEAT",
        "float",
        15.0,
        "Silence on an event stream after which a comment is sent; 0 sends none.",
        _GROUPS,
        "s",
        minimum=0,
    ),
)
