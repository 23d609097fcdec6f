"""Blueprints and groups: where their routes end up, and what they are called."""

import gc
from typing import Any

import pytest

from tests.framework.streams import FakeStream, ask, make_app, make_head
from vivace import Blueprint, BlueprintGroup, HTTPResponse, Request, Vivace
from vivace.errors import ConfigError


@pytest.fixture
def app() -> Vivace:
    return make_app()


async def handler(request: Request, **values: Any) -> Any:
    return {"name": request.name, "path": request.uri_template, **values}


def paths(app: Vivace) -> list[str]:
    app.finalize()
    return [route.path for route in app.routes]


@pytest.mark.parametrize(
    ("prefix", "uri", "expected"),
    [
        (None, "/a", "/a"),
        ("/api", "/a", "/api/a"),
        ("/api/", "/a", "/api/a"),
        ("api", "a", "/api/a"),
        ("/api", "/", "/api/"),
        ("/api", "", "/api"),
        ("/", "/a", "/a"),
        ("/<org>", "/<id:int>", "/<org:str>/<id:int>"),
    ],
)
def test_a_prefix_goes_before_the_path(app: Vivace, prefix: str | None, uri: str, expected: str) -> None:
    blueprint = Blueprint("bp", url_prefix=prefix)
    blueprint.add_route(handler, uri)
    app.blueprint(blueprint)
    assert paths(app) == [expected]


@pytest.mark.parametrize(
    ("given", "route", "expected"),
    [
        ({"version": 1}, {}, "/v1/p/a"),
        ({"version": 1}, {"version": 2}, "/v2/p/a"),
        ({"version": "v1.1"}, {}, "/v1.1/p/a"),
        ({"version": 1.5, "version_prefix": "/api/v"}, {}, "/api/v1.5/p/a"),
        ({}, {"version": 3, "version_prefix": "/x/"}, "/x/3/p/a"),
    ],
)
def test_a_version_goes_before_the_prefix(app: Vivace, given: Any, route: Any, expected: str) -> None:
    blueprint = Blueprint("bp", url_prefix="/p", **given)
    blueprint.add_route(handler, "/a", **route)
    app.blueprint(blueprint)
    assert paths(app) == [expected]


def test_what_the_app_says_overrides_the_blueprint(app: Vivace) -> None:
    blueprint = Blueprint("bp", url_prefix="/p", version=1)
    blueprint.add_route(handler, "/a")
    app.blueprint(blueprint, url_prefix="/q", version=2)
    app.blueprint(blueprint, url_prefix="/r", name_prefix="again")
    assert paths(app) == ["/v2/q/a", "/v1/r/a"]
    assert [route.name for route in app.routes] == ["app.bp.handler", "app.again_bp.handler"]


def test_groups_nest(app: Vivace) -> None:
    one, two, three = (Blueprint(name, url_prefix=f"/{name}") for name in ("one", "two", "three"))
    for blueprint in (one, two, three):
        blueprint.add_route(handler, "/")
    inner = Blueprint.group(one, [two], url_prefix="/inner", version=1)
    outer = Blueprint.group(inner, three, url_prefix="/outer")
    app.blueprint(outer)
    assert paths(app) == ["/v1/outer/inner/one/", "/v1/outer/inner/two/", "/outer/three/"]
    assert isinstance(inner, BlueprintGroup)
    assert inner[0] is one
    assert len(outer) == 2


async def test_a_group_passes_middleware_and_handlers_on(app: Vivace) -> None:
    one, two = Blueprint("one", url_prefix="/one"), Blueprint("two", url_prefix="/two")
    group = Blueprint.group(one, two)

    @group.on_response
    async def mark(request: Request, response: HTTPResponse) -> None:
        response.headers["X"] = "group"

    @group.exception(KeyError)
    async def key(request: Request, exception: KeyError) -> str:
        return "key"

    @two.get("/")
    async def broken(request: Request) -> str:
        raise KeyError

    one.add_route(handler, "/")
    app.add_route(handler, "/")
    app.blueprint(group)
    assert (await ask(app, target="/one")).fields["x"] == "group"
    assert (await ask(app, target="/two")).body == b"key"
    assert "x" not in (await ask(app)).fields


async def test_one_blueprint_serves_two_apps() -> None:
    blueprint = Blueprint("bp")
    blueprint.add_route(handler, "/")
    one, two = make_app("one"), make_app("two")
    one.blueprint(blueprint)
    two.blueprint(blueprint, url_prefix="/sub")
    assert (await ask(one)).body == b'{"name":"one.bp.handler","path":"/"}'
    assert (await ask(two, target="/sub")).body == b'{"name":"two.bp.handler","path":"/sub/"}'
    assert blueprint.registered
    assert len(blueprint.apps) == 2


async def test_what_is_declared_later_counts_too(app: Vivace) -> None:
    blueprint = Blueprint("bp")
    app.blueprint(blueprint)
    blueprint.add_route(handler, "/before")
    await app.run_listeners("before_server_start")
    blueprint.add_route(handler, "/while")
    for target in ("/before", "/while"):
        stream = FakeStream(make_head(target=target))
        await app.handle_stream(stream)
        assert stream.status == 200, target


def test_two_blueprints_of_one_name_are_refused(app: Vivace) -> None:
    app.blueprint(Blueprint("bp"))
    with pytest.raises(ConfigError, match='name "bp" is already registered'):
        app.blueprint(Blueprint("bp"))


@pytest.mark.parametrize("name", ["", "a.b", "a b", "1a", None])
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        Blueprint(name)


def test_strict_slashes_come_from_the_nearest(app: Vivace) -> None:
    blueprint = Blueprint("bp", strict_slashes=True)
    blueprint.add_route(handler, "/a", name="a")
    blueprint.add_route(handler, "/b", name="b", strict_slashes=False)
    app.blueprint(blueprint)
    app.add_route(handler, "/c", name="c")
    app.finalize()
    assert [route.strict for route in app.routes] == [False, True, False]


def test_a_handler_that_does_not_take_the_prefix_parameter_is_refused(app: Vivace) -> None:
    blueprint = Blueprint("bp", url_prefix="/<org>")

    @blueprint.get("/")
    async def narrow(request: Request) -> None: ...

    app.blueprint(blueprint)
    with pytest.raises(ConfigError, match="path parameter 'org'"):
        app.finalize()


def test_an_unknown_attribute_is_refused_with_a_hint(app: Vivace) -> None:
    with pytest.raises(AttributeError, match=r"Vivace instance to use instance\.ctx\.database"):
        app.database = 1  # type: ignore[attr-defined]
    blueprint = Blueprint("bp")
    with pytest.raises(AttributeError, match=r"Blueprint instance to use instance\.ctx\.x"):
        blueprint.x = 1  # type: ignore[attr-defined]
    app.ctx.database = 1
    blueprint.ctx.x = 1


def test_an_app_is_not_kept_alive_by_its_blueprints() -> None:
    blueprint = Blueprint("bp")
    make_app("gone").blueprint(blueprint)
    gc.collect()
    assert not blueprint.registered
