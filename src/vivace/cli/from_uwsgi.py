"""`vivace run uwsgi.ini` and `vivace config --from-uwsgi uwsgi.ini`: what a file of uWSGI says.

Rules of this file:

- What uWSGI's options mean is known by `vivace.compat.uwsgi` alone, which is imported by its name: this layer
  knows nothing above it.
- What is given on the command line beats what the file says.
"""

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from vivace.config import Config

__all__ = ["as_toml", "is_uwsgi_file", "uwsgi_reader"]

_SUFFIXES: Final = (".ini", ".json", ".yaml", ".yml", ".xml")
_COMPAT: Final = "vivace.compat.uwsgi"

Read = Callable[[Mapping[str, Any]], tuple[str, dict[str, Any], Callable[[Config], None]]]
"""Takes what the command line gave; gives the target, all that was given, and what passes on warnings."""


def is_uwsgi_file(target: str) -> bool:
    """Whether a target names a file of uWSGI, such as ``uwsgi.ini`` or ``uwsgi.ini:web``."""
    path = Path(target)
    if not path.is_file():  # a section may stand behind a colon
        path = Path(target.rpartition(":")[0])
    return path.suffix in _SUFFIXES and path.is_file()


def uwsgi_reader(target: str) -> Read:
    """What reads the file, at the start and at each restart.

    Args:
        target: As `is_uwsgi_file` takes it.
    """
    name, colon, section = (target, "", "") if Path(target).is_file() else target.rpartition(":")
    path = f"{Path(name).absolute()}{colon}{section}"
    home = Path.cwd()

    def read(overrides: Mapping[str, Any]) -> tuple[str, dict[str, Any], Callable[[Config], None]]:
        os.chdir(home)  # a restart begins where the start did
        meaning = import_module(_COMPAT).read_meaning(path)
        meaning.prepare()

        def warn(config: Config) -> None:
            config.warnings.extend(meaning.warnings)

        return meaning.target, meaning.beaten_by(overrides), warn

    return read


def as_toml(path: str) -> str:
    """A file of uWSGI as a vivace.toml; what of it has no effect is a comment there."""
    compat = import_module(_COMPAT)
    found: str = compat.to_toml(compat.read_meaning(path))
    return found
