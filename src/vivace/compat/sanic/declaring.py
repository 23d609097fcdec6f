"""What Sanic refuses when a route is declared, and in which words.

Rules of this file:

- A handler may lack parameters of its path and a word that is no type is a regular expression, as in Sanic:
  its programs and their tests declare such routes.
"""

import inspect
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from vivace.compat.sanic.static import ServingFiles
from vivace.errors import DeclarationError
from vivace.framework.pattern import ParamType, TypeTable, parse_path
from vivace.framework.spec import RouteSpec, join_path, typed_path

__all__ = ["Declaring", "SanicTypes"]

_OLD_NAMES: Final = {"string": "str", "number": "float"}
_OLD: Final = re.compile(r"<(\w+):(string|number)>")


class SanicTypes(TypeTable):
    """The parameter types, those included that went out of use."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(lenient=True)

    def get(self, label: str) -> ParamType | None:
        """The type of that name."""
        return super().get(_OLD_NAMES.get(label, label))


_TYPES: Final = SanicTypes()


class Declaring(ServingFiles):
    """An app or a blueprint that takes the routes that Sanic takes."""

    __slots__ = ()

    if not TYPE_CHECKING:  # type checkers know the attributes and refuse others themselves

        def __setattr__(self, name: str, value: Any) -> None:
            if not hasattr(type(self), name):  # subclasses have those of their __slots__
                kind = type(self).__name__
                raise AttributeError(
                    f"Setting variables on {kind} instances is not allowed. You should change your {kind} "
                    f"instance to use instance.ctx.{name} instead."
                )
            object.__setattr__(self, name, value)

    def _known_types(self) -> TypeTable:
        return _TYPES

    def _check(self, spec: RouteSpec) -> None:
        parse_path(typed_path(join_path("", spec.uri), spec.handler), self._known_types())
        for name, old in _OLD.findall(spec.uri):
            warnings.warn(
                f"Use of '{old}' as a path parameter type is deprected, and will be removed in Sanic v21.12. "
                f"Instead, use <{name}:{_OLD_NAMES[old]}>.",
                DeprecationWarning,
                stacklevel=4,
            )
        if not callable(spec.handler):
            raise TypeError(f"{spec.handler!r} is not a callable object")
        try:
            takes_any = bool(inspect.signature(spec.handler).parameters)
        except (TypeError, ValueError):  # a builtin without a signature
            return
        if not takes_any:
            raise DeclarationError(f"Required parameter `request` missing in the {spec.name}() route?")

    def add_route(self, handler: Any, uri: str, methods: Any = None, *args: Any, **options: Any) -> Any:
        """Declare `handler` without a decorator; a class view has those methods that it defines."""
        if hasattr(handler, "view_class"):
            methods = None
        return super().add_route(handler, uri, methods, *args, **options)

    def _name_route(self, handler: Callable[..., Any], name: str | None) -> str:
        for found in (name, handler, getattr(handler, "name", None), getattr(handler, "__name__", None)):
            if isinstance(found, str) and found:
                return found
        raise DeclarationError("Could not generate a name for handler")
