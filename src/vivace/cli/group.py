"""The command `vivace`: finds its sub-commands when they are asked for, and ends with our exit codes."""

from importlib import import_module
from typing import Any, Final

import click

import vivace as package
from vivace.errors import ConfigError, StartupError

__all__ = ["vivace"]

_COMMANDS: Final = {
    "run": "vivace.cli.run",
    "config": "vivace.cli.show_config",
    "routes": "vivace.cli.routes",
    "check": "vivace.cli.check",
    "exec": "vivace.cli.execute",
    "budget": "vivace.cli.budget",
    "ctl": "vivace.cli.ctl",
    "top": "vivace.cli.top",
    "tasks": "vivace.cli.tasks",
    "schedule": "vivace.cli.schedule",
    "logs": "vivace.cli.logs",
}


class _LazyGroup(click.Group):
    """Imports a command when it is called; turns our errors into a message and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which one meets them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        command: click.Command = import_module(place).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a suggestion."""
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(args[0], _COMMANDS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(_COMMANDS)}."
            ctx.fail(f"No such command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (ConfigError, StartupError) as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code if isinstance(error, StartupError) else 2)


@click.group(cls=_LazyGroup, name="vivace", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package.__version__, prog_name="vivace", message="%(prog)s %(version)s")
def vivace() -> None:
    """Serve Python apps: one server for development and production."""
