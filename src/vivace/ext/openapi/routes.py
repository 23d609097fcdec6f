"""What a route says of itself in a document: its path, its parameters, the function behind a method.

Rules of this file: it reads compiled routes and changes nothing of them.
"""

import datetime as dt
from typing import Any, Final, get_type_hints
from uuid import UUID

from vivace.framework.pattern import Segment
from vivace.framework.route import Route

__all__ = ["document_path", "handler_of", "path_parameters"]

_KINDS: Final[dict[str, Any]] = {"int": int, "float": float, "uuid": UUID, "ymd": dt.date}


def handler_of(route: Route, method: str) -> Any:
    """The function that answers a method of a route: of a class view its method."""
    view = getattr(route.handler, "view_class", None)
    if view is None:
        return route.handler
    return getattr(view, method.lower(), None) or getattr(view, "get", route.handler)


def document_path(route: Route) -> str:
    """The path of a route as documents write it; a slash at its end stands where it counts."""
    parts = [
        segment.literal if segment.literal is not None else ".".join(f"{{{n}}}" for n in segment.names)
        for segment in route.segments
    ]
    slash = "/" if route.strict and parts and not parts[-1] else ""
    return "/" + "/".join(part for part in parts if part) + slash


def path_parameters(route: Route, function: Any) -> dict[str, Any]:
    """The parameters of a path: for each its type or schema, by the path or else by the annotation."""
    try:
        hints = get_type_hints(function)
    except (AttributeError, NameError, TypeError):  # a name that only type checkers know
        hints = {}
    return {
        name: _schema(segment, hints.get(name, str)) for segment in route.segments for name in segment.names
    }


def _schema(segment: Segment, hint: Any) -> Any:
    if segment.kind is not None and segment.kind.label in _KINDS:
        return _KINDS[segment.kind.label]
    # A number or a UUID that only the annotation says has become the type of the path by now.
    return hint if isinstance(hint, type) and hint not in (int, float, UUID) else str
