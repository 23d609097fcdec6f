"""What a setting is: its declaration, the types that its value may have, and how a value is read and shown.

Rules of this file:

- Text and values of the type itself are both taken: one value may come from a file, a variable or code.
- Digits are ASCII; a number is finite; text stays on one line.
- A refusal says what was seen, what was expected, and where it came from.
"""

import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from vivace.config.alarms import parse_alarms, show_alarms
from vivace.config.binds import parse_bind, split_binds
from vivace.config.budget import parse_budgets, show_budgets
from vivace.config.daemons import parse_daemons, show_daemons
from vivace.config.places import parse_places
from vivace.config.stages import parse_stages, show_stages
from vivace.config.workers import WorkerRange, parse_range, show_workers
from vivace.errors import ConfigError
from vivace.http.networks import Networks

__all__ = ["FALSE", "PREFIX", "Setting", "available_cpus"]

PREFIX: Final = "VIVACE_"
FALSE: Final = frozenset({"0", "false", "f", "no", "n", "off"})
_TRUE: Final = frozenset({"1", "true", "t", "yes", "y", "on"})
_INTEGER: Final = re.compile(r"[+-]?[0-9]+(?:_[0-9]+)*", re.ASCII)
_OCTAL: Final = re.compile(r"(?:0o)?[0-7]{1,4}", re.ASCII)
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]*", re.ASCII)
_MOUNT: Final = re.compile(r"/[^\s=]*=[^\s=]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class Setting(NamedTuple):
    """The declaration of one setting.

    Attributes:
        name: Upper case, as application code writes it.
        kind: What a value is: ``bool``, ``int``, ``float``, ``str``, ``logo`` (text of several lines),
            ``choice``, ``mode`` (permission bits, octal when written as text), ``header`` (a field name),
            ``alarms``, ``daemons`` and ``hooks`` (JSON text, or what it stands for),
            ``places`` (see `config.places`; text or a list),
            ``budgets`` (text ``name=limit`` and so on; a list or table of it too),
            ``mounts`` (text ``/prefix=target`` and so on; a list or table of it too), ``workers`` (a number,
            two as ``2..8``, or ``auto``), ``binds`` (addresses to listen on, see `config.binds`) or
            ``networks`` (see `http.networks`; these two as text or as a list) or ``paths`` (a list, or text
            with `os.pathsep` between them).
        default: The value when nothing else is given; None where a setting may be absent.
        help: What it does, one sentence.
        group: The heading under which help and documentation show it.
        unit: Of a number.
        minimum: The least number that is taken.
        maximum: The greatest number that is taken.
        choices: The words that a ``choice`` takes.
        flag: The option of the command line if it is not made from the name; ``-`` for none.
        env: Environment variables that are read after ``VIVACE_<NAME>``.
        scope: ``process``: read before application code is imported; ``worker``: everything else.
        secret: Never shown.
    """

    name: str
    kind: str
    default: bool | int | float | str | None
    help: str
    group: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    flag: str = ""
    env: tuple[str, ...] = ()
    scope: str = "worker"
    secret: bool = False

    @property
    def option(self) -> str:
        """The option of the command line, such as ``--keep-alive-timeout``; empty if there is none."""
        if self.flag == "-":
            return ""
        return self.flag or "--" + self.name.lower().replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable, such as ``VIVACE_KEEP_ALIVE_TIMEOUT``."""
        return PREFIX + self.name

    def expected(self) -> str:
        """What a value has to be, in words."""
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        words = _EXPECTED[self.kind] + _bounds(self.minimum, self.maximum)
        return (
            words
            + (f", in {self.unit}" if self.unit else "")
            + (", or nothing" if self.default is None else "")
        )

    def parse(self, value: object, source: str) -> Any:
        """Bring `value` into the type of this setting.

        Args:
            value: From code as its own type, from anywhere else as text too.
            source: Where it was read, for the message.

        Raises:
            ConfigError: It is of another type, outside the bounds or not among the choices.
        """
        if value is None and self.default is None:
            return None
        try:
            return _PARSERS[self.kind](self, value)
        except ConfigError as error:
            if self.kind not in ("alarms", "daemons", "hooks", "places"):
                raise
            raise ConfigError(f"{error} (from {source})", key=self.name, source=source) from None
        except (TypeError, ValueError, OverflowError):
            seen = "that value" if self.secret else _quote(value)
            raise ConfigError(
                f"{self.name}: {seen} (from {source}) cannot be used; expected {self.expected()}",
                key=self.name,
                source=source,
                allowed=self.choices,
            ) from None

    def show(self, value: object) -> str:
        """Write `value` for a person: secrets are masked."""
        if self.secret and value:
            return "********"
        if self.kind == "mode":
            return f"{value:#o}"
        if self.kind == "workers" and isinstance(value, int):
            return show_workers(value)
        if isinstance(value, float):
            return f"{value:g}"
        return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _quote(value: object) -> str:
    """A value as it was given; an option that may be given several times arrives as a list."""
    return " ".join(map(repr, value)) if isinstance(value, (list, tuple)) and value else repr(value)


def available_cpus() -> int:
    """The processors that this process may use: its affinity, bounded by the quota of its control group."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        return max(1, min(count, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no version 2 control group, or its quota is "max"
        return count


def _bounds(minimum: float | None, maximum: float | None) -> str:
    if minimum is None:
        return ""
    return f" of at least {minimum:g}" if maximum is None else f" from {minimum:g} to {maximum:.0f}"


def _parse_bool(_: Setting, value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, (str, int)) else ""
    if word in _TRUE:
        return True
    if word in FALSE:
        return False
    raise ValueError


def _parse_int(setting: Setting, value: object) -> int:
    if isinstance(value, str):
        if not _INTEGER.fullmatch(value.strip()):
            raise ValueError
        value = int(value)
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return int(_check_bounds(setting, value))


def _parse_float(setting: Setting, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TypeError
    number = float(value)
    if not math.isfinite(number) or not str(value).isascii():
        raise ValueError
    return _check_bounds(setting, number)


def _check_bounds(setting: Setting, number: float) -> float:
    if setting.minimum is not None and number < setting.minimum:
        raise ValueError
    if setting.maximum is not None and number > setting.maximum:
        raise ValueError
    return number


def _parse_str(_: Setting, value: object) -> str:
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str) or _CONTROL.search(text):
        raise ValueError
    return text


def _parse_logo(_: Setting, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _parse_choice(setting: Setting, value: object) -> str:
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in setting.choices:
        raise ValueError
    return word


def _parse_mode(setting: Setting, value: object) -> int:
    if isinstance(value, str):
        if not _OCTAL.fullmatch(value.strip()):
            raise ValueError
        value = int(value, 8)
    return _parse_int(setting, value)


def _parse_header(_: Setting, value: object) -> str:
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ValueError
    return value


def _parse_mounts(_: Setting, value: object) -> str:
    if isinstance(value, Mapping):
        value = [f"{prefix}={target}" for prefix, target in value.items()]
    items = value.split() if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)):
        raise TypeError
    if not all(isinstance(item, str) and _MOUNT.fullmatch(item) for item in items):
        raise ValueError
    return " ".join(items)


def _parse_binds(_: Setting, value: object) -> str:
    return " ".join(str(parse_bind(item)) for item in _split(value))


def _parse_networks(_: Setting, value: object) -> str:
    return str(Networks(" ".join(_split(value))))


def _split(value: object) -> list[str]:
    """The items of a text with spaces or commas between them, or of a list of such texts."""
    if isinstance(value, str):
        return split_binds(value)
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise TypeError
    return [found for item in value for found in split_binds(item)]


def _parse_budgets(_: Setting, value: object) -> str:
    return show_budgets(parse_budgets(value))


def _parse_places(_: Setting, value: object) -> str:
    items = value.split() if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
        raise TypeError
    found = [place for item in items for place in item.split()]
    parse_places(found)
    return " ".join(found)


def _parse_alarms(_: Setting, value: object) -> str:
    return show_alarms(parse_alarms(value))


def _parse_daemons(_: Setting, value: object) -> str:
    return show_daemons(parse_daemons(value))


def _parse_hooks(_: Setting, value: object) -> str:
    return show_stages(parse_stages(value))


def _parse_paths(setting: Setting, value: object) -> str:
    if isinstance(value, (list, tuple)):
        return os.pathsep.join(_parse_str(setting, item) for item in value)
    return _parse_str(setting, value)


def _parse_workers(setting: Setting, value: object) -> int:
    if isinstance(value, str) and value.strip().lower() == "auto":
        return available_cpus()
    if isinstance(value, WorkerRange):
        return value
    ends = parse_range(value) if isinstance(value, str) else None
    if ends is None:
        return _parse_int(setting, value)
    least, most = (_parse_int(setting, end) for end in ends)
    if least > most:
        raise ValueError
    return WorkerRange.of(least, most)


_PARSERS: Final[dict[str, Callable[[Setting, object], Any]]] = {
    "alarms": _parse_alarms,
    "binds": _parse_binds,
    "bool": _parse_bool,
    "budgets": _parse_budgets,
    "choice": _parse_choice,
    "daemons": _parse_daemons,
    "float": _parse_float,
    "header": _parse_header,
    "hooks": _parse_hooks,
    "int": _parse_int,
    "logo": _parse_logo,
    "mode": _parse_mode,
    "mounts": _parse_mounts,
    "networks": _parse_networks,
    "paths": _parse_paths,
    "places": _parse_places,
    "str": _parse_str,
    "workers": _parse_workers,
}
_EXPECTED: Final = {
    "alarms": "tables, each with on and to",
    "binds": "host:port, [address]:port, *:port, unix:/path or fd://3, or several with a space between them",
    "bool": "yes or no (true, on, 1; false, off, 0)",
    "budgets": "a name and a limit such as postgres=20 or postgres=20,reserve=2, or several with a space"
    " between them",
    "daemons": "tables, each with a name and a cmd",
    "float": "a number",
    "header": "a field name",
    "hooks": "a table of stages with their commands",
    "int": "a whole number",
    "logo": "text",
    "mode": "octal permission bits such as 660",
    "mounts": "a prefix and what is there such as /old=module:app or /static=folder, or several with a space"
    " between them",
    "networks": "addresses, networks such as 10.0.0.0/8, unix or *, with a space between them",
    "paths": "a path, or several",
    "places": "stdout, a URL such as syslog+tls://host, or several with a space between them",
    "str": "text on one line",
    "workers": "auto, a whole number, or two such as 2..8",
}
