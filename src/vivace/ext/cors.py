"""Cross-origin resource sharing: which pages of other origins may read what is answered.

``CORS(app, origins="https://example.com")`` for an app, ``@cors(...)`` on a handler for what differs there.

Rules of this file:

- It follows the Fetch standard, https://fetch.spec.whatwg.org/#http-cors-protocol, in the ways of sanic-ext.
- What settings say is taken apart once; which of them hold for a route is found when routes are compiled.
  Where nothing is allowed no middleware runs.
- Errors, 404 and streams carry the fields too: the middleware runs last.
- An origin is compared as a whole: a regular expression has to match all of it.
"""

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from vivace.ext.errors import InitError
from vivace.ext.words import split_words
from vivace.framework.middleware import MiddlewareSpec
from vivace.framework.response import HTTPResponse
from vivace.framework.route import Route

if TYPE_CHECKING:
    from vivace.framework.app import Vivace
    from vivace.framework.request import Request

__all__ = ["CORS", "cors"]

F = TypeVar("F", bound=Callable[..., Any])
Origins = str | re.Pattern[str] | Iterable[str | re.Pattern[str]] | None
Age = int | float | str | timedelta | None

_MARK: Final = "__vivace_cors__"
_LAST: Final = 1_000_000
"""The priority of the middleware: outside of every other."""


class _Unset:
    """The type of what was not given."""

    def __bool__(self) -> bool:
        return False


_UNSET: Final[Any] = _Unset()


class Policy(NamedTuple):
    """What is allowed.

    Attributes:
        every: Every origin.
        origins: These.
        patterns: Those that match one of them.
        sole: What is sent to a client that names no origin; None: nothing.
        wildcard: Send ``*`` where every origin is allowed.
        expose: The fields that a page may read; empty: the usual ones.
        credentials: Whether cookies may go along.
        vary: Tell caches that the answer depends on the origin.
        automatic: Answer preflight requests.
        headers: The lower-case names of the fields that a page may send; None: any.
        methods: The methods that a page may use; None: those that the path has.
        max_age: Seconds for which a preflight answer holds; empty: not said.
    """

    every: bool
    origins: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]
    sole: str | None
    wildcard: bool
    expose: str
    credentials: bool
    vary: bool
    automatic: bool
    headers: frozenset[str] | None
    methods: frozenset[str] | None
    max_age: str

    def answer(self, origin: str | None) -> str | None:
        """The origin to allow, None if none is."""
        if origin is None:
            return self.sole
        if self.every:
            return "*" if self.wildcard else origin
        if origin in self.origins or any(pattern.fullmatch(origin) for pattern in self.patterns):
            return origin
        return None


class CORS:
    """The rules of one app.

    Args:
        app: The app.
        origins: ``*``, origins such as ``https://example.com`` (several as a list, or with commas), regular
            expressions; nothing: none but where a handler says so.
        allow_headers: The fields that a page may send; ``*`` for any.
        allow_methods: The methods that a page may use; nothing: those that the path has.
        expose_headers: The fields of the answer that a page may read.
        supports_credentials: Cookies may go along; not with ``*``.
        max_age: Seconds for which a client may keep the answer to a preflight request; 0: not said.
        send_wildcard: Send ``*`` rather than the origin that asked.
        always_send: Send the origin to clients too that name none.
        vary_header: Send ``Vary: origin`` where the answer depends on it.
        automatic_options: Answer preflight requests.

    Raises:
        InitError: Credentials go with no ``*``, or a value cannot be used.
    """

    def __init__(
        self,
        app: "Vivace[Any, Any]",
        origins: Origins = "",
        *,
        allow_headers: str | Iterable[str] | None = "*",
        allow_methods: str | Iterable[str] | None = None,
        expose_headers: str | Iterable[str] | None = None,
        supports_credentials: bool = False,
        max_age: Age = 5,
        send_wildcard: bool = False,
        always_send: bool = True,
        vary_header: bool = True,
        automatic_options: bool = True,
    ) -> None:
        every, exact, patterns = _read_origins(origins)
        self._always = always_send
        self._app = app
        self._routes: dict[Route, Policy] = {}
        self._default = _check(
            Policy(
                every=every,
                origins=frozenset(exact),
                patterns=patterns,
                sole=_sole(origins, every, exact) if always_send else None,
                wildcard=send_wildcard,
                expose=_join(word.lower() for word in split_words(expose_headers)),
                credentials=supports_credentials,
                vary=vary_header,
                automatic=automatic_options,
                headers=_read_headers(allow_headers),
                methods=_read_methods(allow_methods),
                max_age=_read_age(max_age),
            )
        )
        self._names: set[str] | None = None if every or exact or patterns else set()
        app.middleware_specs.append(MiddlewareSpec(self._add_fields, "response", _LAST, self._names))
        app.amend_routes(self._find_policies)

    def _find_policies(self, routes: list[Route]) -> list[Route]:
        self._routes = {}
        for route in routes:
            given = getattr(route.handler, _MARK, None)
            if given is not None:
                self._routes[route] = self._merge(given)
        if self._names is not None:  # no origin is allowed but where a handler says so
            self._names.clear()
            self._names.update(route.name for route in self._routes)
            if self._routes:
                self._names.add(f"{self._app.name}.options")
        return routes

    def _merge(self, given: dict[str, Any]) -> Policy:
        changes = dict(given)
        if "origin" in given:
            origins = changes.pop("origin")
            every, exact, patterns = _read_origins(origins)
            changes |= {"every": every, "origins": frozenset(exact), "patterns": patterns}
            changes["sole"] = _sole(origins, every, exact) if self._always else None
        return _check(self._default._replace(**changes))

    def _add_fields(self, request: "Request", response: HTTPResponse) -> None:
        route = request.route
        preflight = request.method == "OPTIONS" and "access-control-request-method" in request.headers
        meant: Any = self._meant(request, route) if preflight else route
        policy = self._routes.get(meant, self._default)
        if request.method == "OPTIONS" and policy.automatic and not preflight:
            return
        headers = response.headers
        origin = policy.answer(request.headers.get("origin"))
        if origin is not None:
            headers["access-control-allow-origin"] = origin
        else:  # a handler may have said it by itself
            origin = headers.get("access-control-allow-origin")
            if origin is None:
                return
        if policy.expose:
            headers["access-control-expose-headers"] = policy.expose
        if policy.credentials:
            headers["access-control-allow-credentials"] = "true"
        if policy.vary and origin != "*":
            _add_vary(headers)
        if preflight and policy.automatic:
            self._add_preflight(request, route, policy, headers)

    def _meant(self, request: "Request", route: Route | None) -> Route | None:
        """The route that a preflight request asks for."""
        if route is not None and "OPTIONS" in route.methods and route.uri != "*":
            return route
        method = request.headers["access-control-request-method"].upper()
        for name in (method, *split_words(request.match_info.get("allowed"))):
            found = self._app.find_route(request.head, name)
            if found is not None:
                return found
        return None

    @staticmethod
    def _add_preflight(request: "Request", route: Route | None, policy: Policy, headers: Any) -> None:
        wanted = [word.lower() for word in split_words(request.headers.get("access-control-request-headers"))]
        if policy.headers is None:
            headers["access-control-allow-headers"] = "*"
        elif found := [word for word in wanted if word in policy.headers]:
            headers["access-control-allow-headers"] = _join(found)
        if policy.max_age:
            headers["access-control-max-age"] = policy.max_age
        if route is not None:
            there = split_words(request.match_info.get("allowed")) or sorted(route.methods)
            allowed = [name for name in there if policy.methods is None or name in policy.methods]
            if allowed:
                headers["access-control-allow-methods"] = _join(allowed)


def cors(
    *,
    origin: Origins = _UNSET,
    expose_headers: str | Iterable[str] = _UNSET,
    allow_headers: str | Iterable[str] = _UNSET,
    allow_methods: str | Iterable[str] = _UNSET,
    supports_credentials: bool = _UNSET,
    max_age: Age = _UNSET,
) -> Callable[[F], F]:
    """Say what differs for the routes of a handler: above or below the decorator of the route.

    It needs `CORS` on the app; what is not given is as there. For a method that the path shares with others
    each handler has its own rules.

    Args:
        origin: As `CORS` takes its origins.
        expose_headers: The same of the other arguments.
        allow_headers: The same.
        allow_methods: The same.
        supports_credentials: The same.
        max_age: The same.
    """
    given: dict[str, Any] = {}
    if origin is not _UNSET:
        given["origin"] = origin
    if expose_headers is not _UNSET:
        given["expose"] = _join(split_words(expose_headers))
    if allow_headers is not _UNSET:
        given["headers"] = _read_headers(allow_headers)
    if allow_methods is not _UNSET:
        given["methods"] = _read_methods(allow_methods)
    if supports_credentials is not _UNSET:
        given["credentials"] = supports_credentials
    if max_age is not _UNSET:
        given["max_age"] = _read_age(max_age)

    def decorate(handler: F) -> F:
        setattr(handler, _MARK, given)
        return handler

    return decorate


def _read_origins(value: Origins) -> tuple[bool, list[str], tuple[re.Pattern[str], ...]]:
    """Whether every origin is meant, the origins, and the expressions."""
    if isinstance(value, re.Pattern):
        value = [value]
    items: list[Any] = split_words(value) if isinstance(value, str) else list(value or ())
    patterns = tuple(item for item in items if isinstance(item, re.Pattern))
    exact = [item for item in items if not isinstance(item, re.Pattern)]
    wrong = [item for item in exact if not isinstance(item, str)]
    if wrong:
        raise InitError(f"CORS origin {wrong[0]!r}: expected text or a regular expression")
    return "*" in exact or any(p.pattern == ".*" for p in patterns), exact, patterns


def _check(policy: Policy) -> Policy:
    if policy.every and policy.credentials:
        raise InitError(
            "Cannot use supports_credentials in conjunction with an origin string of '*'. "
            "See: http://www.w3.org/TR/cors/#resource-requests"
        )
    return policy


def _sole(origins: Origins, every: bool, exact: list[str]) -> str | None:
    """What is sent to a client that names no origin: the one that was given as text."""
    if every:
        return "*"
    return exact[0] if isinstance(origins, str) and len(exact) == 1 else None


def _read_headers(value: str | Iterable[str] | None) -> frozenset[str] | None:
    words = frozenset(word.lower() for word in split_words(value))
    return None if "*" in words else words


def _read_methods(value: str | Iterable[str] | None) -> frozenset[str] | None:
    words = frozenset(word.upper() for word in split_words(value))
    return None if not words or "*" in words else words


def _read_age(value: Age) -> str:
    if isinstance(value, timedelta):
        value = int(value.total_seconds())
    text = str(value or "")
    if text and not text.replace(".", "", 1).isdigit():
        raise InitError(f"CORS max_age {value!r}: expected seconds, or a timedelta")
    return text


def _join(words: Iterable[str]) -> str:
    return ",".join(words)


def _add_vary(headers: Any) -> None:
    known = headers.get_all("vary")
    if not known:
        headers["vary"] = "origin"
    elif "origin" not in [word.lower() for value in known for word in split_words(value)]:
        headers["vary"] = ", ".join((*known, "origin"))
