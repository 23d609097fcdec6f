"""Commands of an app: functions that its program declares for the command line.

Rules of this file:

- A command is a function; its parameters are the options, their annotations the types.
- Nothing of the server runs: a command that needs what listeners open, opens it itself.
"""

import argparse
import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, overload

from vivace.errors import DeclarationError
from vivace.framework.handler import function_name

__all__ = ["Commands", "run_command"]

F = TypeVar("F", bound=Callable[..., Any])

_TRUE: Final = frozenset(("1", "true", "yes", "on", "y"))


class Commands:
    """What an app has for commands."""

    __slots__ = ()

    commands: dict[str, Callable[..., Any]]

    @overload
    def command(self, function: F, *, name: str = "") -> F: ...
    @overload
    def command(self, function: None = None, *, name: str = "") -> Callable[[F], F]: ...
    def command(self, function: Any = None, *, name: str = "") -> Any:
        """Declare a function for ``vivace exec``: ``@app.command`` or ``@app.command(name="seed")``.

        Args:
            function: May be a coroutine function; its parameters become options.
            name: Default: that of the function.
        """

        def decorate(found: F) -> F:
            self.commands[name or function_name(found)] = found
            return found

        return decorate if function is None else decorate(function)


def run_command(commands: dict[str, Callable[..., Any]], name: str, arguments: Sequence[str]) -> Any:
    """Run a command.

    Args:
        commands: Those of the app, by name.
        name: Which.
        arguments: Such as ``--count 3`` or ``--count=3``.

    Returns:
        What the function returned.

    Raises:
        DeclarationError: There is none of that name.
        SystemExit: The arguments do not fit, or ``--help`` was asked for.
    """
    function = commands.get(name)
    if function is None:
        raise DeclarationError(f"Command '{name}' not found in app", allowed=sorted(commands))
    result = function(**vars(_parser(name, function).parse_args(list(arguments))))
    return asyncio.run(_settle(result)) if inspect.isawaitable(result) else result


async def _settle(result: Any) -> Any:
    return await result


def _parser(name: str, function: Callable[..., Any]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=name, description=inspect.getdoc(function))
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        needed = parameter.default is parameter.empty
        flag = parameter.name.replace("_", "-")
        parser.add_argument(
            *dict.fromkeys((f"--{parameter.name}", f"--{flag}")),
            dest=parameter.name,
            required=needed,
            default=None if needed else parameter.default,
            type=_converter(parameter.annotation),
        )
    return parser


def _converter(annotation: Any) -> Callable[[str], Any]:
    if annotation is bool:
        return lambda text: text.lower() in _TRUE
    return annotation if annotation in (int, float) else str
