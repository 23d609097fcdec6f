"""Arguments of declarations that come without their names, and `apply`: as programs of Sanic write them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vivace import Request
from vivace.compat.sanic import response
from vivace.compat.sanic.app import Sanic
from vivace.compat.sanic.blueprint import Blueprint
from vivace.compat.sanic.header import Header
from vivace.compat.sanic.response import ResponseStream
from vivace.errors import BadRequest
from vivace.framework.response import HTTPResponse, text
from vivace.framework.views import HTTPMethodView


async def handler(request: Request, **values: Any) -> HTTPResponse:
    return text("ok")


@pytest.fixture
def app() -> Sanic:
    return Sanic("arguments")


@pytest.mark.parametrize("make", [Sanic, Blueprint])
@pytest.mark.parametrize("method", ["get", "head", "options", "delete"])
def test_methods_without_a_body(make: Callable[[str], Any], method: str) -> None:
    registry = make("here")
    getattr(registry, method)("/x", "shop.example", True, 2, "name", False, "/api/v", "json")(handler)
    (spec,) = registry.route_specs
    assert (spec.host, spec.strict_slashes, spec.version, spec.name) == (("shop.example",), True, 2, "name")
    assert (spec.ignore_body, spec.version_prefix, spec.error_format) == (False, "/api/v", "json")


@pytest.mark.parametrize("method", ["post", "put", "patch"])
def test_methods_with_a_body(app: Sanic, method: str) -> None:
    getattr(app, method)("/x", None, True, True, 2, "name", "/api/v", "json")(handler)
    (spec,) = app.route_specs
    assert (spec.host, spec.strict_slashes, spec.stream, spec.version, spec.name) == (
        None,
        True,
        True,
        2,
        "name",
    )
    assert (spec.version_prefix, spec.error_format) == ("/api/v", "json")


def test_route_and_add_route(app: Sanic) -> None:
    route: Any = app.route
    route("/a", ["PUT"], None, True, False, 3, "a", True, True, None, False, True, False, "/w", "text")(
        handler
    )
    app.add_route(handler, "/b", ["POST"], None, True, 4, "b", True, "/w", "html", True)
    a, b = app.route_specs
    assert (a.methods, a.strict_slashes, a.version, a.ignore_body, a.unquote) == (
        frozenset(["PUT"]),
        True,
        3,
        True,
        True,
    )
    assert (a.version_prefix, a.error_format) == ("/w", "text")
    assert (b.methods, b.version, b.stream, b.version_prefix) == (frozenset(["POST"]), 4, True, "/w")
    assert (b.error_format, b.unquote) == ("html", True)
    with pytest.raises(TypeError, match="get"):
        app.get("/c", *range(8))


def test_what_is_declared_as_a_function_with_its_place(app: Sanic) -> None:
    seen: list[str] = []
    app.get("/")(handler)

    def before(request: Request) -> None:
        seen.append("before")

    def after(request: Request, response: HTTPResponse) -> None:
        seen.append("after")

    def started(app: Any) -> None:
        seen.append("started")

    app.middleware(before, "request")
    app.middleware(after, "response")
    assert app.listener(started, "before_server_start") is started
    app.test_client.get("/")
    assert seen == ["started", "before", "after"]
    with pytest.raises(BadRequest, match="Missing event name"):
        app.listener(started)


def test_what_is_not_to_be_applied_is_not_declared(app: Sanic) -> None:
    def never(*args: Any) -> None:
        raise AssertionError("it was not to be applied")

    app.get("/")(handler)
    assert app.middleware("request", apply=False)(never) is never
    assert app.listener("before_server_start", apply=False)(never) is never
    assert app.signal("shop.order.paid", apply=False)(never) is never
    app.exception(ValueError, apply=False)(never)
    app.signal("http.lifecycle.begin", apply=False)(never)
    assert app.test_client.get("/")[1].status == 200
    assert app.error_handler.lookup(ValueError()) is None


def test_an_exception_handler_is_found_at_once(app: Sanic) -> None:
    @app.exception(KeyError, [ValueError])
    def answer(request: Request, exception: Exception) -> HTTPResponse:
        return text("mended")

    assert app.error_handler.lookup(KeyError()) is answer
    assert app.error_handler.lookup(ValueError()) is answer


def test_files_of_a_blueprint_have_neither_its_version_nor_its_host(app: Sanic, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    blueprint = Blueprint("shop", url_prefix="/shop", version=1, host="shop.example")
    blueprint.static("/files", tmp_path)
    blueprint.static("/one", tmp_path / "a.txt", name="one", host="files.example")
    blueprint.get("/")(handler)
    app.blueprint(Blueprint.group(blueprint, version=3, url_prefix="/all"))
    assert app.test_client.get("/all/shop/files/a.txt")[1].text == "hello"
    assert app.test_client.get("/v1/all/shop/files/a.txt")[1].status == 404
    assert app.test_client.get("/all/shop/one")[1].status == 404
    assert app.test_client.get("/all/shop/one", headers={"host": "files.example"})[1].text == "hello"
    assert app.test_client.get("/v1/all/shop/", headers={"host": "shop.example"})[1].text == "ok"
    assert app.url_for("shop.static", filename="a.txt") == "/all/shop/files/a.txt"


def test_a_blueprint_forgets_its_apps(app: Sanic) -> None:
    blueprint = Blueprint("shop", url_prefix="/shop")
    blueprint.get("/")(handler)
    app.blueprint(blueprint)
    blueprint.reset()
    assert (blueprint.registered, blueprint.routes) == (False, [])
    other = Sanic("other")
    other.blueprint(blueprint)
    assert other.test_client.get("/shop/")[1].status == 200


def test_the_function_of_a_stream_sees_its_request(app: Sanic) -> None:
    seen: list[Any] = []

    @app.get("/")
    async def index(request: Request) -> Any:
        async def write(stream: Any) -> None:
            seen.extend([stream.request is request, stream.response.status])
            await stream.write("x")

        stream = ResponseStream(write)
        seen.extend([stream.request, stream.response])
        return stream

    assert app.test_client.get("/")[1].text == "x"
    assert seen == [None, None, True, 200]


def test_cookies_and_fields_by_their_other_names(app: Sanic) -> None:
    @app.get("/")
    async def index(request: Any) -> Any:
        return response.json(request.get_cookies().get("a"))

    assert app.test_client.get("/", cookies={"a": "b"})[1].json == "b"
    assert Header([("A", "1"), ("a", "2"), ("b", "3")]).to_dict() == {"A": ["1", "2"], "b": ["3"]}


def test_a_view_is_attached_by_position(app: Sanic) -> None:
    class Items(HTTPMethodView):
        async def get(self, request: Request) -> HTTPResponse:
            return text("items")

    Items.attach(app, "/items", ["GET"], "shop.example", True, 2, "items", False, "/api/v")
    (spec,) = app.route_specs
    assert (spec.host, spec.strict_slashes, spec.version, spec.name) == (("shop.example",), True, 2, "items")
    assert app.test_client.get("/api/v2/items", headers={"host": "shop.example"})[1].text == "items"


@pytest.mark.parametrize(
    ("event", "inline", "status"),
    [
        ("shop.order.paid", True, 200),
        ("shop.order.lost", True, 200),
        ("shop.cart.lost", True, 500),
        ("shop.cart.lost", False, 200),
    ],
)
def test_an_event_that_nobody_hears_breaks_no_handler_that_does_not_wait_for_it(
    app: Sanic, event: str, inline: bool, status: int
) -> None:
    @app.signal("shop.order.paid")
    async def paid(**context: Any) -> None: ...

    @app.get("/")
    async def index(request: Request) -> HTTPResponse:
        await app.dispatch(event, inline=inline)
        return text("ok")

    assert app.test_client.get("/")[1].status == status


def test_a_streamed_file_says_nothing_of_caches(app: Sanic, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")

    @app.get("/<word>")
    async def index(request: Request, word: str) -> Any:
        headers = {"cache-control": "no-store"} if word == "own" else None
        return await response.file_stream(tmp_path / "a.txt", headers=headers)

    assert "cache-control" not in app.test_client.get("/plain")[1].headers
    assert app.test_client.get("/own")[1].headers["cache-control"] == "no-store"
