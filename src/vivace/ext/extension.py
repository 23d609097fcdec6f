"""The base of extensions: what one is called, whether it starts, and what it does when it does.

Rules of this file:

- A name belongs to one class: an extension replaces no other.
- An extension works at the start: it declares routes, middleware and listeners, and amends routes.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

from vivace.ext.errors import InitError

if TYPE_CHECKING:
    from vivace.ext.config import Config
    from vivace.ext.extend import Extend
    from vivace.framework.app import Vivace

__all__ = ["Extension"]


class Extension(ABC):
    """Something that can be added to an app: ``Extend(app, extensions=[MyExtension])``.

    Attributes:
        name: Letters only; each class its own.
        provides: The attributes of it that ``app.ext`` shows as its own.
        app: The app, before `startup`.
        config: The settings of the extensions, before `startup`.

    Raises:
        InitError: A subclass has no name, or that of another.
    """

    name: ClassVar[str]
    provides: ClassVar[tuple[str, ...]] = ()
    _name_registry: ClassVar[dict[str, type["Extension"]]] = {}

    app: "Vivace[Any, Any]"
    config: "Config"

    def __init_subclass__(cls) -> None:
        name = getattr(cls, "name", None)
        if not name or not name.isalpha():
            raise InitError("Extensions must be named, and may only contain alphabetic characters")
        if name in cls._name_registry:
            raise InitError(f'Extension "{name}" already exists')
        cls._name_registry[name] = cls

    @abstractmethod
    def startup(self, bootstrap: "Extend") -> None:
        """Do what it is there for, once per app.

        Args:
            bootstrap: The extensions of the app.
        """

    def included(self) -> bool:
        """Whether it is listed; of those that come with Vivace, whether it starts."""
        return True

    def label(self) -> str:
        """What stands behind its name where extensions are listed."""
        return ""

    def render_label(self) -> str:
        """The label in brackets, or nothing."""
        label = self.label()
        return f"[{label}]" if label else ""

    @classmethod
    def create(
        cls, extension: "type[Extension] | Extension", app: "Vivace[Any, Any]", config: "Config"
    ) -> Self:
        """The extension for an app: a class is called, an object taken as it is.

        Raises:
            TypeError: It is no extension.
        """
        made: Any = extension if isinstance(extension, Extension) else extension()
        if not isinstance(made, cls):
            raise TypeError(
                f"{extension!r} is no extension: expected a subclass of Extension, or an object of one"
            )
        made.app = app
        made.config = config
        return made

    @classmethod
    def reset(cls) -> None:
        """Forget the names: for tests that declare a class again."""
        cls._name_registry.clear()
