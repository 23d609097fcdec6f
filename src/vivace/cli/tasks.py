"""`vivace tasks`: look at what is on the spool, run it again, drop it.

Rules of this file:

- The spool is that of TASKS_URL, or of --url; a server need not run, and is not asked.
- Exit codes: 0 done; 1 there is no spool, or something of it could not be done; 2 not understood.
- For people by default; ``--json`` prints the records, on one line.
"""

import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final, NoReturn, TypeVar

import click
import msgspec

from vivace.config import Config
from vivace.tasks.book import Book
from vivace.tasks.duration import show_duration
from vivace.tasks.errors import SpoolUnavailable
from vivace.tasks.records import STATES, Task
from vivace.tasks.spool import Spool, is_file

__all__ = ["command"]

MOST: Final = 50
"""Tasks that are listed if nobody says how many."""
_COLUMNS: Final = ("id", "state", "queue", "name", "attempts", "due (UTC)", "last error")
_SHORT: Final = "%Y-%m-%d %H:%M:%S"
_Command = TypeVar("_Command", bound=Callable[..., Any])
_T = TypeVar("_T")


@click.group(name="tasks")
def command() -> None:
    """Look after the tasks of an app: what waits, what runs, what is dead, and why."""


def _of_spool(function: _Command) -> _Command:
    """The options that say which spool, and how to print."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("--url", default="", metavar="URL", help="Of the spool; default: TASKS_URL."),
    ):
        function = option(function)
    return function


class _Desk:
    """The spool that the options name."""

    def __init__(self, url: str) -> None:
        config = Config.load()
        if url:
            config.override({"TASKS_URL": url}, "--url")
        self.book = Book("", lambda: config)

    def ask(self, work: Callable[[Spool], _T]) -> _T:
        """Do something with it; ends the command if there is none."""
        from vivace.tasks.sqlite import path_of

        url = self.book.url
        if is_file(url) and not path_of(url).exists():
            _fail(f"there is no spool {path_of(url)}: no task was enqueued yet, or TASKS_URL is another")
        try:
            return self.book.clerk.do_now(work)
        except SpoolUnavailable as error:
            _fail(str(error))
        finally:
            self.book.close()


def _fail(text: str) -> NoReturn:
    click.echo(f"Error: {text}", err=True)
    sys.exit(1)


@command.command(name="list")
@click.option("--state", type=click.Choice(STATES), default=None, help="Only those in this state.")
@click.option("--queue", default="", help="Only those of this queue.")
@click.option("--name", default="", help="Only those of this function.")
@click.option("--limit", default=MOST, show_default=True, type=click.IntRange(1), help="The newest ones.")
@_of_spool
def list_tasks(state: str | None, queue: str, name: str, limit: int, url: str, as_json: bool) -> None:
    """List tasks, the newest first, and how many there are in each state."""
    desk = _Desk(url)
    found, stats = desk.ask(
        lambda spool: (spool.select(state or "", name, queue, limit), spool.stats(time.time()))
    )
    if as_json:
        _print_json({"tasks": [_record(task) for task in found], **stats})
        return
    for row in _align([_COLUMNS, *(_row(task) for task in found)] if found else []):
        click.echo(row)
    states = ", ".join(f"{stats['states'][each]} {each}" for each in STATES if stats["states"].get(each))
    late = f"; the oldest is {show_duration(stats['oldest'])} late" if stats["oldest"] else ""
    click.echo(
        f"{states or 'nothing there'}; {stats['finished']} done so far, {stats['failed']} failed{late}"
    )


@command.command()
@click.argument("number", type=int)
@_of_spool
def show(number: int, url: str, as_json: bool) -> None:
    """Show all that is known of a task."""
    task = _Desk(url).ask(lambda spool: spool.get(number))
    if task is None:
        _fail(f"there is no task {number}: it is done and was not kept, or it was dropped")
    if as_json:
        _print_json(_record(task))
        return
    for field, value in _record(task).items():
        if value is not None:
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            click.echo(f"{field + ':':<14}{text.rstrip().replace(chr(10), chr(10) + ' ' * 14)}")


@command.command()
@click.argument("numbers", type=int, nargs=-1)
@click.option("--dead", is_flag=True, help="All that are dead.")
@click.option("--name", default="", help="With --dead: only those of this function.")
@_of_spool
def retry(numbers: tuple[int, ...], dead: bool, name: str, url: str, as_json: bool) -> None:
    """Run dead tasks again, and those that wait for their time: at once."""
    _each(url, as_json, numbers, dead, name, lambda spool, number: spool.retry(number, time.time()))


@command.command()
@click.argument("numbers", type=int, nargs=-1)
@click.option("--dead", is_flag=True, help="All that are dead.")
@click.option("--name", default="", help="With --dead: only those of this function.")
@_of_spool
def drop(numbers: tuple[int, ...], dead: bool, name: str, url: str, as_json: bool) -> None:
    """Delete tasks; one that runs cannot be."""
    _each(url, as_json, numbers, dead, name, lambda spool, number: spool.drop(number))


def _each(
    url: str,
    as_json: bool,
    numbers: Iterable[int],
    dead: bool,
    name: str,
    do: Callable[[Spool, int], str],
) -> None:
    wanted = list(numbers)
    if bool(wanted) == dead:
        raise click.UsageError("name the numbers of tasks, or --dead for all that are dead")
    if name and not dead:
        raise click.UsageError("--name goes with --dead")

    def work(spool: Spool) -> dict[int, str]:
        chosen = wanted or [task.id for task in spool.select("dead", name, "", 1_000_000)]
        return {number: do(spool, number) for number in chosen}

    told = _Desk(url).ask(work)
    problems = [text for text in told.values() if text]
    if as_json:
        _print_json({"done": [number for number, text in told.items() if not text], "problems": problems})
    else:
        click.echo(f"{len(told) - len(problems)} done")
        for text in problems:
            click.echo(f"Error: {text}", err=True)
    if problems:
        sys.exit(1)


@command.command(name="run")
@click.argument("target", required=False)
def run_here(target: str | None) -> None:
    """Run the tasks and schedules of TARGET in this process, and serve nothing: for a machine of their own.

    It ends with SIGTERM or SIGINT, as a server does. TASK_CONCURRENCY says how many tasks at a time; on the
    machines that serve set TASK_WORKERS to 0.
    """
    from vivace.cli.task_runner import run_beside

    sys.exit(run_beside(target))


def _record(task: Task) -> dict[str, Any]:
    """A task as JSON knows it: times as dates, arguments and result as what they say."""
    found: dict[str, Any] = msgspec.structs.asdict(task)
    for field in ("payload", "result"):
        found[field] = None if found[field] is None else msgspec.json.decode(found[field])
    for field in ("run_at", "created", "lease_until", "finished"):
        found[field] = None if found[field] is None else _date(found[field])
    return found


def _date(moment: float, form: str = "") -> str:
    try:
        found = datetime.fromtimestamp(moment).astimezone()
    except (ValueError, OverflowError, OSError):
        return f"{moment:g}"  # it stands on the spool, and has no date
    return found.strftime(form) if form else found.isoformat(timespec="milliseconds")


def _row(task: Task) -> tuple[str, ...]:
    error = (task.last_error or "").strip().rpartition("\n")[2]
    tries = f"{task.attempts}/{task.max_attempts}"
    return str(task.id), task.state, task.queue, task.name, tries, _date(task.run_at, _SHORT), error[:60]


def _align(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))] if rows else []
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _print_json(value: Any) -> None:
    click.echo(msgspec.json.encode(value))
