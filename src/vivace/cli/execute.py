"""`vivace exec`: run a command that an app declares.

Rules of this file: the app is found as `vivace run` does; what the command returns is printed.
"""

from importlib import import_module

import click

from vivace.config import Config
from vivace.errors import StartupError

__all__ = ["command"]


@click.command(
    name="exec",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    add_help_option=True,
)
@click.option("--sanic", "alias", is_flag=True, help="The app imports Sanic: run it on Vivace.")
@click.argument("target")
@click.argument("name", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(alias: bool, target: str, name: str | None, arguments: tuple[str, ...]) -> None:
    """Run the command NAME of the app TARGET with its ARGUMENTS; without a NAME, list the commands."""
    from vivace.framework.commands import run_command
    from vivace.supervisor.loading.target import load_app

    if alias:
        import_module("vivace.compat.sanic").install()  # by its name: this layer knows nothing above it
    loaded = load_app(target, Config.load())
    if loaded.kind != "native":
        raise StartupError(f"{loaded.target} is no Vivace app: it has no commands", stage="exec")
    if name is None:
        for known in sorted(loaded.app.commands):
            click.echo(known)
        return
    app = loaded.app
    commands = app.commands if app._ext is None else app.ext.inject_all(app.commands)
    result = run_command(commands, name, arguments)
    if result is not None:
        click.echo(result)
