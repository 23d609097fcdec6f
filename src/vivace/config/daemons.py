"""Foreign programs that a server keeps running beside its workers: what ``[[daemon]]`` of a file may say.

    [[daemon]]
    name = "redis"
    cmd = ["redis-server", "--port", "6379"]
    ready = "tcp:6379"

Rules of this file:

- The value of DAEMON is JSON text, the same for a table of a file, a variable and a list of the program.
- Nothing is looked for on the system: whether a program is there shows when it is started.
"""

import re
import shlex
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from vivace.errors import ConfigError

__all__ = ["Daemon", "daemons_of_procfile", "in_order", "parse_daemons", "parse_procfile", "show_daemons"]

RESTARTS: Final = ("always", "on-failure", "never")
NOT_BESIDE: Final = ("web", "release")
"""Processes of a Procfile that are no daemons."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PROC: Final = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*)")
_READY: Final = re.compile(r"notify|tcp:(?:[^\s:]+:)?[0-9]{1,5}|unix:\S+|log:.+")


class Daemon(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A program.

    Attributes:
        name: Of it, in the log and in `start_after`.
        cmd: The program and its arguments; with `shell` one text.
        shell: A shell runs `cmd`.
        env: Variables on top of the server's; None as a value takes one away.
        cwd: Where it runs; empty: where the server does.
        ready: When it can be used: ``tcp:6379`` or ``tcp:host:6379`` (it accepts), ``unix:/path`` (the
            same), ``log:text`` (it has written a line that the expression fits), ``notify`` (it says so as to
            systemd); empty: as soon as it runs.
        ready_timeout: Seconds after which the server no longer waits for that.
        restart: ``always``, ``on-failure`` or ``never``.
        keep_on_reload: It goes on when the server loads new code.
        critical: The server ends when it ends, or cannot be started.
        stop_signal: Asks it to end.
        grace: Seconds from that to the kill.
        start_after: Names of those that must be ready before.
        adopt: It goes on when the server ends, and the next server takes it over.
        watch: Files and folders; it is started anew when one changes.
    """

    name: str
    cmd: list[str]
    shell: bool = False
    env: dict[str, str | None] = {}
    cwd: str = ""
    ready: str = ""
    ready_timeout: float = 30.0
    restart: str = "always"
    keep_on_reload: bool = True
    critical: bool = False
    stop_signal: str = "TERM"
    grace: float = 10.0
    start_after: list[str] = []
    adopt: bool = False
    watch: list[str] = []

    @property
    def stop_number(self) -> int:
        """The signal that asks it to end."""
        return signal.Signals["SIG" + self.stop_signal.upper().removeprefix("SIG")]


def parse_daemons(value: object) -> list[Daemon]:
    """Read what DAEMON may be: a list of tables, or its JSON text.

    Raises:
        ConfigError: Something of it cannot be; says of which daemon.
    """
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value) if value.strip() else []
        except msgspec.DecodeError as error:
            raise _refusal(f"{value!r} is no JSON: {error}") from None
    tables = [value] if isinstance(value, Mapping) else value
    if not isinstance(tables, (list, tuple)):
        raise _refusal(f"{value!r}; expected tables, each with a name and a cmd")
    found = [_read(table) for table in tables]
    in_order(found)
    return found


def show_daemons(daemons: Sequence[Daemon]) -> str:
    """The value of DAEMON for them."""
    kept = [{k: v for k, v in msgspec.to_builtins(one).items() if v != _DEFAULTS.get(k)} for one in daemons]
    return msgspec.json.encode(kept).decode() if kept else ""


def _read(table: Any) -> Daemon:
    if not isinstance(table, Mapping):
        raise _refusal(f"{table!r} is no table; expected one with a name and a cmd")
    given = {str(key).replace("-", "_"): value for key, value in table.items()}
    name = given.get("name", "")
    if isinstance(cmd := given.get("cmd"), str):
        given["cmd"] = [cmd] if given.get("shell") else _split(name, cmd)
    for key in ("start_after", "watch"):
        if isinstance(given.get(key), str):
            given[key] = [given[key]]
    try:
        found = msgspec.convert(given, Daemon, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal(f"{name or table!r}: {error}") from None
    if why := _why_not(found):
        raise _refusal(f"{found.name!r}: {why}")
    return found


def _split(name: object, cmd: str) -> list[str]:
    try:
        return shlex.split(cmd)
    except ValueError as error:
        raise _refusal(f"{name!r}: cmd={cmd!r} cannot be split into arguments: {error}") from None


def _why_not(one: Daemon) -> str:
    """Why a daemon cannot be; empty if it can."""
    signals = "expected one such as TERM, INT or QUIT"
    ready = "expected tcp:6379, tcp:host:6379, unix:/path, log:expression or notify"
    adopted = "one that is adopted cannot say that it is ready; expected ready=tcp:... or unix:..."
    checks = (
        (not _NAME.fullmatch(one.name), "a name has letters, digits, '.', '_' and '-'"),
        (not one.cmd or not one.cmd[0].strip(), "cmd is empty; expected a program and its arguments"),
        (one.shell and len(one.cmd) != 1, "with shell=true cmd is one text"),
        (one.restart not in RESTARTS, f"restart={one.restart!r}; expected one of {', '.join(RESTARTS)}"),
        (not _is_signal(one.stop_signal), f"stop_signal={one.stop_signal!r} is no signal; {signals}"),
        (one.grace < 0 or one.ready_timeout < 0, "grace and ready_timeout are seconds of at least 0"),
        (bool(one.ready) and not _READY.fullmatch(one.ready), f"ready={one.ready!r}; {ready}"),
        (one.adopt and one.ready.startswith(("log:", "notify")), adopted),
    )
    return next((why for bad, why in checks if bad), "") or _why_no_expression(one.ready)


def _why_no_expression(ready: str) -> str:
    try:
        re.compile(ready.removeprefix("log:") if ready.startswith("log:") else "")
    except re.error as error:
        return f"ready={ready!r} is no regular expression: {error}"
    return ""


def _is_signal(name: str) -> bool:
    return "SIG" + name.upper().removeprefix("SIG") in signal.Signals.__members__


def in_order(daemons: Sequence[Daemon]) -> list[Daemon]:
    """The daemons, each behind those that it starts after.

    Raises:
        ConfigError: Two have one name, one that is waited for is not there, or they wait for each other.
    """
    left = {one.name: one for one in daemons}
    if len(left) != len(daemons):
        names = [one.name for one in daemons]
        twice = next(name for name in names if names.count(name) > 1)
        raise _refusal(f"two are called {twice!r}; give one another name")
    known, found = set(left), list[Daemon]()
    for one in daemons:
        if unknown := [name for name in one.start_after if name not in known]:
            raise _refusal(f"{one.name!r} starts after {unknown[0]!r}, which is not there")
    while left:
        free = [one for one in left.values() if not any(name in left for name in one.start_after)]
        if not free:
            raise _refusal(f"{', '.join(left)} wait for each other by start_after")
        for one in free:
            found.append(left.pop(one.name))
    return found


def parse_procfile(text: str, source: str) -> dict[str, str]:
    """The processes of a Procfile by name, each a command for a shell.

    Args:
        text: Of the file.
        source: Its name, for the message.

    Raises:
        ConfigError: A line is no ``name: command``.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not (stripped := line.strip()) or stripped.startswith("#"):
            continue
        match = _PROC.fullmatch(stripped)
        if match is None:
            raise ConfigError(
                f"{source}, line {number}: {stripped!r} is no process; expected name: command",
                key="PROCFILE",
                source=source,
            )
        found[match[1]] = match[2]
    return found


def daemons_of_procfile(path: str) -> list[Daemon]:
    """The processes of a Procfile beside ``web``: the server is that one, and ``release`` runs at a deploy.

    Args:
        path: Where the file is; empty: there is none.

    Raises:
        ConfigError: It cannot be read, or a line of it.
    """
    if not path:
        return []
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"PROCFILE: {path} cannot be read: {error}", key="PROCFILE") from None
    found = parse_procfile(text, path)
    return [_of_line(name, command) for name, command in found.items() if name not in NOT_BESIDE]


def _of_line(name: str, command: str) -> Daemon:
    # The program takes the place of the shell where it is only one: it then gets the signals itself.
    only = not re.search(r"[&|;()<>\n]", command) and not re.match(r"\w+=", command)
    text = f"exec {command}" if only and not command.startswith("exec ") else command
    given = {"name": name, "cmd": [text], "shell": True, "env": {"PORT": None}, "keep_on_reload": False}
    return msgspec.convert(given, Daemon)


def _refusal(why: str) -> ConfigError:
    return ConfigError(f"DAEMON: {why}", key="DAEMON")


_DEFAULTS: Final = {
    "shell": False, "env": {}, "cwd": "", "ready": "", "ready_timeout": 30.0, "restart": "always",
    "keep_on_reload": True, "critical": False, "stop_signal": "TERM", "grace": 10.0, "start_after": [],
    "adopt": False, "watch": [],
}  # fmt: skip
