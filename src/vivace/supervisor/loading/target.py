"""Find and import the app that a target names, and tell its kind.

A target is ``module:app``, ``module``, ``file.py:app``, ``file.py`` or a factory, ``module:create_app``.

Rules of this file:

- What cannot be found is answered with what is near.
- Nothing that answers requests is imported here: an app that is ours has imported it already.
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

from vivace.config import Config
from vivace.errors import ConfigError, StartupError
from vivace.framework.mount import Mount, check_prefix
from vivace.interfaces.kind import classify
from vivace.supervisor.loading.failure import close_match, failure, run_user_code
from vivace.supervisor.loading.pick import near_module, pick_app

__all__ = ["USUAL_FILES", "Loaded", "find_target", "is_loading", "load_app", "load_target", "mount_all"]

USUAL_FILES: Final = ("app.py", "main.py", "web.py")
"""Where an app is looked for when no target is named, in this order."""
_loading: ContextVar[bool] = ContextVar("loading", default=False)


class Loaded(NamedTuple):
    """An imported app.

    Attributes:
        target: How it was named, for messages.
        app: The object.
        kind: One of `vivace.interfaces.kind.KINDS`.
        why: What told the kind.
        mounts: Apps below a path of one that is not native; a native app knows its own.
    """

    target: str
    app: Any
    kind: str
    why: str
    mounts: tuple[Mount, ...] = ()


def is_loading() -> bool:
    """Whether `load_target` is importing in this context: then nobody may start another server."""
    return _loading.get()


def find_target(directory: Path) -> str:
    """The target of a folder in which none was named.

    Raises:
        StartupError: None of `USUAL_FILES` is there.
    """
    for name in USUAL_FILES:
        if (directory / name).is_file():
            return name
    found = sorted(directory.glob("*/asgi.py")) or sorted(directory.glob("*/wsgi.py"))
    hint = f"; did you mean {found[0].parent.name}.{found[0].stem}?" if found else ""
    raise StartupError(
        f"nothing to serve: name a target such as module:app, set app in [tool.vivace] of pyproject.toml, "
        f"or add one of {', '.join(USUAL_FILES)} to {directory.resolve()}{hint}",
        stage="import",
        exit_code=2,
    )


def load_target(target: str, wanted: str = "auto") -> Loaded:
    """Import the app that `target` names.

    Args:
        target: Such as ``module:app``.
        wanted: The value of INTERFACE: the kind of the app, or ``auto``.

    Raises:
        StartupError: It cannot be found, its code fails, or it is no app; exit code 3.
    """
    place, _, name = target.partition(":")
    if not place:
        raise failure(f"the target {target!r} names no module; expected module:app or file.py:app")
    with _as_loading():
        module = _import_file(Path(place)) if _is_path(place) else _import_module(place)
        app, made_by = pick_app(module, name.strip(), target)
    kind, why = classify(app, f"{target} (made by {made_by})" if made_by else target, wanted)
    return Loaded(target, app, kind, f"{why}, made by {made_by}" if made_by else why)


def load_app(target: str, config: Config) -> Loaded:
    """Import the app that `target` names and those of MOUNTS, and mount these and the folders of STATIC.

    Raises:
        StartupError: One of them cannot be found, its code fails, or it is no app; exit code 3.
        ConfigError: A prefix of MOUNTS or STATIC cannot be used or is taken, or there is no such folder.
    """
    return mount_all(load_target(target, config.INTERFACE), config)


def mount_all(loaded: Loaded, config: Config) -> Loaded:
    """Import the apps of MOUNTS, and mount them and the folders of STATIC."""
    wanted = [(item.partition("=")[0], _mount(*item.partition("=")[::2])) for item in config.MOUNTS.split()]
    if config.STATIC:
        from vivace.supervisor.loading.folders import static_mounts

        wanted += [(mount.prefix or "/", mount) for mount in static_mounts(config)]
    mounts: dict[str, Mount] = {}
    for prefix, spec in wanted:
        if loaded.kind == "native":
            loaded.app.mount(prefix, spec.app)
        elif spec.prefix in mounts:
            raise ConfigError(f"two apps are mounted at {prefix!r}", key="MOUNTS")
        else:
            mounts[spec.prefix] = spec
    return loaded._replace(mounts=tuple(mounts.values()))


def _mount(prefix: str, target: str) -> Mount:
    return Mount(check_prefix(prefix), load_target(target).app, None)


@contextmanager
def _as_loading() -> Iterator[None]:
    here = str(Path.cwd())
    if here not in sys.path:  # a console script has its own folder there instead
        sys.path.insert(0, here)
    token = _loading.set(True)
    try:
        yield
    finally:
        _loading.reset(token)


def _is_path(place: str) -> bool:
    return place.endswith(".py") or os.sep in place


def _import_module(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise failure(f"{name!r} is no name of a module; expected module:app or file.py:app")
    try:
        found = run_user_code(lambda: importlib.util.find_spec(name), f"import {name}", missing=name)
        if found is None:
            raise _no_module(name)
        return run_user_code(lambda: importlib.import_module(name), f"import {name}")
    except ModuleNotFoundError as error:
        raise _no_module(name) from error


def _import_file(path: Path) -> ModuleType:
    if path.is_dir():
        near = near_module(path.name)
        hint = f"did you mean {near}?" if near else "name a module or file in it"
        raise failure(f"{path} is a folder; {hint}")
    if not path.is_file():
        close = close_match(path.name, [p.name for p in path.parent.glob("*.py")])
        raise failure(f"there is no file {path}{close}")
    path = path.resolve()
    folder, name = path.parent, path.stem
    while (folder / "__init__.py").is_file():  # part of a package: its relative imports must work
        folder, name = folder.parent, f"{folder.name}.{name}"
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    if "." in name:
        return run_user_code(lambda: importlib.import_module(name), f"import {path.name}")
    return run_user_code(lambda: _execute_file(path, name), f"import {path.name}")


def _execute_file(path: Path, name: str) -> ModuleType:
    # Not by import_module: a file may be called like a module of the standard library, or be no identifier.
    name = f"{name}_file" if name in sys.modules else name
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise failure(f"{path} cannot be imported: it is no Python source file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _no_module(name: str) -> StartupError:
    first = name.partition(".")[0]
    close = close_match(first, [p.stem for p in Path.cwd().iterdir() if p.suffix == ".py" or p.is_dir()])
    return failure(f"there is no module {name} in {Path.cwd()} or on the path of Python{close}")
