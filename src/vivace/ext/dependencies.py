"""What can be injected, and how it is made: constructors, what they need, and the plan for a function.

Rules of this file:

- A plan is made once for a function; following it looks nothing up.
- A constructor gets the request, other dependencies, constants and path parameters, by annotation and name.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, get_args, get_type_hints

from vivace.errors import ServerError
from vivace.ext.errors import InitError
from vivace.framework.handler import function_name
from vivace.framework.request import Request

__all__ = [
    "Constructor",
    "Dependencies",
    "Node",
    "Plan",
    "hints_of",
    "is_hashable",
    "parameters_of",
    "wants_request",
]

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
        self.hints = hints_of(called)
        self.parameters = parameters_of(function)
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
            needed = self.constructors.get(hint) if is_hashable(hint) else None
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
        for name in constructor.parameters:
            hint = constructor.hints.get(name)
            if name == constructor.request_arg:
                continue
            if is_hashable(hint) and hint in self.constructors:
                nested[name] = self.node(hint, path_names)
            elif name in path_names:
                taken.append(name)
            elif name.upper() in self.constants and hint is not None:
                constants[name] = self.constants[name.upper()]
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

    def refuse_request(self) -> None:
        """Refuse to be made without a request, if one is needed.

        Raises:
            RuntimeError: It is.
        """
        if self.constructor.request_arg is not None:
            raise RuntimeError(
                f"Cannot inject what {self.constructor.name!r} makes: it needs a request, and there is none"
            )
        for _, node in self.nested:
            node.refuse_request()

    async def make(self, request: Request | None, values: Mapping[str, Any]) -> Any:
        """The dependency for a request, or for none.

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


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
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


def parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin without one
        return {}


def is_hashable(hint: Any) -> bool:
    try:
        hash(hint)
    except TypeError:
        return False
    return True


def wants_request(hint: Any) -> bool:
    """Whether a parameter is for the request, or for it or None."""
    return any(_is_request(part) for part in (hint, *get_args(hint)))


def _is_request(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Request)
