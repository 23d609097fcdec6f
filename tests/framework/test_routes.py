"""Routes as programs see them: introspection, names and URLs, copies of blueprints, late changes."""

from typing import Any
from uuid import UUID

import pytest

from tests.framework.streams import ask, make_app
from vivace import Blueprint, HTTPResponse, MethodNotAllowed, NotFound, Request, Vivace, text
from vivace.errors import ConfigError, RouteExists, ServerError, URLBuildError


@pytest.fixture
def app() -> Vivace:
    return make_app()


async def handler(request: Request, **values: Any) -> HTTPResponse:
    return text(f"{request.name} {values}")


def declare(app: Vivace) -> None:
    app.add_route(handler, "/fixed", name="fixed")
    app.add_route(handler, "/a/<x:int>", name="ax", strict_slashes=True, ctx_foo=1, error_format="json")
    app.add_route(handler, "/r/<z:[a-z]{3}>", methods=["GET", "POST"], name="rx", host=["h1", "h2"])


# Introspection


def test_the_routes_by_kind_and_name(app: Vivace) -> None:
    declare(app)
    router = app.router
    assert list(router.routes_all) == [("fixed",), ("a", "<x:int>"), ("r", "<z:[a-z]{3}>")]
    assert list(router.routes_static) == [("fixed",)]
    assert list(router.routes_dynamic) == [("a", "<x:int>")]
    assert list(router.routes_regex) == [("r", "<z:[a-z]{3}>")]
    assert list(router.name_index) == ["app.rx", "app.ax", "app.fixed"]
    assert router.finalized
    assert "PATCH" in router.ALLOWED_METHODS


def test_a_route_tells_what_it_is(app: Vivace) -> None:
    declare(app)
    fixed, ax, rx = app.routes
    assert (ax.name, ax.uri, ax.labels, list(ax.params)) == ("app.ax", "/a/<x:int>", ["x"], [1])
    assert (ax.strict, ax.regex, ax.requirements, ax.ctx.foo) == (True, False, {}, 1)
    assert (ax.extra.ident, ax.extra.error_format, ax.extra.hosts) == ("app.ax", "json", [None])
    assert (rx.regex, rx.requirements) == (True, {"host": ("h1", "h2")})
    assert (rx.extra.hosts, rx.extra.stream, rx.extra.ignore_body) == ({"h1", "h2"}, False, False)
    assert (fixed.parts, fixed.params, fixed.extra.websocket) == (("fixed",), {}, False)


def test_a_route_is_found_by_its_name(app: Vivace, tmp_path: Any) -> None:
    declare(app)
    app.static("/files", tmp_path, name="files")
    router = app.router
    assert router.find_route_by_view_name("ax") is router.find_route_by_view_name("app.ax") is app.routes[1]
    assert router.find_route_by_view_name("static", name="files") is app.routes[3]
    assert router.find_route_by_view_name("none") is None
    assert router.find_route_by_view_name("") is None


def test_a_request_is_tried(app: Vivace) -> None:
    declare(app)
    route, found, values = app.router.get("/a/5", "GET", None)
    assert (route, found, values) == (app.routes[1], handler, {"x": 5})
    with pytest.raises(NotFound):
        app.router.get("/a/x", "GET", None)
    with pytest.raises(MethodNotAllowed):
        app.router.get("/a/5", "PUT", None)
    assert app.router.get("/r/abc", "POST", "h2")[0] is app.routes[2]


# Parameters


async def test_an_annotation_gives_the_type_of_a_bare_parameter(app: Vivace) -> None:
    @app.get("/n/<number>/<key>/<word>")
    async def typed(request: Request, number: int, key: "UUID", word: str) -> str:
        return f"{number + 1} {key.int} {word}"

    assert (await ask(app, target=f"/n/5/{UUID(int=7)}/x")).body == b"6 7 x"
    assert (await ask(app, target="/n/five/x/x")).status == 404


async def test_a_type_of_ones_own(app: Vivace) -> None:
    app.register_pattern("even", int, r"^[0-9]*[02468]$")
    app.add_route(handler, "/<n:even>", name="even")
    assert (await ask(app, target="/24")).body == b"app.even {'n': 24}"
    assert (await ask(app, target="/25")).status == 404


# URLs


def test_parts_of_an_url_are_chosen(app: Vivace) -> None:
    declare(app)
    assert app.url_for("ax", x=5, a=[1, 2], b="x y") == "/a/5?a=1&a=2&b=x+y"
    assert app.url_for("ax", x=5, _method="GET") == "/a/5"
    assert app.url_for("ax", x=5, _server="ex.com") == "//ex.com/a/5"
    assert app.url_for("ax", x=5, _external=True, _server="ex.com", _scheme="https") == "https://ex.com/a/5"
    assert app.url_for("ax", x=5, _external=True, _server="http://ex.com:80") == "http://ex.com:80/a/5"
    assert app.url_for("ax", x=5, _anchor="an chor").endswith("/a/5#an%20chor")
    with pytest.raises(ValueError, match="_external must be True"):
        app.url_for("ax", x=5, _scheme="https")


def test_a_host_has_to_be_chosen_among_several(app: Vivace) -> None:
    declare(app)
    app.add_route(handler, "/one", name="one", host="only")
    assert app.url_for("one", _external=True) == "http://only/one"
    with pytest.raises(ValueError, match="ambiguous: h1, h2"):
        app.url_for("rx", z="abc", _external=True)
    assert app.url_for("rx", z="abc", _external=True, _host="h2") == "http://h2/r/abc"
    with pytest.raises(URLBuildError):
        app.url_for("fixed", _external=True)


# Blueprints


async def test_a_copy_has_all_that_was_declared_and_goes_its_own_way(app: Vivace) -> None:
    seen: list[str] = []
    blueprint = Blueprint("one", url_prefix="/one", version=1)
    blueprint.add_route(handler, "/x", name="x")
    blueprint.on_request(lambda request: seen.append(request.name))
    blueprint.exception(KeyError)(lambda request, exception: text("caught", 418))
    blueprint.before_server_start(lambda app: None)
    blueprint.signal("a.b.c")(lambda: None)
    app.blueprint(blueprint)
    copy = blueprint.copy("two", url_prefix="/two", version=2)
    assert (copy.copied_from, copy.registered, copy.ctx is blueprint.ctx) == ("one", True, False)
    blueprint.ctx.pool = []
    third = blueprint.copy("three", with_registration=False, with_ctx=True, version=None)
    assert third.ctx is not blueprint.ctx
    assert third.ctx.pool is blueprint.ctx.pool
    copy.add_route(handler, "/late", name="late")
    assert [route.uri for route in app.routes] == ["/v1/one/x", "/v2/two/x", "/v2/two/late"]
    assert (await ask(app, target="/v2/two/x")).body == b"app.two.x {}"
    assert seen == ["app.two.x"]
    assert [route.name for route in copy.routes] == ["app.two.x", "app.two.late"]
    assert (len(copy.middlewares), len(copy.exceptions), list(copy.listeners)) == (
        1,
        1,
        ["before_server_start"],
    )
    assert copy.signal_specs[0].condition == {"__blueprint__": "two"}


async def test_a_copy_may_take_routes_over(app: Vivace) -> None:
    blueprint = Blueprint("one", url_prefix="/p")
    blueprint.add_route(handler, "/x", methods=["GET", "POST"], name="x")
    app.blueprint(blueprint)
    with pytest.raises(RouteExists, match=r"Route already registered: p/x \[GET,POST\]"):
        blueprint.copy("clash")
    app = make_app()
    app.blueprint(blueprint)
    copy = blueprint.copy("two", with_registration=False, allow_route_overwrite=True)
    copy.route_specs[0].methods = frozenset(("GET",))
    app.blueprint(copy)
    assert (await ask(app, target="/p/x")).body == b"app.two.x {}"
    assert (await ask(app, "POST", target="/p/x")).body == b"app.one.x {}"


# Late changes


async def test_a_running_app_is_amended_at_once(app: Vivace) -> None:
    declare(app)
    await app.run_listeners("before_server_start")
    compiled = app.router
    with app.amend():
        app.add_route(handler, "/late1", name="late1")
        app.add_route(handler, "/late2", name="late2")
        assert app.router is compiled
    assert (await ask(app, target="/late2")).body == b"app.late2 {}"


async def test_an_amendment_that_cannot_be_leaves_the_app_as_it_was(app: Vivace) -> None:
    declare(app)
    await app.run_listeners("before_server_start")
    with pytest.raises(ConfigError, match="Route already registered"), app.amend():
        app.add_route(handler, "/late1", name="late1")
        app.add_route(handler, "/fixed", name="again")
    app.add_route(handler, "/late2", name="late2")
    assert [route.uri for route in app.routes][3:] == ["/late2"]


# Middleware of some routes


async def test_middleware_by_the_names_of_routes(app: Vivace) -> None:
    seen: list[str] = []

    async def watch(request: Request) -> None:
        seen.append(request.name)

    app.register_named_middleware(watch, ["one", "app.bp.two"])
    blueprint = Blueprint("bp")
    app.add_route(handler, "/one", name="one")
    app.add_route(handler, "/other", name="other")
    blueprint.add_route(handler, "/two", name="two")
    app.blueprint(blueprint)
    for target in ("/one", "/other", "/two", "/none"):
        await ask(app, target=target)
    assert seen == ["app.one", "app.bp.two"]


@pytest.mark.parametrize("place", ["request", "response"])
async def test_a_middleware_that_returns_the_wrong_thing_is_named(
    app: Vivace, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(*_given: Any) -> int:
        return 5

    app.register_middleware(wrong, place)
    app.add_route(handler, "/", name="x")
    stream = await ask(app)
    assert stream.status == 500
    assert b"Invalid response type 5 (need HTTPResponse)" in stream.body
    assert f"returned by the {place} middleware wrong (" in caplog.text


async def test_a_route_that_is_not_applied_is_not_there(app: Vivace) -> None:
    assert app.get("/x", apply=False)(handler) is handler
    assert (await ask(app, target="/x")).status == 404


def test_the_folder_of_static_files_has_an_url(app: Vivace, tmp_path: Any) -> None:
    blueprint = Blueprint("bp", url_prefix="/bp")
    blueprint.static("/files", tmp_path)
    app.blueprint(blueprint)
    assert app.url_for("static", name="bp.static", filename="a b.txt") == "/bp/files/a%20b.txt"
    assert app.url_for("bp.static") == "/bp/files/"
    assert (len(blueprint.statics), blueprint.websocket_routes) == (1, [])


def test_a_wrong_declaration_is_what_sanics_programs_expect_it_to_be(app: Vivace) -> None:
    for kind in (ConfigError, ServerError, ValueError):
        with pytest.raises(kind):
            app.add_route(lambda: None, "/")
    assert not app.asgi
    assert not app.websocket_enabled
    app.auto_reload = True
    assert app.auto_reload
    assert app.config.AUTO_RELOAD
