"""What a file of uWSGI means here as a whole: what to serve, by which settings, where.

Rules of this file:

- An option without a counterpart is named in one warning, one that nobody knows too; a name that placeholders
  use is the file's own.
- One thread serves a WSGI app unless the file gives it more, as with uWSGI: it may not be safe with several.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from vivace.compat.uwsgi.ini import Given, read_options
from vivace.compat.uwsgi.rules import ACTS, ALIASES, ELSEWHERE, NOT_NEEDED
from vivace.compat.uwsgi.sketch import Sketch, is_true
from vivace.config import Config
from vivace.errors import ConfigError

__all__ = ["Meaning", "read_meaning"]

_ADDRESSES = ("BIND", "HOST", "PORT", "UNIX")


@dataclass(frozen=True)
class Meaning:
    """What a file says.

    Attributes:
        target: What to serve; empty if the file does not say.
        settings: By the names of our settings, as the command line would give them.
        warnings: What has no effect, one line each.
        notes: What differs, for a reader of the settings.
        folder: Where to run; empty: here.
        environ: Variables to set; None takes one away.
        paths: Folders in which Python looks for modules.
    """

    target: str
    settings: dict[str, Any]
    warnings: list[str]
    notes: list[str]
    folder: str
    environ: dict[str, str | None]
    paths: list[str]

    def prepare(self) -> None:
        """Bring this process to where the app is to run: its folder, its environment, its modules."""
        for name, value in self.environ.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if self.folder:
            os.chdir(self.folder)
        if self.paths:
            new = [str(Path(path).absolute()) for path in self.paths]
            sys.path[:0] = [path for path in new if path not in sys.path]
            known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
            os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([*new, *filter(None, known)]))

    def beaten_by(self, overrides: Mapping[str, object]) -> dict[str, Any]:
        """The settings with those of the command line on top; one address given there replaces all."""
        own = dict(self.settings)
        if any(name in overrides for name in _ADDRESSES):
            own.pop("BIND", None)
        return {**own, **overrides}


def read_meaning(path: str) -> Meaning:
    """Read a file of uWSGI: ini, JSON, YAML or XML.

    Args:
        path: Of it; ``file.ini:section`` for another section than ``uwsgi``.

    Raises:
        ConfigError: It cannot be read, a value of it cannot be used, or it wants what cannot be.
    """
    options, used = read_options(path)
    sketch = Sketch()
    for given in options:
        before = dict(sketch.settings), sketch.workers
        _take(sketch, given, used)
        _note_place(sketch, given, *before)
    _finish(sketch)
    _check(sketch)
    return Meaning(
        target=_target(sketch),
        settings=sketch.settings,
        warnings=sketch.warnings,
        notes=list(dict.fromkeys(sketch.notes)),
        folder=sketch.folder,
        environ=sketch.environ,
        paths=sketch.paths,
    )


def _take(sketch: Sketch, given: Given, used: set[str]) -> None:
    name = ALIASES.get(given.name, given.name)
    name = ALIASES.get(name, name)
    if name in ACTS:
        ACTS[name](sketch, given)
    elif name in ELSEWHERE:
        if is_true(given.value):
            _say(sketch, name, given)
    elif name not in NOT_NEEDED and given.name not in used:
        close = get_close_matches(name, [*ACTS, *NOT_NEEDED, *ELSEWHERE, *ALIASES], n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        sketch.warnings.append(f"{given.place}: {given.name} is no option of uWSGI that is known here{hint}")


def _note_place(
    sketch: Sketch, given: Given, settings: Mapping[str, object], workers: tuple[int, int]
) -> None:
    if sketch.workers != workers:
        sketch.places["WORKERS"] = f"{given.place}, {given.name}"
    for name, value in sketch.settings.items():
        if name not in settings or settings[name] != value:
            sketch.places[name] = f"{given.place}, {given.name}"


def _check(sketch: Sketch) -> None:
    """Raise if a value is not what its setting takes; says which line gave it."""
    for name, value in sketch.settings.items():
        Config().override({name: value}, sketch.places.get(name, "uwsgi file"))


def _say(sketch: Sketch, name: str, given: Given) -> None:
    if name == "virtualenv" and Path(given.value).absolute() == Path(sys.prefix).absolute():
        return
    sketch.warn(given, ELSEWHERE[name])


def _finish(sketch: Sketch) -> None:
    most, least = sketch.workers
    if most:
        sketch.settings["WORKERS"] = f"{least}..{most}" if 0 < least < most else most
    if least and not 0 < least < max(most, 1):
        where = sketch.places["WORKERS"].rpartition(",")[0]
        text = f"{where}: cheaper = {least} has no effect here: it has to be below processes, which is {most}"
        sketch.warnings.append(text)
    sketch.settings.setdefault("THREADS", 1)
    if most <= 1 and "RESPONSE_TIMEOUT" in sketch.settings:  # somebody has to replace a worker that is stuck
        sketch.settings["SUPERVISE"] = "on"
    if sketch.daemons:
        sketch.settings["DAEMON"] = sketch.daemons
    if sketch.hooks:
        sketch.settings["HOOKS"] = sketch.hooks


def _target(sketch: Sketch) -> str:
    if not sketch.module:
        return ""
    if "/" in sketch.module and not Path(sketch.folder or ".", sketch.module).exists():
        raise ConfigError(f"uwsgi: there is no file {sketch.module} to serve", key="wsgi-file")
    return f"{sketch.module}:{(sketch.function or 'application').removesuffix('()')}"
