"""Class views: the methods of a resource as the methods of a class.

Rules of this file:

- A new object answers each request; what it is made with is given to `as_view`.
- Which methods there are and how each is called is found out when the class is attached.
- HEAD goes to `get` unless there is a `head`; what the class has not is 405 like anywhere else.
- A class that overrides `dispatch_request` is asked through it; the others are called without a detour.
"""

import asyncio
from collections.abc import Callable, Iterable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from vivace.errors import DeclarationError, MethodNotAllowed
from vivace.framework.handler import is_async
from vivace.framework.spec import VERSION_PREFIX, Version

if TYPE_CHECKING:
    from vivace.framework.registry import Registry
    from vivace.framework.request import Request

__all__ = ["HTTPMethodView", "stream"]

F = TypeVar("F", bound=Callable[..., Any])

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


def stream(function: F) -> F:
    """Mark a method of a view: it reads the body itself, and so do the others of its class."""
    function.is_stream = True  # type: ignore[attr-defined]
    return function


class HTTPMethodView:
    """Base of class views: define ``get``, ``post`` ... with ``(self, request, ...)``.

    ``class Items(HTTPMethodView, attach=app, uri="/items")`` declares the route with the class.

    Attributes:
        decorators: Put around the handler, the last one outermost.
    """

    decorators: ClassVar[list[Callable[..., Any]]] = []
    hands_results: ClassVar[bool] = False
    """Whether decorators of a class without coroutine functions get what methods return, not a coroutine."""

    def __init_subclass__(
        cls, attach: "Registry | None" = None, uri: str | None = None, **options: Any
    ) -> None:
        super().__init_subclass__()
        if attach is not None:
            cls.attach(attach, uri or "", **options)

    @classmethod
    def methods(cls) -> list[str]:
        """The methods that the class answers."""
        return [method for method in _METHODS if callable(getattr(cls, method.lower(), None))]

    @classmethod
    def reads_body(cls) -> bool:
        """Whether a method is marked by `stream`."""
        return any(getattr(getattr(cls, name.lower()), "is_stream", False) for name in cls.methods())

    def dispatch_request(self, request: "Request", *args: Any, **values: Any) -> Any:
        """Call the method for a request; what an override does goes around every method of the class.

        Args:
            request: The request.
            args: Handed on.
            values: The parameters of the path.

        Returns:
            What the method returned: a coroutine if it is a coroutine function.
        """
        name = request.method.lower()
        if name == "head" and not hasattr(self, "head"):
            name = "get"
        return getattr(self, name)(request, *args, **values)

    @classmethod
    def as_view(cls, *class_args: Any, **class_kwargs: Any) -> Callable[..., Any]:
        """The handler for `add_route`; the arguments are those of the class.

        Raises:
            ConfigError: The class answers no method.
        """
        table = {method: (method.lower(), is_async(getattr(cls, method.lower()))) for method in cls.methods()}
        if not table:
            raise DeclarationError(f"view {cls.__name__} has no method such as get or post")
        if "GET" in table:
            table.setdefault("HEAD", table["GET"])

        if cls.dispatch_request is not HTTPMethodView.dispatch_request:
            own = ("dispatch_request", is_async(cls.dispatch_request))
            table = dict.fromkeys(table, own)

        async def view(request: "Request", **values: Any) -> Any:
            name, asynchronous = table.get(request.method, ("", False))
            if not name:
                raise MethodNotAllowed(None, request.method, sorted(table))
            method = getattr(cls(*class_args, **class_kwargs), name)
            if asynchronous:
                return await method(request, **values)
            result = await asyncio.to_thread(method, request, **values)
            return await result if isawaitable(result) else result

        def plain(request: "Request", **values: Any) -> Any:
            name, _ = table.get(request.method, ("", False))
            if not name:
                raise MethodNotAllowed(None, request.method, sorted(table))
            return getattr(cls(*class_args, **class_kwargs), name)(request, **values)

        direct = cls.hands_results and not any(asynchronous for _, asynchronous in table.values())
        handler: Callable[..., Any] = plain if direct else view
        handler.__module__, handler.__doc__ = cls.__module__, cls.__doc__
        for decorator in cls.decorators:
            handler = decorator(handler)
        handler.__name__ = cls.__name__
        handler.view_class = cls  # type: ignore[attr-defined]
        return handler

    @classmethod
    def attach(
        cls,
        to: "Registry",
        uri: str,
        methods: Iterable[str] | None = None,
        host: str | Iterable[str] | None = None,
        strict_slashes: bool | None = None,
        version: Version | None = None,
        name: str | None = None,
        stream: bool | None = None,
        version_prefix: str = VERSION_PREFIX,
        **options: Any,
    ) -> None:
        """Declare the class as a route of an app or a blueprint.

        Args:
            to: The app or blueprint.
            uri: The path.
            methods: Default: those that the class has.
            host: As in `Registry.route`, like the rest.
            strict_slashes: The same.
            version: The same.
            name: The same.
            stream: The body is not read; default: whether a method is marked by `stream`.
            version_prefix: The same.
            options: The other arguments of `Registry.route`.
        """
        stream = cls.reads_body() if stream is None else stream
        options |= {"version": version, "name": name, "version_prefix": version_prefix}
        to.add_route(cls.as_view(), uri, methods, host, strict_slashes, stream=stream, **options)
