"""Middleware through the alias: its order over apps and blueprints, its results, how an app shows it."""

from collections.abc import Callable
from typing import Any

import pytest

from vivace import Request
from vivace.compat.sanic.app import Sanic
from vivace.compat.sanic.blueprint import Blueprint
from vivace.compat.sanic.middleware import Middleware, MiddlewareLocation
from vivace.framework.response import HTTPResponse, text


@pytest.fixture
def seen() -> list[str]:
    return []


@pytest.fixture
def app(seen: list[str]) -> Sanic:
    app = Sanic("around")

    @app.get("/")
    async def index(request: Request) -> HTTPResponse:
        seen.append("handler")
        return text("ok")

    return app


def before(seen: list[str], name: str, result: Any = None) -> Callable[[Request], Any]:
    def middleware(request: Request) -> Any:
        seen.append(name)
        return result

    return middleware


def after(seen: list[str], name: str, result: Any = None) -> Callable[[Request, HTTPResponse], Any]:
    def middleware(request: Request, response: HTTPResponse) -> Any:
        seen.append(name)
        return result

    return middleware


def test_the_order_is_that_of_the_declarations_on_app_and_blueprint_alike(
    app: Sanic, seen: list[str]
) -> None:
    blueprint = Blueprint("part", url_prefix="/part")
    for name in ("1", "2"):
        blueprint.on_request(before(seen, f"part{name}"))
        app.on_request(before(seen, f"app{name}"))
        blueprint.on_response(after(seen, f"~part{name}"))
        app.on_response(after(seen, f"~app{name}"))

    @blueprint.get("/")
    async def inside(request: Request) -> HTTPResponse:
        seen.append("handler")
        return text("ok")

    app.blueprint(blueprint)
    app.test_client.get("/part")
    assert seen == ["part1", "app1", "part2", "app2", "handler", "~app2", "~part2", "~app1", "~part1"]


def test_higher_priority_is_further_outside(app: Sanic, seen: list[str]) -> None:
    for priority in (0, 5, -1):
        app.on_request(before(seen, f"{priority}"), priority=priority)
        app.on_response(after(seen, f"~{priority}"), priority=priority)
    app.test_client.get("/")
    assert seen == ["5", "0", "-1", "handler", "~-1", "~0", "~5"]


@pytest.mark.parametrize("result", [5, "text", {"a": 1}])
def test_a_result_that_is_no_response_is_a_500_that_shows_it(
    app: Sanic, seen: list[str], result: Any
) -> None:
    app.on_request(before(seen, "first", result))
    _, response = app.test_client.get("/")
    assert response.status == 500
    assert f"Invalid response type {result!r} (need HTTPResponse)" in response.text
    assert seen == ["first"]


def test_a_response_middleware_that_returns_no_response_is_a_500_too(app: Sanic, seen: list[str]) -> None:
    app.on_response(after(seen, "last", 5))
    _, response = app.test_client.get("/")
    assert response.status == 500
    assert "Invalid response type 5 (need HTTPResponse)" in response.text


@pytest.mark.parametrize("result", [{}, False, 0, ""])
def test_what_is_false_is_no_answer(app: Sanic, seen: list[str], result: Any) -> None:
    app.on_request(before(seen, "first", result))
    app.on_response(after(seen, "last", result))
    assert app.test_client.get("/")[1].text == "ok"
    assert seen == ["first", "handler", "last"]


def test_a_failing_response_middleware_is_logged(app: Sanic, caplog: pytest.LogCaptureFixture) -> None:
    @app.on_response
    def fail(request: Request, response: HTTPResponse) -> None:
        raise ValueError("late")

    assert app.test_client.get("/")[1].text == "ok"
    assert "Exception occurred in one of response middleware handlers" in caplog.messages


def test_an_app_shows_its_middleware(app: Sanic, seen: list[str]) -> None:
    first, last, named = before(seen, "first"), after(seen, "last"), before(seen, "named")
    app.on_request(first, priority=2)
    app.on_response(last)
    app.register_named_middleware(named, ["around.index"])
    assert [(m.func, m.priority) for m in app.request_middleware] == [(first, 2)]
    assert [m.func for m in app.response_middleware] == [last]
    assert [m.func for m in app.named_request_middleware["around.index"]] == [named]
    assert app.named_response_middleware == {}


def test_middleware_as_an_object(seen: list[str]) -> None:
    Middleware.reset_count()
    function = before(seen, "called")
    made = Middleware(function, MiddlewareLocation.REQUEST, priority=3)
    assert (made.priority, made.definition, made.order) == (3, 0, (3, 0))
    assert Middleware(function, MiddlewareLocation.RESPONSE).order == (0, -1)
    assert repr(made) == "Middleware(func=<function middleware>, priority=3, location=REQUEST)"
    assert hash(made) == hash(function)
    assert made == Middleware(function, MiddlewareLocation.REQUEST)
    assert made != function
    made(None)
    assert seen == ["called"]
    (converted, same) = Middleware.convert([function], [made], location=MiddlewareLocation.REQUEST)
    assert converted.func is function
    assert same is made


async def test_a_task_has_a_name_only_where_the_server_runs(app: Sanic, seen: list[str]) -> None:
    async def work() -> None:
        seen.append("done")

    with pytest.raises(RuntimeError, match="Cannot name task outside of a running application"):
        app.add_task(work(), name="early")
    await app.run_listeners("before_server_start")
    task = app.add_task(work(), name="in time")
    assert task is not None
    assert app.get_task("in time") is task
    await app.run_listeners("after_server_stop")
