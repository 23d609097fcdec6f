"""Dependency injection: parameters of handlers that are made for each request, found by their annotations.

``app.ext.add_dependency(Person, Person.create)`` lets every handler have a parameter of the type `Person`;
``app.ext.dependency(pool)`` gives the same object each time; ``app.ext.add_constant("limit", 5)`` fills
parameters called ``limit``.

Rules of this file:

- Who needs what is found out when routes are compiled; a handler that needs nothing is left alone.
- A constructor gets the request, other dependencies, constants and path parameters, by annotation and name.
- Dependencies are made after the request middleware and before the handler, so a middleware may prepare what
  they read and refuse before anything is made. Each parameter gets its own, in the order of the signature.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_type_hints

from vivace.errors import ServerError
from vivace.ext.errors import InitError
from vivace.ext.extension import Extension
from vivace.framework.handler import function_name, is_async
from vivace.framework.request import Request
from vivace.framework.route import ASYNC, Route

if TYPE_CHECKING:
    from vivace.ext.extend import Extend

__all__ = ["Constructor", "Dependencies", "InjectionExtension"]

logger = logging.getLogger("vivace.error")

_OWN: Final = ("self", "cls")


class Constructor:
    """What makes a dependency: a function or a class, and what it must be given.

    Args:
        function: May be a coroutine function.
        request_arg: The parameter that gets the request; default: the one annotated so, or ``request``.
    """

    def __init__(self, function: Callable[..., Any], request_arg: str | None = None) -> None:
        self.function = function
        self.name = function_name(function)
        called = function.__init__ if isinstance(function, type) else function  # type: ignore[misc]
        self.hints = _hints(called)
        self.parameters = _parameters(function)
        named = "request" if "request" in self.parameters and "request" not in self.hints else None
        by_type = next((name for name, hint in self.hints.items() if _is_request(hint)), None)
        self.request_arg = request_arg or by_type or named

    def __repr__(self) -> str:
        return f"<Constructor({self.name})>"


class Dependencies:
    """What can be injected: constructors by type, constants by name."""

    def __init__(self) -> None:
        self.constructors: dict[Any, Constructor] = {}
        self.constants: dict[str, Any] = {}

    def check(self, path_types: Iterable[type]) -> None:
        """Refuse constructors that cannot get what they need, and those that need each other.

        Args:
            path_types: What path parameters may be: a parameter of such a type may come from the path.

        Raises:
            InitError: A constructor is at fault; it is named.
        """
        allowed = set(path_types)
        for kind, constructor in self.constructors.items():
            missing = [
                f"  - {name}: {hint}."
                for name, hint in constructor.hints.items()
                if self._is_missing(constructor, name, hint, allowed)
            ]
            if missing:
                raise InitError(
                    f"Unable to resolve dependencies for {constructor.name!r}. Could not find the following "
                    "dependencies:\n" + "\n".join(missing) + "\nMake sure the dependencies are declared: "
                    "app.ext.add_dependency(type, constructor)"
                )
            self._check_circle(constructor, (kind,))

    def _is_missing(self, constructor: Constructor, name: str, hint: Any, allowed: set[type]) -> bool:
        if name in _OWN or name == constructor.request_arg or hint in self.constructors or hint in allowed:
            return False
        parameter = constructor.parameters.get(name)
        variable = parameter is None or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        return not (variable or name.upper() in self.constants or parameter.default is not parameter.empty)  # type: ignore[union-attr]

    def _check_circle(self, constructor: Constructor, chain: tuple[Any, ...]) -> None:
        for hint in constructor.hints.values():
            needed = self.constructors.get(hint) if _hashable(hint) else None
            if needed is None:
                continue
            if hint in chain:
                raise InitError(
                    f"Circular dependency injection detected on {constructor.name!r}. Check dependencies of "
                    f"{needed.name!r} which may contain circular dependency chain with {hint}."
                )
            self._check_circle(needed, (*chain, hint))

    def node(self, kind: Any, path_names: tuple[str, ...]) -> "Node":
        """How to make a dependency below a path with these parameters."""
        constructor = self.constructors[kind]
        nested: dict[str, Node] = {}
        constants: dict[str, Any] = {}
        taken: list[str] = []
        for name, parameter in constructor.parameters.items():
            hint = constructor.hints.get(name)
            if name == constructor.request_arg:
                continue
            if _hashable(hint) and hint in self.constructors:
                nested[name] = self.node(hint, path_names)
            elif name in path_names:
                taken.append(name)
            elif name.upper() in self.constants and hint is not None:
                constants[name] = self.constants[name.upper()]
            elif parameter.kind is parameter.VAR_KEYWORD:
                taken.extend(n for n in path_names if n not in constructor.parameters)
        given = {*nested, *constants, *taken, constructor.request_arg}
        missing = [
            name
            for name, p in constructor.parameters.items()
            if name not in given and p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        ]
        return Node(constructor, tuple(nested.items()), constants, tuple(taken), bool(missing))


class Node(NamedTuple):
    """A constructor and where its arguments come from, below one path.

    Attributes:
        constructor: What is called.
        nested: Arguments that are dependencies themselves.
        constants: Arguments that are known already.
        taken: Arguments that are parameters of the path.
        incomplete: An argument comes from nowhere.
    """

    constructor: Constructor
    nested: "tuple[tuple[str, Node], ...]"
    constants: dict[str, Any]
    taken: tuple[str, ...]
    incomplete: bool

    async def make(self, request: Request, values: Mapping[str, Any]) -> Any:
        """The dependency for a request.

        Raises:
            ServerError: An argument of the constructor comes from nowhere.
        """
        constructor = self.constructor
        if self.incomplete:
            raise ServerError(
                "Failure to inject dependencies. Make sure that all dependencies for "
                f"{constructor.name!r} have been registered."
            )
        arguments = dict(self.constants)
        if constructor.request_arg is not None:
            arguments[constructor.request_arg] = request
        for name in self.taken:
            arguments[name] = values[name]
        for name, node in self.nested:
            arguments[name] = await node.make(request, values)
        made = constructor.function(**arguments)
        return await made if inspect.isawaitable(made) else made


class Plan(NamedTuple):
    """What a handler is given besides the request and the parameters of its path.

    Attributes:
        nodes: Parameters and how they are made.
        constants: Parameters that are known already.
    """

    nodes: tuple[tuple[str, Node], ...]
    constants: dict[str, Any]

    def names(self) -> set[str]:
        """The parameters that it fills."""
        return {*self.constants, *(name for name, _ in self.nodes)}

    async def fill(self, request: Request, values: dict[str, Any]) -> None:
        """Add the arguments to `values`."""
        found = dict(self.constants)
        for name, node in self.nodes:
            found[name] = await node.make(request, values)
        values.update(found)
        request.match_info.update(found)


class InjectionExtension(Extension):
    """Fills parameters of handlers and commands."""

    name = "injection"
    provides = ("add_constant", "add_dependency", "dependency", "inject", "injection", "load_constants")

    def __init__(self) -> None:
        self.known = Dependencies()
        self.wanting: list[str] = []

    def startup(self, bootstrap: "Extend") -> None:
        """Look at every route when it is compiled.

        Args:
            bootstrap: The extensions of the app.
        """
        if self.config.INJECTION_LOAD_CUSTOM_CONSTANTS:
            self.load_constants()
        self.app.amend_routes(self.amend)
        self.app.register_listener(self.report, "after_server_start")

    def report(self, _app: Any) -> None:
        """Log the handlers that cannot be called: nothing was declared for one of their parameters."""
        for line in self.wanting:
            logger.error("handler %s, which nothing provides: app.ext.add_dependency(...) may", line)

    def label(self) -> str:
        """How much can be injected."""
        return f"{len(self.known.constructors)} dependencies; {len(self.known.constants)} constants"

    def add_dependency(
        self,
        type: Any,  # noqa: A002  # its name in Sanic
        constructor: Callable[..., Any] | None = None,
        request_arg: str | None = None,
    ) -> None:
        """Let parameters that are annotated with a type be filled.

        Args:
            type: The annotation; a class as a rule.
            constructor: Makes one for a request, may be a coroutine function; default: the class itself.
            request_arg: The parameter of the constructor that gets the request; default: the one annotated
                with `Request`, or called ``request``.

        Raises:
            InitError: The constructor cannot be called.
        """
        made = type if constructor is None else constructor
        if not callable(made):
            raise InitError(f"The constructor of {type!r} is {made!r}; expected a function or a class")
        self.known.constructors[type] = Constructor(made, request_arg)
        self.app.changed()

    injection = add_dependency

    def dependency(self, obj: Any, name: str | None = None) -> None:
        """Let parameters of the type of an object be filled with that object.

        Args:
            obj: The object.
            name: Not needed; kept for Sanic's programs.
        """
        del name

        def getter() -> Any:
            return obj

        self.add_dependency(obj.__class__, getter)

    def add_constant(self, name: str, value: Any, overwrite: bool = False) -> None:
        """Let annotated parameters of a name be filled with a value; the app's configuration gets it too.

        Args:
            name: The name; handlers write it in lower case.
            value: The value.
            overwrite: Whether an earlier value may be replaced.

        Raises:
            ValueError: There is an earlier value.
        """
        key = name.upper()
        if key in self.known.constants and not overwrite:
            raise ValueError(f"A value for {key} has already been assigned")
        self.known.constants[key] = value
        self.app.config.update({key: value})
        self.app.changed()

    def load_constants(
        self, constants: Mapping[str, Any] | None = None, overwrite: bool | None = None
    ) -> None:
        """Add several constants; without any, the program's own settings.

        Args:
            constants: By name.
            overwrite: Whether earlier values may be replaced; default: only when settings are loaded.

        Raises:
            ValueError: There is an earlier value.
        """
        replace = constants is None if not isinstance(overwrite, bool) else overwrite
        for name, value in (self._own_settings() if constants is None else dict(constants)).items():
            self.add_constant(name, value, replace)

    def _own_settings(self) -> dict[str, Any]:
        known = {*self.app.config.__class__(), *self.config.__class__()}
        return {k: v for k, v in dict(self.app.config).items() if k not in known and not k.startswith("_")}

    # Routes

    def amend(self, routes: list[Route]) -> list[Route]:
        """Wrap the handlers that need something.

        Raises:
            InitError: A constructor cannot get what it needs, or needs itself.
        """
        self.known.check(kind for route in routes for kind in _path_types(route))
        self.wanting = []
        for route in routes:
            handler = self._wrapped(route)
            if handler is not None:
                route.handler, route.kind = handler, ASYNC
        return routes

    def _wrapped(self, route: Route) -> Callable[..., Any] | None:
        view = getattr(route.handler, "view_class", None)
        if view is None:
            plan = self.plan(route.handler, route.names)
            given = {*route.names, *(plan.names() if plan is not None else ())}
            missing = _unfilled(route.handler, given)
            if missing:
                self.wanting.append(f"{route.name} ({route.source}) needs {missing[0]!r}")
            return _inject(route.handler, plan or Plan((), {})) if plan is not None or missing else None
        plans = {
            method: plan
            for method in view.methods()
            if (plan := self.plan(getattr(view, method.lower()), route.names)) is not None
        }
        if "GET" in plans:
            plans.setdefault("HEAD", plans["GET"])
        return _inject_view(route.handler, plans) if plans else None

    def plan(self, handler: Callable[..., Any], path_names: tuple[str, ...] = ()) -> Plan | None:
        """What a function must be given; None if it needs nothing.

        Args:
            handler: A handler, a command or anything else with annotations.
            path_names: The parameters that are filled already.
        """
        nodes: list[tuple[str, Node]] = []
        constants: dict[str, Any] = {}
        for name, hint in _hints(handler).items():
            if _hashable(hint) and hint in self.known.constructors:
                nodes.append((name, self.known.node(hint, path_names)))
            elif name not in path_names and name.upper() in self.known.constants and name == name.lower():
                constants[name] = self.known.constants[name.upper()]
        return Plan(tuple(nodes), constants) if nodes or constants else None

    def inject(
        self, function: Callable[..., Any], request: Request | None = None
    ) -> Callable[..., Awaitable[Any]]:
        """A coroutine function that calls another with what it needs: for commands and tasks.

        Args:
            function: Its annotated parameters are filled as those of a handler.
            request: What constructors get that ask for a request.
        """

        @wraps(function)
        async def call(*args: Any, **values: Any) -> Any:
            plan = self.plan(function, tuple(values))
            if plan is not None:
                values.update(plan.constants)
                for name, node in plan.nodes:
                    values[name] = await node.make(request, values)  # type: ignore[arg-type]
            result = function(*args, **values)
            return await result if inspect.isawaitable(result) else result

        return call


def _inject(handler: Callable[..., Any], plan: Plan) -> Callable[..., Any]:
    call = (
        handler
        if is_async(inspect.unwrap(handler)) or is_async(handler)
        else partial(asyncio.to_thread, handler)
    )

    @wraps(handler)
    async def injected(request: Request, **values: Any) -> Any:
        await plan.fill(request, values)
        result = await call(request, **values)
        return await result if inspect.isawaitable(result) else result

    return injected


def _inject_view(handler: Callable[..., Any], plans: Mapping[str, Plan]) -> Callable[..., Any]:
    @wraps(handler)
    async def injected(request: Request, **values: Any) -> Any:
        plan = plans.get(request.method)
        if plan is not None:
            await plan.fill(request, values)
        return await handler(request, **values)

    return injected


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function's parameters; those of a class's ``__call__`` for an object."""
    while isinstance(function, partial):
        function = function.func
    plain = inspect.unwrap(function)
    if not (inspect.isroutine(plain) or inspect.isclass(plain)):
        plain = type(plain).__call__
    try:
        return {name: hint for name, hint in get_type_hints(plain).items() if name != "return"}
    except (AttributeError, NameError, TypeError):  # a name that only type checkers know
        return {}


def _path_types(route: Route) -> set[Any]:
    """What the parameters of a path may be."""
    hints = _hints(route.handler)
    return {str, int, float, *(hints[name] for name in route.names if _hashable(hints.get(name, [])))}


def _unfilled(handler: Callable[..., Any], given: set[str]) -> list[str]:
    """The parameters of a handler that nothing fills; the first is the request."""
    own = _own_parameters(handler)[1:]
    return [
        p.name
        for p in own
        if p.name not in given and p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]


def _own_parameters(handler: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(handler, follow_wrapped=False).parameters.values())
    except (TypeError, ValueError):  # a builtin without one
        return []


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin without one
        return {}


def _hashable(hint: Any) -> bool:
    try:
        hash(hint)
    except TypeError:
        return False
    return True


def _is_request(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Request)
