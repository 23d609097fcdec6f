"""Which object of an imported module is the app; a factory is called.

Rules of this file:

- A name that was given decides. Without one only what is certain is taken: a usual name, the only app.
- A function that takes nothing, or only parameters with defaults, cannot be an app: it makes one.
- What cannot be found is answered with what is near.
"""

import functools
import importlib.util
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, NamedTuple

from vivace.interfaces.kind import is_native, only_defaults, protocol_by_names
from vivace.supervisor.loading.failure import close_match, failure, run_user_code

__all__ = ["Picked", "near_module", "pick_app"]

_USUAL_NAMES: Final = ("app", "application")
_USUAL_FACTORIES: Final = ("create_app", "make_app")
_USUAL_PARTS: Final = ("asgi", "wsgi", "app", "main")


class Picked(NamedTuple):
    """What was found.

    Attributes:
        app: The object; whether it is an app is decided elsewhere.
        made_by: The factory that made it, such as ``create_app()``; empty if there was none.
    """

    app: Any
    made_by: str = ""


def pick_app(module: ModuleType, name: str, target: str) -> Picked:
    """The app of a module.

    Args:
        module: Imported.
        name: A dotted name in it, with ``()`` behind it for a factory; empty: to be found.
        target: How the app was named, for messages.

    Raises:
        StartupError: It cannot be found, or its factory failed; exit code 3.
    """
    return _look_up(module, name, target) if name else _guess(module, target)


def near_module(package: str) -> str:
    """The module of a package that is likely to hold the app, such as ``project.asgi``; empty if none."""
    for part in _USUAL_PARTS:
        name = f"{package}.{part}"
        try:
            if importlib.util.find_spec(name) is not None:
                return name
        except (ImportError, ValueError):
            continue
    return ""


def _look_up(module: ModuleType, name: str, target: str) -> Picked:
    path, called = (name[:-2], True) if name.endswith("()") else (name, False)
    found: Any = module
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            where = module.__name__ if found is module else f"{module.__name__}.{type(found).__name__}"
            near = close_match(part, [n for n in dir(found) if not n.startswith("_")]) or _apps_of(module)
            raise failure(f"{target}: {where} has no attribute {part!r}{near}") from None
    return _call_factory(found, path, target) if called else _settle(found, path, target)


def _settle(found: Any, name: str, target: str) -> Picked:
    """`found` as it is, or what it makes if it is a factory."""
    function = inspect.isroutine(found) or isinstance(found, functools.partial)
    if function and only_defaults(found) and not protocol_by_names(found):
        return _call_factory(found, name, target)
    return Picked(found)


def _call_factory(factory: Any, name: str, target: str) -> Picked:
    if not callable(factory):
        raise failure(f"{target}: that is no function, it cannot be called")
    if inspect.iscoroutinefunction(factory):
        raise failure(
            f"{target}: {name}() is an async function, and no loop runs yet when the app is made; let a plain"
            " function make it, and do what has to be awaited in its lifespan or a listener of its start"
        )
    return Picked(run_user_code(factory, f"calling {name}()"), f"{name}()")


def _guess(module: ModuleType, target: str) -> Picked:
    """A usual name, the only Vivace app, the only other object called like an app, a usual factory."""
    for name in _USUAL_NAMES:
        value = getattr(module, name, None)
        if value is not None and not isinstance(value, ModuleType):
            return _settle(value, name, target)
    for apps in (_native_apps(module), _hosted_apps(module)):
        if len({id(value) for value in apps.values()}) == 1:
            return Picked(next(iter(apps.values())))
        if apps:
            raise failure(f"{target}: {module.__name__} has several apps{_apps_of(module)}")
    for name in _USUAL_FACTORIES:
        if inspect.isroutine(getattr(module, name, None)):
            return _settle(getattr(module, name), name, target)
    near = near_module(module.__name__) if hasattr(module, "__path__") else ""
    hint = f"; did you mean {near}?" if near else ""
    raise failure(f"{target}: {module.__name__} has no attribute app or application{hint}")


def _apps_of(module: ModuleType) -> str:
    names = [*_native_apps(module), *_hosted_apps(module)]
    return f"; it has the apps {', '.join(names)}: write {module.__name__}:{names[0]}" if names else ""


def _native_apps(module: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if _holds(is_native, value)}


def _hosted_apps(module: ModuleType) -> dict[str, Any]:
    """Objects that are called as ASGI or WSGI say. Functions may be parts of an app, so they are left out."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("__") and _holds(_is_hosted_object, value)
    }


def _is_hosted_object(value: Any) -> bool:
    part = inspect.isroutine(value) or inspect.isclass(value) or is_native(value)
    return not part and bool(protocol_by_names(value))


def _holds(question: Callable[[Any], bool], value: Any) -> bool:
    """The answer; no for a value that cannot even be looked at here: a proxy of a request or of settings."""
    try:
        return question(value)
    except Exception:  # noqa: BLE001  # whatever it is, it is no app
        return False
