"""sanic_ext.validate: the words of sanic-ext for what is wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

import attrs
import msgspec
import pytest

from tests.framework.streams import ask, make_app
from vivace import Request, text
from vivace.compat.sanic.validation import body, definition, validate
from vivace.ext.errors import InitError


@dataclass
class Inner:
    x: int


@dataclass
class Person:
    name: str
    age: int = 1
    tags: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    kind: Literal["a", "b"] = "a"
    mixed: int | str = 0
    maybe: int | None = None
    other: float | int | None = None
    inner: Inner | None = None


@attrs.define
class Attrs:
    name: str


class Struct(msgspec.Struct):
    name: str


class Typed(TypedDict):
    name: str


async def answer(model: Any, body: bytes) -> tuple[int, str]:
    app = make_app()

    @app.post("/")
    @validate(json=model)
    async def handler(request: Request, **values: Any) -> Any:
        return text(repr(values))

    found = await ask(app, "POST", "/", {"accept": "text/plain"}, body)
    return found.status, found.body.decode()


def cases() -> Iterator[tuple[str, str]]:
    yield '{"age": 2}', "missing a required argument: 'name'"
    yield '{"name": "x", "shoe": 2}', "got an unexpected keyword argument 'shoe'"
    yield '{"shoe": 2}', "missing a required argument: 'name'"
    yield '{"name": 1}', "Value '1' is not of type <class 'str'>"
    yield '{"name": null}', "Value 'None' is not of type <class 'str'>"
    yield '{"name": "x", "age": "q"}', "Value 'q' is not of type <class 'int'>"
    yield '{"name": "x", "tags": [1]}', "Value '[1]' must be a list[str]"
    yield '{"name": "x", "tags": null}', "Value cannot be None"
    yield '{"name": "x", "sizes": {"a": "b"}}', "Value '{'a': 'b'}' must be a dict[str, int]"
    yield '{"name": "x", "kind": "c"}', "Value 'c' must be one of a, b"
    yield '{"name": "x", "mixed": 1.5}', "Value '1.5' must be one of <class 'int'>, <class 'str'>"
    yield '{"name": "x", "maybe": "q"}', "Value 'q' is not of type <class 'int'>"
    yield '{"name": "x", "other": "q"}', "must be one of <class 'float'>, <class 'int'>, or None"
    yield '{"name": "x", "inner": {"x": "q"}}', "Value 'q' is not of type <class 'int'>"
    yield '{"name": "x", "inner": {}}', "missing a required argument: 'x'"
    yield '{"name": "x", "inner": 1}', "Value '1' is not a dict"
    yield "[1]", "Value '[1]' is not a dict"


@pytest.mark.parametrize(("body", "said"), list(cases()))
async def test_the_words_for_dataclasses(body: str, said: str) -> None:
    status, page = await answer(Person, body.encode())
    assert status == 400
    assert "Invalid request body: Person. Error: " in page
    assert said in page


async def test_the_words_for_other_models() -> None:
    assert "Attrs. Error: Value '1' is not of type <class 'str'>" in (await answer(Attrs, b'{"name": 1}'))[1]
    assert (
        "Struct. Error: Expected `str`, got `int` - at `$.name`" in (await answer(Struct, b'{"name": 1}'))[1]
    )


async def test_query_strings_are_called_bodies_too() -> None:
    app = make_app()

    @app.get("/")
    @validate(query=Person)
    async def handler(request: Request, query: Person) -> Any:
        return text(query.name)

    assert (
        b"Invalid request body: Person. Error: missing a required argument: 'name'" in (await ask(app)).body
    )
    assert (await ask(app, target="/?name=x")).body == b"x"


@pytest.mark.parametrize(
    "decorate",
    [
        body({"application/json": Person}, validate=True, body_argument="person"),
        definition(body={"application/json": Person}, validate=True, body_argument="person"),
    ],
)
async def test_described_bodies_are_validated_with_the_same_words(decorate: Callable[[Any], Any]) -> None:
    app = make_app()

    @app.post("/")
    @decorate
    async def handler(request: Request, person: Person) -> Any:
        return text(person.name)

    assert (await ask(app, "POST", "/", body=b'{"name": "x"}')).body == b"x"
    answer = await ask(app, "POST", "/", body=b"{}")
    assert b"Invalid request body: Person. Error: missing a required argument: 'name'" in answer.body


@pytest.mark.parametrize("model", [str, dict, Typed])
async def test_classes_that_sanic_ext_passes_are_passed(model: Any) -> None:
    assert await answer(model, b"[]") == (200, "{}")


def test_two_bodies_are_refused() -> None:
    with pytest.raises(InitError, match="Cannot define both a form and json route validator"):
        validate(json=Person, form=Person)
