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
from collections.abc import Awaitable, Callable, Mapping
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from vivace.ext.dependencies import (
    Constructor,
    Dependencies,
    Node,
    Plan,
    hints_of,
    is_hashable,
    parameters_of,
    wants_request,
)
from vivace.ext.errors import InitError
from vivace.ext.extension import Extension
from vivace.framework.handler import is_async
from vivace.framework.request import Request
from vivace.framework.route import ASYNC, Route

if TYPE_CHECKING:
    from vivace.ext.extend import Extend

__all__ = ["InjectionExtension"]

logger = logging.getLogger("vivace.error")


class InjectionExtension(Extension):
    """Fills parameters of handlers and commands."""

    name = "injection"
    provides = (
        "add_constant",
        "add_dependency",
        "dependency",
        "inject",
        "inject_all",
        "injection",
        "load_constants",
    )

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
        for name, hint in hints_of(handler).items():
            if is_hashable(hint) and hint in self.known.constructors:
                nodes.append((name, self.known.node(hint, path_names)))
            elif name not in path_names and name.upper() in self.known.constants and name == name.lower():
                constants[name] = self.known.constants[name.upper()]
        return Plan(tuple(nodes), constants) if nodes or constants else None

    def inject(self, function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        """A coroutine function that calls another with what it needs: for commands and tasks.

        Its signature is that of the other less what is injected; constants may be given all the same.

        Args:
            function: Its annotated parameters are filled as those of a handler; there is no request.
        """
        hints, parameters = hints_of(function), parameters_of(function)
        requests = {name for name in parameters if name in hints and wants_request(hints[name])}

        @wraps(function)
        async def call(*args: Any, **values: Any) -> Any:
            plan = self.plan(function, tuple(values)) or Plan((), {})
            given = plan.constants | dict.fromkeys(requests) | values
            for name, node in plan.nodes:
                node.refuse_request()
                given[name] = await node.make(None, values)
            result = function(*args, **given)
            return await result if inspect.isawaitable(result) else result

        plan = self.plan(function) or Plan((), {})
        left = [
            p.replace(default=plan.constants.get(p.name, p.default))
            for p in parameters.values()
            if p.name not in requests and p.name not in dict(plan.nodes)
        ]
        ordered = sorted(left, key=lambda p: (p.kind, p.default is not p.empty))
        call.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
        return call

    def inject_all(self, functions: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
        """Of several functions those that need something with what they need; the others as they are."""
        return {name: self._injected(function) for name, function in functions.items()}

    def _injected(self, function: Callable[..., Any]) -> Callable[..., Any]:
        wants = any(wants_request(hint) for hint in hints_of(function).values())
        return self.inject(function) if wants or self.plan(function) is not None else function


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


def _path_types(route: Route) -> set[Any]:
    """What the parameters of a path may be."""
    hints = hints_of(route.handler)
    return {str, int, float, *(hints[name] for name in route.names if is_hashable(hints.get(name, [])))}


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
