"""A program of Sanic and sanic-ext, unchanged: injection, validation and OpenAPI together."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.compat.test_sanic_alias import run

PROGRAM = '''
import json as std
from dataclasses import dataclass

from sanic import Blueprint, HTTPResponse, NotFound, Request, Sanic, json
from sanic.views import HTTPMethodView
from sanic_ext import Config, Extend, openapi, validate
from sanic_ext.exceptions import ValidationError
from sanic_ext.extensions.openapi.definitions import Parameter, Response

app = Sanic("shop")
Extend(app, config=Config(oas_ui_default="swagger"))
app.ext.openapi.add_security_scheme("token", "http")


@dataclass
class Item:
    name: str
    price: float


class Stock:
    def __init__(self):
        self.items = {}


class User:
    def __init__(self, name):
        self.name = name

    @classmethod
    async def find(cls, request: Request):
        return cls(request.headers.get("x-user", "nobody"))


@app.before_server_start
async def set_up(app):
    app.ext.dependency(Stock())


app.ext.add_dependency(User, User.find)
app.ext.add_constant("LIMIT", 1)
items = Blueprint("items", url_prefix="/items", version=1)


@items.post("/")
@openapi.definition(
    body={"application/json": Item},
    parameter=Parameter("dry", bool),
    response=Response({"application/json": Item}, status=201),
    secured="token",
)
@validate(json=Item)
async def create(request, body: Item, stock: Stock, user: User, limit: int):
    """Create an item."""
    if len(stock.items) >= limit:
        return json("full", status=409)
    stock.items[len(stock.items) + 1] = body
    return json([len(stock.items), user.name], status=201)


class ItemView(HTTPMethodView):
    @openapi.summary("Take it away")
    async def delete(self, request, number: int, stock: Stock):
        if stock.items.pop(number, None) is None:
            raise NotFound("no such item")
        return HTTPResponse(status=204)


items.add_route(ItemView.as_view(), "/<number:int>")
app.blueprint(items)


@app.exception(ValidationError)
async def wrong(request, error):
    return json({"wrong": error.extra["exception"]}, status=error.status_code)


def ask(method, path, **options):
    _, response = getattr(app.test_client, method)(path, **options)
    return response.status, response.text


print(
    std.dumps(
        [
            ask("post", "/v1/items/", json={"name": "tea", "price": 1.5}, headers={"x-user": "ada"}),
            ask("post", "/v1/items/", json={"name": "tea"}),
            ask("delete", "/v1/items/9"),
            ask("delete", "/v1/items/1"),
            ask("get", "/docs/openapi.json"),
            ask("get", "/docs"),
        ]
    )
)
'''


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Any:
    program: Path = tmp_path_factory.mktemp("program") / "shop.py"
    program.write_text(PROGRAM)
    start = "from vivace.compat import sanic; import runpy; sanic.install(); runpy.run_path"
    done = run(f"{start}({str(program)!r}, run_name='__main__')")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_handlers_are_given_what_they_name(answers: Any) -> None:
    assert answers[0] == [201, '[1,"ada"]']


def test_what_is_wrong_is_told_in_its_words(answers: Any) -> None:
    assert answers[1] == [400, '{"wrong":"missing a required argument: \'price\'"}']


def test_methods_of_views_are_given_it_too(answers: Any) -> None:
    assert [status for status, _ in answers[2:4]] == [404, 404]  # each start has a stock of its own


def test_the_document(answers: Any) -> None:
    status, text = answers[4]
    found = json.loads(text)
    operation = found["paths"]["/v1/items"]["post"]
    assert (status, operation["operationId"], operation["summary"]) == (
        200,
        "post~items.create",
        "Create an item.",
    )
    assert operation["tags"] == ["items"]
    assert operation["security"] == [{"token": []}]
    assert [p["name"] for p in operation["parameters"]] == ["dry"]
    assert found["paths"]["/v1/items/{number}"]["delete"]["summary"] == "Take it away"
    assert list(found["components"]["securitySchemes"]) == ["token"]


def test_the_page(answers: Any) -> None:
    status, text = answers[5]
    assert status == 200
    assert "swagger-ui-bundle" in text
