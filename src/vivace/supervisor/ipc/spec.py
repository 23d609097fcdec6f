"""What the supervisor is told of a companion: `vivace.framework.beside.Companion` without its code."""

import msgspec

__all__ = ["CompanionSpec"]


class CompanionSpec(msgspec.Struct, frozen=True):
    """A companion.

    Attributes:
        name: See `vivace.framework.beside.Companion`; so the others.
        instances: The same, as a number.
        restart: The same.
        grace: The same, as a number of seconds.
        kind: The same.
        tells: The same.
        early: The same.
        keeps: The same.
    """

    name: str
    instances: int = 1
    restart: str = "always"
    grace: float = 15.0
    kind: str = "service"
    tells: bool = False
    early: bool = False
    keeps: bool = False
