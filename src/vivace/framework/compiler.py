"""From the declarations of an app and its blueprints to the tables that requests are answered from.

Rules of this file:

- It reads declarations and changes nothing of them: the same declarations compile to the same tables.
- Everything that can be known before the first request is decided here.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from vivace.framework.announce import Announcer
from vivace.framework.automatic import AUTOMATIC, Automatic, answer_options
from vivace.framework.blueprint import Registration, place_all
from vivace.framework.extensible import Amender
from vivace.framework.handler import check_handler
from vivace.framework.lifespan import ListenerSpec
from vivace.framework.middleware import Chain, MiddlewareSpec, chain
from vivace.framework.patience import TimeLimit
from vivace.framework.pattern import TypeTable
from vivace.framework.registry import Registry
from vivace.framework.route import ASYNC, Route
from vivace.framework.router import Router
from vivace.framework.signals import SignalSpec
from vivace.framework.spec import Placement, compile_route

__all__ = ["Compiled", "compile_app", "gather_listeners", "gather_signals"]

Parts = list[tuple[Any, Placement]]


class Compiled(NamedTuple):
    """What `finalize` swaps in.

    Attributes:
        router: The routes.
        request_chain: Request middleware where there is no route.
        response_chain: Response middleware where there is no route.
        exception_handlers: Triples (blueprint or empty, exception class, function).
    """

    router: Router
    request_chain: Chain
    response_chain: Chain
    exception_handlers: list[tuple[str, type[BaseException], Callable[..., Any]]]


def compile_app(
    app: Registry,
    place: Placement,
    parts: Parts,
    types: TypeTable,
    announcer: Announcer | None = None,
    *,
    short: bool = True,
    amenders: Iterable[Amender] = (),
    automatic: Automatic = AUTOMATIC,
    checked: bool = True,
) -> Compiled:
    """Compile an app and the blueprints that are part of it.

    With an `announcer`, which is told of each request, and without `short` none takes the short way. With
    `checked` each handler must take the parameters of its path.

    Raises:
        ConfigError: A path is malformed, two routes claim one path and method, or a handler does not fit.
    """
    own = list(app.middleware_specs)
    around = {"": own}
    finish = partial(_finish, announcer, short and announcer is None)
    routes = [compile_route(spec, place, types) for spec in app.route_specs]
    handlers = [("", kind, function) for kind, function in app.exception_specs]
    for blueprint, where in parts:
        around[where.blueprint] = [*own, *blueprint.middleware_specs]
        found = [compile_route(spec, where, types) for spec in blueprint.route_specs]
        if where.overwrite:
            for one in found:
                routes = [*_without(routes, [one]), one]
        else:
            routes += found
        handlers += [(where.blueprint, kind, function) for kind, function in blueprint.exception_specs]
    routes = [finish(route, around[route.blueprint]) for route in _amend(amenders, routes, checked)]
    bare = finish(_bare(app, "OPTIONS", answer_options), own)
    answers = {method: finish(_bare(app, method, f), own) for method, f in automatic.items() if f is not None}
    router = Router(routes, answers, "HEAD" in automatic)
    return Compiled(router, bare.request_middleware, bare.response_middleware, handlers)


def _bare(app: Registry, method: str, handler: Callable[..., Any]) -> Route:
    """The route of a method that is answered where no route declares it."""
    route = Route(f"{app.name}.{method.lower()}", "*", frozenset((method,)), handler, ASYNC, [])
    route.buffered = False
    return route


def _amend(amenders: Iterable[Amender], routes: list[Route], checked: bool) -> list[Route]:
    """What extensions make of the routes.

    Raises:
        ConfigError: A handler does not take its parameters.
    """
    for amender in amenders:
        routes = amender(routes)
    for route in routes if checked else ():
        check_handler(route.handler, route.names, route.uri)
    return routes


def _without(routes: list[Route], found: list[Route]) -> list[Route]:
    """The routes, less what others claim that go before them."""
    claimed = {(route.uri, route.hosts, method) for route in found for method in route.methods}
    for route in routes:
        route.methods = frozenset(m for m in route.methods if (route.uri, route.hosts, m) not in claimed)
    return [route for route in routes if route.methods]


def gather_listeners(app: Registry, registrations: Iterable[Registration]) -> list[ListenerSpec]:
    """The listeners of an app, and of each blueprint where it became part of the app."""
    found = [(spec.order, spec) for spec in app.listener_specs]
    seen: set[int] = set()
    for given in registrations:
        for blueprint, _place in place_all(given, Placement(app.name)):
            if id(blueprint) not in seen:
                seen.add(id(blueprint))
                found += [(given.order, spec) for spec in blueprint.listener_specs]
    return [spec for _order, spec in sorted(found, key=lambda pair: pair[0])]


def gather_signals(app: Registry, parts: Parts) -> list[SignalSpec]:
    """The signals of an app and its blueprints, the app's first; those of one placed twice once."""
    blueprints = {id(blueprint): blueprint for blueprint, _place in parts}
    return [
        *app.signal_specs,
        *(spec for blueprint in blueprints.values() for spec in blueprint.signal_specs),
    ]


def _finish(
    announcer: Announcer | None, short: bool, route: Route, middleware: list[MiddlewareSpec]
) -> Route:
    before = chain(middleware, "request", route.name)
    after = chain(middleware, "response", route.name)
    if announcer is not None:
        before, after = announcer.around(before), announcer.around(after)
    if route.timeout is not None:
        before = ((TimeLimit(route.timeout), False), *before)
    route.request_middleware, route.response_middleware = before, after
    route.plain = short and route.kind == ASYNC and not before and not after
    return route
