"""From a route's name and values back to its URL.

Rules of this file:

- A scheme alone is no URL: it needs a host, and a host needs no scheme.
- What is built must lead back to the same route: each value is checked against its parameter's type.
- Values are percent-encoded; what is no path parameter becomes the query, lists repeated.
"""

import re
from typing import Any
from urllib.parse import quote, urlencode

from vivace.errors import URLBuildError
from vivace.framework.pattern import NO_MATCH, Segment
from vivace.framework.route import Route

__all__ = ["build_url", "find_route"]

_SAFE = "-._~!$&'()*+,;=:@"


def find_route(routes: list[Route], app_name: str, view_name: str) -> Route:
    """The route called `view_name`: ``handler``, ``blueprint.handler``, or with the app's name before it.

    Raises:
        URLBuildError: There is none, or several with different paths.
    """
    wanted = (view_name, f"{app_name}.{view_name}")
    found = {route.uri: route for route in routes if route.name in wanted}
    if not found:
        shown = view_name if "." in view_name else f"{app_name}.{view_name}"
        raise URLBuildError(f"Endpoint with name `{shown}` was not found")
    if len(found) > 1:
        raise URLBuildError(
            f"{view_name!r} names the routes {', '.join(sorted(found))}: tell them apart by name=..."
        )
    return next(iter(found.values()))


def build_url(route: Route, values: dict[str, Any], server_name: str = "", root: str = "") -> str:
    """The URL of `route`.

    Args:
        route: Where to.
        values: Of its parameters; the rest becomes the query. ``_anchor``, ``_external``, ``_scheme`` and
            ``_server``, ``_host`` are taken as such; ``_method`` is accepted and not needed.
        server_name: SERVER_NAME, used for external URLs.
        root: ROOT_PATH, which clients see before the path.

    Raises:
        URLBuildError: A value is missing or not of its type.
        ValueError: ``_scheme`` without ``_external``, or no word on which of several hosts is meant.
    """
    values = dict(values)
    options = {
        name: values.pop(name, None)
        for name in ("_anchor", "_external", "_scheme", "_server", "_method", "_host")
    }
    if route.static and "__file_uri__" in route.names and "__file_uri__" not in values:
        values["__file_uri__"] = values.pop("filename", "")
    elif route.static:
        values.pop("filename", None)
    path = root.rstrip("/") + ("".join("/" + _write(s, values) for s in _segments(route)) or "/")
    if query := urlencode([(k, v) for k, v in values.items() if v is not None], doseq=True):
        path += f"?{query}"
    if options["_anchor"]:
        path += "#" + quote(str(options["_anchor"]), safe=_SAFE + "/?")
    _check_host(route, options["_host"])
    if not options["_external"] and not options["_host"]:
        if options["_scheme"]:
            raise ValueError("When specifying _scheme, _external must be True")
        return f"//{options['_server']}{path}" if options["_server"] else path
    return _origin(route, options, server_name) + path


def _segments(route: Route) -> list[Segment]:
    """What the URL is written of: a last slash only where it counts."""
    found = route.segments
    return found[:-1] if found and found[-1].literal == "" and not route.strict else found


def _origin(route: Route, options: dict[str, Any], server_name: str) -> str:
    server = options["_server"] or options["_host"] or server_name or _only_host(route)
    if not server:
        raise URLBuildError("an external URL needs SERVER_NAME in the configuration, or _server=")
    scheme, separator, rest = server.partition("://")
    if separator:
        return f"{options['_scheme'] or scheme}://{rest}"
    return f"{options['_scheme'] or 'http'}://{server}"


def _check_host(route: Route, host: str | None) -> None:
    if host and host not in (route.hosts or ()):
        raise ValueError(
            f"Requested host ({host}) is not available for this route: {list(route.hosts or [None])}"
        )


def _only_host(route: Route) -> str:
    if route.hosts is not None and len(route.hosts) > 1:
        raise ValueError(f"Host is ambiguous: {', '.join(route.hosts)}: choose one by _host=")
    return route.hosts[0] if route.hosts else ""


def _write(segment: Segment, values: dict[str, Any]) -> str:
    if segment.literal is not None:
        return segment.literal
    names = segment.names
    if segment.kind is not None and segment.kind.pair and names[1] not in values:
        names = names[:1]  # the value has its extension already
    missing = [name for name in names if values.get(name) is None]
    if missing:
        raise URLBuildError(f"Required parameter `{missing[0]}` was not passed to url_for")
    parts = [str(values.pop(name)) for name in names]
    if segment.regex is not None:
        text = quote(parts[0], safe=_SAFE + "/").lstrip("/")
        if re.fullmatch(segment.regex, text, re.DOTALL) is None:
            raise URLBuildError(
                f'Value "{parts[0]}" for parameter `{segment.names[0]}` does not satisfy pattern '
                f"^{segment.regex}$"
            )
        return text
    text = quote(".".join(parts), safe=_SAFE)
    kind = segment.kind
    if kind is not None and (kind.convert(text) is NO_MATCH or "/" in "".join(parts)):
        raise URLBuildError(
            f'Value "{".".join(parts)}" for parameter `{segment.names[0]}` does not match pattern for type '
            f"`{kind.cast_name}`: {kind.pattern}"
        )
    return text
