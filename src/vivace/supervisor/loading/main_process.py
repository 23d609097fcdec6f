"""The process that imports the app for others: its listeners, its files, and whether it may be forked.

Rules of this file:

- It is safe to fork as long as there is one thread and no socket of the app's.
- asyncio is imported only where a listener needs it: a supervisor does without.
"""

import os
import sys
import sysconfig
import threading
from collections.abc import Collection
from collections.abc import Set as AbstractSet
from typing import Any, Final

__all__ = ["imported_files", "open_sockets", "run_main_listeners", "why_unsafe"]

_FILES: Final = "/proc/self/fd"


def run_main_listeners(app: Any, *stages: str, changed: Collection[str] = ()) -> None:
    """Run listeners of the process that makes the workers, on a loop of their own: it has none otherwise.

    Args:
        app: A Vivace app, or None.
        stages: Their names.
        changed: Files, for ``after_reload_trigger``.
    """
    if app is None:
        return
    import asyncio

    registries = (app, *app.blueprints.values())
    heard = {spec.stage for registry in registries for spec in registry.listener_specs}
    for stage in stages:
        if stage in heard:
            asyncio.run(app.run_listeners(stage, changed))


def open_sockets() -> set[str]:
    """The open sockets of this process, as Linux names them; empty elsewhere."""
    found = set()
    try:
        names = os.listdir(_FILES)
    except OSError:
        return set()
    for name in names:
        try:
            place = os.readlink(f"{_FILES}/{name}")
        except OSError:
            continue
        if place.startswith("socket:"):
            found.add(place)
    return found


def why_unsafe(sockets: AbstractSet[str] = frozenset()) -> str:
    """Why no worker may be forked from here; empty if it may.

    Args:
        sockets: That the app has opened.
    """
    threads = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
    if threads:
        return f"the app starts threads when it is imported ({', '.join(threads)}), which a fork loses"
    if sockets:
        many = "a connection" if len(sockets) == 1 else f"{len(sockets)} connections"
        return f"the app opens {many} when it is imported, which workers must not share"
    return ""


def imported_files() -> set[str]:
    """The source files of what was imported, without those of Python and of installed packages."""
    paths = sysconfig.get_paths()
    installed = tuple({paths[name] + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")})
    found = set()
    for module in list(sys.modules.values()):
        name = getattr(module, "__file__", None)
        if isinstance(name, str) and not name.startswith(installed) and name.endswith(".py"):
            found.add(os.path.abspath(name))
    return found
