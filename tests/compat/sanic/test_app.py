"""The app of the alias: what may be overridden, what it is asked, blueprints as its programs see them."""

from pathlib import Path
from typing import Any

import pytest

from vivace import Request
from vivace.compat.sanic.app import Sanic
from vivace.compat.sanic.blueprint import Blueprint
from vivace.compat.sanic.overriding import OverriddenDispatcher
from vivace.compat.sanic.serving import REPLContext
from vivace.errors import SanicException
from vivace.framework.response import HTTPResponse, text
from vivace.framework.views import HTTPMethodView, stream


async def handler(request: Request, **values: Any) -> HTTPResponse:
    return text(f"{request.name} {values}")


async def fail(request: Request) -> HTTPResponse:
    raise KeyError("x")


def make_app(kind: type[Sanic] = Sanic) -> Sanic:
    app = kind("app")
    app.add_route(handler, "/ok/<x:int>", name="ok")
    app.add_route(handler, "/body", name="body", methods=["POST"])
    app.add_route(fail, "/fail")
    return app


def test_requests_and_exceptions_go_through_the_methods_that_are_overridden() -> None:
    seen: list[str] = []

    class Own(Sanic):
        async def handle_request(self, request: Request) -> None:
            seen.append(f"request {request.path}")
            await super().handle_request(request)
            seen.append("done")

        async def handle_exception(
            self, request: Request, exception: Exception, run_middleware: bool = True
        ) -> None:
            seen.append(type(exception).__name__)
            await super().handle_exception(request, exception, run_middleware)

    app = make_app(Own)
    app.on_request(lambda request: seen.append("middleware"))
    assert app.test_client.get("/ok/5")[1].text == "app.ok {'x': 5}"
    assert app.test_client.get("/fail")[1].status == 500
    assert app.test_client.get("/nope")[1].status == 404
    assert app.test_client.post("/body", content=b"x")[1].status == 200
    assert seen == [
        *("request /ok/5", "middleware", "done"),
        *("request /fail", "middleware", "KeyError", "done"),
        *("request /nope", "NotFound", "middleware", "done"),
        *("request /body", "middleware", "done"),
    ]


def test_an_app_that_overrides_nothing_keeps_the_short_way() -> None:
    class Own(Sanic):
        """Overrides something else."""

    assert not isinstance(make_app()._dispatcher, OverriddenDispatcher)
    assert not isinstance(make_app(Own)._dispatcher, OverriddenDispatcher)


def test_the_methods_may_be_called_without_being_overridden() -> None:
    app = make_app()

    @app.get("/forward")
    async def forward(request: Request) -> None:
        await app.handle_exception(request, SanicException("told", status_code=418))

    answer = app.test_client.get("/forward")[1]
    assert (answer.status, "told" in answer.text) == (418, True)


# What it is asked


def test_an_app_knows_where_it_is() -> None:
    app = make_app()
    assert app.get_address(None, None) == ("127.0.0.1", 8000)
    assert app.get_address("h", None, auto_tls=True) == ("h", 8443)
    assert app.get_server_location() == ""
    assert app.get_server_location({"host": "a", "port": 5}) == "http://a:5"
    assert app.get_server_location({"host": "::1", "port": 5, "ssl": object()}) == "https://[::1]:5"
    assert app.serve_location == "http://<unknown>"
    facts, shown = app.get_motd_data()
    assert (facts["app"], facts["mode"].startswith("production"), shown) == ("app", True, {})
    assert app.refresh({"strict_slashes": True}) is app
    assert app.strict_slashes


def test_an_app_takes_what_sanic_does_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    app = make_app()
    app.ack()
    app.set_serving(True)
    app.enable_websocket()
    assert (app.configure_logging, app.request_class.__name__, set(app.reload_dirs)) == (
        True,
        "Request",
        set(),
    )


def test_what_is_at_hand_for_a_session_is_kept() -> None:
    context = REPLContext()
    context.add(handler)
    context.add(5, name="five", desc="a number")
    assert list(context)[1] == ("five", 5, "a number")
    with pytest.raises(ValueError, match="'five' already exists"):
        context.add(6, name="five")
    with pytest.raises(ValueError, match="name"):
        context.add(7)
    assert isinstance(make_app().repl_ctx, REPLContext)


# Blueprints


def test_a_blueprint_has_apps_once_it_is_registered() -> None:
    blueprint = Blueprint("bp", url_prefix="/bp/")
    with pytest.raises(SanicException, match=r"^<Blueprint bp> has not yet been registered to an app$"):
        _ = blueprint.apps
    app = make_app()
    app.blueprint(blueprint)
    assert blueprint.apps == {app}
    assert repr(blueprint) == (
        'Blueprint(name="bp", url_prefix="/bp", host=None, version=None, strict_slashes=None)'
    )
    assert (str(app), repr(app)) == ("<Sanic app>", 'Sanic(name="app")')


def test_a_blueprint_registers_itself() -> None:
    app, blueprint = Sanic("app"), Blueprint("bp", url_prefix="/bp")
    blueprint.add_route(handler, "/x")
    blueprint.register(app, {"url_prefix": "/other"})
    assert [route.path for route in app.router.routes] == ["other/x"]


def test_another_blueprint_of_the_name_is_refused() -> None:
    app = make_app()
    app.blueprint(Blueprint("bp"))
    with pytest.raises(AssertionError) as caught:
        app.blueprint(Blueprint("bp"))
    assert str(caught.value) == (
        'A blueprint with the name "bp" is already registered.  Blueprint names must be unique.'
    )


def test_the_same_blueprint_twice_counts_once() -> None:
    app, blueprint = Sanic("app"), Blueprint("bp")
    blueprint.add_route(handler, "/x")
    app.blueprint(blueprint)
    app.blueprint([blueprint])
    assert len(app.router.routes) == 1


@pytest.mark.parametrize(
    ("given", "outer", "group", "blueprint", "expected"),
    [
        ({}, {"version": 3}, {}, {"version": 1}, "v3/b/x"),
        ({}, {"version": 3}, {"version": 2}, {"version": 1}, "v1/b/x"),
        ({"version": 4}, {}, {}, {"version": 1}, "v4/b/x"),
        ({"version": 4}, {"version": 3}, {}, {}, "v3/b/x"),
        ({"url_prefix": "/ap"}, {"url_prefix": "/gg/"}, {"url_prefix": "g"}, {}, "ap/gg/g/b/x"),
        ({}, {"version_prefix": "/gg"}, {}, {"version_prefix": "/b", "version": 1}, "gg1/b/x"),
        ({}, {}, {"version_prefix": "/g"}, {"version_prefix": "/b", "version": 1}, "b1/b/x"),
    ],
)
def test_what_groups_hand_down(given: Any, outer: Any, group: Any, blueprint: Any, expected: str) -> None:
    member = Blueprint("b", url_prefix="/b", **blueprint)
    member.add_route(handler, "/x")
    app = Sanic("app")
    app.blueprint(Blueprint.group(Blueprint.group(member, **group), **outer), **given)
    assert [route.path for route in app.router.routes] == [expected]


def test_the_outermost_name_prefix_counts() -> None:
    member = Blueprint("b")
    member.add_route(handler, "/x", name="x")
    group = Blueprint.group(Blueprint.group([member], name_prefix="in"), name_prefix="out")
    app = Sanic("app")
    app.blueprint(group)
    assert [route.name for route in app.router.routes] == ["app.out_b.x"]
    assert list(app.blueprints) == ["b"]


@pytest.mark.parametrize(
    ("given", "group", "own", "strict"),
    [
        (True, None, False, False),
        (True, False, None, True),
        (None, True, None, True),
        (False, None, True, True),
        (None, None, None, False),
    ],
)
def test_strict_slashes_of_a_blueprint_go_before_those_of_its_group(
    given: bool | None, group: bool | None, own: bool | None, strict: bool
) -> None:
    member = Blueprint("b", strict_slashes=own)
    member.add_route(handler, "/x")
    app = Sanic("app")
    app.blueprint(Blueprint.group(member, strict_slashes=group), strict_slashes=given)
    assert [route.strict for route in app.router.routes] == [strict]


def test_a_copy_that_may_overwrite_takes_its_own_routes_over() -> None:
    app, blueprint = Sanic("app"), Blueprint("bp", url_prefix="/bp")
    blueprint.add_route(handler, "/x", name="old")
    app.blueprint(blueprint)
    copy = blueprint.copy("copy", allow_route_overwrite=True)
    copy.add_route(handler, "/x", name="new")
    assert [route.name for route in app.router.routes] == ["app.copy.new"]


# Views


class Upload(HTTPMethodView):
    @stream
    async def post(self, request: Request) -> HTTPResponse:
        found = b""
        while (chunk := await request.stream.read()) is not None:
            found += chunk
        return text(found.decode())


def test_a_view_has_the_methods_that_it_defines_and_streams_if_one_says_so() -> None:
    app = Sanic("app")
    app.add_route(Upload.as_view(), "/added", methods=["GET"])
    Upload.attach(app, "/attached", name="attached")
    for path in ("/added", "/attached"):
        assert app.test_client.post(path, content=b"body")[1].text == "body"
        assert app.test_client.get(path)[1].status == 405
    assert [route.extra.stream for route in app.router.routes] == [True, True]


# Commands


def test_commands_are_declared_on_the_app(tmp_path: Path) -> None:
    app = make_app()

    @app.command
    async def seed(count: int) -> int:
        return count

    @app.command(name="other")
    def something() -> None: ...

    assert app.commands == {"seed": seed, "other": something}
