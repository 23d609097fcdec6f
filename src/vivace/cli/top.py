"""`vivace top`: the workers of a server that runs, in a terminal, every second.

Rules of this file:

- textual is imported here only, and asked for by name where it is missing (extra ``top``).
- What is shown comes over the control socket, as `vivace ctl` has it; the server is found in the same way.
- It only looks, but for one key: ``c`` replaces a worker.
- Where there is no terminal, or one that cannot be drawn on, the table is written once, as text.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import click

from vivace.cli.columns import align
from vivace.cli.top_rows import COLUMNS, Looks, cells, heading
from vivace.config import Config
from vivace.supervisor.control.servers import Line, NotFound, find_server

__all__ = ["command"]


@click.command(name="top")
@click.option("--every", default=1.0, type=click.FloatRange(0.1, 60.0), help="Seconds between two looks [1].")
@click.option("--socket", "place", default="", metavar="PATH", help="The control socket.")
@click.option("--pid", default=0, metavar="PID", help="Of the supervisor.")
@click.option("--pid-file", default="", metavar="PATH", help="Names the supervisor's process.")
@click.option("--once", is_flag=True, help="Write the table and end; so it is done where no terminal is.")
def command(every: float, place: str, pid: int, pid_file: str, once: bool) -> None:
    """Watch the workers of a server that runs."""
    try:
        ask = _asking(_find(place, pid, pid_file))
        ask("workers")
        if once or not _draws():
            click.echo(_table(ask, every))
            return
    except NotFound as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    try:
        from vivace.cli.top_screen import Top
    except ImportError as error:
        if error.name is None or not error.name.startswith("textual"):
            raise
        click.echo('Error: vivace top draws with textual: pip install "vivace[top]"', err=True)
        sys.exit(1)
    Top(ask, every).run()


def _draws() -> bool:
    """Whether there is a terminal that can be drawn on, and somebody at it."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _table(ask: Callable[..., dict[str, Any]], every: float) -> str:
    """What the screen would show after its second look."""
    looks = Looks()
    looks.rows(ask("status")["workers"], "w")
    time.sleep(every)
    answer = ask("status")
    rows = looks.rows(answer["workers"], "w")
    lines = align([COLUMNS, *(cells(one) for one in rows)])
    return "\n".join([heading(answer["server"], rows, "worker"), *lines])


def _find(place: str, pid: int, pid_file: str) -> str:
    if place or pid or pid_file:
        return find_server(place, pid, pid_file)
    config = Config.load()
    return find_server(config.CONTROL if config.CONTROL not in ("auto", "off") else "", 0, config.PID_FILE)


def _asking(place: str) -> Callable[..., dict[str, Any]]:
    """What asks a server, on a connection of its own each time; raises `NotFound` when it is gone."""

    def ask(name: str, **arguments: Any) -> dict[str, Any]:
        with Line(place, 5.0) as line:
            return line.ask(name, **arguments)

    return ask
