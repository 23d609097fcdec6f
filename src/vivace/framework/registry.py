"""The decorators for routes, which an app and a blueprint share.

Rules of this file:

- A decorator gives back the function that it was given: it can be called and tested as before, and
  stacked with others.
- Declarations are only collected; `Vivace.finalize` makes routes of them. Late ones take effect at once.
"""

from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any, TypeVar

from vivace.errors import DeclarationError
from vivace.framework.handler import check_handler
from vivace.framework.hooks import Hooks
from vivace.framework.patience import check_timeout
from vivace.framework.pattern import TypeTable, check_names, parse_path
from vivace.framework.spec import (
    ERROR_FORMATS,
    VERSION_PREFIX,
    RouteSpec,
    Version,
    declared_name,
    host_names,
    join_path,
    method_set,
)
from vivace.framework.static import StaticFiles
from vivace.framework.websocket import websocket_handler
from vivace.framework.websocket_options import take_options

__all__ = ["Registry"]

F = TypeVar("F", bound=Callable[..., Any])

_BUILTIN_TYPES = TypeTable()


class Registry(Hooks):
    """What can be declared on an app or a blueprint."""

    __slots__ = ()

    # Routes

    def websocket(
        self,
        uri: str,
        host: str | Iterable[str] | None = None,
        strict_slashes: bool | None = None,
        subprotocols: Iterable[str] | None = None,
        version: Version | None = None,
        name: str | None = None,
        apply: bool = True,
        version_prefix: str = VERSION_PREFIX,
        error_format: str | None = None,
        **options: Any,
    ) -> Callable[[F], F]:
        """Declare a handler ``(request, ws, ...)`` of WebSockets; see `vivace.framework.websocket.Websocket`.

        Args:
            uri: As for `route`; so are the others that are not said here.
            host: Only for these host names.
            strict_slashes: A trailing slash counts.
            subprotocols: What the handler speaks, the best first; a client that speaks none is refused.
            version: Puts ``/v1`` before the path.
            name: For `url_for`.
            apply: False: declare nothing.
            version_prefix: Instead of ``/v``.
            error_format: Of what is refused before it is a WebSocket.
            options: ``compress=False``: do not compress messages. ``origins``: the pages that may connect, as
                in WEBSOCKET_ORIGINS. ``message``: the type of the messages, see
                `vivace.framework.typed_socket`. ``max_size max_frame_size max_fragments max_queue
                ping_interval ping_timeout close_timeout max_lifetime``: instead of the settings of these
                names. The others are those of `route`.

        Raises:
            ConfigError: As `route`, or the handler takes no ``ws``.
        """
        return self.route(
            uri,
            None,
            host,
            strict_slashes,
            version=version,
            name=name,
            apply=apply,
            version_prefix=version_prefix,
            error_format=error_format,
            websocket=True,
            subprotocols=subprotocols,
            **options,
        )

    def add_websocket_route(self, handler: F, uri: str, *args: Any, **options: Any) -> F:
        """Declare a WebSocket handler without a decorator; the other arguments are those of `websocket`."""
        return self.websocket(uri, *args, **options)(handler)

    def sse(
        self,
        uri: str,
        *,
        heartbeat: float | None = None,
        retry: int | None = None,
        **options: Any,
    ) -> Callable[[F], F]:
        """Declare a handler ``(request, stream, ...)`` of server-sent events: sends, yields or joins groups.

        Args:
            uri: As for `route`.
            heartbeat: Seconds of silence after which a comment is sent; default: SSE_HEARTBEAT.
            retry: Milliseconds that clients are to wait before they connect anew.
            options: The others are those of `route`.

        Raises:
            ConfigError: As `route`, or the handler takes no ``stream``.
        """
        if heartbeat is not None and heartbeat < 0:
            raise DeclarationError(f"heartbeat={heartbeat!r}: expected seconds from 0 on", key=uri)
        return self.route(uri, events={"heartbeat": heartbeat, "retry": retry}, **options)

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
        version_prefix: str = VERSION_PREFIX,
        error_format: str | None = None,
        unquote: bool = False,
        static: bool = False,
        inline: bool = False,
        apply: bool = True,
        websocket: bool = False,
        subprotocols: Iterable[str] | None = None,
        timeout: float | None = None,
        compress: bool = True,
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
            apply: False: declare nothing.
            websocket: It is a handler of WebSockets.
            subprotocols: See `websocket`.
            compress: The same.
            timeout: Seconds until the response has to begin, else the client gets 503; 0 is for ever;
                default: RESPONSE_TIMEOUT.
            ctx: ``ctx_name=value`` becomes ``request.route.ctx.name``.

        Raises:
            ConfigError: The path or an option is wrong, or the handler does not take the path's parameters.
        """
        seconds = check_timeout(timeout, uri)
        wrap, second = _wrapper(ctx, websocket, subprotocols, compress)

        def decorate(handler: F) -> F:
            if not apply:
                return handler
            self._declare(
                RouteSpec(
                    handler=wrap(handler),
                    uri=uri,
                    methods=method_set(methods),
                    name=self._name_route(handler, name).removeprefix(f"{self.name}."),
                    host=None if host is None else host_names(host),
                    strict_slashes=strict_slashes,
                    stream=stream,
                    version=version,
                    version_prefix=version_prefix,
                    ignore_body=ignore_body,
                    error_format=error_format or "",
                    unquote=unquote,
                    inline=inline,
                    static=static,
                    timeout=seconds,
                    websocket=websocket,
                    second=second,
                    ctx=_context(ctx),
                )
            )
            return handler

        return decorate

    def _declare(self, spec: RouteSpec) -> None:
        if spec.error_format not in ERROR_FORMATS:
            raise DeclarationError(f"Unknown format: {spec.error_format}", allowed=ERROR_FORMATS[1:])
        self._check(spec)
        self.route_specs.append(spec)
        try:
            self._claim(spec)
            self.changed()
        except DeclarationError:
            self.route_specs.remove(spec)
            self.forget_claims()
            raise

    def _check(self, spec: RouteSpec) -> None:
        """Refuse what can be known to be wrong before the place of the route is known."""
        segments = parse_path(join_path("", spec.uri), self._known_types())
        check_names(spec.uri, segments)
        if self._is_complete() and "<" not in spec.version_prefix:
            names = tuple(n for s in segments for n in s.names)
            if spec.second:
                check_handler(spec.handler.__wrapped__, names, spec.uri, second=spec.second)  # type: ignore[attr-defined]
            else:
                check_handler(spec.handler, names, spec.uri)

    def _claim(self, spec: RouteSpec) -> None:
        """Take the path and the methods of a new route, where there are apps to take them from."""

    def forget_claims(self) -> None:
        """Find out anew, when it is asked next, what is claimed."""

    def _name_route(self, handler: Callable[..., Any], name: str | None) -> str:
        """The short name of a route."""
        return declared_name(handler, name)

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
        """Declare `handler` without a decorator; `options` are the other arguments of `route`.

        A class view brings the methods that it has.
        """
        view = getattr(handler, "view_class", None)
        if view is not None:
            methods = methods or view.methods()
            stream = stream or view.reads_body()
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
        directory_view: bool = False,
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
            directory_view: List folders that have no index.
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
            directory_view=directory_view,
        )
        self._serve_files(files, uri, name=name, host=host, strict_slashes=strict_slashes, **options)

    def _serve_files(self, files: StaticFiles, uri: str, **options: Any) -> None:
        path = uri if files.is_file else uri.rstrip("/") + "/<__file_uri__:path>"
        self.route(
            path,
            ("GET", "HEAD"),
            ignore_body=True,
            static=True,
            **options,
        )(files.serve)


def _wrapper(
    given: dict[str, Any], websocket: bool, subprotocols: Iterable[str] | None, compress: bool
) -> tuple[Callable[[Callable[..., Any]], Callable[..., Any]], str]:
    """What a handler is wrapped in, and what it gets beside the request; its options are taken out."""
    if websocket:
        special = take_options(given, subprotocols, compress)
        return (lambda handler: websocket_handler(handler, special)), "WebSocket"
    events = given.pop("events", None)
    if events is None:
        return (lambda handler: handler), ""
    from vivace.framework.sse import sse_handler  # most apps never have one

    return (lambda handler: sse_handler(handler, **events)), "event stream"


def _context(options: dict[str, Any]) -> dict[str, Any]:
    unknown = [name for name in options if not name.startswith("ctx_")]
    if unknown:
        raise TypeError(f"Unexpected keyword arguments: {', '.join(unknown)}")
    return {name.removeprefix("ctx_"): value for name, value in options.items()}
