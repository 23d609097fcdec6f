"""The router of the alias: what programs look at, and routers of their own."""

from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

import pytest

from vivace import Request
from vivace.compat.sanic.app import Sanic
from vivace.compat.sanic.constants import HTTP_METHODS
from vivace.compat.sanic.patterns import REGEX_TYPES, ParamInfo, alpha, ext, nonemptystr, parse_date, slug
from vivace.compat.sanic.router import Requirements, Router
from vivace.errors import FinalizationError, InvalidRoute, NotFound
from vivace.framework.response import HTTPResponse, text
from vivace.framework.route import Route


async def handler(request: Request, **values: Any) -> HTTPResponse:
    return text(f"{request.name} {values}")


def make_app(**options: Any) -> Sanic:
    app = Sanic("app", **options)
    app.add_route(handler, "/", name="root")
    app.add_route(handler, "/p/<x:path>", name="path")
    app.add_route(handler, "/n/<x>", name="text", ctx_foo=1)
    app.add_route(handler, "/a/b", name="fixed")
    app.add_route(handler, "/st/", name="strict", strict_slashes=True)
    app.add_route(handler, "/caf\xe9/<x:int>", name="number")
    return app


def test_paths_look_as_in_sanic() -> None:
    app = make_app()
    shown = {route.name: (route.path, route.uri, route.parts) for route in app.router.routes}
    assert shown == {
        "app.root": ("", "/", ("",)),
        "app.fixed": ("a/b", "/a/b", ("a", "b")),
        "app.strict": ("st/", "/st/", ("st", "")),
        "app.text": ("n/<x:str>", "/n/<x:str>", ("n", "<x:str>")),
        "app.number": ("caf%C3%A9/<x:int>", "/caf%C3%A9/<x:int>", ("caf%C3%A9", "<x:int>")),
        "app.path": ("p/<x:path>", "/p/<x:path>", ("p", "<x:path>")),
    }


def test_routes_are_grouped_by_their_kind() -> None:
    router = make_app().router
    assert isinstance(router.routes, tuple)
    assert [route.name for route in router.routes][-1] == "app.path"
    assert set(router.static_routes) == set(router.routes_static) == {("",), ("a", "b"), ("st", "")}
    assert ("n", "<__dynamic__:str>") in router.dynamic_routes
    assert list(router.regex_routes) == [("p", "<__dynamic__:path>")]
    assert router.routes_all[("a", "b")].name == "app.fixed"
    group = router.groups[("a", "b")]
    assert (str(group), group.methods, len(group)) == ("<RouteGroup: path=a/b len=1>", {"GET"}, 1)
    assert group.methods_index["GET"] is group.routes[0]
    assert group.requirements == []
    assert set(router.tree) == set(router.groups)


def test_a_route_tells_of_its_parameters() -> None:
    route = make_app().router.name_index["app.text"]
    ((place, parameter),) = route.params.items()
    assert (place, parameter.name, parameter.label, parameter.pattern.pattern) == (1, "x", "str", "^[^/]+$")
    assert [str(segment) for segment in route.segments] == ["n", "<__dynamic__:str>"]
    assert (route.raw_path, route.labels, route.ctx.foo, route.overloaded) == ("n/<x>", ["x"], 1, False)
    assert str(route) == "<Route: name=app.text path=n/<x:str>>"
    assert route.extra.request_middleware == ()


def test_a_late_route_is_seen_at_once() -> None:
    app = make_app()
    before = len(app.router.routes)
    app.add_route(handler, "/late", name="late")
    assert len(app.router.routes) == before + 1
    assert app.router.find_route_by_view_name("late") is not None
    assert app.router.find_route_by_view_name("") is None


def test_the_router_finds_routes() -> None:
    route, found, values = make_app().router.get("/n/5", "GET", None)
    assert (route.name, found, values) == ("app.text", handler, {"x": "5"})


def test_it_is_finalized_once_until_it_is_reset() -> None:
    app = make_app()
    app.router.finalize()
    assert app.router.finalized
    with pytest.raises(FinalizationError, match="Cannot finalize router more than once"):
        app.router.finalize()
    app.router.reset()
    assert not app.router.finalized
    assert app.test_client.get("/a/b")[1].status == 200
    with pytest.raises(FinalizationError, match="Cannot finalize with no routes defined"):
        Sanic("empty").router.finalize()


def test_types_are_registered_with_the_router() -> None:
    app = make_app()
    app.router.register_pattern("even", lambda value: int(value) // 2, r"^[0-9]*[02468]$")
    app.add_route(handler, "/even/<x:even>", name="even")
    assert app.test_client.get("/even/8")[1].text == "app.even {'x': 4}"
    assert app.test_client.get("/even/7")[1].status == 404
    cast, pattern, kind = app.router.regex_types["int"]
    assert (cast, pattern.pattern, kind) == (int, r"^-?\d+$", ParamInfo)
    assert set(REGEX_TYPES) == set(app.router.regex_types) - {"even"}


@pytest.mark.parametrize(
    ("cast", "value", "expected", "wrong"),
    [
        (alpha, "ab", "ab", "a1"),
        (slug, "a-b", "a-b", "A"),
        (nonemptystr, "a", "a", ""),
        (parse_date, "2026-11-21", date(2026, 11, 21), "x"),
        (ext, "a.tar.gz", ("a", "tar.gz"), "a"),
    ],
)
def test_casts_refuse_what_is_not_of_their_type(cast: Any, value: str, expected: Any, wrong: str) -> None:
    assert cast(value) == expected
    with pytest.raises(ValueError, match=r"Value|time data"):
        cast(wrong)


def test_requirements_stay_as_they_are() -> None:
    made = Requirements(host="a.com")
    assert {made: 1}[Requirements(host="a.com")] == 1
    with pytest.raises(TypeError, match="Cannot change immutable dict"):
        made["host"] = "b.com"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((5, str, "a"), "label must be a string, not label=5"),
        (("a", 5, "a"), "cast must be a callable, not cast=5"),
        (("a", str, 5), "pattern must be a string or a Pattern, not pattern=5, type=<class 'int'>"),
    ],
)
def test_wrong_patterns_are_refused(arguments: tuple[Any, Any, Any], says: str) -> None:
    with pytest.raises(InvalidRoute) as caught:
        make_app().router.register_pattern(*arguments)
    assert str(caught.value) == f"When registering a pattern, {says}"


def test_a_subclass_may_know_more_methods() -> None:
    class Wider(Router):
        ALLOWED_METHODS = (*HTTP_METHODS, "PROPFIND")

    app = Sanic("app", router=Wider())
    app.add_route(handler, "/x", methods=["PROPFIND"])
    answer = app.test_client.request("PROPFIND", "/x")[1]
    assert answer is not None
    assert answer.status == 200


def test_a_subclass_may_be_told_of_routes() -> None:
    seen: list[tuple[str, list[str]]] = []

    class Telling(Router):
        def add(
            self, uri: str, methods: Iterable[str], handler: Callable[..., Any], **options: Any
        ) -> Route | list[Route]:
            seen.append((uri, sorted(methods)))
            return super().add(f"/v{uri}", methods, handler, **options)

    app = Sanic("app", router=Telling())
    app.add_route(handler, "/x", methods=["GET", "POST"])
    assert seen == [("/x", ["GET", "POST"])]
    assert app.router.ctx.app is app
    assert app.test_client.get("/v/x")[1].status == 200


def test_a_subclass_may_find_the_routes() -> None:
    class Finding(Router):
        def get(
            self, path: str, method: str, host: str | None
        ) -> tuple[Route, Callable[..., Any], dict[str, Any]]:
            if path == "/nowhere":
                raise NotFound("asked for nowhere")
            return super().get("/n/found" if path.startswith("/other") else path, method, host)

    app = make_app(router=Finding())
    assert app.test_client.get("/other")[1].text == "app.text {'x': 'found'}"
    assert app.test_client.get("/a/b")[1].text == "app.fixed {}"
    assert "asked for nowhere" in app.test_client.get("/nowhere")[1].text


def test_there_is_one_router_per_app() -> None:
    with pytest.raises(AttributeError, match="no attribute 'ctx'"):
        Sanic("app", router=5)
