"""Schemas of types."""

import dataclasses
import datetime as dt
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NotRequired, TypedDict, TypeVar
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from openapi_schema_validator import OAS30Validator

from vivace.ext.schema import Schema, SchemaMaker, to_openapi

T = TypeVar("T", bound=int)


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Point:
    x: int
    y_axis: float = 1.5
    color: Color = Color.RED
    tags: list[str] = field(default_factory=list)
    note: str | None = None
    hinted: int = field(default=2, metadata={"openapi": {"description": "why", "minimum": 1}})
    made: int = dataclasses.field(default=0, init=False)


@dataclass
class Node:
    value: int
    children: "list[Node]" = field(default_factory=list)


@attrs.define
class Attrs:
    name: str
    size: int = 3


class Struct(msgspec.Struct, rename="camel"):
    first_name: str
    age: Annotated[int, msgspec.Meta(ge=1, description="years")] = 1


class Model(pydantic.BaseModel):
    name: str = pydantic.Field(examples=["a"])
    inner: "Attrsless | None" = None
    kind: Literal["one"] = "one"
    size: int = pydantic.Field(1, gt=0)


class Attrsless(pydantic.BaseModel):
    id: UUID


class Typed(TypedDict):
    name: str
    age: NotRequired[int]


class Plain:
    name: str
    size = 3

    def method(self) -> None: ...


INT: Schema = {"type": "integer", "format": "int32"}
STR: Schema = {"type": "string"}


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (str, STR),
        (int, INT),
        (float, {"type": "number", "format": "float"}),
        (bool, {"type": "boolean"}),
        (bytes, {"type": "string", "format": "byte"}),
        (dt.date, {"type": "string", "format": "date"}),
        (dt.datetime, {"type": "string", "format": "date-time"}),
        (UUID, {"type": "string", "format": "uuid"}),
        (Any, {}),
        (None, {}),
        (list[int], {"type": "array", "items": INT}),
        ([int], {"type": "array", "items": INT}),
        (list, {"type": "array", "items": {}}),
        (Sequence[str], {"type": "array", "items": STR}),
        (set[str], {"type": "array", "items": STR, "uniqueItems": True}),
        (tuple[int, ...], {"type": "array", "items": INT}),
        (tuple[int, str], {"type": "array", "items": {"oneOf": [INT, STR]}, "minItems": 2, "maxItems": 2}),
        (dict[str, int], {"type": "object", "additionalProperties": INT}),
        (Mapping[str, int], {"type": "object", "additionalProperties": INT}),
        (dict, {"type": "object"}),
        ({"a": int}, {"type": "object", "properties": {"a": INT}}),
        (int | None, INT | {"nullable": True}),
        (int | str, {"oneOf": [INT, STR]}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Literal[1] | None, INT | {"enum": [1, None], "nullable": True}),
        (Color, {"type": "string", "enum": ["red"]}),
        (Level, INT | {"enum": [1]}),
        (Annotated[int, msgspec.Meta(gt=2)], INT | {"minimum": 2, "exclusiveMinimum": True}),
        (T, INT),
        (Plain, {"type": "object", "properties": {"name": STR, "size": INT | {"default": 3}}}),
    ],
)
def test_types(kind: Any, schema: Schema) -> None:
    made = SchemaMaker().make_any(kind)
    assert made == schema
    OAS30Validator.check_schema(made)


def test_a_dataclass() -> None:
    assert SchemaMaker().make(Point) == {
        "type": "object",
        "properties": {
            "x": INT | {"title": "X"},
            "y_axis": {"type": "number", "format": "float", "title": "Y Axis", "default": 1.5},
            "color": {"type": "string", "enum": ["red"], "title": "Color", "default": "red"},
            "tags": {"type": "array", "items": STR, "title": "Tags"},
            "note": STR | {"nullable": True, "title": "Note", "default": None},
            "hinted": INT | {"title": "Hinted", "default": 2, "description": "why", "minimum": 1},
        },
        "required": ["x"],
    }


@pytest.mark.parametrize(
    ("model", "required", "names"),
    [
        (Attrs, ["name"], ["name", "size"]),
        (Struct, ["firstName"], ["firstName", "age"]),
        (Typed, ["name"], ["name", "age"]),
        (Model, ["name"], ["name", "inner", "kind", "size"]),
    ],
)
def test_other_models(model: Any, required: list[str], names: list[str]) -> None:
    made = SchemaMaker().make(model)
    assert made["required"] == required
    assert list(made["properties"]) == names
    OAS30Validator.check_schema(made)


def test_constraints_of_a_struct_are_shown() -> None:
    age = SchemaMaker().make(Struct)["properties"]["age"]
    assert age == INT | {"minimum": 1, "description": "years", "title": "Age", "default": 1}


def test_a_model_of_pydantic_brings_its_components() -> None:
    maker = SchemaMaker()
    made = maker.make(Model)
    assert made["properties"]["inner"] == {
        "allOf": [{"$ref": "#/components/schemas/Attrsless"}],
        "nullable": True,
        "default": None,
    }
    assert made["properties"]["kind"]["enum"] == ["one"]
    assert made["properties"]["name"]["example"] == "a"
    assert made["properties"]["size"]["exclusiveMinimum"] is True
    assert list(maker.components["schemas"]) == ["Attrsless"]


def test_a_model_that_contains_itself_is_a_component() -> None:
    maker = SchemaMaker()
    assert maker.make(Node) == {"$ref": "#/components/schemas/Node"}
    children = maker.components["schemas"]["Node"]["properties"]["children"]
    assert children["items"] == {"$ref": "#/components/schemas/Node"}


def test_json_schema_of_today_is_translated() -> None:
    assert to_openapi({"$defs": {}, "const": 1, "type": "null"}) == {"enum": [1], "nullable": True}
    assert to_openapi({"prefixItems": [STR]}) == {"items": {"oneOf": [STR]}}
    assert to_openapi({"anyOf": [STR, INT, {"type": "null"}]}) == {"anyOf": [STR, INT], "nullable": True}
