"""`vivace run Procfile`: the server that its ``web`` line names, with the other processes beside it.

Rules of this file:

- What is given on the command line beats what the line says.
- Follows the Procfile format of Heroku and foreman: ``name: command``.
"""

import os
import shlex
from pathlib import Path

import click
from click.core import ParameterSource

from vivace.config.daemons import parse_procfile
from vivace.errors import ConfigError

__all__ = ["is_procfile", "run_procfile", "web_arguments"]


def is_procfile(target: str) -> bool:
    """Whether a target names a Procfile, such as ``Procfile`` or ``Procfile.dev``."""
    path = Path(target)
    return path.name.split(".")[0] == "Procfile" and path.suffix != ".py" and path.is_file()


def web_arguments(text: str, source: str) -> list[str]:
    """What the ``web`` line of a Procfile gives to ``vivace run``.

    Args:
        text: Of the file.
        source: Its name, for messages.

    Raises:
        ConfigError: There is no such line, or it runs something else.
    """
    line = parse_procfile(text, source).get("web")
    if line is None:
        raise ConfigError(f"{source} has no process web; expected web: vivace run module:app", key="PROCFILE")
    words = shlex.split(os.path.expandvars(line))
    if words[:1] == ["exec"]:
        del words[0]
    for place in (0, 2):  # as a program, and as python -m vivace
        if [os.path.basename(word) for word in words[place : place + 2]] == ["vivace", "run"]:
            return words[place + 2 :]
    instead = " ".join(["vivace run", *words[1:]]) if words[:1] == ["uwsgi"] else "vivace run module:app"
    raise ConfigError(
        f"{source}: web runs {line!r}, which `vivace run {source}` cannot start; write web: {instead}",
        key="PROCFILE",
    )


def run_procfile(ctx: click.Context, path: str) -> None:
    """Do what the ``web`` line says, with the other processes as daemons.

    Args:
        ctx: Of the command ``run`` whose target is the file.
        path: Of the file.

    Raises:
        ConfigError: See `web_arguments`; or the file cannot be read.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", key="PROCFILE") from None
    arguments = web_arguments(text, path)
    with ctx.command.make_context(ctx.info_name, arguments, parent=ctx.parent) as inner:
        # Not by its value: --no-access-log is False, as is what nobody said.
        given = {k: v for k, v in ctx.params.items() if k != "target" and _is_given(ctx, k)}
        inner.params.update(given, procfile=path)
        ctx.command.invoke(inner)


def _is_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
