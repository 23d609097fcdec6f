"""Apps travel by pickle: what was declared arrives, what runs does not."""

import pickle
from typing import Any

import pytest

from vivace import Blueprint, Request, Vivace
from vivace.errors import NotFound
from vivace.framework.response import HTTPResponse, text
from vivace.testing import Client


async def values(request: Request, **values: Any) -> HTTPResponse:
    """A handler that can be imported."""
    return text(repr(sorted(values)))


def missing(request: Request, exception: Exception) -> HTTPResponse:
    """A handler of exceptions that can be imported."""
    return text("nothing here", 404)


def mark(request: Request, response: HTTPResponse) -> None:
    """A middleware that can be imported."""
    response.headers["x-mark"] = "yes"


def make_app() -> "Vivace[Any, Any]":
    """An app with something of each kind."""
    app: Vivace[Any, Any] = Vivace("traveller")
    app.config.REQUEST_TIMEOUT = 7.0
    app.ctx.color = "blue"
    app.add_route(values, "/a/<number:int>/<id:uuid>/<day:ymd>/<size:float>/<word:alpha>/<slug:slug>")
    app.add_route(values, "/b/<three:[a-z]{3}>/<file:ext>", name="b")
    app.exception(NotFound)(missing)
    app.register_middleware(mark, "response")
    part = Blueprint("part", url_prefix="/part")
    part.add_route(values, "/")
    app.blueprint(part)
    return app


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
async def test_declarations_arrive(protocol: int) -> None:
    """Routes, settings, middleware, handlers of exceptions, blueprints."""
    app: Any = pickle.loads(pickle.dumps(make_app(), protocol))
    assert (app.name, app.config.REQUEST_TIMEOUT, app.ctx.color) == ("traveller", 7.0, "blue")
    assert list(app.blueprints["part"].apps) == [app]
    async with Client(app) as client:
        response = await client.get("/b/abc/x.txt")
        assert (response.status, response.text) == (200, "['ext', 'file', 'three']")
        assert response.headers["x-mark"] == "yes"
        assert (await client.get("/part/")).status == 200
        assert (await client.get("/nowhere")).text == "nothing here"


async def test_an_app_that_has_served_can_be_pickled() -> None:
    """What belongs to the server is left behind."""
    app = make_app()
    async with Client(app) as client:
        assert (await client.get("/part/")).status == 200
    copied = pickle.loads(pickle.dumps(app))
    async with Client(copied) as client:
        assert (await client.get("/part/")).status == 200


def test_a_handler_without_a_name_of_its_own_cannot_travel() -> None:
    """Pickle says so, as of any function."""
    app: Vivace[Any, Any] = Vivace("local")
    app.add_route(lambda request: text(""), "/", name="lambda")
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        pickle.dumps(app)
