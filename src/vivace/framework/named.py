"""Apps by their names: the ones of this process, for programs that ask for one.

Rules of this file:

- An app is found for as long as anybody has it; being found keeps none alive.
- Of two apps of one name the later one is found.
"""

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, ClassVar, cast
from weakref import WeakValueDictionary

from vivace.errors import DeclarationError

if TYPE_CHECKING:
    from vivace.framework.app import Vivace

__all__ = ["Named"]

_apps: "WeakValueDictionary[str, Vivace[Any, Any]]" = WeakValueDictionary()


class Named:
    """What an app's class knows of all apps."""

    __slots__ = ()

    start_hint: ClassVar[str] = "Apps are made when their module is imported, or by a factory."
    """Goes behind the message that there is no app of a name."""
    test_mode: ClassVar[bool] = False
    """Kept for Sanic's programs: apps of one name are no error here in any case."""
    _app_registry: ClassVar[MutableMapping[str, Any]] = _apps

    @classmethod
    def get_app(cls, name: str | None = None, *, force_create: bool = False) -> "Vivace[Any, Any]":
        """The app of that name; without a name, the only one there is.

        Args:
            name: As given to the app.
            force_create: Make one if there is none.

        Raises:
            ConfigError: There is none, or more than one to choose from.
        """
        if name is None:
            found = list(_apps.values())
            if len(found) == 1:
                return found[0]
            raise DeclarationError(
                f'Multiple {cls.__name__} apps found, use {cls.__name__}.get_app("app_name")'
                if found
                else f"No {cls.__name__} apps have been registered."
            )
        app = _apps.get(name) or (_apps.get("__mp_main__") if name == "__main__" else None)
        if app is not None:
            return app
        if force_create:
            made: Vivace[Any, Any] = cast("Any", cls)(name)
            return made
        raise DeclarationError(f"{cls.__name__} app name '{name}' not found.\n{cls.start_hint}")

    @classmethod
    def register_app(cls, app: "Vivace[Any, Any]") -> None:
        """Let `get_app` find an app; every app does that itself when it is made.

        Raises:
            DeclarationError: It is no app.
        """
        if not isinstance(app, Named):
            raise DeclarationError(f"Registered app must be an instance of {cls.__name__}")
        _apps[app.name] = app

    @classmethod
    def unregister_app(cls, app: "Vivace[Any, Any]") -> None:
        """Let `get_app` forget an app.

        Raises:
            DeclarationError: It is no app.
        """
        if not isinstance(app, Named):
            raise DeclarationError(f"Registered app must be an instance of {cls.__name__}")
        if _apps.get(app.name) is app:
            del _apps[app.name]
