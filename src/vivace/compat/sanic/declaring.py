"""What Sanic refuses when a route is declared, and in which words.

Rules of this file:

- A handler may lack parameters of its path and a word that is no type is a regular expression, as in Sanic:
  its programs and their tests declare such routes.
"""

import inspect
import re
import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from vivace.compat.sanic.static import ServingFiles
from vivace.errors import DeclarationError
from vivace.framework.pattern import ParamType, TypeTable, parse_path
from vivace.framework.spec import RouteSpec, join_path, typed_path

__all__ = ["Declaring", "SanicTypes"]

_PLAIN: Final = ("host", "strict_slashes", "version", "name", "ignore_body", "version_prefix", "error_format")
_BODY: Final = ("host", "strict_slashes", "stream", "version", "name", "version_prefix", "error_format")
_POSITIONS: Final = {
    **dict.fromkeys(("get", "head", "options", "delete"), _PLAIN),
    **dict.fromkeys(("post", "put", "patch"), _BODY),
    "route": (
        "methods",
        *_BODY[:5],
        "ignore_body",
        "apply",
        "subprotocols",
        "websocket",
        "unquote",
        "static",
        *_BODY[5:],
    ),
}
"""What the arguments behind the path mean that come without their names."""
_ADDED: Final = (
    "host",
    "strict_slashes",
    "version",
    "name",
    "stream",
    "version_prefix",
    "error_format",
    "unquote",
)
"""The same behind the handler, path and methods of `add_route`."""
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
        return super().add_route(handler, uri, methods, **named("add_route", _ADDED, args), **options)

    def _name_route(self, handler: Callable[..., Any], name: str | None) -> str:
        for found in (name, handler, getattr(handler, "name", None), getattr(handler, "__name__", None)):
            if isinstance(found, str) and found:
                return found
        raise DeclarationError("Could not generate a name for handler")


def named(method: str, names: Sequence[str], args: Sequence[Any]) -> dict[str, Any]:
    """Arguments by the names that they have at their places.

    Raises:
        TypeError: There are more of them.
    """
    if len(args) > len(names):
        raise TypeError(
            f"{method}() takes {len(names)} arguments behind the first but {len(args)} were given"
        )
    return dict(zip(names, args, strict=False))


def _by_position(method: str, names: Sequence[str]) -> None:
    original = getattr(ServingFiles, method)

    @wraps(original)
    def declare(self: Declaring, uri: str, *args: Any, **options: Any) -> Any:
        return original(self, uri, **named(method, names, args), **options)

    setattr(Declaring, method, declare)


for _method, _names in _POSITIONS.items():
    _by_position(_method, _names)
