"""The decorators for what runs around handlers: middleware, exception handlers, listeners.

Rules of this file:

- A decorator gives back the function that it was given: it can be called and tested as before, and
  stacked with others.
- An unknown attribute is refused: `ctx` is the place for what belongs to the program.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from vivace.errors import BadRequest, DeclarationError
from vivace.framework.handler import check_positional, second_handler
from vivace.framework.lifespan import ORDER, Lifespan, ListenerSpec, make_listener
from vivace.framework.middleware import MiddlewareSpec
from vivace.framework.signal_hooks import SignalHooks
from vivace.framework.spec import RouteSpec

__all__ = ["Hooks", "StageDecorator"]

F = TypeVar("F", bound=Callable[..., Any])
LifespanT = TypeVar("LifespanT", bound=Callable[..., AsyncIterator[None]])


class BoundStage:
    """Registers listeners of one stage with one app or blueprint."""

    __slots__ = ("_registry", "_stage")

    def __init__(self, registry: "Hooks", stage: str) -> None:
        self._registry = registry
        self._stage = stage

    @overload
    def __call__(self, function: F, *, priority: int = 0) -> F: ...
    @overload
    def __call__(self, function: None = None, *, priority: int = 0) -> Callable[[F], F]: ...
    def __call__(self, function: Any = None, *, priority: int = 0) -> Any:
        """Register `function`, or give a decorator that does.

        Args:
            function: Takes ``(app)`` or ``(app, loop)``; may be a coroutine function.
            priority: Higher runs first.
        """
        decorate = self._registry.listener(self._stage, priority=priority)
        return decorate if function is None else decorate(function)


class StageDecorator:
    """``@app.before_server_start`` and its like, with or without arguments."""

    __slots__ = ("_stage",)

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def __get__(self, registry: "Hooks", owner: object = None) -> BoundStage:
        return BoundStage(registry, self._stage)


class Hooks(SignalHooks):
    """What can be declared around handlers, on an app or a blueprint."""

    __slots__ = (
        "__weakref__",
        "ctx",
        "exception_specs",
        "listener_specs",
        "middleware_specs",
        "name",
        "route_specs",
    )

    name_rule: ClassVar[tuple[re.Pattern[str], str]] = (
        re.compile(r"[a-zA-Z_][a-zA-Z0-9_\-]*"),
        "Names must begin with a character and may only contain alphanumeric characters, _, or -.",
    )
    """What a name must match, and the rule in words."""

    def __init__(self, name: str, ctx: Any = None) -> None:
        super().__init__()
        self.name: str = self._check_name(name)
        self.ctx: Any = ctx if ctx is not None else SimpleNamespace()
        self.route_specs: list[RouteSpec] = []
        self.middleware_specs: list[MiddlewareSpec] = []
        self.listener_specs: list[ListenerSpec] = []
        self.exception_specs: list[tuple[type[BaseException], Callable[..., Any]]] = []

    @classmethod
    def _check_name(cls, name: object) -> str:
        kind, (pattern, rule) = cls.__name__, cls.name_rule
        if name is None:
            raise DeclarationError(
                f"{kind} instance cannot be unnamed. Please use {kind}(name='your_application_name') instead."
            )
        if not isinstance(name, str) or not pattern.fullmatch(name):
            raise DeclarationError(f"{kind} instance named '{name}' uses an invalid format. {rule}")
        return name

    if not TYPE_CHECKING:  # type checkers know the attributes and refuse others themselves

        def __setattr__(self, name: str, value: Any) -> None:
            try:
                object.__setattr__(self, name, value)
            except AttributeError:
                if hasattr(type(self), name):
                    raise
                kind = type(self).__name__
                raise AttributeError(
                    f"Setting variables on {kind} instances is not allowed. You should change your {kind} "
                    f"instance to use instance.ctx.{name} instead."
                ) from None

    def changed(self) -> None:
        """A declaration was added."""

    # Middleware

    @overload
    def middleware(
        self,
        middleware_or_request: F,
        attach_to: str | None = None,
        apply: bool = True,
        *,
        priority: int = 0,
    ) -> F: ...
    @overload
    def middleware(
        self,
        middleware_or_request: str = "request",
        attach_to: str | None = None,
        apply: bool = True,
        *,
        priority: int = 0,
    ) -> Callable[[F], F]: ...
    def middleware(
        self,
        middleware_or_request: Any = "request",
        attach_to: str | None = None,
        apply: bool = True,
        *,
        priority: int = 0,
    ) -> Any:
        """Declare a middleware: ``@app.middleware``, ``@app.middleware("response")``.

        Args:
            middleware_or_request: The function (of a request), or ``request`` or ``response``.
            attach_to: The same, by name.
            apply: False: declare nothing.
            priority: Higher runs earlier for requests and later for responses.

        Raises:
            ConfigError: There is no such place, or the function cannot be called so.
        """
        given = callable(middleware_or_request)
        place = attach_to or ("request" if given else middleware_or_request)

        def decorate(function: F) -> F:
            return self.register_middleware(function, place, priority=priority) if apply else function

        return decorate(middleware_or_request) if given else decorate

    def register_middleware(self, middleware: F, attach_to: str = "request", *, priority: int = 0) -> F:
        """Declare a middleware without a decorator; the arguments are those of `middleware`."""
        if attach_to not in ("request", "response"):
            raise DeclarationError(f"middleware is attached to request or response, not {attach_to!r}")
        count = 1 if attach_to == "request" else 2
        check_positional(
            middleware, count, f"{attach_to} middleware", "(request)" if count == 1 else "(request, response)"
        )
        self.middleware_specs.append(MiddlewareSpec(middleware, attach_to, priority, None, next(ORDER)))
        self.changed()
        return middleware

    def register_named_middleware(
        self, middleware: F, route_names: Iterable[str], attach_to: str = "request", *, priority: int = 0
    ) -> F:
        """Declare a middleware for the routes of these names only, with or without the app's name."""
        self.register_middleware(middleware, attach_to, priority=priority)
        self.middleware_specs[-1] = self.middleware_specs[-1]._replace(routes=frozenset(route_names))
        self.changed()
        return middleware

    @property
    def middlewares(self) -> list[Callable[..., Any]]:
        """The middleware declared here."""
        return [spec.function for spec in self.middleware_specs]

    @property
    def listeners(self) -> dict[str, list[Callable[..., Any]]]:
        """The listeners declared here, by stage."""
        found: dict[str, list[Callable[..., Any]]] = {}
        for spec in self.listener_specs:
            found.setdefault(spec.stage, []).append(spec.function)
        return found

    @property
    def exceptions(self) -> list[tuple[type[BaseException], Callable[..., Any]]]:
        """The exception handlers declared here, with what they answer."""
        return list(self.exception_specs)

    @overload
    def on_request(self, middleware: F, *, priority: int = 0) -> F: ...
    @overload
    def on_request(self, middleware: None = None, *, priority: int = 0) -> Callable[[F], F]: ...
    def on_request(self, middleware: Any = None, *, priority: int = 0) -> Any:
        """Declare a function of a request that runs before the handler; what it returns is the answer."""
        decorate = self.middleware("request", priority=priority)
        return decorate if middleware is None else decorate(middleware)

    @overload
    def on_response(self, middleware: F, *, priority: int = 0) -> F: ...
    @overload
    def on_response(self, middleware: None = None, *, priority: int = 0) -> Callable[[F], F]: ...
    def on_response(self, middleware: Any = None, *, priority: int = 0) -> Any:
        """Declare a function of a request and its response; what it returns is sent instead."""
        decorate = self.middleware("response", priority=priority)
        return decorate if middleware is None else decorate(middleware)

    # Exceptions

    def exception(
        self, *exceptions: type[BaseException] | Iterable[type[BaseException]], apply: bool = True
    ) -> Callable[[F], F]:
        """Declare what answers these exceptions and those that derive from them.

        The function takes the request and the exception and returns what a handler may return; None means the
        usual error page.

        Args:
            exceptions: Classes, or lists of them.
            apply: False: declare nothing.

        Raises:
            ConfigError: The function cannot be called so, or one of `exceptions` has a handler here already.
        """
        kinds: list[type[BaseException]] = []
        for item in exceptions:
            kinds.extend([item] if isinstance(item, type) else item)
        if not kinds:
            raise DeclarationError("exception() needs at least one class of exceptions")

        def decorate(function: F) -> F:
            check_positional(function, 2, "exception handler", "(request, exception)")
            for kind in kinds if apply else ():
                self._refuse_second(kind, function)
                self.exception_specs.append((kind, function))
            self.changed()
            return function

        return decorate

    def _refuse_second(self, kind: type[BaseException], function: Callable[..., Any]) -> None:
        for known, other in self.exception_specs:
            if known is kind and other is not function:
                raise second_handler(kind, None, other, function)

    @overload
    def all_exceptions(self, handler: F) -> F: ...
    @overload
    def all_exceptions(self, handler: None = None) -> Callable[[F], F]: ...
    def all_exceptions(self, handler: Any = None) -> Any:
        """Declare what answers every exception that no other handler takes."""
        decorate = self.exception(Exception)
        return decorate if handler is None else decorate(handler)

    # Listeners

    @overload
    def listener(
        self, listener_or_event: F, event_or_none: str | None = None, apply: bool = True, *, priority: int = 0
    ) -> F: ...
    @overload
    def listener(
        self,
        listener_or_event: str,
        event_or_none: str | None = None,
        apply: bool = True,
        *,
        priority: int = 0,
    ) -> Callable[[F], F]: ...
    def listener(
        self,
        listener_or_event: Any,
        event_or_none: str | None = None,
        apply: bool = True,
        *,
        priority: int = 0,
    ) -> Any:
        """Declare a listener: ``@app.listener("before_server_start")``.

        Args:
            listener_or_event: One of `vivace.framework.lifespan.STAGES`, or the function.
            event_or_none: The stage, if the function is given.
            apply: False: declare nothing.
            priority: Higher runs first.

        Raises:
            BadRequest: A function is given and no stage.
            ConfigError: There is no such stage, or the function does not take ``(app)`` or ``(app, loop)``.
        """
        given = callable(listener_or_event)
        stage = event_or_none if given else listener_or_event
        if not stage:
            raise BadRequest("Invalid event registration: Missing event name.")

        def decorate(function: F) -> F:
            return self.register_listener(function, stage, priority=priority) if apply else function

        return decorate(listener_or_event) if given else decorate

    def register_listener(self, listener: F, event: str, *, priority: int = 0) -> F:
        """Declare a listener without a decorator."""
        self.listener_specs.append(make_listener(listener, event, priority))
        return listener

    def lifespan(self, function: LifespanT) -> LifespanT:
        """Declare an async generator function: up to its ``yield`` it runs at the start, then at the end.

        What it opens is closed when the server ends, in the reverse order of the declarations.
        """
        span = Lifespan(function)
        self.register_listener(span.start, "before_server_start")
        self.register_listener(span.stop, "after_server_stop")
        return function

    main_process_start = StageDecorator("main_process_start")
    main_process_ready = StageDecorator("main_process_ready")
    main_process_stop = StageDecorator("main_process_stop")
    before_server_start = StageDecorator("before_server_start")
    after_server_start = StageDecorator("after_server_start")
    before_server_stop = StageDecorator("before_server_stop")
    after_server_stop = StageDecorator("after_server_stop")
    reload_process_start = StageDecorator("reload_process_start")
    reload_process_stop = StageDecorator("reload_process_stop")
    before_reload_trigger = StageDecorator("before_reload_trigger")
    after_reload_trigger = StageDecorator("after_reload_trigger")
