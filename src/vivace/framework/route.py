# cython: language_level=3, annotation_typing=False
"""A route: everything about one handler under one path that can be decided before the first request.

Rules of this file:

- A route is complete when the app is finalized; nothing of it changes while requests run.
- What the dispatcher asks per request is a plain attribute here, never a computation.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

from vivace.framework.pattern import Segment, split_path

__all__ = ["ASYNC", "BLOCKING", "INLINE", "Route"]

ASYNC: Final = 0
"""The handler is a coroutine function: awaited."""
INLINE: Final = 1
"""A plain function that does not block: called on the loop; what it returns may be awaitable."""
BLOCKING: Final = 2
"""A plain function that may block: runs in the pool of threads."""


class Route:
    """One handler under one path.

    Attributes:
        name: The full name for `url_for`: ``app.handler`` or ``app.blueprint.handler``.
        uri: The path as declared, with every prefix.
        path: The same, as programs see it.
        methods: The methods it was declared for.
        handler: The function itself.
        kind: `ASYNC`, `INLINE` or `BLOCKING`.
        plain: Async, without middleware: the dispatcher's short way fits.
        buffered: The body is read before the handler is called.
        stream: The handler reads the body itself.
        request_middleware: Pairs (function, is a coroutine function) in calling order.
        response_middleware: The same for responses.
        segments: The path, taken apart.
        names: The arguments that path parameters fill.
        hosts: Lower-case host names it is bound to; None for any.
        single: The one argument that path parameters fill, if it is one and taken as it comes; else empty.
        strict: A trailing slash counts.
        unquote: Path values are percent-decoded before the handler gets them.
        error_format: ``text``, ``json``, ``html`` or empty: how its errors look.
        blueprint: The name of its blueprint; empty for the app's own.
        static: It serves files.
        timeout: Seconds until its response has to begin; 0: for ever; None: RESPONSE_TIMEOUT.
        source: ``file:line`` of the handler.
        websocket: It opens a WebSocket.
        ctx: What was given as ``ctx_name=value``.
    """

    __slots__ = (
        "blueprint",
        "buffered",
        "ctx",
        "error_format",
        "handler",
        "hosts",
        "kind",
        "methods",
        "name",
        "names",
        "path",
        "plain",
        "request_middleware",
        "response_middleware",
        "segments",
        "single",
        "source",
        "static",
        "stream",
        "strict",
        "timeout",
        "unquote",
        "uri",
        "websocket",
    )

    def __init__(
        self,
        name: str,
        path: str,
        methods: frozenset[str],
        handler: Callable[..., Any],
        kind: int,
        segments: list[Segment],
    ) -> None:
        self.name: str = name
        self.uri: str = path
        self.path: str = path
        self.methods: frozenset[str] = methods
        self.handler: Callable[..., Any] = handler
        self.kind: int = kind
        self.segments: list[Segment] = segments
        self.names: tuple[str, ...] = tuple(n for segment in segments for n in segment.names)
        self.single: str = ""
        self.plain: bool = False
        self.buffered: bool = True
        self.stream: bool = False
        self.request_middleware: tuple[tuple[Callable[..., Any], bool], ...] = ()
        self.response_middleware: tuple[tuple[Callable[..., Any], bool], ...] = ()
        self.hosts: tuple[str, ...] | None = None
        self.strict: bool = False
        self.unquote: bool = False
        self.error_format: str = ""
        self.blueprint: str = ""
        self.static: bool = False
        self.timeout: float | None = None
        self.websocket: bool = False
        self.source: str = ""
        self.ctx = SimpleNamespace()

    @property
    def parts(self) -> tuple[str, ...]:
        """What stands between the slashes of the path."""
        return tuple(split_path(self.uri))

    @property
    def raw_path(self) -> str:
        """The path without the slash at its beginning and without the types that were filled in."""
        return self.uri[1:].replace(":str>", ">")

    @property
    def pattern(self) -> str | None:
        """The regular expression that it is matched as, if it is."""
        if not self.regex:
            return None
        parts = [
            s.literal if s.literal is not None else f"(?P<{s.names[0]}>{_inner(s)})" for s in self.segments
        ]
        return "/" + "/".join(parts)

    @property
    def overloaded(self) -> bool:
        """Whether it stands for other routes too: never."""
        return False

    @property
    def defined_params(self) -> dict[int, Segment]:
        """Another name of `params`."""
        return self.params

    @property
    def labels(self) -> list[str]:
        """The names of the path parameters."""
        return list(self.names)

    @property
    def params(self) -> dict[int, Segment]:
        """The segments with parameters, by their place in the path."""
        return {index: segment for index, segment in enumerate(self.segments) if segment.literal is None}

    @property
    def regex(self) -> bool:
        """Whether it is matched as one regular expression."""
        return any(segment.regex is not None for segment in self.segments)

    @property
    def requirements(self) -> dict[str, Any]:
        """What a request needs besides path and method."""
        if self.hosts is None:
            return {}
        return {"host": self.hosts[0] if len(self.hosts) == 1 else self.hosts}

    @property
    def extra(self) -> SimpleNamespace:
        """What Sanic keeps apart from the other attributes; a view, made anew each time."""
        return SimpleNamespace(
            ident=self.name,
            ignore_body=not self.buffered and not self.stream,
            stream=self.stream,
            hosts=frozenset(self.hosts) if self.hosts and len(self.hosts) > 1 else list(self.hosts or [None]),
            static=self.static,
            error_format=self.error_format,
            websocket=self.websocket,
            request_middleware=tuple(function for function, _ in self.request_middleware),
            response_middleware=tuple(function for function, _ in self.response_middleware),
        )

    def __str__(self) -> str:
        return f"<Route: name={self.name} path={self.path}>"

    __repr__ = __str__


def _inner(segment: Segment) -> str:
    return segment.regex if segment.regex is not None else "[^/]+"
