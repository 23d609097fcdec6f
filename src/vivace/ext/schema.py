"""From a type to the schema that describes its JSON: what documents of an API are made of.

Schemas are those of OpenAPI 3.0, which has its own dialect of JSON Schema: ``nullable`` instead of a null
type, one ``enum`` value instead of ``const``.

Rules of this file:

- It knows types and nothing of handlers, so that whatever looks at annotations can use it.
- Models stand where they are used; of one that contains itself a reference stands there, to a component.
- What pydantic and msgspec know better (their own models, constraints, rare types) they are asked.
"""

import dataclasses
import datetime as dt
import inspect
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

from vivace.ext.models import is_model, is_pydantic

__all__ = ["Schema", "SchemaMaker", "to_openapi"]

Schema = dict[str, Any]

_SIMPLE: Final[dict[Any, Schema]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "format": "int32"},
    float: {"type": "number", "format": "float"},
    Decimal: {"type": "string", "format": "decimal"},
    bytes: {"type": "string", "format": "byte"},
    bytearray: {"type": "string", "format": "byte"},
    dt.date: {"type": "string", "format": "date"},
    dt.datetime: {"type": "string", "format": "date-time"},
    dt.time: {"type": "string", "format": "time"},
    dt.timedelta: {"type": "string", "format": "duration"},
    UUID: {"type": "string", "format": "uuid"},
    dict: {"type": "object"},
    object: {},
    Any: {},
    None: {},
    NoneType: {},
}
_ARRAYS: Final = (list, set, frozenset, tuple)
_PLACE: Final = "#/components/schemas/"


class SchemaMaker:
    """Makes schemas, and keeps those that others refer to.

    Attributes:
        components: What has a name: schemas, and other parts by their kind.
    """

    def __init__(self) -> None:
        self.components: dict[str, dict[str, Any]] = {"schemas": {}}
        self._open: list[Any] = []
        self._recursive: set[Any] = set()

    def make(self, kind: Any) -> Schema:
        """The schema of a type, of a string that names one, or of an example of it.

        Args:
            kind: A type; a list of one type; a mapping of names to types; or an object.
        """
        simple = _SIMPLE.get(kind) if _is_hashable(kind) else None
        if simple is not None:
            return dict(simple)
        if isinstance(kind, list):
            return {"type": "array", "items": self.make(kind[0]) if kind else {}}
        if isinstance(kind, Mapping):
            return {"type": "object", "properties": {str(k): self.make(v) for k, v in kind.items()}}
        if isinstance(kind, TypeVar):
            return self.make(kind.__bound__)
        origin = get_origin(kind)
        if origin is not None:
            return self._generic(kind, origin)
        if isinstance(kind, type):
            return self._class(kind)
        if isinstance(kind, str | int | float):
            return self._class(type(kind)) | {"default": kind}
        return {} if callable(kind) else self._class(type(kind))

    def _generic(self, kind: Any, origin: Any) -> Schema:
        arguments = get_args(kind)
        if origin is Annotated:
            return self._annotated(kind, arguments[0])
        if origin in (Union, UnionType):
            return self._union(arguments)
        if origin is Literal:
            return _enumeration(arguments)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.make(arguments[1])}
        if isinstance(origin, type) and issubclass(origin, _ARRAYS):
            return self._array(origin, arguments)
        if isinstance(origin, type) and is_model(origin):
            return self._class(origin)
        if arguments and origin is not Callable:
            return {"type": "array", "items": self.make(arguments[0])}
        return {}

    def _array(self, origin: type, arguments: tuple[Any, ...]) -> Schema:
        kinds = [a for a in arguments if a is not ...]
        schemas = [self.make(k) for k in kinds]
        same = all(schema == schemas[0] for schema in schemas)
        schema: Schema = {"type": "array", "items": schemas[0] if same else {"oneOf": schemas}}
        if issubclass(origin, tuple) and ... not in arguments:
            schema |= {"minItems": len(kinds), "maxItems": len(kinds)}
        elif issubclass(origin, set | frozenset):
            schema["uniqueItems"] = True
        return schema

    def _union(self, arguments: tuple[Any, ...]) -> Schema:
        kinds = [a for a in arguments if a is not NoneType]
        schema = self.make(kinds[0]) if len(kinds) == 1 else {"oneOf": [self.make(k) for k in kinds]}
        if NoneType not in arguments:
            return schema
        return _nullable(schema)

    def _annotated(self, kind: Any, inner: Any) -> Schema:
        schema = self.make(inner)
        try:
            known = to_openapi(msgspec.json.schema(kind))
        except (TypeError, AttributeError):  # constraints of another library
            return schema
        return schema | {
            k: v for k, v in known.items() if k not in ("type", "format", "anyOf", "$ref", "items")
        }

    def _class(self, kind: Any) -> Schema:
        for base, schema in _SIMPLE.items():
            if kind is base:
                return dict(schema)
        if hasattr(kind, "serialize") and not is_model(kind):  # it describes itself
            return kind().serialize(self)  # type: ignore[no-any-return]
        if issubclass(kind, Enum):
            return _enumeration([member.value for member in kind])
        if issubclass(kind, _ARRAYS):
            return {"type": "array", "items": {}}
        if issubclass(kind, Mapping) and not is_model(kind):
            return {"type": "object"}
        if issubclass(kind, str | int | float | bool):
            return self.make(next(base for base in (str, bool, int, float) if issubclass(kind, base)))
        if kind in self._open:
            self._recursive.add(kind)
            return {"$ref": _PLACE + kind.__name__}
        self._open.append(kind)
        try:
            schema = self._pydantic(kind) if is_pydantic(kind) else self._object(kind)
        finally:
            self._open.pop()
        if kind not in self._recursive:
            return schema
        self.components["schemas"][kind.__name__] = schema
        return {"$ref": _PLACE + kind.__name__}

    def _pydantic(self, kind: Any) -> Schema:
        from pydantic import TypeAdapter

        schema = TypeAdapter(kind).json_schema(ref_template=_PLACE + "{model}")
        for name, part in schema.pop("$defs", {}).items():
            self.components["schemas"][name] = to_openapi(part)
        return to_openapi(schema)

    def _object(self, kind: Any) -> Schema:
        try:
            hints = get_type_hints(kind, include_extras=True)
        except (NameError, TypeError):  # a name that only type checkers know
            hints = {}
        fields = list(_model_fields(kind, hints) or ())
        if not fields and not is_model(kind):
            return {"type": "object", "properties": self._attributes(kind, hints)}
        schema: Schema = {
            "type": "object",
            "properties": {field.name: self._property(field) for field in fields},
        }
        required = [field.name for field in fields if field.required]
        return schema | ({"required": required} if required else {})

    def _attributes(self, kind: Any, hints: dict[str, Any]) -> dict[str, Schema]:
        """What a class says without being a model: annotations, and attributes that are types or examples."""
        found = dict(hints)
        for name, value in inspect.getmembers(kind):
            routine = inspect.isroutine(value) or isinstance(value, property)
            if not name.startswith("_") and name not in found and not routine:
                found[name] = value
        return {name: self.make_any(value) for name, value in found.items()}

    def make_any(self, kind: Any) -> Schema:
        """As `make`, also for what describes itself by ``serialize()``."""
        serialize = None if isinstance(kind, type) else getattr(kind, "serialize", None)
        return serialize(self) if serialize is not None else self.make(kind)

    def _property(self, field: "Field") -> Schema:
        schema = self.make_any(field.kind)
        if "$ref" in schema:
            return schema
        schema.setdefault("title", field.name.replace("_", " ").title())
        if isinstance(field.default, Enum):
            schema["default"] = field.default.value
        elif isinstance(field.default, str | int | float | bool):
            schema["default"] = field.default
        elif field.default is None and schema.get("nullable"):
            schema["default"] = None
        return schema | field.extra


@dataclasses.dataclass(slots=True)
class Field:
    """One field of a model: its name, its type, its default, and what its metadata says for the schema."""

    name: str
    kind: Any
    required: bool
    default: Any
    extra: dict[str, Any]


_NOTHING: Final = object()


def _model_fields(kind: Any, hints: dict[str, Any]) -> list[Field] | None:
    if issubclass(kind, msgspec.Struct):
        return [
            Field(f.encode_name, hints[f.name], f.required, _given(f.default), {})
            for f in msgspec.structs.fields(kind)
        ]
    if dataclasses.is_dataclass(kind):
        return [
            Field(f.name, hints.get(f.name, f.type), _is_required(f), _given(f.default), _extra(f.metadata))
            for f in dataclasses.fields(kind)
            if f.init
        ]
    attributes = getattr(kind, "__attrs_attrs__", None)
    if attributes is not None:
        return [
            Field(a.alias, hints.get(a.name), _is_nothing(a.default), _given(a.default), _extra(a.metadata))
            for a in attributes
            if a.init
        ]
    keys = getattr(kind, "__required_keys__", None)
    if keys is not None:
        return [Field(name, hint, name in keys, _NOTHING, {}) for name, hint in hints.items()]
    return None


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    missing: Any = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _is_nothing(default: Any) -> bool:
    return getattr(default, "name", "") == "NOTHING"


def _given(default: Any) -> Any:
    """A default, or what stands for none."""
    nothing = (dataclasses.MISSING, msgspec.NODEFAULT, msgspec.UNSET)
    return _NOTHING if default in nothing or _is_nothing(default) else default


def _extra(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return dict(metadata.get("openapi") or {})


def _enumeration(values: Iterable[Any]) -> Schema:
    given = list(values)
    found = [value for value in given if value is not None]
    kinds = (("boolean", bool), ("integer", int), ("number", (int, float)))
    kind = next((name for name, of in kinds if found and all(isinstance(v, of) for v in found)), "string")
    schema: Schema = {"type": kind, "enum": found}
    if kind == "integer":
        schema["format"] = "int32"
    return _nullable(schema) if None in given else schema


def _nullable(schema: Schema) -> Schema:
    if "$ref" in schema:  # nothing may stand beside a reference
        return {"allOf": [schema], "nullable": True}
    if "enum" in schema:
        schema = schema | {"enum": [*schema["enum"], None]}
    return schema | {"nullable": True}


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def to_openapi(schema: Schema) -> Schema:
    """A schema of today's JSON Schema in the dialect of OpenAPI 3.0."""
    schema = _without_null(schema)
    found = {k: _translate(k, v) for k, v in schema.items() if not k.startswith("$") or k == "$ref"}
    if "const" in found:
        found["enum"] = [found.pop("const")]
    if "examples" in found:
        found["example"] = (found.pop("examples") or [None])[0]
    if "prefixItems" in found:
        found["items"] = {"oneOf": found.pop("prefixItems")}
    for limit, plain in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if limit in found and not isinstance(found[limit], bool):
            found |= {plain: found[limit], limit: True}
    return found


def _translate(key: str, value: Any) -> Any:
    if key in ("default", "enum", "example", "examples", "const"):
        return value
    if key == "properties":
        return {name: to_openapi(part) for name, part in value.items()}
    if isinstance(value, list):
        return [to_openapi(item) if isinstance(item, dict) else item for item in value]
    return to_openapi(value) if isinstance(value, dict) else value


def _without_null(schema: Schema) -> Schema:
    for key in ("anyOf", "oneOf"):
        parts = schema.get(key)
        if isinstance(parts, list) and {"type": "null"} in parts:
            rest = [part for part in parts if part != {"type": "null"}]
            outer = {k: v for k, v in schema.items() if k != key}
            inner = rest[0] if len(rest) == 1 else {key: rest}
            return _nullable(inner) | outer
    if schema.get("type") == "null":
        return {k: v for k, v in schema.items() if k != "type"} | {"nullable": True}
    return schema
