"""The router as Sanic's programs know it: what they look at, and what they override.

Rules of this file:

- Nothing is matched here: the tables are those that the app compiles from its declarations.
- A subclass that overrides `add` is told of every route of the app itself, one that overrides `get` is asked
  for every request; a program that overrides neither pays for nothing.
"""

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from vivace.compat.sanic.constants import HTTP_METHODS
from vivace.compat.sanic.patterns import describe_types
from vivace.errors import FinalizationError, InvalidRoute
from vivace.framework.route import Route
from vivace.framework.router import Match
from vivace.framework.router import Router as CompiledRouter

if TYPE_CHECKING:
    from vivace.compat.sanic.app import Sanic

__all__ = ["AskingRouter", "Requirements", "RouteGroup", "Router"]

Parts = tuple[str, ...]


class Requirements(dict[str, Any]):
    """What a request needs besides path and method; it cannot be changed."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise TypeError("Cannot change immutable dict")


for _name in ("__setitem__", "__delitem__", "update", "clear", "pop", "popitem", "setdefault"):
    setattr(Requirements, _name, _refuse)


class RouteGroup:
    """The routes of one path.

    Attributes:
        path: The path, without a slash at its beginning.
        parts: What stands between its slashes.
        routes: The routes.
    """

    def __init__(self, parts: Parts, routes: list[Route]) -> None:
        self.parts = parts
        self.path = routes[0].path
        self.routes = tuple(routes)

    @property
    def methods(self) -> frozenset[str]:
        """The methods of all of them."""
        return frozenset(method for route in self.routes for method in route.methods)

    @property
    def methods_index(self) -> dict[str, Route]:
        """The routes by their methods."""
        return {method: route for route in reversed(self.routes) for method in route.methods}

    @property
    def requirements(self) -> list[dict[str, Any]]:
        """What they need besides path and method."""
        return [route.requirements for route in self.routes if route.requirements]

    def __len__(self) -> int:
        return len(self.routes)

    def __str__(self) -> str:
        return f"<RouteGroup: path={self.path} len={len(self.routes)}>"

    __repr__ = __str__


class Router:
    """The routes of an app.

    Args:
        options: Taken for Sanic's sake and not needed.

    Attributes:
        ctx: Anything that belongs to the program; ``ctx.app`` is the app.
        finalized: The routes are being served.
        ALLOWED_METHODS: The methods that a route may have; a subclass or an instance may name more.
    """

    DEFAULT_METHOD: ClassVar[str] = "GET"
    ALLOWED_METHODS: tuple[str, ...] = HTTP_METHODS

    def __init__(self, **options: Any) -> None:
        self.delimiter = options.get("delimiter", "/")
        self.stacking = False
        self.cascade_not_found = False
        self.route_class = Route
        self.group_class = RouteGroup
        self.ctx = SimpleNamespace()
        self.finalized = False

    @property
    def _app(self) -> "Sanic":
        return self.ctx.app  # type: ignore[no-any-return]  # a namespace

    @property
    def _compiled(self) -> CompiledRouter:
        return self._app.compiled_router

    # Looking at them

    @property
    def routes(self) -> tuple[Route, ...]:
        """Every route: static ones, then those with parameters, then regular expressions."""
        return tuple(sorted(self._compiled.routes, key=_rank))

    @property
    def routes_all(self) -> dict[Parts, Route]:
        """Every route by the parts of its path."""
        return {_parts(route): route for route in self.routes}

    @property
    def groups(self) -> dict[Parts, RouteGroup]:
        """Every path with its routes; the names of parameters do not count."""
        found: dict[Parts, list[Route]] = {}
        for route in self.routes:
            found.setdefault(_anonymous(route), []).append(route)
        return {parts: RouteGroup(parts, routes) for parts, routes in found.items()}

    def _of_rank(self, rank: int) -> dict[Parts, RouteGroup]:
        return {parts: group for parts, group in self.groups.items() if _rank(group.routes[0]) == rank}

    @property
    def static_routes(self) -> dict[Parts, RouteGroup]:
        """The paths without parameters."""
        return self._of_rank(0)

    routes_static = static_routes

    @property
    def dynamic_routes(self) -> dict[Parts, RouteGroup]:
        """The paths whose parameters fill one segment each."""
        return self._of_rank(1)

    routes_dynamic = dynamic_routes

    @property
    def regex_routes(self) -> dict[Parts, RouteGroup]:
        """The paths that are matched as regular expressions."""
        return self._of_rank(2)

    routes_regex = regex_routes

    @property
    def name_index(self) -> dict[str, Route]:
        """The routes by their full names."""
        return self._compiled.name_index

    @property
    def tree(self) -> dict[Parts, RouteGroup]:
        """What the tree of the compiled router is made of."""
        return self.groups

    @property
    def regex_types(self) -> dict[str, Any]:
        """Cast, pattern and kind of parameter for each type."""
        return dict(describe_types(self._app._known_types()))

    def find_route_by_view_name(self, view_name: str | None, name: str | None = None) -> Route | None:
        """The first route of that name, with or without the app's name before it, or None."""
        return self._compiled.find_route_by_view_name(view_name, name) if view_name else None

    # Changing them

    def register_pattern(
        self, label: str, cast: Callable[[str], Any], pattern: Any, param_info_class: Any = None
    ) -> None:
        """Declare a parameter type; see `Vivace.register_pattern`.

        Raises:
            InvalidRoute: An argument is of the wrong type.
        """
        del param_info_class
        what = "When registering a pattern, "
        if not isinstance(label, str):
            raise InvalidRoute(f"{what}label must be a string, not label={label!r}")
        if not callable(cast):
            raise InvalidRoute(f"{what}cast must be a callable, not cast={cast!r}")
        if not isinstance(pattern, str) and not hasattr(pattern, "pattern"):
            raise InvalidRoute(
                f"{what}pattern must be a string or a Pattern, not pattern={pattern!r}, type={type(pattern)}"
            )
        self._app.register_pattern(label, cast, pattern)

    def add(
        self,
        uri: str,
        methods: Iterable[str],
        handler: Callable[..., Any],
        *,
        overwrite: bool = False,
        **options: Any,
    ) -> Route | list[Route]:
        """Declare a route of the app.

        Args:
            uri: Its path.
            methods: Its methods.
            handler: Its handler.
            overwrite: Taken for Sanic's sake.
            options: The other arguments of `vivace.framework.registry.Registry.route`.

        Returns:
            The route.
        """
        del overwrite
        spec = self._app.add_declared(uri, methods, handler, options)
        found = [route for route in self._compiled.routes if route.handler is spec.handler]
        return found[-1] if len(found) == 1 else found

    def get(
        self, path: str, method: str, host: str | None
    ) -> tuple[Route, Callable[..., Any], dict[str, Any]]:
        """Route, handler and values for a request.

        Raises:
            NotFound: No route matches.
            MethodNotAllowed: Routes match the path, none has the method.
        """
        return self._compiled.get(path, method, host)

    def finalize(self) -> None:
        """Compile the routes.

        Raises:
            FinalizationError: There are none, or they are being served already.
        """
        if self.finalized:
            raise FinalizationError("Cannot finalize router more than once.")
        self._app.finalize()
        if not self._compiled.routes:
            raise FinalizationError("Cannot finalize with no routes defined.")
        self.finalized = True

    def reset(self) -> None:
        """Let routes be declared and compiled again."""
        self.finalized = False


class AskingRouter(CompiledRouter):
    """Compiled routes that ask a router of the program which of them answers."""

    asked: Router

    def resolve(self, path: bytes, method: str, host: bytes) -> Match:
        """The route for a request, and the values of its parameters.

        Raises:
            NotFound: No route matches the path.
            MethodNotAllowed: Routes match the path, none has the method.
        """
        route, _handler, values = self.asked.get(path.decode("latin-1"), method, host.decode("latin-1"))
        return route, values


def _rank(route: Route) -> int:
    return 2 if route.regex else 1 if route.names else 0


def _parts(route: Route) -> Parts:
    return tuple(route.path.split("/")) if not route.regex else route.parts


def _anonymous(route: Route) -> Parts:
    """The parts of a path without the names of its parameters."""
    shown = route.parts
    return tuple(
        f"<__dynamic__:{part[1:-1].partition(':')[2] or 'str'}>" if part.startswith("<") else part
        for part in shown
    )
