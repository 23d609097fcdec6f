"""sanic.middleware: a middleware as an object, for programs that look at what an app has.

Rules of this file: an app keeps functions; these objects are made of them when they are asked for.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from itertools import count
from typing import Any, ClassVar

from vivace.framework.handler import function_name
from vivace.framework.middleware import MiddlewareSpec

__all__ = ["Middleware", "MiddlewareLocation", "middleware_of"]


class MiddlewareLocation(IntEnum):
    """When a middleware runs."""

    REQUEST = 1
    RESPONSE = 2


class Middleware:
    """A function that runs around handlers; apps take the function itself.

    Args:
        func: Called with the request, and the response if there is one.
        location: When.
        priority: Higher runs first.

    Attributes:
        definition: How many were made before it.
    """

    _counter: ClassVar[Any] = count()
    _count: ClassVar[int] = 0

    def __init__(self, func: Callable[..., Any], location: MiddlewareLocation, priority: int = 0) -> None:
        self.func = func
        self.priority = priority
        self.location = location
        self.definition = next(Middleware._counter)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.func(*args, **kwargs)

    def __hash__(self) -> int:
        return hash(self.func)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Middleware) and hash(self) == hash(other)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(func=<function {function_name(self.func)}>, priority={self.priority}, "
            f"location={self.location.name})"
        )

    @property
    def order(self) -> tuple[int, int]:
        """What they are sorted by: higher goes first."""
        return (self.priority, -self.definition)

    @classmethod
    def convert(
        cls,
        *middleware_collections: Sequence["Middleware | Callable[..., Any]"],
        location: MiddlewareLocation,
    ) -> "deque[Middleware]":
        """The functions of some collections as such objects."""
        every = (one for collection in middleware_collections for one in collection)
        return deque(one if isinstance(one, Middleware) else cls(one, location) for one in every)

    @classmethod
    def reset_count(cls) -> None:
        """Count from 0 again."""
        Middleware._counter = count()
        Middleware._count = 0


def middleware_of(specs: Iterable[MiddlewareSpec], location: str) -> "deque[Middleware]":
    """What is declared for a place, the first one first."""
    place = MiddlewareLocation[location.upper()]
    return deque(Middleware(s.function, place, s.priority) for s in specs if s.location == location)
