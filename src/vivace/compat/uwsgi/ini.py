"""The files that configure uWSGI: ini, and the same options as JSON, YAML or XML.

Rules of this file:

- An option may stand there several times; the order is kept.
- ``$(NAME)`` is a variable of the environment, ``%(name)`` an option or a name of the file's own that stands
  above, ``@(file)`` what a file holds. One that is not there is an error: uWSGI would leave the text as it is
  and listen somewhere.
- ``if-...`` and ``for`` hold the options up to their end; they do not nest, as with uWSGI.
- Follows uWSGI's documentation of its configuration logic, placeholders and magic variables.
"""

import os
import re
import shlex
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from glob import glob
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

from vivace.errors import ConfigError

__all__ = ["Given", "read_options"]

MAX_INCLUDES: Final = 32
"""Files that one file may bring in, one in the other."""
MAX_OPTIONS: Final = 10_000
"""Options of a file, and times that a loop runs."""
MAX_VALUE: Final = 65_536
"""Characters of a value with its placeholders filled in, and of a file that is one."""
MAX_FILE: Final = 1_048_576
"""Characters of a file with options."""
SECTION: Final = "uwsgi"
_HOLDER: Final = re.compile(r"\$\(([^)\s]+)\)|%\(([^)]+)\)|@\(([^)]+)\)|%([a-zA-Z])")


_VERBATIM: Final = frozenset(
    {
        "log-format",
        "logformat",
        "logformat-strftime",
        "log-date",
        "log-prefix",
        "log-encoder",
        "log-req-encoder",
    }
)
"""Options whose values have percent signs of their own."""


class Given(NamedTuple):
    """An option as it was given.

    Attributes:
        name: Its name in small letters, with dashes.
        value: With its placeholders filled in.
        place: File and line, for messages.
        raw: The value as it was written.
    """

    name: str
    value: str
    place: str
    raw: str


class _Line(NamedTuple):
    name: str
    value: str
    place: str


class _State:
    """What has been read so far."""

    def __init__(self, path: Path, section: str) -> None:
        self.path = path
        self.section = section
        self.found: list[Given] = []
        self.names: dict[str, str] = {}
        self.used: set[str] = set()
        self.depth = 0

    def fill(self, text: str, place: str) -> str:
        """Put the values in the place of placeholders."""
        for _ in range(8):  # a value may hold placeholders itself
            filled = _HOLDER.sub(lambda match: self._value(match, place), text)
            if len(filled) > MAX_VALUE:
                raise _refusal(f"{place}: with its placeholders the value has over {MAX_VALUE} characters")
            if filled == text:
                break
            text = filled
        return text

    def take(self, given: "Given") -> None:
        """Note an option."""
        if len(self.found) >= MAX_OPTIONS:
            raise _refusal(f"{given.place}: that is more than {MAX_OPTIONS} options; is it a loop of files?")
        self.names[given.name] = given.value
        self.found.append(given)

    def _value(self, match: re.Match[str], place: str) -> str:
        variable, name, file, magic = match.groups()
        if variable is not None:
            if variable not in os.environ:
                raise _refusal(
                    f"{place}: there is no variable {variable} in the environment for {match[0]}; set it"
                )
            return os.environ[variable]
        if name is not None:
            self.used.add(name)
            if name not in self.names:
                raise _refusal(f"{place}: nothing above gives {name} for {match[0]}")
            return self.names[name]
        if file is not None:
            return _read(self.path.parent / file, place, MAX_VALUE).strip()
        return _magic(magic, self.path, self.section) or match[0]


def read_options(path: str) -> tuple[list[Given], set[str]]:
    """The options of a file in their order, and the names that its placeholders use.

    Args:
        path: Of the file; ``file.ini:section`` for another section than ``uwsgi``.

    Raises:
        ConfigError: It cannot be read, or a line or a placeholder of it cannot be.
    """
    state = _State(Path(path), SECTION)
    _take_file(state, path, path)
    return state.found, state.used


def _take_file(state: _State, target: str, place: str) -> None:
    state.depth += 1
    if state.depth > MAX_INCLUDES:
        raise _refusal(f"{place}: more than {MAX_INCLUDES} files bring each other in; do they in a circle?")
    name, _, section = target.partition(":") if not Path(target).exists() else (target, "", "")
    before = state.path, state.section
    state.path = Path(before[0].parent / name if state.depth > 1 else name).absolute() if name else before[0]
    state.section = section or SECTION
    text = _read(state.path, place)
    lines = _READERS.get(state.path.suffix, _read_ini)(text, state.path.name, state.section)
    _take_lines(state, iter(lines))
    state.path, state.section = before
    state.depth -= 1


def _take_lines(state: _State, lines: Iterator[_Line]) -> None:
    for line in lines:
        if line.name.startswith("if-") or line.name in ("for", "for-glob", "for-times"):
            _take_block(state, line, _block(lines, line))
            continue
        value = line.value if line.name in _VERBATIM else state.fill(line.value, line.place)
        if line.name in ("ini", "include", "inherit", "xml", "json", "yaml"):
            _take_file(state, value, line.place)
        elif line.name in ("set-placeholder", "set-ph", "set"):
            name, _, value = value.partition("=")
            state.names[name.strip()] = value.strip()
        elif line.name != "print":
            state.take(Given(line.name, value, line.place, line.value))


def _block(lines: Iterator[_Line], opening: _Line) -> list[_Line]:
    """The lines up to the end of a condition or a loop."""
    end = ("endif", "end-if") if opening.name.startswith("if-") else ("endfor", "end-for")
    inner: list[_Line] = []
    for line in lines:
        if line.name in end:
            return inner
        inner.append(line)
    raise _refusal(f"{opening.place}: {opening.name} has no {end[0]}")


def _take_block(state: _State, opening: _Line, inner: list[_Line]) -> None:
    value = state.fill(opening.value, opening.place)
    if opening.name.startswith("if-"):
        kind = opening.name.removeprefix("if-").removeprefix("not-")
        if kind not in _CONDITIONS:
            raise _refusal(f"{opening.place}: there is no condition {opening.name}")
        held = _CONDITIONS[kind](state, value)
        if (held is not None) == opening.name.startswith("if-not-"):
            return
        values: Iterable[str] = [held or value]
    elif opening.name == "for-times":
        values = map(str, range(1, _times(value or "0", opening.place) + 1))
    elif opening.name == "for-glob":
        values = sorted(glob(os.path.join(state.path.parent, value))) if value else []
    else:
        values = _words(value, opening.place)
    for one in values:
        state.names["_"] = one
        _take_lines(state, iter(inner))


def _words(value: str, place: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError as error:
        raise _refusal(f"{place}: for = {value!r:.50} cannot be split: {error}") from None


def _times(value: str, place: str) -> int:
    if not (value.isascii() and value.isdigit()) or len(value) > 9 or int(value) > MAX_OPTIONS:
        raise _refusal(f"{place}: for-times = {value!r:.50}; expected a whole number up to {MAX_OPTIONS}")
    return int(value)


def _exists(test: Callable[[Path], bool]) -> Callable[[_State, str], str | None]:
    return lambda state, value: value if test(state.path.parent / value) else None


def _option_is(state: _State, value: str) -> str | None:
    name, _, wanted = value.partition("=")
    seen = [one.value for one in state.found if one.name == name.strip()]
    return seen[-1] if seen and (not wanted or wanted.strip() in seen) else None


_CONDITIONS: Final[dict[str, Callable[[_State, str], str | None]]] = {
    "env": lambda _, value: os.environ.get(value),
    "exists": _exists(Path.exists),
    "file": _exists(Path.is_file),
    "dir": _exists(Path.is_dir),
    "directory": _exists(Path.is_dir),
    "opt": _option_is,
    "hostname": lambda _, value: value if socket.gethostname() == value else None,
}
"""What holds; the text is what ``%(_)`` stands for inside."""


def _read_ini(text: str, name: str, section: str) -> list[_Line]:
    found: list[_Line] = []
    inside = False
    pending = ""
    for number, line in enumerate(text.split("\n"), 1):
        stripped = pending + line.strip()
        pending = ""
        if stripped.endswith("\\"):
            pending = stripped[:-1].rstrip() + " "
        elif stripped.startswith("["):
            inside = stripped.strip("[]").strip() == section
        elif inside and stripped and not stripped.startswith((";", "#")):
            key, equals, value = stripped.partition("=")
            found.append(_Line(_name(key), value.strip() if equals else "true", f"{name}, line {number}"))
    return found


def _read_json(text: str, name: str, section: str) -> list[_Line]:
    import msgspec

    try:
        return _of_table(msgspec.json.decode(text), name, section)
    except msgspec.DecodeError as error:
        raise _refusal(f"{name} is no JSON: {error}") from None


def _read_yaml(text: str, name: str, section: str) -> list[_Line]:
    try:
        yaml: Any = import_module("yaml")
    except ImportError:
        raise _refusal(f"{name}: reading YAML needs PyYAML: pip install pyyaml") from None
    try:
        return _of_table(yaml.load(text, yaml.BaseLoader), name, section)
    except yaml.YAMLError as error:
        raise _refusal(f"{name} is no YAML: {error}") from None


def _read_xml(text: str, name: str, section: str) -> list[_Line]:
    from xml.etree import ElementTree as ET

    try:
        root = ET.fromstring(text)  # noqa: S314 - the file is the user's own
    except ET.ParseError as error:
        raise _refusal(f"{name} is no XML: {error}") from None
    tables = [root] if root.tag == section else list(root.iter(section))
    return [
        _Line(_name(one.tag), (one.text or "true").strip(), name) for table in tables[:1] for one in table
    ]


def _of_table(found: Any, name: str, section: str) -> list[_Line]:
    table = found.get(section) if isinstance(found, dict) else None
    if not isinstance(table, dict):
        raise _refusal(f"{name} has no table {section!r} with the options")
    lines: list[_Line] = []
    for key, value in table.items():
        for one in value if isinstance(value, list) else [value]:
            text = str(one).lower() if isinstance(one, bool) else str(one)
            lines.append(_Line(_name(key), text, f"{name}, {key}"))
    return lines


_READERS: Final = {".json": _read_json, ".yaml": _read_yaml, ".yml": _read_yaml, ".xml": _read_xml}


def _name(key: str) -> str:
    return key.strip().removeprefix("--")


def _magic(letter: str, path: Path, section: str) -> str:
    """What ``%d`` and its kin stand for; empty for those that we do not know."""
    folder = path.parent
    return {
        "d": f"{folder}/",
        "p": str(path),
        "s": path.name,
        "n": path.stem,
        "e": path.suffix.removeprefix("."),
        "c": folder.name,
        "o": path.name,
        "x": section,
        "h": socket.gethostname(),
        "u": str(os.getuid()),
        "g": str(os.getgid()),
        "k": str(os.cpu_count() or 1),
        "t": str(int(time.time())),
        "T": str(time.time_ns() // 1000),
        "i": str(path.stat().st_ino),
        "v": str(Path.cwd()),
    }.get(letter.lower() if letter in "DPSNECOX" else letter, "")


def _read(path: Path, place: str, most: int = MAX_FILE) -> str:
    try:
        if not path.is_file():  # a device or a FIFO may have no end
            why = "it is no file" if path.exists() else "there is no such file"
            raise _refusal(f"{place}: {path} cannot be read: {why}")
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise _refusal(f"{place}: {path} cannot be read: {error}") from None
    if len(text) > most:
        raise _refusal(f"{place}: {path} has more than {most} characters")
    return text


def _refusal(why: str) -> ConfigError:
    return ConfigError(f"uwsgi: {why}", key="uwsgi")
