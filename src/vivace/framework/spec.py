"""Declarations: what a decorator was told, kept until `finalize` compiles it.

Rules of this file:

- An app and a blueprint hold the same kind of declarations; only `finalize` knows the difference.
- What can be wrong without knowing the app is refused here, at the line that declares it.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from vivace.errors import BadMethod
from vivace.framework.guess import guess_format
from vivace.framework.handler import call_kind, function_name, source_of
from vivace.framework.pattern import TypeTable, check_names, parse_path
from vivace.framework.route import Route

__all__ = [
    "ERROR_FORMATS",
    "VERSION_PREFIX",
    "Placement",
    "RouteSpec",
    "Version",
    "compile_route",
    "declared_name",
    "declared_path",
    "full_path",
    "host_names",
    "join_path",
    "method_set",
    "typed_path",
]

Version = int | float | str

VERSION_PREFIX = "/v"
"""What stands before a version unless a route, a blueprint or a group says otherwise."""
ERROR_FORMATS = ("", "auto", "text", "json", "html")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}")


@dataclass(slots=True)
class RouteSpec:
    """A declared route; the attributes are the arguments of `Registry.route`.

    Attributes:
        second: What the handler gets beside the request (`vivace.framework.handler.SECOND`); empty: nothing.
        alone: The version and the host of its blueprint do not hold for it.
    """

    handler: Callable[..., Any]
    uri: str
    methods: frozenset[str]
    name: str
    host: tuple[str, ...] | None = None
    strict_slashes: bool | None = None
    stream: bool = False
    version: Version | None = None
    version_prefix: str = VERSION_PREFIX
    ignore_body: bool = False
    error_format: str = ""
    unquote: bool = False
    inline: bool = False
    static: bool = False
    websocket: bool = False
    second: str = ""
    alone: bool = False
    timeout: float | None = None
    ctx: dict[str, Any] = field(default_factory=dict)

    def version_at(self, place: "Placement") -> Version | None:
        """The version that stands in its path at `place`."""
        return self.version if self.version is not None or self.alone else place.version

    def hosts_at(self, place: "Placement") -> tuple[str, ...] | None:
        """The hosts that it answers for at `place`; None for all."""
        return self.host if self.host is not None or self.alone else place.host


@dataclass(slots=True, frozen=True)
class Placement:
    """Where declarations end up: what an app, a group or a blueprint adds to each of its routes.

    Attributes:
        name: Full names begin with it.
        blueprint: The name of the blueprint; empty for the app's own.
        url_prefix: Goes before the path.
        version: Goes before the prefix unless the route has its own.
        version_prefix: Goes before the version.
        strict_slashes: Unless the route says it.
        host: Unless the route says it.
        root: Goes before everything else of a path: where the app is mounted.
        overwrite: Its routes replace others of the same path and method.
    """

    name: str
    blueprint: str = ""
    url_prefix: str = ""
    version: Version | None = None
    version_prefix: str = VERSION_PREFIX
    strict_slashes: bool = False
    host: tuple[str, ...] | None = None
    root: str = ""
    overwrite: bool = False


def host_names(host: str | Iterable[str]) -> tuple[str, ...]:
    """Host names in lower case."""
    return tuple(name.lower() for name in ((host,) if isinstance(host, str) else host))


def method_set(methods: Iterable[str] | None) -> frozenset[str]:
    """The methods of a route in upper case; GET if none are given.

    Raises:
        ConfigError: The list is empty, or an item is no method.
    """
    if isinstance(methods, str):
        raise BadMethod(f"methods={methods!r}: expected a list such as [{methods!r}]")
    found = (
        frozenset(str(method).upper() for method in methods) if methods is not None else frozenset(("GET",))
    )
    bad = [method for method in found if not _TOKEN.fullmatch(method) or method == "CONNECT"]
    if bad or not found:
        raise BadMethod(f"methods={sorted(found)!r}: expected names such as GET, POST")
    return found


def declared_name(handler: Callable[..., Any], name: str | None) -> str:
    """The short name of a route."""
    return name or function_name(handler)


def join_path(prefix: str, uri: str) -> str:
    """Put a prefix before a path: one slash between them and one at the beginning."""
    if not prefix:
        return "/" + uri.lstrip("/")
    joined = prefix.rstrip("/") + ("/" + uri.lstrip("/") if uri else "")
    return re.sub(r"^/*", "/", joined)


_BARE = re.compile(r"(?<=/)<([A-Za-z_][A-Za-z0-9_]*):?>(?=/|$)")
_BY_ANNOTATION = {int: "int", float: "float", UUID: "uuid", "int": "int", "float": "float", "UUID": "uuid"}


def typed_path(path: str, handler: Callable[..., Any]) -> str:
    """The path, its parameters without a type given that of the handler's annotation, else ``str``.

    A handler ``(request, item: int)`` under ``/<item>`` gets a number, and other paths do not match.
    """
    if "<" not in path:
        return path
    annotations = getattr(handler, "__annotations__", None) or {}

    def write(found: re.Match[str]) -> str:
        annotation = annotations.get(found[1])
        label = _BY_ANNOTATION.get(annotation) if isinstance(annotation, type | str) else None
        return f"<{found[1]}:{label or 'str'}>"

    return _BARE.sub(write, path)


def full_path(spec: RouteSpec, place: Placement) -> str:
    """The path of `spec` at `place`, with a type for each parameter."""
    return typed_path(declared_path(spec, place), spec.handler)


def declared_path(spec: RouteSpec, place: Placement) -> str:
    """The path of `spec` at `place`: with its prefixes, as declared."""
    version = spec.version_at(place)
    path = join_path(place.url_prefix, spec.uri)
    if version is not None:
        prefix = spec.version_prefix if spec.version_prefix != VERSION_PREFIX else place.version_prefix
        path = join_path(prefix + str(version).strip("/").removeprefix("v"), path)
    return join_path(place.root, path)


def compile_route(spec: RouteSpec, place: Placement, types: TypeTable) -> Route:
    """The route that `spec` becomes at `place`.

    Raises:
        ConfigError: The path is malformed.
    """
    path = full_path(spec, place)
    segments = parse_path(path, types)
    check_names(path, segments, declared_path(spec, place))
    name = f"{place.name}.{spec.name}"
    route = Route(name, path, spec.methods, spec.handler, call_kind(spec.handler, spec.inline), segments)
    route.hosts = spec.hosts_at(place)
    route.strict = spec.strict_slashes if spec.strict_slashes is not None else place.strict_slashes
    route.stream = spec.stream
    route.buffered = not (spec.stream or spec.ignore_body)
    route.unquote = spec.unquote
    route.single = route.names[0] if len(route.names) == 1 and not spec.unquote else ""
    route.error_format = spec.error_format or guess_format(spec.handler)
    route.blueprint = place.blueprint
    route.static = spec.static
    route.timeout = spec.timeout
    route.websocket = spec.websocket
    route.source = source_of(spec.handler)
    route.ctx = SimpleNamespace(**spec.ctx)
    return route
