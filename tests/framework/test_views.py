"""Class views."""

import threading
from typing import Any

import pytest

from tests.framework.streams import ask, make_app
from vivace import Blueprint, HTTPMethodView, Request, Vivace
from vivace.errors import ConfigError
from vivace.framework.views import stream


@pytest.fixture
def app() -> Vivace:
    return make_app()


async def test_a_class_answers_its_methods(app: Vivace) -> None:
    class Items(HTTPMethodView, attach=app, uri="/items/<id:int>", name="items"):
        async def get(self, request: Request, id: int) -> Any:  # noqa: A002
            return [id, self is not None]

        def post(self, request: Request, id: int) -> Any:  # noqa: A002
            return [threading.current_thread() is threading.main_thread()]

    assert (await ask(app, target="/items/5")).body == b"[5,true]"
    assert (await ask(app, "HEAD", "/items/5")).status == 200
    assert (await ask(app, "POST", "/items/5")).body == b"[false]"
    answer = await ask(app, "PUT", "/items/5")
    assert (answer.status, answer.fields["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
    assert app.url_for("items", id=3) == "/items/3"


async def test_as_view_takes_arguments_and_decorators(app: Vivace) -> None:
    def shout(handler: Any) -> Any:
        async def shouting(request: Request, **values: Any) -> Any:
            return (await handler(request, **values)).upper()

        return shouting

    class Hello(HTTPMethodView):
        decorators = [shout]

        def __init__(self, word: str) -> None:
            self.word = word

        async def get(self, request: Request) -> str:
            return self.word

    blueprint = Blueprint("bp")
    blueprint.add_route(Hello.as_view("hi"), "/")
    app.blueprint(blueprint)
    assert (await ask(app)).body == b"HI"
    assert app.url_for("bp.Hello") == "/"


async def test_a_marked_method_reads_the_body_itself(app: Vivace) -> None:
    class Upload(HTTPMethodView):
        @stream
        async def post(self, request: Request) -> Any:
            return [len(piece) async for piece in request.stream]

    Upload.attach(app, "/")
    assert (await ask(app, "POST", body=[b"abc", b"d"])).body == b"[3,1]"


async def test_a_method_that_the_route_has_and_the_class_has_not_is_405(app: Vivace) -> None:
    class Some(HTTPMethodView):
        async def get(self, request: Request) -> str:
            return ""

    Some.attach(app, "/", methods=["GET", "DELETE"])
    assert (await ask(app, "DELETE")).status == 405


def test_a_class_without_methods_is_refused() -> None:
    class Nothing(HTTPMethodView):
        pass

    with pytest.raises(ConfigError, match="has no method"):
        Nothing.as_view()


async def test_a_class_may_say_what_goes_around_its_methods(app: Vivace) -> None:
    class Loud(HTTPMethodView, attach=app, uri="/loud"):
        async def dispatch_request(self, request: Request, *args: Any, **values: Any) -> Any:
            return (await super().dispatch_request(request, *args, **values)).upper()

        async def get(self, request: Request) -> str:
            return "get"

    class Plain(HTTPMethodView, attach=app, uri="/plain/<n:int>"):
        def dispatch_request(self, request: Request, *args: Any, **values: Any) -> Any:
            return super().dispatch_request(request, *args, n=values["n"] + 1)

        async def get(self, request: Request, n: int) -> str:
            return f"get {n}"

        def post(self, request: Request, n: int) -> str:
            return f"post {n}"

    assert (await ask(app, target="/loud")).body == b"GET"
    assert (await ask(app, "HEAD", "/loud")).status == 200
    assert (await ask(app, "POST", "/loud")).status == 405
    assert (await ask(app, target="/plain/1")).body == b"get 2"
    assert (await ask(app, "POST", "/plain/1")).body == b"post 2"
