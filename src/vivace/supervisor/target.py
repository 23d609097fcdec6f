"""Find and import the app that a target names, and tell its kind.

A target is ``module:app``, ``module``, ``file.py:app``, ``file.py`` or a factory, ``module:make()``.

Rules of this file:

- What fails in the user's code is shown as a traceback of that code: our own frames and those of the import
  system are left out.
- What cannot be found is answered with what is near.
- Nothing of the framework is imported here: an app that is ours has imported it already.
"""

import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple, TypeVar

from vivace.errors import ConfigError, StartupError

__all__ = [
    "USUAL_FILES",
    "Loaded",
    "classify",
    "describe_failure",
    "find_target",
    "is_loading",
    "load_target",
    "user_traceback",
]

USUAL_FILES: Final = ("app.py", "main.py", "web.py")
"""Where an app is looked for when no target is named, in this order."""
_USUAL_NAMES: Final = ("app", "application")
_SPEAKS_FOR_ITSELF: Final = frozenset({"bind", "import", "interface"})
"""Stages whose messages need no traceback, or hold it already."""
_OURS: Final = str(Path(__file__).parents[1]) + os.sep
_T = TypeVar("_T")
_loading: ContextVar[bool] = ContextVar("loading", default=False)


class Loaded(NamedTuple):
    """An imported app.

    Attributes:
        target: How it was named, for messages.
        app: The object.
        kind: ``native``, ``asgi`` or ``wsgi``.
        why: What told the kind.
    """

    target: str
    app: Any
    kind: str
    why: str


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
    raise StartupError(
        f"nothing to serve: name a target such as module:app, set app in [tool.vivace] of pyproject.toml, "
        f"or add one of {', '.join(USUAL_FILES)} to {directory.resolve()}",
        stage="import",
        exit_code=2,
    )


def load_target(target: str) -> Loaded:
    """Import the app that `target` names.

    Raises:
        StartupError: It cannot be found, its code fails, or it is no app; exit code 3.
    """
    place, _, name = target.partition(":")
    if not place:
        raise _failure(f"the target {target!r} names no module; expected module:app or file.py:app")
    with _as_loading():
        module = _import_file(Path(place)) if _is_path(place) else _import_module(place)
        app = _look_up(module, name.strip(), target) if name.strip() else _guess(module, target)
    kind, why = classify(app, target)
    return Loaded(target, app, kind, why)


def classify(app: object, target: str = "the app") -> tuple[str, str]:
    """The kind of an app and what told it.

    Args:
        app: Anything.
        target: How it was named, for the message.

    Raises:
        StartupError: It is no app at all.
    """
    if _is_native(app):
        return "native", f"an instance of {type(app).__name__}"
    if callable(app):
        count = _count_positional(app)
        if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(getattr(app, "__call__", None)):  # noqa: B004
            if count == 3:
                return "asgi", "callable with scope, receive, send"
        elif count == 2:
            return "wsgi", "callable with environ, start_response"
    what = f"the module {app.__name__}" if isinstance(app, ModuleType) else f"of type {type(app).__name__}"
    raise _failure(f"{target} is no app: it is {what}; expected a Vivace app, or an ASGI or WSGI callable")


def user_traceback(error: BaseException) -> str:
    """The traceback of `error` without the frames of Vivace and of the import system."""
    shown = traceback.TracebackException.from_exception(error)
    pending, seen = [shown], set[int]()
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        one.stack = traceback.StackSummary.from_list([f for f in one.stack if not _is_hidden(f.filename)])
        pending += [e for e in (one.__cause__, one.__context__, *(one.exceptions or ())) if e is not None]
    return "".join(shown.format()).rstrip()


def _is_hidden(filename: str) -> bool:
    return filename.startswith((_OURS, "<frozen importlib")) or filename.endswith(("importlib/__init__.py",))


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
        raise _failure(f"{name!r} is no name of a module; expected module:app or file.py:app")
    try:
        found = _run_user_code(lambda: importlib.util.find_spec(name), f"import {name}", missing=name)
        if found is None:
            raise _no_module(name)
        return _run_user_code(lambda: importlib.import_module(name), f"import {name}")
    except ModuleNotFoundError as error:
        raise _no_module(name) from error


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        close = _close_matches(path.name, [p.name for p in path.parent.glob("*.py")])
        raise _failure(f"there is no file {path}{close}")
    path = path.resolve()
    folder, name = path.parent, path.stem
    while (folder / "__init__.py").is_file():  # part of a package: its relative imports must work
        folder, name = folder.parent, f"{folder.name}.{name}"
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    if "." in name:
        return _run_user_code(lambda: importlib.import_module(name), f"import {path.name}")
    return _run_user_code(lambda: _execute_file(path, name), f"import {path.name}")


def _execute_file(path: Path, name: str) -> ModuleType:
    # Not by import_module: a file may be called like a module of the standard library, or be no identifier.
    name = f"{name}_file" if name in sys.modules else name
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise _failure(f"{path} cannot be imported: it is no Python source file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _run_user_code(code: Callable[[], _T], doing: str, missing: str = "") -> _T:
    """What `code` returns; what it raises becomes a StartupError with the user's part of the traceback."""
    try:
        return code()
    except SystemExit as error:
        raise _failure(f"{doing}: the code ended the process (exit code {error.code})") from error
    except StartupError as error:
        if error.stage == "run":  # app.run() without its guard
            raise _failure(f"{doing}: {error}\n{user_traceback(error)}") from error
        raise
    except ModuleNotFoundError as error:
        if missing and error.name is not None and (missing + ".").startswith(error.name + "."):
            raise
        raise _failure(f"{doing} failed:\n{user_traceback(error)}") from error
    except Exception as error:
        raise _failure(f"{doing} failed:\n{user_traceback(error)}") from error


def _no_module(name: str) -> StartupError:
    first = name.partition(".")[0]
    close = _close_matches(first, [p.stem for p in Path.cwd().iterdir() if p.suffix == ".py" or p.is_dir()])
    return _failure(f"there is no module {name} in {Path.cwd()} or on the path of Python{close}")


def _look_up(module: ModuleType, name: str, target: str) -> Any:
    path, called = (name[:-2], True) if name.endswith("()") else (name, False)
    found: Any = module
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            where = module.__name__ if found is module else f"{module.__name__}.{type(found).__name__}"
            near = _close_matches(part, [n for n in dir(found) if not n.startswith("_")]) or _apps_of(module)
            raise _failure(f"{target}: {where} has no attribute {part!r}{near}") from None
    if called:
        return _call_factory(found, target)
    if inspect.isfunction(found) and _count_positional(found) == 0:
        raise _failure(f"{target} is a function without parameters; if it makes the app, write {target}()")
    return found


def _call_factory(factory: Any, target: str) -> Any:
    if not callable(factory):
        raise _failure(f"{target}: that is no function, it cannot be called")
    return _run_user_code(factory, f"calling {target}")


def _guess(module: ModuleType, target: str) -> Any:
    """The app of a module in which none was named: `app`, `application`, or the only Vivace app."""
    for name in _USUAL_NAMES:
        if hasattr(module, name):
            return getattr(module, name)
    native = {id(value): value for value in vars(module).values() if _is_native(value)}
    if len(native) == 1:
        return next(iter(native.values()))
    raise _failure(f"{target}: {module.__name__} has no attribute app or application{_apps_of(module)}")


def _apps_of(module: ModuleType) -> str:
    names = [name for name, value in vars(module).items() if _is_native(value)]
    return f"; it has the apps {', '.join(names)}: write {module.__name__}:{names[0]}" if names else ""


def _is_native(value: object) -> bool:
    framework = sys.modules.get("vivace.framework.app")
    return framework is not None and isinstance(value, framework.Vivace)


def _count_positional(function: Any) -> int:
    """How many positional arguments a call has to give; -1 if that cannot be told."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return -1
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in kinds and p.default is p.empty for p in parameters)


def _close_matches(name: str, among: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, among, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _failure(message: str) -> StartupError:
    return StartupError(message, stage="import", exit_code=3)


def describe_failure(error: BaseException) -> tuple[str, int]:
    """What to tell about an error that ended a start, and the exit code that goes with it."""
    if isinstance(error, StartupError):
        cause = error.__cause__
        if cause is None or error.stage in _SPEAKS_FOR_ITSELF:
            return str(error), error.exit_code
        return f"{error}\n{user_traceback(cause)}", error.exit_code
    if isinstance(error, ConfigError):
        return str(error), 2
    return f"the app failed to start:\n{user_traceback(error)}", 3
