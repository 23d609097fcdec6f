"""Alarms: what can be told of, and whom ``[[alarm]]`` of a file tells.

    [[alarm]]
    on = ["worker.*", "task.dead"]
    to = "https://hooks.example.org/vivace"
    secret = "shared"

Rules of this file:

- The value of ALARM is JSON text, the same for a table of a file, a variable and a list of the program.
- Events have types; nothing is ever looked for in the text of a line.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from vivace.errors import ConfigError

__all__ = ["EVENTS", "PLACE", "Alarm", "AlarmRule", "doubts", "parse_alarms", "show_alarms"]

PLACE: Final = "alarms"
"""The socket in the folder of a server on which its processes tell of events."""
EVENTS: Final = {
    "worker.crash": "a worker died by itself",
    "worker.boot_failed": "a worker ended before it served",
    "worker.blocked": "a worker whose loop stood still for LOOP_TIMEOUT is killed",
    "memory.soft": "a worker over WORKER_MAX_MEMORY is replaced, or one is near WORKER_MEMORY_LIMIT",
    "memory.hard": "a worker over WORKER_MEMORY_LIMIT is killed",
    "start.failed": "the server could not be started",
    "crash_loop": "more workers die than one may blame on chance",
    "restart.aborted": "new code cannot serve, the old one goes on",
    "request.timeout": "a request had no answer in time",
    "drain.timeout": "requests were cut, for a stop or a restart took too long",
    "backlog.full": "clients found the queue of a listening socket full",
    "companion.down": "a process beside the workers ended by itself",
    "daemon.down": "a daemon ended by itself, or is not ready in time",
    "hub.down": "the process of the groups ended by itself",
    "spool.full": "the spool of tasks has no room",
    "task.dead": "a task failed for the last time",
    "cron.missed": "a run of a schedule was left out",
    "tls.expiring": "a certificate ends within two weeks",
    "log.dropped": "lines of the log were dropped",
}
"""What the server tells of by itself; an app may add its own."""
_NAME: Final = re.compile(r"[a-z0-9_*?]+(?:\.[a-z0-9_*?]+)*")


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened, or is over.

    Attributes:
        event: Its type, such as ``worker.crash``.
        subject: Whom it is about, such as ``worker 2``; an event and a subject make one alarm.
        message: In words.
        level: ``warning``, ``error`` and so on.
        time: Seconds since the epoch.
        host: The name of the machine.
        pid: The process that tells of it.
        resolved: It is over.
        held_back: How often it happened since it was told the last time.
    """

    event: str
    subject: str = ""
    message: str = ""
    level: str = "error"
    time: float = 0.0
    host: str = ""
    pid: int = 0
    resolved: bool = False
    held_back: int = 0

    def fits(self, patterns: Sequence[str]) -> bool:
        """Whether one of `patterns` means it; ``*`` stands for anything."""
        return any(fnmatchcase(self.event, pattern) for pattern in patterns)


class AlarmRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whom to tell of what.

    Attributes:
        on: Events; ``*`` stands for anything.
        to: ``https://...`` (a webhook), ``exec:program arguments``, or a URL of apprise.
        secret: Signs what webhooks get.
    """

    on: list[str]
    to: list[str]
    secret: str = ""


def parse_alarms(value: object) -> list[AlarmRule]:
    """Read what ALARM may be: a list of tables, or its JSON text.

    Raises:
        ConfigError: Something of it cannot be.
    """
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value) if value.strip() else []
        except msgspec.DecodeError as error:
            raise _refusal(f"that is no JSON: {error}") from None
    tables = [value] if isinstance(value, Mapping) else value
    if not isinstance(tables, (list, tuple)):
        raise _refusal("expected tables, each with on and to")
    return [_read(table) for table in tables]


def show_alarms(rules: Sequence[AlarmRule]) -> str:
    """The value of ALARM for them."""
    return msgspec.json.encode(rules).decode() if rules else ""


def doubts(patterns: Sequence[str]) -> list[str]:
    """What looks like an event of the server and is none: nobody would ever be told of it."""
    found = []
    for name in patterns:
        close = get_close_matches(name, EVENTS, 1, 0.8)
        if close and not any(fnmatchcase(event, name) for event in EVENTS):
            found.append(f"alarms: the server knows no event {name}; did you mean {close[0]}?")
    return found


def _read(table: Any) -> AlarmRule:
    if not isinstance(table, Mapping):
        raise _refusal("expected tables, each with on and to")
    given = {
        key: [one] if key in ("on", "to") and isinstance(one, str) else one for key, one in table.items()
    }
    try:
        found = msgspec.convert(given, AlarmRule)
    except msgspec.ValidationError as error:
        raise _refusal(str(error)) from None
    if not found.on or not found.to:
        raise _refusal("on and to cannot be empty")
    for name in found.on:
        if not _NAME.fullmatch(name):
            raise _refusal(f"on={name!r} is no event; expected one such as worker.crash, or worker.*")
    for target in found.to:
        _check(target)
    return found


def _check(target: str) -> None:
    """Raise if `target` is nothing that can be told; it may hold a secret, so it is not shown."""
    kind, colon, rest = target.partition(":")
    if kind == "exec" and colon:
        try:
            words = shlex.split(rest)
        except ValueError as error:
            raise _refusal(f"to: the command cannot be split into arguments: {error}") from None
        if not words:
            raise _refusal("to: expected exec:program arguments")
    elif not rest.startswith("//") or len(rest) < 3:
        raise _refusal("to: expected https://host/path, exec:program arguments, or a URL of apprise")


def _refusal(why: str) -> ConfigError:
    return ConfigError(f"ALARM: {why}", key="ALARM")
