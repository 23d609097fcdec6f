"""The settings of groups: where their hub's engine is, and what messages and queues may take.

A part of `vivace.config.table`, which says what a declaration is for.
"""

from typing import Final

from vivace.config.setting import Setting

__all__ = ["HUB_SETTINGS"]

_HUB: Final = "Groups"


def _count(name: str, default: int, unit: str, minimum: int, help: str) -> Setting:  # noqa: A002
    return Setting(name, "int", default, help, _HUB, unit, minimum=minimum)


HUB_SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "HUB_URL",
        "str",
        "",
        "What connects the groups of machines: redis://, postgres:// ... or redis for the platform's URL.",
        _HUB,
        secret=True,
    ),
    Setting(
        "HUB_PREFIX", "str", "vivace", "Begins every name that the hub uses in the engine's server.", _HUB
    ),
    Setting(
        "HUB_SOCKET",
        "str",
        "",
        "The path of the hub's socket, for processes that the server does not start: Celery, manage.py.",
        _HUB,
    ),
    _count("HUB_QUEUE", 256, "messages", 1, "What may wait for a subscriber that is slow."),
    _count("HUB_MAX_MESSAGE", 1_048_576, "octets", 1, "The largest message of a topic that says nothing."),
    _count("HUB_OUTBOX", 1000, "messages", 1, "What may wait in a process while the hub is away."),
    Setting(
        "HUB_TIMEOUT",
        "float",
        5.0,
        "How long a message may wait while the hub is away.",
        _HUB,
        "s",
        minimum=0,
    ),
    Setting(
        "HUB_PING_INTERVAL",
        "float",
        15.0,
        "How long the engine's server may be silent before it is asked for a sign of life.",
        _HUB,
        "s",
        minimum=1,
    ),
    Setting(
        "HUB_PING_TIMEOUT",
        "float",
        5.0,
        "How long the engine's server may owe an answer; then it is connected anew.",
        _HUB,
        "s",
        minimum=1,
    ),
    Setting(
        "HUB_PRESENCE_TTL",
        "float",
        30.0,
        "How long who is present on a machine that died is still shown on the others; the same on all.",
        _HUB,
        "s",
        minimum=1,
    ),
    Setting(
        "HUB_LINGER",
        "float",
        2.0,
        "How long a process still follows a topic that nobody in it wants any more.",
        _HUB,
        "s",
        minimum=0,
    ),
    _count(
        "HUB_HISTORY_SIZE", 67_108_864, "octets", 1, "What all histories may take together in a hub's memory."
    ),
    _count(
        "HUB_BUFFER",
        8_388_608,
        "octets",
        1024,
        "What may wait in the hub for a worker that reads too slowly.",
    ),
    Setting(
        "HUB_JOURNAL",
        "str",
        "",
        "The file that keeps histories when the hub's process dies; default: beside its socket.",
        _HUB,
    ),
)
