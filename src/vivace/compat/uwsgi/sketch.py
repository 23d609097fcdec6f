"""What becomes of uWSGI's options, piece by piece: our settings, and what is to be said.

Rules of this file: a value that cannot be used is an error that names file and line.
"""

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vivace.compat.uwsgi.ini import Given
from vivace.errors import ConfigError

__all__ = ["Sketch", "fail", "is_true"]


@dataclass
class Sketch:
    """What the options gave so far.

    Attributes:
        settings: By name.
        daemons: Tables of DAEMON.
        hooks: Commands by stage.
        warnings: What has no counterpart, one line for each option.
        notes: What is worth a word where the settings are printed.
        environ: Variables to set; None takes one away.
        folder: Where to run; empty: here.
        paths: Folders in which Python looks for modules.
        module: The module or file with the app.
        function: The app in it.
        workers: The most and the least number of processes.
        places: Which line gave a setting.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    daemons: list[dict[str, Any]] = field(default_factory=list)
    hooks: dict[str, list[list[str]]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    environ: dict[str, str | None] = field(default_factory=dict)
    folder: str = ""
    paths: list[str] = field(default_factory=list)
    module: str = ""
    function: str = ""
    workers: tuple[int, int] = (0, 0)
    places: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: str) -> None:
        """One more item of a setting that has several, with spaces between them."""
        self.settings[name] = f"{self.settings.get(name, '')} {value}".strip()

    def warn(self, given: Given, why: str) -> None:
        """Say once that an option has no effect."""
        text = f"{given.place}: {given.name} has no effect here: {why}"
        if not any(f": {given.name} has no effect" in one for one in self.warnings):
            self.warnings.append(text)

    def hook(self, stage: str, command: str) -> None:
        """Run a command of a shell at a stage."""
        self.hooks.setdefault(stage, []).append(["sh", "-c", command])

    def daemon(self, given: Given, command: str, **more: Any) -> None:
        """Keep a command of a shell running beside the workers.

        Raises:
            ConfigError: It has a quote that does not end.
        """
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise fail(given, f"a command for a shell ({str(error).lower()})") from None
        bare = re.sub(r"[^A-Za-z0-9._-]", "-", Path(words[0]).name if words else "").strip("-._") or "daemon"
        taken = {one["name"] for one in self.daemons}
        name, number = bare, 2
        while name in taken:
            name, number = f"{bare}-{number}", number + 1
        text = command if re.search(r"[&|;()<>\n]", command) else f"exec {command}"
        self.daemons.append({"name": name, "cmd": text, "shell": True, **more})

    def number(self, given: Given) -> int:
        """The value as a whole number.

        Raises:
            ConfigError: It is none.
        """
        try:
            return int(given.value)
        except ValueError:
            raise fail(given, "a whole number") from None


def is_true(value: str) -> bool:
    """Whether a value switches an option on; an empty one does, as in ``mule =``."""
    return value.strip().lower() not in ("false", "0", "no", "off")


def fail(given: Given, expected: str) -> ConfigError:
    """What is raised for a value that cannot be used."""
    return ConfigError(
        f"{given.place}: {given.name} = {given.value} cannot be used; expected {expected}", key=given.name
    )
