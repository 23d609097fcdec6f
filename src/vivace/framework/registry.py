"""The decorators that an app and a blueprint share.

Rules of this file:

- A decorator gives back the function that it was given: it can be called and tested as before, and
  stacked with others.
- Declarations are only collected; `Vivace.finalize` makes routes of them. Late ones take effect at once.
- An unknown attribute is refused: `ctx` is the place for what belongs to the program.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from os import PathLike
from types import SimpleNamespace
from typing import Any, TypeVar, overload

from vivace.errors import ConfigError
from vivace.framework.handler import check_handler, check_positional
from vivace.framework.lifespan import Lifespan, ListenerSpec, make_listener
from vivace.framework.middleware import MiddlewareSpec
from vivace.framework.pattern import TypeTable, parse_path
from vivace.framework.spec import ERROR_FORMATS, RouteSpec, Version, declared_name, join_path, method_set
from vivace.framework.static import StaticFiles

__all__ = ["Registry", "StageDecorator"]

F = TypeVar("F", bound=Callable[..., Any])
LifespanT = TypeVar("LifespanT", bound=Callable[..., AsyncIterator[None]])

_BUILTIN_TYPES = TypeTable()


class BoundStage:
    """Registers listeners of one stage with one app or blueprint."""

    __slots__ = ("_registry", "_stage")

    def __init__(self, registry: "Registry", stage: str) -> None:
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

    def __get__(self, registry: "Registry", owner: object = None) -> BoundStage:
        return BoundStage(registry, self._stage)


class Registry:
    """What can be declared on an app or a blueprint."""

    __slots__ = (
        "__weakref__",
        "ctx",
        "exception_specs",
        "listener_specs",
        "middleware_specs",
        "name",
        "route_specs",
    )

    def __init__(self, name: str, ctx: Any = None) -> None:
        self.name = name
        self.ctx: Any = ctx if ctx is not None else SimpleNamespace()
        self.route_specs: list[RouteSpec] = []
        self.middleware_specs: list[MiddlewareSpec] = []
        self.listener_specs: list[ListenerSpec] = []
        self.exception_specs: list[tuple[type[BaseException], Callable[..., Any]]] = []

    def __setattr__(self, name: str, value: Any) -> None:
        try:
            object.__setattr__(self, name, value)
        except AttributeError:
            if hasattr(type(self), name):
                raise
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}; keep what belongs to your program in "
                f"ctx: {type(self).__name__.lower()}.ctx.{name} = ..."
            ) from None

    def changed(self) -> None:
        """A declaration was added."""

    # Routes

    def route(
        self,
        uri: str,
        methods: Iterable[str] | None = None,
        host: str | Iterable[str] | None = None,
        strict_slashes: bool | None = None,
        stream: bool = False,
        version: Version | None = None,
        name: str | None = None,
        ignore_body: bool = False,
        version_prefix: str | None = None,
        error_format: str | None = None,
        unquote: bool = False,
        static: bool = False,
        inline: bool = False,
        **ctx: Any,
    ) -> Callable[[F], F]:
        """Declare a handler for a path.

        Args:
            uri: Such as ``/items/<id:int>``; see `vivace.framework.pattern`.
            methods: Default: GET, which brings HEAD.
            host: Only for these host names.
            strict_slashes: A trailing slash counts.
            stream: The handler reads the body itself; REQUEST_MAX_SIZE does not apply.
            version: Puts ``/v1`` before the path.
            name: For `url_for`; default: the function's name.
            ignore_body: The body is not read.
            version_prefix: Instead of ``/v``.
            error_format: ``text``, ``json``, ``html`` or ``auto``.
            unquote: Percent-decode the values of path parameters.
            static: It serves files.
            inline: A plain function that never blocks: run it on the loop, not in a thread.
            ctx: ``ctx_name=value`` becomes ``request.route.ctx.name``.

        Raises:
            ConfigError: The path or an option is wrong, or the handler does not take the path's parameters.
        """

        def decorate(handler: F) -> F:
            self._declare(
                RouteSpec(
                    handler=handler,
                    uri=uri,
                    methods=method_set(methods),
                    name=declared_name(handler, name),
                    host=_hosts(host),
                    strict_slashes=strict_slashes,
                    stream=stream,
                    version=version,
                    version_prefix=version_prefix,
                    ignore_body=ignore_body,
                    error_format=error_format or "",
                    unquote=unquote,
                    inline=inline,
                    static=static,
                    ctx=_context(ctx),
                )
            )
            return handler

        return decorate

    def _declare(self, spec: RouteSpec) -> None:
        if spec.error_format not in ERROR_FORMATS:
            raise ConfigError(f"error_format={spec.error_format!r}: expected text, json, html or auto")
        segments = parse_path(join_path("", spec.uri), self._known_types())
        if self._is_complete() and "<" not in (spec.version_prefix or ""):
            check_handler(spec.handler, tuple(n for s in segments for n in s.names), spec.uri)
        self.route_specs.append(spec)
        try:
            self.changed()
        except ConfigError:
            self.route_specs.remove(spec)
            raise

    def _known_types(self) -> TypeTable:
        return _BUILTIN_TYPES

    def _is_complete(self) -> bool:
        """Whether a declared path is the whole path: a prefix may bring parameters of its own."""
        return True

    def add_route(
        self,
        handler: F,
        uri: str,
        methods: Iterable[str] | None = None,
        host: str | Iterable[str] | None = None,
        strict_slashes: bool | None = None,
        version: Version | None = None,
        name: str | None = None,
        stream: bool = False,
        **options: Any,
    ) -> F:
        """Declare `handler` without a decorator; `options` are the other arguments of `route`."""
        return self.route(uri, methods, host, strict_slashes, stream, version, name, **options)(handler)

    def get(self, uri: str, *, ignore_body: bool = True, **options: Any) -> Callable[[F], F]:
        """Declare a handler for GET (and HEAD); `options` are those of `route`."""
        return self.route(uri, ("GET",), ignore_body=ignore_body, **options)

    def post(self, uri: str, **options: Any) -> Callable[[F], F]:
        """Declare a handler for POST; `options` are those of `route`."""
        return self.route(uri, ("POST",), **options)

    def put(self, uri: str, **options: Any) -> Callable[[F], F]:
        """Declare a handler for PUT; `options` are those of `route`."""
        return self.route(uri, ("PUT",), **options)

    def patch(self, uri: str, **options: Any) -> Callable[[F], F]:
        """Declare a handler for PATCH; `options` are those of `route`."""
        return self.route(uri, ("PATCH",), **options)

    def delete(self, uri: str, **options: Any) -> Callable[[F], F]:
        """Declare a handler for DELETE; `options` are those of `route`."""
        return self.route(uri, ("DELETE",), **options)

    def head(self, uri: str, *, ignore_body: bool = True, **options: Any) -> Callable[[F], F]:
        """Declare a handler for HEAD, instead of that for GET; `options` are those of `route`."""
        return self.route(uri, ("HEAD",), ignore_body=ignore_body, **options)

    def options(self, uri: str, *, ignore_body: bool = True, **options: Any) -> Callable[[F], F]:
        """Declare a handler for OPTIONS, instead of the automatic answer; `options` are those of `route`."""
        return self.route(uri, ("OPTIONS",), ignore_body=ignore_body, **options)

    def static(
        self,
        uri: str,
        file_or_directory: str | PathLike[str],
        *,
        name: str = "static",
        index: str | Iterable[str] = (),
        content_type: str | None = None,
        follow_symlinks: bool = False,
        hidden: bool = False,
        max_age: int | None = None,
        host: str | Iterable[str] | None = None,
        strict_slashes: bool | None = None,
        resource_type: str | None = None,
        **options: Any,
    ) -> None:
        """Serve a file, or the files below a folder, by GET and HEAD.

        Args:
            uri: Where it appears.
            file_or_directory: Must exist when this is called.
            name: For `url_for`.
            index: Files that stand for their folder.
            content_type: For all of them; default: by their names.
            follow_symlinks: Follow symbolic links that stay inside the folder.
            hidden: Serve names that begin with a dot.
            max_age: Seconds for which clients may keep a file without asking again.
            host: Only for these host names.
            strict_slashes: A trailing slash counts; for a single file.
            resource_type: ``file`` or ``dir``: refuse anything else.
            options: The other arguments of `route`.

        Raises:
            ConfigError: It does not exist or is of another type.
        """
        files = StaticFiles(
            file_or_directory,
            index=(index,) if isinstance(index, str) else tuple(index),
            content_type=content_type,
            follow_symlinks=follow_symlinks,
            hidden=hidden,
            max_age=max_age,
            resource_type=resource_type,
        )
        path = uri if files.is_file else uri.rstrip("/") + "/<__file_uri__:path>"
        self.route(
            path,
            ("GET", "HEAD"),
            host=host,
            strict_slashes=strict_slashes,
            name=name,
            ignore_body=True,
            static=True,
            **options,
        )(files.serve)

    # Middleware

    @overload
    def middleware(self, middleware_or_request: F, /) -> F: ...
    @overload
    def middleware(
        self, middleware_or_request: str = "request", /, *, attach_to: str | None = None, priority: int = 0
    ) -> Callable[[F], F]: ...
    def middleware(
        self, middleware_or_request: Any = "request", /, *, attach_to: str | None = None, priority: int = 0
    ) -> Any:
        """Declare a middleware: ``@app.middleware``, ``@app.middleware("response")``.

        Args:
            middleware_or_request: The function (of a request), or ``request`` or ``response``.
            attach_to: The same, by name.
            priority: Higher runs first.

        Raises:
            ConfigError: There is no such place, or the function cannot be called so.
        """
        if callable(middleware_or_request):
            return self.register_middleware(middleware_or_request, attach_to or "request", priority=priority)
        place = attach_to or middleware_or_request

        def decorate(function: F) -> F:
            return self.register_middleware(function, place, priority=priority)

        return decorate

    def register_middleware(self, middleware: F, attach_to: str = "request", *, priority: int = 0) -> F:
        """Declare a middleware without a decorator; the arguments are those of `middleware`."""
        if attach_to not in ("request", "response"):
            raise ConfigError(f"middleware is attached to request or response, not {attach_to!r}")
        count = 1 if attach_to == "request" else 2
        check_positional(middleware, count, f"{attach_to} middleware", "(request)" if count == 1 else "(request, response)")
        self.middleware_specs.append(MiddlewareSpec(middleware, attach_to, priority))
        self.changed()
        return middleware

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
        self, *exceptions: type[BaseException] | Iterable[type[BaseException]]
    ) -> Callable[[F], F]:
        """Declare what answers these exceptions and those that derive from them.

        The function takes the request and the exception and returns what a handler may return; None means the
        usual error page.
        """
        kinds: list[type[BaseException]] = []
        for item in exceptions:
            kinds.extend([item] if isinstance(item, type) else item)
        if not kinds:
            raise ConfigError("exception() needs at least one class of exceptions")

        def decorate(function: F) -> F:
            check_positional(function, 2, "exception handler", "(request, exception)")
            self.exception_specs.extend((kind, function) for kind in kinds)
            self.changed()
            return function

        return decorate

    @overload
    def all_exceptions(self, handler: F) -> F: ...
    @overload
    def all_exceptions(self, handler: None = None) -> Callable[[F], F]: ...
    def all_exceptions(self, handler: Any = None) -> Any:
        """Declare what answers every exception that no other handler takes."""
        decorate = self.exception(Exception)
        return decorate if handler is None else decorate(handler)

    # Listeners

    def listener(self, listener_or_event: str, *, priority: int = 0) -> Callable[[F], F]:
        """Declare a listener: ``@app.listener("before_server_start")``.

        Args:
            listener_or_event: One of `vivace.framework.lifespan.STAGES`.
            priority: Higher runs first.

        Raises:
            ConfigError: There is no such stage, or the function does not take ``(app)`` or ``(app, loop)``.
        """

        def decorate(function: F) -> F:
            return self.register_listener(function, listener_or_event, priority=priority)

        return decorate

    def register_listener(self, listener: F, event: str, *, priority: int = 0) -> F:
        """Declare a listener without a decorator."""
        self.listener_specs.append(make_listener(listener, event, priority))
        return listener

    def lifespan(self, function: LifespanT) -> LifespanT:
        """Declare an async generator function: what stands before its ``yield`` runs at the start, the rest at the end."""
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


def _hosts(host: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if host is None:
        return None
    return tuple(name.lower() for name in ((host,) if isinstance(host, str) else host))


def _context(options: dict[str, Any]) -> dict[str, Any]:
    unknown = [name for name in options if not name.startswith("ctx_")]
    if unknown:
        raise TypeError(f"route() got an unexpected argument {unknown[0]!r}; values for route.ctx begin with ctx_")
    return {name.removeprefix("ctx_"): value for name, value in options.items()}
