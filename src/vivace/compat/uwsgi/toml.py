"""A file of uWSGI, written as our vivace.toml.

Rules of this file: what stands in it can be read back by `Config.load`; what has no setting is a comment.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from vivace.compat.uwsgi.meaning import Meaning

__all__ = ["to_toml"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(meaning: Meaning) -> str:
    """The text of a vivace.toml that says what the file says."""
    return "\n".join(_lines(meaning)) + "\n"


def _lines(meaning: Meaning) -> Iterator[str]:
    if meaning.folder:
        yield f"# run it in the folder {meaning.folder}"
    for name, value in meaning.environ.items():
        yield f"# environment: {name}={value}" if value is not None else f"# environment: no {name}"
    for path in meaning.paths:
        yield f"# environment: PYTHONPATH={path}"
    for text in (*meaning.notes, *meaning.warnings):
        yield f"# {text}"
    if meaning.target:
        yield f"app = {_value(meaning.target)}"
    port = "PORT of the environment is read without being asked for" in meaning.notes
    for name, value in meaning.settings.items():
        if name not in ("DAEMON", "HOOKS") and not (name == "BIND" and port and " " not in value):
            yield f"{name.lower().replace('_', '-')} = {_value(value)}"
    for daemon in meaning.settings.get("DAEMON", ()):
        yield "\n[[daemon]]"
        yield from (f"{_key(key)} = {_value(one)}" for key, one in daemon.items())
    if "HOOKS" in meaning.settings:
        yield "\n[hooks]"
        yield from (f"{stage} = {_value(found)}" for stage, found in meaning.settings["HOOKS"].items())


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else json.dumps(key)


def _value(value: Any) -> str:
    """In TOML: texts, numbers, booleans and lists are written as in JSON."""
    return json.dumps(value)
