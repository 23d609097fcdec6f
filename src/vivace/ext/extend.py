"""Extensions are put together here: ``Extend(app)`` starts those that come with Vivace and the program's own.

Rules of this file:

- An extension that comes with Vivace is imported when an app is extended, and starts if its settings say so.
- An app is extended once.
- ``app.ext`` is the object made here; it shows what extensions provide as its own.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar, Final

from vivace.ext.config import Config, take_over
from vivace.ext.errors import InitError
from vivace.ext.extension import Extension
from vivace.framework.app import Vivace

__all__ = ["BUILT_IN", "Extend"]

BUILT_IN: Final[tuple[str, ...]] = (
    "vivace.ext.injection:InjectionExtension",
    "vivace.ext.openapi:OpenAPIExtension",
    "vivace.ext.http:HTTPExtension",
    "vivace.ext.health:HealthExtension",
    "vivace.ext.logging:LoggingExtension",
    "vivace.ext.templating:TemplatingExtension",
)
"""The extensions that come with Vivace in the order in which they start: ``module:class``."""

Given = type[Extension] | Extension


class Extend:
    """The extensions of one app.

    Args:
        app: What is extended.
        extensions: The program's own; they start first.
        built_in_extensions: Whether those of Vivace start too.
        config: Settings for them: a `Config` or a mapping.
        values: More settings, by their names.

    Attributes:
        app: The same.
        config: The settings.
        extensions: Every extension, in the order in which they started.

    Raises:
        InitError: `app` is no app.
        RuntimeError: It was extended before.
        ConfigError: A setting cannot be used.
    """

    _pre_registry: ClassVar[list[Given]] = []

    def __init__(
        self,
        app: Vivace[Any, Any],
        *,
        extensions: Sequence[Given] | None = None,
        built_in_extensions: bool = True,
        config: Config | Mapping[str, Any] | None = None,
        **values: Any,
    ) -> None:
        if not isinstance(app, Vivace):
            raise InitError(f"Cannot extend {app!r}: expected an app")
        if app._ext is not None:
            raise RuntimeError("Cannot extend Sanic after Sanic Extensions has been setup.")
        self.app = app
        self.config: Config = take_over(app, config, values)
        built_in = _built_in() if built_in_extensions else []
        wanted = dict.fromkeys((*(extensions or ()), *built_in, *self._pre_registry))
        self.extensions: list[Extension] = [Extension.create(item, app, self.config) for item in wanted]
        app._ext = self
        for extension in self.extensions:
            if type(extension) not in built_in or extension.included():
                extension.startup(self)

    @classmethod
    def register(cls, extension: Given) -> None:
        """Let an extension start with every app that is extended from now on."""
        cls._pre_registry.append(extension)

    @classmethod
    def reset(cls) -> None:
        """Forget what was registered."""
        cls._pre_registry.clear()

    def __getattr__(self, name: str) -> Any:
        for extension in self.__dict__.get("extensions", ()):
            if name in extension.provides:
                return getattr(extension, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _built_in() -> list[type[Extension]]:
    found = []
    for place in BUILT_IN:
        module, _, name = place.partition(":")
        found.append(getattr(import_module(module), name))
    return found
