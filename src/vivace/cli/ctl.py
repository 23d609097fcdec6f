"""`vivace ctl`: look after a server that runs, over its control socket.

Rules of this file:

- Exit codes: 0 done; 1 no server was found, or it cannot do that now; 2 not understood; 3 the restart was
  given up and the old code serves.
- For people by default; ``--json`` prints the answer as it came, on one line.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, TypeVar

import click
import msgspec

from vivace.cli.columns import align, show_age, show_number, show_size, table_beside
from vivace.cli.top_rows import quantile, show_time
from vivace.config import Config
from vivace.supervisor.control.servers import Line, NotFound, find_server

__all__ = ["command"]

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
_Command = TypeVar("_Command", bound=Callable[..., Any])


@click.group(name="ctl")
def command() -> None:
    """Look after a server that runs: its state, restart, stop, number of workers.

    The server is found by --socket, --pid or --pid-file; else by CONTROL or PID_FILE of the settings here;
    else it is the only one of this user.
    """


def _for_server(function: _Command) -> _Command:
    """The options that say which server, and how to print."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON."),
        click.option("--pid-file", default="", metavar="PATH", help="Names the supervisor's process."),
        click.option("--pid", default=0, metavar="PID", help="Of the supervisor."),
        click.option("--socket", "place", default="", metavar="PATH", help="The control socket."),
    ):
        function = option(function)
    return function


class _Server:
    """The server that the options name."""

    def __init__(self, place: str, pid: int, pid_file: str, as_json: bool) -> None:
        self._which = (place, pid, pid_file)
        self._as_json = as_json

    def ask(
        self,
        name: str,
        show: Callable[[dict[str, Any]], Sequence[str]],
        *,
        timeout: float | None = 10.0,
        until_gone: bool = False,
        **arguments: Any,
    ) -> None:
        """Ask, print the answer and end with its exit code."""
        try:
            with Line(find_server(*self._named()), timeout) as line:
                answer = line.ask(name, **arguments)
                if until_gone and answer["ok"]:
                    line.wait_gone(answer["server"]["pid"])
        except NotFound as error:
            self._fail({"ok": False, "error": str(error), "code": 1})
        if not answer["ok"]:
            self._fail(answer)
        if self._as_json:
            click.echo(msgspec.json.encode(answer))
            return
        for text in show(answer):
            click.echo(text)

    def _named(self) -> tuple[str, int, str]:
        if any(self._which):
            return self._which
        config = Config.load()
        place = config.CONTROL if config.CONTROL not in ("auto", "off") else ""
        return place, 0, config.PID_FILE

    def _fail(self, answer: dict[str, Any]) -> NoReturn:
        if self._as_json:
            click.echo(msgspec.json.encode(answer))
        else:
            click.echo(f"Error: {answer['error']}", err=True)
            if answer.get("why"):
                click.echo(answer["why"], err=True)
        sys.exit(answer.get("code", 1))


@command.command()
@_for_server
def status(**which: Any) -> None:
    """Show the server, its workers, and what runs beside them."""
    _Server(**which).ask(
        "status",
        lambda answer: [
            *_server(answer["server"]),
            *_table(answer["workers"]),
            *table_beside(answer.get("beside", ())),
        ],
    )


@command.command()
@_for_server
def health(**which: Any) -> None:
    """Say whether requests are served; 1 if not. For the health check of a container."""
    _Server(**which).ask("status", _health)


def _health(answer: dict[str, Any]) -> list[str]:
    server = answer["server"]
    if not server["ready"] or server["state"] == "stopping":
        click.echo(f"{server['state']}, {server['ready']} of {server['wanted']} workers ready", err=True)
        sys.exit(1)
    return [f"{server['state']}, {server['ready']} of {server['wanted']} workers ready"]


@command.command()
@_for_server
def workers(**which: Any) -> None:
    """Show the workers."""
    _Server(**which).ask("workers", lambda answer: _table(answer["workers"]))


@command.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["vivace", "uwsgi"]),
    default="vivace",
    help="uwsgi: the document of uWSGI's stats server.",
)
@_for_server
def stats(form: str, **which: Any) -> None:
    """Show sums, with the memory that workers share counted once (PSS)."""
    if form == "uwsgi":
        _Server(**which).ask("stats", _as_document, format=form)
    else:
        _Server(**which).ask("stats", _stats)


@command.command()
@_for_server
def memory(**which: Any) -> None:
    """Show the memory of each process: resident (RSS), its share (PSS), what is its alone (USS)."""
    _Server(**which).ask("memory", lambda answer: _memory(answer["processes"]))


@command.command()
@click.option("--wait", is_flag=True, help="Until every worker runs the new code; 3 if it is given up.")
@_for_server
def restart(wait: bool, **which: Any) -> None:
    """Load the app anew and replace the workers, one after the other."""
    _Server(**which).ask("restart", _restarted, timeout=None if wait else 10.0, wait=wait)


@command.command()
@click.option("--wait", is_flag=True, help="Until every worker runs the new code; 3 if it is given up.")
@_for_server
def reload(wait: bool, **which: Any) -> None:
    """The same as restart, as SIGHUP is: settings and code are read anew."""
    _Server(**which).ask("reload", _restarted, timeout=None if wait else 10.0, wait=wait)


@command.command()
@click.option("--force", is_flag=True, help="Do not wait for requests in progress.")
@click.option("--wait/--no-wait", default=True, help="Until the server is gone [wait].")
@_for_server
def stop(force: bool, wait: bool, **which: Any) -> None:
    """Stop the server: requests in progress get GRACEFUL_SHUTDOWN_TIMEOUT."""
    done = "stopped" if wait else "stopping"
    _Server(**which).ask(
        "stop",
        lambda answer: [f"{answer['server']['name']} (pid {answer['server']['pid']}) {done}"],
        timeout=None,
        until_gone=wait,
        force=force,
    )


@command.command()
@click.argument("number", type=int)
@_for_server
def scale(number: int, **which: Any) -> None:
    """Have NUMBER workers, until the next restart of the supervisor."""
    _Server(**which).ask(
        "scale",
        lambda answer: [f"{answer['before']} workers become {answer['workers']}"],
        workers=number,
    )


@command.command()
@click.argument("worker", type=int, required=False)
@_for_server
def dump(worker: int | None, **which: Any) -> None:
    """Show what workers are doing: requests, tasks and threads, each with its stack."""
    _Server(**which).ask("dump", _dumps, worker=worker)


@command.command()
@click.argument("worker", type=int, required=False)
@_for_server
def requests(worker: int | None, **which: Any) -> None:
    """Show the requests in progress, the oldest of each worker first."""
    _Server(**which).ask("requests", lambda answer: _requests(answer["workers"]), worker=worker)


@command.command()
@click.argument("worker", type=int)
@_for_server
def recycle(worker: int, **which: Any) -> None:
    """Replace one worker: a new one serves before the old one ends what it has."""
    _Server(**which).ask(
        "recycle",
        lambda answer: [f"worker {answer['worker']} (pid {answer['pid']}) is replaced"],
        worker=worker,
    )


@command.command("log-level")
@click.argument("level", type=click.Choice(LEVELS, case_sensitive=False))
@_for_server
def log_level(level: str, **which: Any) -> None:
    """Set the level of the log in all processes, until they are replaced."""
    _Server(**which).ask("log-level", lambda answer: [f"the level is {answer['level']}"], level=level)


# Showing


def _server(server: dict[str, Any]) -> list[str]:
    ready = f"{server['ready']} of {server['wanted']} workers ready"
    age = f"generation {server['generation']}, up {show_age(server['uptime'])}"
    return [
        f"{server['name'] or 'a server'}: {server['state']}, {ready}, {age}",
        f"supervisor pid {server['pid']}, {show_size(server['memory'])}, Vivace {server['version']}",
        f"listening on {', '.join(server['addresses'])}",
    ]


_COLUMNS: Final = (
    "WORKER",
    "PID",
    "GEN",
    "STATE",
    "UP",
    "SERVED",
    "ERRORS",
    "ACTIVE",
    "THREADS",
    "CONNS",
    "DELAY",
    "CPU",
)


def _table(workers: Sequence[dict[str, Any]]) -> list[str]:
    weighed = any("pss" in one for one in workers)
    head = [*_COLUMNS, "RSS", *(["PSS"] if weighed else []), "EXITS", "REQUEST"]
    return align([head, *(_row(one, weighed=weighed) for one in workers)])


def _row(one: dict[str, Any], *, weighed: bool) -> list[str]:
    delay = max(one.get("delay_p95") or 0.0, (one.get("late") or 0.0) if one["state"] == "blocked" else 0.0)
    return [
        str(one["worker"]),
        show_number(one.get("pid") or None),
        show_number(one.get("generation")),
        one["state"],
        show_age(one.get("uptime")),
        *(
            show_number(one.get(name))
            for name in ("served", "errors", "active", "threads_busy", "connections")
        ),
        f"{delay * 1000:.0f}ms" if one.get("lag") is not None else "-",
        f"{one['cpu'] * 100:.0f}%" if one.get("cpu") is not None else "-",
        show_size(one.get("rss")),
        *([show_size(one.get("pss"))] if weighed else []),
        str(one["restarts"]),
        _request(one),
    ]


def _request(one: dict[str, Any]) -> str:
    if one.get("suspect"):
        return f"{one['suspect']} (blocks)"
    if one["state"] == "backoff":
        return f"next try in {one['due']:.1f}s; {one['last_exit']['how']}" if one["last_exit"] else ""
    oldest = one.get("oldest")
    return f"{oldest['request']} {oldest['age']:.1f}s" if oldest else ""


def _stats(answer: dict[str, Any]) -> list[str]:
    totals = answer["totals"]
    sums = ", ".join(
        f"{totals[key]} {word}"
        for key, word in (
            ("served", "requests"),
            ("errors", "errors"),
            ("active", "in progress"),
            ("connections", "connections"),
            ("restarts", "exits"),
        )
    )
    memory = f"memory {show_size(totals['pss'])} (resident {show_size(totals['rss'])})"
    lag = f"largest lag {totals['lag'] * 1000:.0f}ms"
    answers = _answers(answer["counters"])
    return [*_server(answer["server"]), sums, answers, f"{memory}, {lag}", *_table(answer["workers"])]


def _answers(counters: dict[str, Any]) -> str:
    """How requests ended at all workers that there ever were, and how long they took."""
    counts = [f"{count} {name}" for name, count in counters["responses"].items() if count]
    quick = [(share, quantile(counters["durations"]["counts"], share / 100)) for share in (50, 95, 99)]
    told = [f"{share} % within {show_time(seconds)}" for share, seconds in quick if seconds is not None]
    text = f"answers since the start: {', '.join(counts) or 'none'}"
    return f"{text}; {', '.join(told)}" if told else text


def _as_document(answer: dict[str, Any]) -> list[str]:
    document = {name: value for name, value in answer.items() if name != "ok"}
    return [msgspec.json.format(msgspec.json.encode(document), indent=1).decode()]


def _memory(processes: Sequence[dict[str, Any]]) -> list[str]:
    sizes = ("rss", "pss", "uss")
    rows = [[p["process"], str(p["pid"]), *(show_size(p[size]) for size in sizes)] for p in processes]
    sums = [show_size(sum(p[size] or 0 for p in processes)) for size in sizes]
    return align([["PROCESS", "PID", "RSS", "PSS", "USS"], *rows, ["in all", "", *sums]])


def _restarted(answer: dict[str, Any]) -> list[str]:
    return [answer.get("text") or f"generation {answer['generation']} is loaded; --wait tells how it ends"]


def _requests(workers: Sequence[dict[str, Any]]) -> list[str]:
    rows = [
        [str(w["worker"]), f"{one['age']:.1f}s", str(one["status"] or "-"), one["request"], one["handler"]]
        for w in workers
        for one in w["requests"]
    ]
    return align([["WORKER", "AGE", "STATUS", "REQUEST", "AT"], *rows])


def _dumps(answer: dict[str, Any]) -> list[str]:
    return [f"worker {one['worker']} (pid {one['pid']}): {one['text']}\n" for one in answer["dumps"]]
