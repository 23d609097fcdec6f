"""The settings about GraphQL: what a client may ask, and how long it is waited for.

A part of `vivace.config.table`, which says what a declaration is for.
"""

from typing import Final

from vivace.config.setting import Setting

__all__ = ["GRAPHQL_SETTINGS"]

_GROUP: Final = "GraphQL"


def _count(name: str, default: int, unit: str, help: str, minimum: int = 0) -> Setting:  # noqa: A002
    return Setting(f"GRAPHQL_{name}", "int", default, help, _GROUP, unit, minimum=minimum, flag="-")


def _seconds(name: str, default: float, help: str) -> Setting:  # noqa: A002
    return Setting(f"GRAPHQL_{name}", "float", default, help, _GROUP, "s", minimum=0, flag="-")


GRAPHQL_SETTINGS: Final[tuple[Setting, ...]] = (
    _count(
        "MAX_MESSAGE",
        1_048_576,
        "octets",
        "The largest GraphQL request (413), WebSocket message (1009) and sum of its live operations.",
        1,
    ),
    _count(
        "MAX_TOKENS",
        1000,
        "tokens",
        "The longest GraphQL document or list of them; scales what one may cost to check. 0 is any.",
    ),
    _count("MAX_DEPTH", 20, "levels", "How deep selections of a GraphQL operation may nest; 0 is any."),
    _count(
        "MAX_FIELDS",
        50_000,
        "fields",
        "The most fields that are resolved for one result of a GraphQL operation; 0 is any.",
    ),
    _count("MAX_BATCH", 10, "operations", "The most operations in one GraphQL request; 0: no lists of them."),
    _count(
        "MAX_OPERATIONS",
        100,
        "operations",
        "The most GraphQL operations that a WebSocket runs at a time; one more is refused.",
        1,
    ),
    _count(
        "MAX_QUEUE",
        256,
        "messages",
        "Events that a GraphQL subscription's client has not taken; with one more the subscription ends.",
        1,
    ),
    _count(
        "CACHE",
        131_072,
        "octets",
        "Checked GraphQL documents that a process remembers; each takes 100 to 300 times its size in memory.",
    ),
    _seconds(
        "INIT_TIMEOUT",
        10.0,
        "How long a GraphQL WebSocket may take to introduce itself (4408); 0 is for ever.",
    ),
    _seconds("KEEP_ALIVE", 20.0, "Between two signs of life of the sub-protocol graphql-ws; 0 is none."),
)
