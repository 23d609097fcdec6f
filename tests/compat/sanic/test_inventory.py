"""Names that programs of Sanic use and that have no page of their own: each does what it does there."""

import logging
import os
from multiprocessing import get_context
from typing import Any

import pytest

from vivace.compat.sanic import constants, response
from vivace.compat.sanic.app import Sanic
from vivace.compat.sanic.config import Config
from vivace.compat.sanic.shared import SharedContext
from vivace.errors import HeaderNotFound, InvalidHeader, MethodNotAllowed, Unauthorized
from vivace.testing import manager as pairs_manager
from vivace.testing import pairs


@pytest.fixture
def app() -> Sanic:
    return Sanic("inventory")


def test_what_a_route_and_a_request_say(app: Sanic) -> None:
    @app.get("/x", ctx_foo=1, ctx_bar="b")
    async def index(request: Any) -> Any:
        kinds = [request.is_safe, request.is_idempotent, request.is_cacheable]
        blank = [request.get_args(keep_blank_values=True), request.get_query_args(keep_blank_values=True)]
        named = [vars(request.route.ctx), kinds, request.raw_url.decode(), request.query_string]
        return response.json([*named, *blank, request.args, request.content_type])

    assert app.test_client.get("/x?a=&b=1&a=2")[1].json == [
        {"foo": 1, "bar": "b"},
        [True, True, True],
        "/x?a=&b=1&a=2",
        "a=&b=1&a=2",
        {"a": ["", "2"], "b": ["1"]},
        [["a", ""], ["b", "1"], ["a", "2"]],
        {"b": ["1"], "a": ["2"]},
        "application/octet-stream",
    ]


def test_what_a_request_with_a_body_says(app: Sanic) -> None:
    @app.post("/")
    async def index(request: Any) -> Any:
        kinds = [request.is_safe, request.is_idempotent, request.is_cacheable]
        loaded = request.load_json(loads=bytes.decode)
        return response.json([kinds, loaded, request.get_form(keep_blank_values=True)])

    expected = [[False, False, False], "a=&b=1", {"a": [""], "b": ["1"]}]
    assert app.test_client.post("/", data={"a": "", "b": "1"})[1].json == expected


def test_exceptions_are_caught_as_well(app: Sanic) -> None:
    caught: list[Any] = []

    @app.catch_exception
    async def catch(app: Any, exception: Exception) -> None:
        caught.append((app.name, repr(exception)))

    @app.get("/")
    async def index(request: Any) -> Any:
        raise ValueError("b")

    assert app.test_client.get("/")[1].status == 500
    assert caught == [("inventory", "ValueError('b')")]


def test_variables_of_a_prefix_are_loaded_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "QQ_A", "1")
    monkeypatch.setitem(os.environ, "QQ_b", "2")
    config = Config(env_prefix=None)
    config.load_environment_vars("QQ_")
    assert (config.get("A"), config.get("b")) == (1, None)


def test_a_body_is_set_anew() -> None:
    answer = response.json({"a": 1})
    answer.set_body({"b": 1})
    assert (answer.body, answer.raw_body) == (b'{"b":1}', {"b": 1})


def test_handlers_are_found_where_they_were_added(app: Sanic) -> None:
    def answer(request: Any, exception: Exception) -> Any:
        return response.text("mended")

    app.error_handler.add(ValueError, answer)
    assert list(app.error_handler.cached_handlers) == [(ValueError, None)]
    assert (app.error_handler.lookup(ValueError()), app.error_handler.lookup(KeyError())) == (answer, None)


def test_challenges_are_told() -> None:
    assert Unauthorized("m", scheme="Digest", realm="R", qop="auth").headers == {
        "WWW-Authenticate": 'Digest realm="R", qop="auth"'
    }
    assert Unauthorized("m", scheme="Bearer").headers == {"WWW-Authenticate": "Bearer"}


def test_a_header_is_missing_or_malformed() -> None:
    assert not issubclass(HeaderNotFound, InvalidHeader)
    assert not issubclass(InvalidHeader, HeaderNotFound)
    assert (HeaderNotFound("x").status_code, InvalidHeader("x").quiet) == (400, True)


def test_what_processes_share_is_said_in_its_words(app: Sanic, caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(app.shared_ctx, SharedContext)
    app.shared_ctx.number = get_context("fork").Value("i", 1)
    assert caplog.record_tuples == []
    app.shared_ctx.text = "x"
    (record,) = caplog.record_tuples
    assert record[:2] == ("sanic.error", logging.WARNING)
    assert record[2].startswith("Unsafe object text with type <class 'str'> was added to shared_ctx.")
    app.shared_ctx.lock()
    with pytest.raises(RuntimeError, match="Cannot set late on locked SharedContext object"):
        app.shared_ctx.late = 1


def test_where_its_test_clients_are() -> None:
    assert (pairs.HOST, pairs.PORT, pairs.ASGI_HOST, pairs.ASGI_PORT) == (
        "127.0.0.1",
        None,
        "mockserver",
        1234,
    )
    assert pairs.ASGI_BASE_URL == "http://mockserver:1234"


def test_an_answer_says_whether_it_is_a_success(app: Sanic) -> None:
    @app.get("/")
    async def index(request: Any) -> Any:
        return response.empty()

    answer = app.test_client.get("/")[1]
    assert (answer.is_success, answer.is_error, answer.reason_phrase) == (True, False, "No Content")


def test_what_was_prepared_may_be_served_in_one_process(app: Sanic, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[dict[str, Any]] = []
    monkeypatch.setattr(Sanic, "run", lambda self, **given: ran.append(given))
    app.prepare(port=81, workers=4)
    Sanic.serve_single()
    Sanic.serve_single(app)
    assert ran == [{"port": 81, "single_process": True}, {}]


def test_the_clients_of_a_manager_are_those_of_the_app(app: Sanic) -> None:
    before: Any = app._test_manager
    assert before is None
    manager = pairs_manager.TestManager(app)
    assert app._test_manager is manager
    assert (app.test_client, app.asgi_client) == (manager.test_client, manager.asgi_client)


def test_what_may_be_asked_is_told() -> None:
    assert MethodNotAllowed("m", "GET", ["POST", "PUT"]).headers == {"Allow": "POST, PUT"}
    assert MethodNotAllowed("m", "GET", []).headers == {"Allow": ""}


def test_one_thing_has_one_url(app: Sanic) -> None:
    @app.get("/p/<rest:path>")
    async def index(request: Any, rest: str) -> Any:
        return response.text(rest)

    @app.get("/a")
    async def a(request: Any) -> Any:
        return response.text("a")

    assert app.test_client.get("/p/a/b")[1].text == "a/b"
    assert [app.test_client.get(url)[1].status for url in ("/p//a", "/a//", "/a/")] == [404, 404, 200]


def test_a_response_without_a_type_has_none(app: Sanic) -> None:
    @app.get("/")
    async def index(request: Any) -> Any:
        return response.HTTPResponse("x")

    assert "content-type" not in app.test_client.get("/")[1].headers


def test_methods_by_what_they_promise() -> None:
    assert [str(method) for method in constants.HTTP_METHODS] == [
        "GET",
        "POST",
        "PUT",
        "HEAD",
        "OPTIONS",
        "PATCH",
        "DELETE",
    ]
    assert {str(method) for method in constants.SAFE_HTTP_METHODS} == {"GET", "HEAD", "OPTIONS"}
    assert {str(method) for method in constants.IDEMPOTENT_HTTP_METHODS} == {
        "GET",
        "HEAD",
        "OPTIONS",
        "PUT",
        "DELETE",
    }
    assert {str(method) for method in constants.CACHEABLE_HTTP_METHODS} == {"GET", "HEAD"}
