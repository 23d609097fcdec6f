"""Validation of what clients send."""

import datetime as dt
import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from tests.framework.streams import ask, make_app
from vivace import HTTPMethodView, Request, Vivace, text
from vivace.ext.errors import InitError, ValidationError
from vivace.ext.models import InvalidData, convert
from vivace.ext.validation import models_of, validate


class Color(enum.Enum):
    RED = "red"


@dataclass
class Address:
    city: str


@dataclass
class Person:
    name: str
    age: int = 1
    born: dt.date | None = None
    color: Color = Color.RED
    size: Literal["s", "m"] = "s"
    tags: list[str] = field(default_factory=list)
    address: Address | None = None
    member: bool = False


@attrs.define
class Attrs:
    name: str
    age: int = 1
    tags: list[str] = attrs.field(factory=list)


class Struct(msgspec.Struct):
    name: str
    age: int = 1


class Model(pydantic.BaseModel):
    name: str
    age: int = 1


@pydantic.dataclasses.dataclass
class Checked:
    name: str
    age: int = 1


class Typed(TypedDict):
    name: str
    age: int


class Outer(msgspec.Struct):
    inner: Model


@attrs.define
class Hidden:
    _size: int = 1


class Family(msgspec.Struct):
    members: list[Person]


MODELS = [Person, Attrs, Struct, Model, Checked, Typed]


@pytest.fixture
def app() -> Vivace:
    return make_app()


def add(app: Vivace, **given: Any) -> None:
    @app.route("/", ["GET", "POST"])
    @validate(**given)
    async def handler(request: Request, **values: Any) -> Any:
        return text(repr(next(iter(values.values()))))


async def post(app: Vivace, body: bytes, kind: str = "application/json") -> str:
    answer = await ask(app, "POST", "/", [("content-type", kind)], body=[body])
    return f"{answer.status} {answer.body.decode()}"


@pytest.mark.parametrize("model", MODELS)
async def test_json_becomes_an_object_of_the_model(app: Vivace, model: Any) -> None:
    add(app, json=model)
    assert (await post(app, b'{"name":"x","age":2}')).startswith("200 ")
    wrong = await post(app, b'{"name":"x","age":"many"}')
    assert wrong.startswith("400 ")
    assert model.__name__ in wrong
    assert "age" in wrong
    assert (await post(app, b'{"age":2}')).startswith("400 ")
    assert (await post(app, b"[1]")).startswith("400 ")
    assert (await post(app, b"{")).startswith("400 ")


@pytest.mark.parametrize("model", MODELS)
async def test_forms_and_query_strings_are_text(app: Vivace, model: Any) -> None:
    add(app, form=model)
    assert (await post(app, b"name=x&age=2", "application/x-www-form-urlencoded")).startswith("200 ")
    assert (await post(app, b"name=x&age=two", "application/x-www-form-urlencoded")).startswith("400 ")
    other = make_app()
    add(other, query=model)
    assert (await ask(other, target="/?name=x&age=3")).status == 200
    answer = await ask(other, target="/?name=x&age=three")
    assert answer.status == 400
    assert b"Invalid query string: " in answer.body


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"name":"a","born":"2020-01-02"}', "born=datetime.date(2020, 1, 2)"),
        (b'{"name":"a","born":"soon"}', "Invalid RFC3339 encoded date - at `$.born`"),
        (b'{"name":"a","color":"red"}', "color=<Color.RED: 'red'>"),
        (b'{"name":"a","color":"blue"}', "Invalid enum value 'blue' - at `$.color`"),
        (b'{"name":"a","size":"xl"}', "Invalid enum value 'xl' - at `$.size`"),
        (b'{"name":"a","tags":["b"]}', "tags=['b']"),
        (b'{"name":"a","tags":["b",1]}', "Expected `str`, got `int` - at `$.tags[1]`"),
        (b'{"name":"a","address":{"city":"b"}}', "address=Address(city='b')"),
        (b'{"name":"a","address":{"city":1}}', "Expected `str`, got `int` - at `$.address.city`"),
        (b'{"name":"a","shoe":1}', "Object contains unknown field `shoe`"),
        (b'{"shoe":1}', "Object missing required field `name`"),
        (b'{"name":null}', "Expected `str`, got `null` - at `$.name`"),
        (b'{"name":"a","age":true}', "Expected `int`, got `bool` - at `$.age`"),
    ],
)
async def test_the_answer_says_where(app: Vivace, body: bytes, expected: str) -> None:
    add(app, json=Person)
    assert expected in await post(app, body)


def test_private_attributes_of_attrs_classes_have_their_public_names() -> None:
    assert convert(Hidden, {"size": 2}) == Hidden(2)
    with pytest.raises(InvalidData, match="unknown field `_size`"):
        convert(Hidden, {"_size": 2})


def test_defaults_are_attributes_of_the_object() -> None:
    made = convert(Person, {"name": "x", "address": {"city": "y"}})
    assert vars(made)["age"] == 1
    assert list(vars(convert(Family, {"members": [{"name": "x"}]}).members[0])) == list(
        Person.__annotations__
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name=a&tags=b", "tags=['b']"),
        ("name=a&tags=b&tags=c", "tags=['b', 'c']"),
        ("name=a&name=b", "Expected `str`, got `array` - at `$.name`"),
        ("name=a&member=on", "member=True"),
        ("name=a&member=false", "member=False"),
        ("name=a&member=maybe", "Expected `bool`, got `str` - at `$.member`"),
        ("name=a&address=b", "Expected `object | null`, got `str` - at `$.address`"),
    ],
)
async def test_names_that_come_twice_and_ticked_boxes(app: Vivace, query: str, expected: str) -> None:
    add(app, query=Person)
    assert expected in (await ask(app, target=f"/?{query}")).body.decode()


@pytest.mark.parametrize(
    ("model", "strict", "status"),
    [
        (Model, None, "200"),
        (Model, True, "400"),
        (Model, False, "200"),
        (Struct, None, "400"),
        (Struct, False, "200"),
        (Person, None, "400"),
        (Person, False, "200"),
    ],
)
async def test_strict_says_whether_text_is_a_number(
    app: Vivace, model: Any, strict: bool | None, status: str
) -> None:
    add(app, json=model, strict=strict)
    assert (await post(app, b'{"name":"x","age":"2"}')).startswith(status)


async def test_models_of_pydantic_may_be_inside_others(app: Vivace) -> None:
    add(app, json=Outer)
    assert await post(app, b'{"inner":{"name":"a","age":"5"}}') == "200 Outer(inner=Model(name='a', age=5))"
    assert "at `$.inner`" in await post(app, b'{"inner":{}}')


async def test_arguments_may_have_other_names_and_decorators_stack(app: Vivace) -> None:
    @app.post("/<number:int>")
    @validate(json=Person, body_argument="person")
    @validate(query=Struct, query_argument="search")
    async def handler(request: Request, number: int, person: Person, search: Struct) -> Any:
        return [number, person.name, search.name]

    answer = await ask(
        app, "POST", "/3?name=q", [("content-type", "application/json")], body=[b'{"name":"x"}']
    )
    assert answer.body == b'[3,"x","q"]'
    assert models_of(app.router.routes[0].handler) == (Person, None, Struct)


async def test_methods_of_views_and_plain_functions(app: Vivace) -> None:
    class Items(HTTPMethodView, attach=app, uri="/view"):
        @validate(query=Struct)
        async def get(self, request: Request, query: Struct) -> Any:
            return [query.name]

    @app.get("/plain")
    @validate(query=Struct)
    def plain(request: Request, query: Struct) -> Any:
        return [query.name, threading.current_thread() is threading.main_thread()]

    assert (await ask(app, target="/view?name=v")).body == b'["v"]'
    assert (await ask(app, target="/view")).status == 400
    assert (await ask(app, target="/plain?name=p")).body == b'["p",false]'


async def accept(request: Request) -> bool:
    return True


def refuse(data: Any) -> bool:
    return False


def complain(data: Any, request: Request) -> None:
    raise ValueError("no such person")


def own_status(**given: Any) -> None:
    raise ValidationError("later", status_code=422)


@pytest.mark.parametrize(
    ("function", "status", "said"),
    [
        (accept, 200, ""),
        (refuse, 400, "refuse refused it"),
        (complain, 400, "no such person"),
        (own_status, 422, "later"),
    ],
)
async def test_a_function_may_be_asked(
    app: Vivace, function: Callable[..., Any], status: int, said: str
) -> None:
    @app.post("/")
    @validate(json=function)
    async def handler(request: Request) -> Any:
        return []

    answer = await ask(app, "POST", "/", [("content-type", "application/json")], body=[b'{"name":"x"}'])
    assert answer.status == status
    assert said in answer.body.decode()


def test_what_cannot_be_validated_is_refused_where_it_is_declared() -> None:
    with pytest.raises(InitError, match="both a form and json"):
        validate(json=Person, form=Person)
    with pytest.raises(InitError, match="is no model: expected a dataclass"):
        validate(json=int)
    with pytest.raises(InitError, match="5 is no model"):
        validate(query=5)
