"""Schemas that a program writes itself: ``String(minLength=3)``, ``Array(Person)``, ``Object({"a": str})``.

Rules of this file:

- A part of a document knows which names it may have; others are dropped, and so is what is None.
- A part becomes a mapping when the document is built, not before: what it refers to may come later.
- Follows OpenAPI 3.0.3, section 4.7.24.
"""

from typing import Any, ClassVar, Final

from vivace.ext.schema import Schema as Mapping_
from vivace.ext.schema import SchemaMaker

__all__ = [
    "UUID",
    "AnyValue",
    "Array",
    "Binary",
    "Boolean",
    "Byte",
    "Date",
    "DateTime",
    "Definition",
    "Double",
    "Email",
    "Float",
    "Integer",
    "Long",
    "Object",
    "Password",
    "Schema",
    "String",
    "Time",
]

_SCHEMA: Final = (
    "title description type format nullable required default example oneOf anyOf allOf not items properties"
    " additionalProperties multipleOf maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength"
    " pattern enum maxItems minItems uniqueItems maxProperties minProperties readOnly writeOnly deprecated"
    " discriminator xml externalDocs"
)


class Definition:
    """A part of a document.

    Args:
        values: Its fields.

    Attributes:
        known: The names that it may have.
        fields: What was given of them.
    """

    known: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, **values: Any) -> None:
        self.fields: dict[str, Any] = {
            name: value for name, value in values.items() if name in self.known and value is not None
        }

    def serialize(self, maker: SchemaMaker | None = None) -> dict[str, Any]:
        """The part as a mapping.

        Args:
            maker: Keeps the components that the part refers to.
        """
        maker = maker or SchemaMaker()
        return {name: plain(value, maker) for name, value in self.fields.items()}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.fields}>"


def plain(value: Any, maker: SchemaMaker) -> Any:
    """A value of a part as JSON knows it: parts become mappings, and types their schemas."""
    if isinstance(value, Definition):
        return value.serialize(maker)
    if isinstance(value, dict):
        return {str(key): plain(item, maker) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item, maker) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return maker.make(value)


class Schema(Definition):
    """A schema of any kind; ``title``, ``description``, ``example``, ``enum`` ... are its fields."""

    known = frozenset(_SCHEMA.split())
    kind: ClassVar[str | None] = None
    format: ClassVar[str | None] = None

    def __init__(self, **values: Any) -> None:
        own = {"type": self.kind, "format": self.format}
        super().__init__(**{name: value for name, value in own.items() if value} | values)

    @staticmethod
    def make(value: Any, **values: Any) -> "Schema":
        """The schema of a type.

        Args:
            value: The type; what is a schema already is returned as it is.
            values: More fields.
        """
        return value if isinstance(value, Schema) else Schema(**SchemaMaker().make(value) | values)

    def serialize(self, maker: SchemaMaker | None = None) -> Mapping_:
        """The schema as a mapping; ``required=True`` belongs to its owner and is left out."""
        found = super().serialize(maker)
        if not isinstance(found.get("required", []), list):
            del found["required"]
        return found


class AnyValue(Schema):
    """Anything."""


class String(Schema):
    """Text."""

    kind = "string"


class Integer(Schema):
    """A whole number of 32 bits."""

    kind, format = "integer", "int32"


class Long(Schema):
    """A whole number of 64 bits."""

    kind, format = "integer", "int64"


class Float(Schema):
    """A number."""

    kind, format = "number", "float"


class Double(Schema):
    """A number of 64 bits."""

    kind, format = "number", "double"


class Boolean(Schema):
    """Yes or no."""

    kind = "boolean"


class Byte(Schema):
    """Octets in base64."""

    kind, format = "string", "byte"


class Binary(Schema):
    """Octets."""

    kind, format = "string", "binary"


class Date(Schema):
    """A day."""

    kind, format = "string", "date"


class Time(Schema):
    """A time of day."""

    kind, format = "string", "time"


class DateTime(Schema):
    """A moment."""

    kind, format = "string", "date-time"


class Password(Schema):
    """Text that is hidden while it is typed."""

    kind, format = "string", "password"


class Email(Schema):
    """An address of mail."""

    kind, format = "string", "email"


class UUID(Schema):
    """A UUID."""

    kind, format = "string", "uuid"


class Object(Schema):
    """An object.

    Args:
        properties: Names, and the type or schema of each.
        values: Other fields.
    """

    kind = "object"

    def __init__(self, properties: dict[str, Any] | None = None, **values: Any) -> None:
        shown = {name: _schema(item) for name, item in (properties or {}).items()}
        super().__init__(properties=shown or None, **values)


class Array(Schema):
    """A list.

    Args:
        items: The type or schema of each item.
        values: Other fields.
    """

    kind = "array"

    def __init__(self, items: Any, **values: Any) -> None:
        super().__init__(items=_schema(items), **values)


class Lazy(Definition):
    """A type that becomes a schema when the document is built."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind

    def serialize(self, maker: SchemaMaker | None = None) -> Mapping_:
        """The schema of the type."""
        return (maker or SchemaMaker()).make_any(self.kind)


def _schema(value: Any) -> Definition:
    return value if isinstance(value, Definition) else Lazy(value)
