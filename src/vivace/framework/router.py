# cython: language_level=3, annotation_typing=False
"""From a path and a method to a route and the values of its path parameters.

Rules of this file:

- A static path is one dict lookup on the octets of the request line; it wins over everything.
- Then the tree: at each segment literals first, then parameters by the rank of their type. It is a
  tree, so each node is visited at most once: no path makes the walk longer than the tree is large.
- Then `path` and regular-expression routes, the longest declared path first.
- A route that matches without having the method does not end the search; if nothing else has it,
  the answer is 405 with the methods of all that matched (RFC 9110 section 15.5.6).
- HEAD goes to GET and OPTIONS is answered with Allow unless a route declares them, or the app says otherwise.
"""

import re
from typing import Any

from vivace.errors import MethodNotAllowed, NotFound, RouteExists
from vivace.framework.pattern import NO_MATCH, PATH_REGEX, Segment, normalize
from vivace.framework.route import Route
from vivace.http.url import unquote_path

__all__ = ["Router"]

Claims = dict[str, tuple[Route, ...]]
"""Method -> the routes that have it, those bound to hosts before the one for any host."""
Match = tuple[Route, dict[str, Any]]


class Node:
    """A place in the tree: what may follow, and the routes that end here without and with a slash."""

    __slots__ = ("dynamic", "exact", "literals", "slashed")

    def __init__(self) -> None:
        self.literals: dict[str, Node] = {}
        self.dynamic: list[tuple[Any, Node, bool, int, str]] = []
        self.exact: Claims = {}
        self.slashed: Claims = {}

    def child(self, segment: Segment) -> "Node":
        """The node below `segment`, made when missing; parameters of one type share a node."""
        if segment.literal is not None:
            return self.literals.setdefault(segment.literal, Node())
        kind = segment.kind
        assert kind is not None
        for _convert, node, _pair, _rank, label in self.dynamic:
            if label == kind.label:
                return node
        node = Node()
        self.dynamic.append((kind.convert, node, kind.pair, kind.rank, kind.label))
        self.dynamic.sort(key=lambda entry: (entry[3], entry[4]))
        return node

    def take(self, segment: str, values: list[Any]) -> "Node | None":
        """The node below the first parameter that matches; its value is added to `values`."""
        for convert, node, pair, _rank, _label in self.dynamic:
            value = convert(segment)
            if value is not NO_MATCH:
                if pair:
                    values.extend(value)
                else:
                    values.append(value)
                return node
        return None


class Pattern:
    """A route whose parameters may span segments: matched as one regular expression."""

    __slots__ = ("casts", "fullmatch", "methods", "path", "prefix", "strict")

    def __init__(self, route: Route) -> None:
        self.path = route.uri
        self.strict = route.strict
        self.prefix, expression, self.casts = _compile(route)
        self.fullmatch = re.compile(expression, re.DOTALL).fullmatch
        self.methods: Claims = {}

    def match(self, text: str) -> list[Any] | None:
        """The values of the parameters, or None."""
        if not text.startswith(self.prefix):
            return None
        found = self.fullmatch(text)
        if found is None:
            return None
        values: list[Any] = []
        for name, convert, pair in self.casts:
            value = convert(found.group(name))
            if value is NO_MATCH:
                return None
            if pair:
                values.extend(value)
            else:
                values.append(value)
        return values


class Router:
    """The routes of one app, compiled.

    Attributes:
        static: Octets of a path -> method -> route; what is not found here goes to `resolve`.
        routes: Every route in the order of declaration.
        automatic: Method -> what answers it where no route declares it.
    """

    __slots__ = ("_patterns", "_prefixes", "_root", "automatic", "routes", "static")

    def __init__(self, routes: list[Route], automatic: dict[str, Route], head: bool = True) -> None:
        self.routes: list[Route] = routes
        self.automatic: dict[str, Route] = automatic
        self.static: dict[bytes, dict[str, Route]] = {}
        self._prefixes: dict[bytes, Node] = {}
        self._root = Node()
        self._patterns: list[Pattern] = []
        for route in routes:
            self._add(route)
        self._patterns.sort(key=lambda p: len(p.path), reverse=True)
        if head:
            for pattern in self._patterns:
                _inherit_head(pattern.methods)
            self._finish(self._root)
        self._index(self._root, "")

    # For people and programs that look at the routes

    ALLOWED_METHODS = ("GET", "POST", "PUT", "HEAD", "OPTIONS", "PATCH", "DELETE")
    finalized = True

    @property
    def routes_all(self) -> dict[tuple[str, ...], Route]:
        """Every route by the parts of its path; of several with one path the last."""
        return {route.parts: route for route in self.routes}

    @property
    def routes_static(self) -> dict[tuple[str, ...], Route]:
        """The routes without parameters."""
        return {route.parts: route for route in self.routes if not route.params}

    @property
    def routes_dynamic(self) -> dict[tuple[str, ...], Route]:
        """The routes whose parameters fill one segment each."""
        return {route.parts: route for route in self.routes if route.params and not route.regex}

    @property
    def routes_regex(self) -> dict[tuple[str, ...], Route]:
        """The routes that are matched as regular expressions."""
        return {route.parts: route for route in self.routes if route.regex}

    @property
    def name_index(self) -> dict[str, Route]:
        """The routes by their full names; of several of one name the first."""
        return {route.name: route for route in reversed(self.routes)}

    def find_route_by_view_name(self, view_name: str, name: str | None = None) -> Route | None:
        """The first route of that name, with or without the name of the app before it.

        Args:
            view_name: Such as ``handler``, ``blueprint.handler``, ``app.handler``; ``static`` for files.
            name: Of a static route.

        Returns:
            None if there is none.
        """
        wanted = name or "static" if view_name == "static" else view_name
        for route in self.routes:
            if wanted and wanted in (route.name, route.name.partition(".")[2]):
                return route
        return None

    def get(self, path: str, method: str, host: str | None = None) -> tuple[Route, Any, dict[str, Any]]:
        """Route, handler and values for a request.

        Raises:
            NotFound: No route matches.
            MethodNotAllowed: Routes match the path, none has the method.
        """
        route, values = self._search(path, method, (host or "").encode("latin-1"))
        return route, route.handler, values

    # For requests

    def resolve(self, path: bytes, method: str, host: bytes) -> Match:
        """The route for a request that `static` does not know, and the values of its parameters.

        Raises:
            NotFound: No route matches the path (and the host).
            MethodNotAllowed: Routes match the path, none has the method.
        """
        before, _, last = path.rpartition(b"/")
        node = self._prefixes.get(before)
        if node is not None and last and b"%" not in last:
            text = last.decode("latin-1")
            for convert, below, pair, _rank, _label in node.dynamic:
                value = convert(text)
                if value is not NO_MATCH:
                    claim = below.exact.get(method)
                    if claim is not None and claim[0].hosts is None:
                        route = claim[0]
                        if route.single:
                            return route, {route.single: value}
                        return route, _named(route, list(value) if pair else [value])
        text = path.decode("latin-1")
        if "%" not in text:
            found = self._descend(text.split("/"), method)
            if found is not None:
                return found
        return self._search(text, method, host)

    def _descend(self, segments: list[str], method: str) -> Match | None:
        """The first way down the tree; None if it leads nowhere: then the whole tree has to be searched."""
        slashed = len(segments) > 2 and not segments[-1]
        if slashed:
            segments.pop()
        if segments[0]:
            return None
        node = self._root
        values: list[Any] = []
        for segment in segments[1:]:
            below = node.literals.get(segment) or node.take(segment, values)
            if below is None:
                return None
            node = below
        claim = (node.slashed if slashed else node.exact).get(method)
        if claim is None or claim[0].hosts is not None:
            return None
        return claim[0], _named(claim[0], values)

    def find(self, path: bytes, method: str, host: bytes) -> Route | None:
        """The declared route that answers a request; None where `resolve` raises or answers by itself."""
        search = _Search(method, host)
        return search.route if self._walk(search, path.decode("latin-1")) else None

    def _search(self, text: str, method: str, host: bytes) -> Match:
        search = _Search(method, host)
        if self._walk(search, text):
            return search.result()
        if text == "*":
            search.allowed.update(m for route in self.routes for m in route.methods)
        return self._give_up(search, text)

    def _walk(self, search: "_Search", text: str) -> bool:
        """Search the whole tree, then the patterns; whether a route was found."""
        if not text.startswith("/"):
            return False
        normal = normalize(text) if "%" in text else text
        if search.tree(self._root, text, normal):
            return True
        for pattern in self._patterns:
            values = pattern.match(text)
            if values is None and normal is not text:
                values = pattern.match(normal)
            if values is not None and search.take(pattern.methods, values):
                return True
        return False

    def _give_up(self, search: "_Search", text: str) -> Match:
        if not search.allowed:
            raise NotFound(f"Requested URL {text} not found")
        allowed = sorted({*search.allowed, *self.automatic})
        if search.method in self.automatic:
            return self.automatic[search.method], {"allowed": ", ".join(allowed)}
        raise MethodNotAllowed(
            f"Method {search.method} not allowed for URL {text}",
            method=search.method,
            allowed_methods=allowed,
        )

    def _add(self, route: Route) -> None:
        segments = route.segments
        if any(segment.regex is not None for segment in segments):
            self._add_pattern(route)
            return
        slashed = bool(segments) and segments[-1].literal == ""
        node = self._root
        for segment in segments[:-1] if slashed else segments:
            node = node.child(segment)
        if not (route.strict and slashed):
            _claim(node.exact, route)
        if segments and not (route.strict and not slashed):
            _claim(node.slashed, route)

    def _add_pattern(self, route: Route) -> None:
        for pattern in self._patterns:
            if pattern.path == route.uri and pattern.strict == route.strict:
                _claim(pattern.methods, route)
                return
        pattern = Pattern(route)
        _claim(pattern.methods, route)
        self._patterns.append(pattern)

    def _finish(self, node: Node) -> None:
        _inherit_head(node.exact)
        _inherit_head(node.slashed)
        for child in node.literals.values():
            self._finish(child)
        for _convert, child, _pair, _rank, _label in node.dynamic:
            self._finish(child)

    def _index(self, node: Node, path: str) -> None:
        """Enter the static paths below `node` into the fast tables."""
        for ending, methods in (("", node.exact), ("/", node.slashed)):
            if methods and not _bound(methods):
                found = {method: claim[0] for method, claim in methods.items()}
                self.static[(path + ending or "/").encode("ascii")] = found
        if node.dynamic and not any(_bound(child.exact) for child in node.literals.values()):
            self._prefixes[path.encode("ascii")] = node
        for literal, child in node.literals.items():
            self._index(child, f"{path}/{literal}")


class _Search:
    """One walk through the tree: the request on one side, what was found so far on the other."""

    __slots__ = ("allowed", "host", "method", "normal", "raw", "route", "values")

    def __init__(self, method: str, host: bytes) -> None:
        self.method = method
        self.host = host
        self.allowed: set[str] = set()
        self.route: Route | None = None
        self.values: list[Any] = []
        self.raw: list[str] = []
        self.normal: list[str] = []

    def tree(self, root: Node, text: str, normal: str) -> bool:
        """Walk with the trailing slash taken as such, then as an empty last segment."""
        self.raw = text[1:].split("/") if text != "/" else []
        self.normal = normal[1:].split("/") if text != "/" else []
        if text.endswith("/") and text != "/" and self._walk(root, 0, len(self.raw) - 1, True):
            return True
        return self._walk(root, 0, len(self.raw), False)

    def _walk(self, node: Node, index: int, end: int, slashed: bool) -> bool:
        if index == end:
            return self.take(node.slashed if slashed else node.exact, self.values)
        child = node.literals.get(self.normal[index])
        if child is not None and self._walk(child, index + 1, end, slashed):
            return True
        size = len(self.values)
        for convert, below, pair, _rank, _label in node.dynamic:
            value = convert(self.raw[index])
            if value is NO_MATCH:
                continue
            if pair:
                self.values.extend(value)
            else:
                self.values.append(value)
            if self._walk(below, index + 1, end, slashed):
                return True
            del self.values[size:]
        return False

    def take(self, methods: Claims, values: list[Any]) -> bool:
        """Accept the routes that end here if one has the method and the host; else note what they allow."""
        route = self._for_host(methods.get(self.method, ()))
        if route is None:
            self.allowed.update(m for m, claim in methods.items() if self._for_host(claim) is not None)
            return False
        self.route, self.values = route, values
        return True

    def _for_host(self, claim: tuple[Route, ...]) -> Route | None:
        for route in claim:
            if route.hosts is None or self._names() & set(route.hosts):
                return route
        return None

    def _names(self) -> set[str]:
        """The host asked for, with and without its port."""
        host = self.host.decode("latin-1").lower()
        bare = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
        return {host, bare}

    def result(self) -> Match:
        """What `take` accepted."""
        assert self.route is not None
        return self.route, _named(self.route, self.values)


def _named(route: Route, values: list[Any]) -> dict[str, Any]:
    if route.unquote:
        values = [unquote_path(v.encode("latin-1")) if isinstance(v, str) else v for v in values]
    return dict(zip(route.names, values, strict=True))


def _bound(methods: Claims) -> bool:
    return any(route.hosts is not None for claim in methods.values() for route in claim)


def _inherit_head(methods: Claims) -> None:
    """HEAD is GET unless declared (RFC 9110 section 9.3.2)."""
    if "GET" in methods:
        methods.setdefault("HEAD", methods["GET"])


def _claim(methods: Claims, route: Route) -> None:
    for method in route.methods:
        claim = methods.get(method, ())
        for other in claim:
            if other.hosts == route.hosts or set(other.hosts or ()) & set(route.hosts or ()):
                raise RouteExists(
                    f"Route already registered: {route.uri.strip('/')} [{method}]: {other.name} "
                    f"({other.source}, {other.uri}) and {route.name} ({route.source})",
                    key=route.uri,
                )
        methods[method] = tuple(sorted((*claim, route), key=lambda r: r.hosts is None))


def _compile(route: Route) -> tuple[str, str, list[tuple[str, Any, bool]]]:
    """The literal beginning, the expression for the whole path, and triples (group, converter, is a pair)."""
    prefix, expression = "", ""
    casts: list[tuple[str, Any, bool]] = []
    for segment in route.segments:
        if segment.literal is not None:
            expression += "/" + re.escape(segment.literal)
            prefix += "/" + segment.literal if not casts else ""
            continue
        name = segment.names[0]
        inner = segment.regex if segment.regex is not None else "[^/]*"
        expression += "/" + (f"(?:{inner})" if f"(?P<{name}>" in inner else f"(?P<{name}>{inner})")
        kind = segment.kind
        casts.append((name, kind.convert if kind is not None else str, kind is not None and kind.pair))
    return prefix, expression + _ending(route), casts


def _ending(route: Route) -> str:
    """An optional slash, unless it counts or belongs to the value of a last `path` parameter."""
    last = route.segments[-1]
    if route.strict or last.regex == PATH_REGEX:
        return ""
    return "?" if last.literal == "" else "/?"
