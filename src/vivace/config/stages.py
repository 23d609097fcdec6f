"""Commands at stages of a server's life: what ``[hooks]`` of a file may say.

    [hooks]
    before_start = ["python", "manage.py", "migrate"]
    timeout = 120

Rules of this file:

- The value of HOOKS is JSON text, the same for a table of a file, a variable and a mapping of the program.
- A command is a list of texts, or one text that is split as a shell does; several are a list of lists.
"""

import shlex
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from vivace.errors import ConfigError

__all__ = ["STAGES", "Stages", "parse_stages", "show_stages"]

STAGES: Final = ("before_start", "after_ready", "before_restart", "before_stop")
TIMEOUT: Final = 60.0
"""Seconds that a command may take if nothing else is said."""


class Stages(msgspec.Struct, frozen=True, kw_only=True):
    """The commands.

    Attributes:
        commands: By stage, in their order.
        timeout: Seconds that each may take.
    """

    commands: dict[str, list[list[str]]] = {}
    timeout: float = TIMEOUT

    def at(self, stage: str) -> list[list[str]]:
        """Those of a stage."""
        return self.commands.get(stage, [])


def parse_stages(value: object) -> Stages:
    """Read what HOOKS may be: a table, or its JSON text.

    Raises:
        ConfigError: A stage is unknown, or a command cannot be.
    """
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value) if value.strip() else {}
        except msgspec.DecodeError as error:
            raise _refusal(f"{value!r} is no JSON: {error}") from None
    if not isinstance(value, Mapping):
        raise _refusal(f"{value!r} is no table; expected one with {', '.join(STAGES)} or timeout")
    given = {str(key).replace("-", "_"): found for key, found in value.items()}
    timeout = given.pop("timeout", TIMEOUT)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
        raise _refusal(f"timeout={timeout!r}; expected seconds above 0")
    if unknown := [stage for stage in given if stage not in STAGES]:
        raise _refusal(f"there is no stage {unknown[0]!r}; expected one of {', '.join(STAGES)}")
    return Stages(
        commands={stage: _commands(stage, found) for stage, found in given.items()}, timeout=timeout
    )


def show_stages(stages: Stages) -> str:
    """The value of HOOKS for them."""
    if not stages.commands:
        return ""
    return msgspec.json.encode({**stages.commands, "timeout": stages.timeout}).decode()


def _commands(stage: str, value: Any) -> list[list[str]]:
    several = value if isinstance(value, list) and value and isinstance(value[0], list) else [value]
    return [_command(stage, one) for one in several]


def _command(stage: str, value: Any) -> list[str]:
    try:
        words = shlex.split(value) if isinstance(value, str) else value
    except ValueError as error:
        raise _refusal(f"{stage}: {value!r} cannot be split into arguments: {error}") from None
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise _refusal(f"{stage}: {value!r} is no command; expected a program and its arguments")
    return words


def _refusal(why: str) -> ConfigError:
    return ConfigError(f"HOOKS: {why}", key="HOOKS")
