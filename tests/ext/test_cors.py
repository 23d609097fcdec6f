"""Cross-origin resource sharing, against what sanic-ext sends for the same settings."""

import re
from datetime import timedelta
from typing import Any

import pytest

from tests.framework.streams import make_app
from vivace import HTTPMethodView, Request, Vivace
from vivace.ext import Extend
from vivace.ext.cors import CORS, cors
from vivace.ext.errors import InitError
from vivace.framework.response import HTTPResponse, text
from vivace.testing import SyncClient

FOO, BAR, EVIL = "http://foo.com", "http://bar.com", "http://evil.com"
PREFIX = "access-control-"


async def hello(request: Request) -> HTTPResponse:
    return text("hello")


def shared(origins: Any = FOO, **options: Any) -> Vivace:
    app = make_app()
    CORS(app, origins, **options)
    app.add_route(hello, "/")
    app.add_route(hello, "/post", ["POST"], name="post")
    return app


def fields(app: Vivace, method: str = "GET", path: str = "/", **given: str) -> dict[str, str]:
    """What the answer says of sharing, without the common beginning of the names."""
    sent = {name.replace("_", "-"): value for name, value in given.items()}
    with SyncClient(app, raise_exceptions=False) as client:
        response = client.request(method, path, headers=sent)
    found = {k: v for k, v in response.headers.items() if k.startswith(PREFIX) or k == "vary"}
    return {name.removeprefix(PREFIX): value for name, value in found.items()}


def preflight(app: Vivace, path: str = "/", method: str = "GET", **given: str) -> dict[str, str]:
    return fields(app, "OPTIONS", path, access_control_request_method=method, **{"origin": FOO, **given})


@pytest.mark.parametrize(
    ("origins", "origin", "answer"),
    [
        (FOO, FOO, FOO),
        (FOO, EVIL, None),
        (FOO, "HTTP://FOO.com", None),
        (FOO, "http://foo.com.evil.org", None),
        (f"{FOO}, {BAR}", BAR, BAR),
        ([FOO, BAR], BAR, BAR),
        ("*", EVIL, EVIL),
        (["*"], EVIL, EVIL),
        (re.compile(r"http://.*\.foo\.com"), "http://a.foo.com", "http://a.foo.com"),
        ([re.compile(r"http://foo"), BAR], "http://foo.com", None),  # all of it has to match
        ("", FOO, None),
        ("http://.*", FOO, None),  # text is no expression
    ],
)
def test_an_origin_is_allowed_or_not(origins: Any, origin: str, answer: str | None) -> None:
    found = fields(shared(origins), origin=origin)
    assert found == ({} if answer is None else {"allow-origin": answer, "vary": "origin"})


@pytest.mark.parametrize(
    ("origins", "answer"),
    [
        (FOO, {"allow-origin": FOO, "vary": "origin"}),
        ("*", {"allow-origin": "*"}),
        ([FOO], {}),
        (f"{FOO},{BAR}", {}),
    ],
)
def test_clients_that_name_no_origin_are_told_the_only_one(origins: Any, answer: dict[str, str]) -> None:
    assert fields(shared(origins)) == answer
    assert fields(shared(origins, always_send=False)) == {}


def test_a_star_can_be_sent_as_such() -> None:
    assert fields(shared("*", send_wildcard=True), origin=FOO) == {"allow-origin": "*"}


def test_credentials_go_with_origins_but_not_with_a_star() -> None:
    assert fields(shared(supports_credentials=True), origin=FOO)["allow-credentials"] == "true"
    with pytest.raises(InitError, match="supports_credentials"):
        shared("*", supports_credentials=True)


def test_credentials_for_a_route_do_not_go_with_a_star_either() -> None:
    app = shared("*")
    app.add_route(cors(supports_credentials=True)(make_handler()), "/own", name="own")
    with pytest.raises(InitError, match="supports_credentials"):
        app.finalize()


@pytest.mark.parametrize("given", ["X-A,x-b", ["X-A", "x-b"]])
def test_exposed_fields_are_listed(given: Any) -> None:
    assert fields(shared(expose_headers=given), origin=FOO)["expose-headers"] == "x-a,x-b"


def test_vary_is_added_to_what_is_there_and_can_be_left_out() -> None:
    async def varied(request: Request) -> HTTPResponse:
        return text("", headers={"vary": "accept"})

    app = shared()
    app.add_route(varied, "/varied")
    assert fields(app, path="/varied", origin=FOO)["vary"] == "accept, origin"
    assert "vary" not in fields(shared(vary_header=False), origin=FOO)


@pytest.mark.parametrize(("path", "method"), [("/nothing", "GET"), ("/post", "GET"), ("/broken", "GET")])
def test_errors_carry_the_fields_too(path: str, method: str) -> None:
    app = shared()

    @app.get("/broken")
    async def broken(request: Request) -> HTTPResponse:
        raise ValueError("broken")

    assert fields(app, method, path, origin=FOO)["allow-origin"] == FOO


def test_streams_and_answers_of_middleware_carry_them() -> None:
    app = shared()

    @app.get("/stream")
    async def stream(request: Request) -> None:
        response = await request.respond()
        await response.send("a")

    @app.on_request
    async def early(request: Request) -> HTTPResponse | None:
        return text("early") if request.path == "/early" else None

    for path in ("/stream", "/early"):
        assert fields(app, path=path, origin=FOO)["allow-origin"] == FOO


# Preflight requests


def test_a_preflight_request_is_answered_in_full() -> None:
    assert preflight(shared(), "/post", "POST", access_control_request_headers="X-One") == {
        "allow-origin": FOO,
        "allow-headers": "*",
        "allow-methods": "OPTIONS,POST",
        "max-age": "5",
        "vary": "origin",
    }


def test_one_of_another_origin_is_told_nothing() -> None:
    assert preflight(shared(), "/post", "POST", origin=EVIL) == {}


def test_an_ordinary_options_request_is_told_nothing() -> None:
    assert fields(shared(), "OPTIONS", "/", origin=FOO) == {}


def test_allowed_fields_are_those_of_both_sides() -> None:
    app = shared(allow_headers=["X-One", "X-Two"])
    assert preflight(app, access_control_request_headers="x-one, X-Three")["allow-headers"] == "x-one"
    assert "allow-headers" not in preflight(app, access_control_request_headers="X-Three")
    assert "allow-headers" not in preflight(app)


def test_allowed_methods_are_those_of_both_sides() -> None:
    assert preflight(shared(allow_methods="GET,DELETE"))["allow-methods"] == "GET"
    assert "allow-methods" not in preflight(shared(allow_methods=["delete"]))


@pytest.mark.parametrize(("given", "shown"), [(99, "99"), ("98", "98"), (timedelta(minutes=2), "120")])
def test_the_age_is_seconds(given: Any, shown: str) -> None:
    assert preflight(shared(max_age=given))["max-age"] == shown


def test_no_age_is_not_sent_and_a_wrong_one_refused() -> None:
    assert "max-age" not in preflight(shared(max_age=0))
    with pytest.raises(InitError, match="'soon'"):
        shared(max_age="soon")


def test_without_automatic_options_only_the_origin_is_told() -> None:
    assert preflight(shared(automatic_options=False)) == {"allow-origin": FOO, "vary": "origin"}


def test_a_handler_for_options_answers_itself() -> None:
    app = shared()

    @app.options("/own")
    async def own(request: Request) -> HTTPResponse:
        return text("own")

    assert preflight(app, "/own")["allow-methods"] == "OPTIONS"


def test_an_origin_that_is_no_text_is_refused() -> None:
    with pytest.raises(InitError, match="CORS origin 3"):
        shared([3])


# For single handlers


def make_handler() -> Any:
    async def handler(request: Request) -> HTTPResponse:
        return text("x")

    return handler


@pytest.fixture
def app() -> Vivace:
    app = shared(expose_headers="X-App", max_age=77)
    routes: dict[str, Any] = {
        "origin": {"origin": BAR},
        "expose": {"expose_headers": ["X-Own"]},
        "headers": {"allow_headers": ["X-Own"]},
        "methods": {"allow_methods": ["POST"]},
        "credentials": {"supports_credentials": True},
        "age": {"max_age": 11},
    }
    for name, given in routes.items():
        app.add_route(cors(**given)(make_handler()), f"/{name}", ["POST"], name=name)
    return app


def test_a_handler_says_what_differs_for_it(app: Vivace) -> None:
    assert fields(app, "POST", "/origin", origin=FOO) == {}
    assert fields(app, "POST", "/origin", origin=BAR)["allow-origin"] == BAR
    assert fields(app, "POST", "/expose", origin=FOO)["expose-headers"] == "X-Own"
    assert fields(app, "POST", "/credentials", origin=FOO)["allow-credentials"] == "true"
    assert fields(app, "POST", "/age", origin=FOO)["expose-headers"] == "x-app"


def test_it_holds_for_preflight_requests(app: Vivace) -> None:
    assert preflight(app, "/origin", "POST", origin=BAR)["allow-origin"] == BAR
    assert (
        preflight(app, "/headers", "POST", access_control_request_headers="X-Own")["allow-headers"] == "x-own"
    )
    assert preflight(app, "/methods", "POST")["allow-methods"] == "POST"
    assert preflight(app, "/age", "POST")["max-age"] == "11"
    assert preflight(app, "/expose", "POST")["max-age"] == "77"


def test_two_handlers_of_one_path_have_rules_of_their_own() -> None:
    app = shared("")
    app.add_route(cors(origin=FOO)(make_handler()), "/two", ["GET"], name="one")
    app.add_route(cors(origin=BAR)(make_handler()), "/two", ["POST"], name="other")
    assert fields(app, "GET", "/two", origin=FOO)["allow-origin"] == FOO
    assert fields(app, "POST", "/two", origin=FOO) == {}
    assert preflight(app, "/two", "POST") == {}
    assert preflight(app, "/two", "POST", origin=BAR)["allow-origin"] == BAR


def test_a_view_is_decorated_by_its_list() -> None:
    app = shared("")

    class View(HTTPMethodView):
        decorators = [cors(origin=BAR)]

        async def get(self, request: Request) -> HTTPResponse:
            return text("view")

    app.add_route(View.as_view(), "/view")
    assert fields(app, path="/view", origin=BAR)["allow-origin"] == BAR


def test_no_middleware_runs_where_nothing_is_allowed() -> None:
    app = shared("")
    app.add_route(cors(origin=BAR)(make_handler()), "/own", name="own")
    found = {route.uri: route.plain for route in app.routes}
    assert found == {"/": True, "/post": True, "/own": False}


# By settings


def test_settings_do_the_same() -> None:
    app = make_app()
    app.config.CORS_ORIGINS = FOO
    Extend(app, config={"cors_expose_headers": "X-A"})
    app.add_route(hello, "/")
    assert fields(app, origin=FOO) == {"allow-origin": FOO, "expose-headers": "x-a", "vary": "origin"}


def test_it_can_be_switched_off() -> None:
    app = make_app()
    Extend(app, config={"cors": False, "cors_origins": "*"})
    app.add_route(hello, "/")
    assert fields(app, origin=FOO) == {}


def test_preflight_requests_need_automatic_options() -> None:
    with pytest.raises(InitError, match="Configuration mismatch"):
        Extend(make_app(), config={"http_auto_options": False})
