"""The parts of a document besides schemas: parameters, bodies, responses, and what stands around them.

Rules of this file: the classes have the names of OpenAPI 3.0.3, section 4.7, and the arguments of sanic-ext.
"""

from enum import StrEnum
from typing import Any, Final

from vivace.ext.openapi.types import Definition, Lazy, Schema
from vivace.ext.schema import SchemaMaker

__all__ = [
    "Component",
    "Components",
    "Contact",
    "Example",
    "ExternalDocumentation",
    "Flow",
    "Flows",
    "Header",
    "Info",
    "License",
    "MediaType",
    "Operation",
    "Parameter",
    "PathItem",
    "Reference",
    "RequestBody",
    "Response",
    "SecurityRequirement",
    "SecurityScheme",
    "SecuritySchemeAuthorization",
    "SecuritySchemeLocation",
    "SecuritySchemeType",
    "Server",
    "ServerVariable",
    "Tag",
]

ANY_TYPE: Final = "*/*"


class SecuritySchemeType(StrEnum):
    """The kinds of security schemes."""

    API_KEY = "apiKey"
    HTTP = "http"
    OAUTH2 = "oauth2"
    OPEN_ID_CONNECT = "openIdConnect"


class SecuritySchemeLocation(StrEnum):
    """Where the key of an ``apiKey`` is sent."""

    QUERY = "query"
    HEADER = "header"
    COOKIE = "cookie"


class SecuritySchemeAuthorization(StrEnum):
    """The schemes of HTTP authentication."""

    BASIC = "Basic"
    BEARER = "Bearer"
    DIGEST = "Digest"
    HOBA = "HOBA"
    MUTUAL = "Mutual"
    NEGOTIATE = "Negotiate"
    OAUTH = "OAuth"
    SCRAM_SHA_1 = "SCRAM-SHA-1"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    VAPID = "vapid"


class Reference(Schema):
    """What stands in the place of a component.

    Args:
        value: Such as ``#/components/schemas/Person``.
        target: The component itself, if it is not declared elsewhere.
    """

    def __init__(self, value: str, target: Any = None) -> None:
        super().__init__()
        self.value = value
        self.target = target

    def serialize(self, maker: SchemaMaker | None = None) -> dict[str, Any]:
        """The reference; the component is kept."""
        if self.target is not None and maker is not None:
            keep_component(maker, self.value.split("/")[-2], self.value.rpartition("/")[2], self.target)
        return {"$ref": self.value}


def keep_component(maker: SchemaMaker, field: str, name: str, target: Any) -> None:
    """Let a document have a component.

    Args:
        maker: What keeps it.
        field: ``schemas``, ``parameters``, ``responses`` ...
        name: Its name.
        target: A type, or a part of a document.
    """
    kept = maker.components.setdefault(field, {})
    if name not in kept:
        kept[name] = {}  # it may refer to itself
        kept[name] = target.serialize(maker) if isinstance(target, Definition) else maker.make(target)


def Component(obj: Any, *, name: str = "", field: str = "schemas") -> Reference:  # noqa: N802  # as in sanic-ext
    """A reference to a component, which the document gets too.

    Args:
        obj: A type, or a part of a document.
        name: Its name; default: that of the type.
        field: ``schemas``, ``parameters``, ``responses`` ...
    """
    called = name or getattr(obj, "__name__", type(obj).__name__)
    return Reference(f"#/components/{field}/{called}", obj)


class ExternalDocumentation(Definition):
    """Where more is written.

    Args:
        url: The place.
        description: What is there.
    """

    known = frozenset(("url", "description"))

    def __init__(self, url: str, description: str | None = None) -> None:
        super().__init__(url=url, description=description)

    @classmethod
    def make(cls, url: str, description: str | None = None) -> "ExternalDocumentation":
        """The same as calling the class."""
        return cls(url, description)


class Contact(Definition):
    """Whom to ask."""

    known = frozenset(("name", "url", "email"))


class License(Definition):
    """Under which terms the API may be used."""

    known = frozenset(("name", "url"))

    def __init__(self, name: str, **values: Any) -> None:
        super().__init__(name=name, **values)


class Info(Definition):
    """What the API is."""

    known = frozenset(("title", "version", "description", "termsOfService", "contact", "license"))

    def __init__(self, title: str, version: str, **values: Any) -> None:
        super().__init__(title=title, version=version, **values)


class Tag(Definition):
    """A name under which operations are grouped."""

    known = frozenset(("name", "description", "externalDocs"))

    def __init__(self, name: str, **values: Any) -> None:
        super().__init__(name=name, **values)


class ServerVariable(Definition):
    """A part of the URL of a server that clients choose."""

    known = frozenset(("default", "enum", "description"))

    def __init__(self, default: str, **values: Any) -> None:
        super().__init__(default=default, **values)


class Server(Definition):
    """Where the API is."""

    known = frozenset(("url", "description", "variables"))

    def __init__(
        self, url: str, description: str | None = None, variables: dict[str, Any] | None = None
    ) -> None:
        super().__init__(url=url, description=description, variables=variables or {})


class Example(Definition):
    """An example of a value."""

    known = frozenset(("summary", "description", "value", "externalValue"))

    def __init__(self, value: Any = None, **values: Any) -> None:
        super().__init__(value=value, **values)

    def serialize(self, maker: SchemaMaker | None = None) -> dict[str, Any]:
        """The example; its value stays as it is."""
        del maker
        return dict(self.fields)

    @classmethod
    def make(cls, value: Any, **values: Any) -> "Example":
        """The same as calling the class."""
        return cls(value, **values)

    @classmethod
    def external(cls, value: str, **values: Any) -> "Example":
        """An example that is somewhere else."""
        return cls(externalValue=value, **values)


class MediaType(Definition):
    """Content of one media type.

    Args:
        schema: A type, a schema, or a mapping that is one.
        values: Other fields.
    """

    known = frozenset(("schema", "example", "examples", "encoding"))

    def __init__(self, schema: Any = None, **values: Any) -> None:
        super().__init__(schema=as_schema(schema), **values)

    def serialize(self, maker: SchemaMaker | None = None) -> dict[str, Any]:
        """The content; its example stays as it is."""
        found = super().serialize(maker)
        return found | {"example": self.fields["example"]} if "example" in found else found

    @classmethod
    def make(cls, value: Any) -> "MediaType":
        """Content of a type."""
        return cls(value)

    @staticmethod
    def all(content: Any) -> dict[str, "MediaType"]:
        """Content by media type; see `media_types`."""
        return media_types(content)


class RequestBody(Definition):
    """What a client sends.

    Args:
        content: By media type what it is; or a type for any.
        required: Whether it must be sent.
        description: What it is for.
        values: Other fields.
    """

    known = frozenset(("content", "required", "description"))

    def __init__(
        self, content: Any, required: bool | None = None, description: str | None = None, **values: Any
    ) -> None:
        self.given = content
        super().__init__(content=media_types(content), required=required, description=description, **values)

    @classmethod
    def make(cls, content: Any, **values: Any) -> "RequestBody":
        """The same as calling the class."""
        return cls(content, **values)


class Header(Definition):
    """A field of a response."""

    known = frozenset(("description", "required", "deprecated", "schema", "url"))

    def __init__(self, url: str | None = None, description: str | None = None, **values: Any) -> None:
        super().__init__(url=url, description=description, **values)


class Response(Definition):
    """What a client gets.

    Args:
        content: By media type what it is; or a type for any.
        status: When.
        description: What it means.
        values: Other fields.
    """

    known = frozenset(("content", "description", "headers", "links"))

    def __init__(
        self,
        content: Any = None,
        status: int | str = "default",
        description: str | None = None,
        **values: Any,
    ) -> None:
        self.status = status
        super().__init__(
            content=media_types(content), description=description or "Default Response", **values
        )

    @classmethod
    def make(cls, content: Any, description: str | None = None, **values: Any) -> "Response":
        """A response of any status."""
        return cls(content, description=description, **values)


class Parameter(Definition):
    """A parameter of an operation.

    Args:
        name: Its name.
        schema: Its type or schema.
        location: ``query``, ``path``, ``header`` or ``cookie``.
        description: What it is for.
        required: Whether it must be there.
        deprecated: It should not be used any more.
        allowEmptyValue: It may be there without a value.
        values: Other fields.
    """

    known = frozenset(
        [
            "name",
            "in",
            "description",
            "required",
            "deprecated",
            "allowEmptyValue",
            "schema",
            "style",
            "explode",
            "allowReserved",
            "example",
            "examples",
            "content",
        ]
    )

    def __init__(
        self,
        name: str,
        schema: Any = str,
        location: str = "query",
        description: str | None = None,
        required: bool | None = None,
        deprecated: bool | None = None,
        allowEmptyValue: bool | None = None,  # noqa: N803  # its name in documents
        **values: Any,
    ) -> None:
        own = {"in": location, "allowEmptyValue": allowEmptyValue, "deprecated": deprecated}
        super().__init__(
            name=name,
            schema=as_schema(schema),
            description=description,
            required=True if location == "path" else required,
            **own,
            **values,
        )

    @classmethod
    def make(cls, name: str, schema: Any, location: str, **values: Any) -> "Parameter":
        """The same as calling the class."""
        return cls(name, schema, location, **values)


class SecurityScheme(Definition):
    """How clients show who they are."""

    known = frozenset(
        ["type", "description", "name", "in", "scheme", "bearerFormat", "flows", "openIdConnectUrl"]
    )

    def __init__(self, type: str, **values: Any) -> None:  # noqa: A002  # its name in documents
        if "location" in values:
            values["in"] = values.pop("location")
        for theirs, ours in (("bearer_format", "bearerFormat"), ("openid_connect_url", "openIdConnectUrl")):
            if theirs in values:
                values[ours] = values.pop(theirs)
        super().__init__(type=type, **values)


class Flow(Definition):
    """One way of OAuth 2."""

    known = frozenset(("authorizationUrl", "tokenUrl", "refreshUrl", "scopes"))


class Flows(Definition):
    """The ways of OAuth 2."""

    known = frozenset(("implicit", "password", "clientCredentials", "authorizationCode"))


class SecurityRequirement(Definition):
    """Which security schemes must be used."""

    def __init__(self, **values: Any) -> None:
        super().__init__()
        self.fields = dict(values)


class Operation(Definition):
    """One method of a path."""

    known = frozenset(
        [
            "tags",
            "summary",
            "description",
            "operationId",
            "externalDocs",
            "parameters",
            "requestBody",
            "responses",
            "callbacks",
            "security",
            "servers",
            "deprecated",
        ]
    )


class Components(Definition):
    """What other parts refer to."""

    known = frozenset(
        [
            "schemas",
            "responses",
            "parameters",
            "examples",
            "requestBodies",
            "headers",
            "securitySchemes",
            "links",
            "callbacks",
        ]
    )


class PathItem(Definition):
    """What a path can do."""

    known = frozenset(
        [
            "summary",
            "description",
            "servers",
            "parameters",
            "get",
            "put",
            "post",
            "delete",
            "options",
            "head",
            "patch",
            "trace",
        ]
    )


def media_types(content: Any) -> dict[str, MediaType]:
    """Content by media type: a mapping with types for keys says it, everything else is of any type."""
    if isinstance(content, dict) and content:
        return {str(kind): _media_type(item) for kind, item in content.items()}
    return {ANY_TYPE: _media_type(content)}


def _media_type(content: Any) -> MediaType:
    if isinstance(content, MediaType):
        return content
    if isinstance(content, dict) and "schema" in content:
        return MediaType(**content)
    return MediaType(content)


def as_schema(value: Any) -> Any:
    """A schema of a type; what is one already, be it a mapping, stays."""
    if isinstance(value, Definition):
        return value
    if isinstance(value, dict) and _SCHEMA_KEYS & value.keys():
        return Plain(value)
    return Lazy(value)


_SCHEMA_KEYS: Final = frozenset(("$ref", "type", "properties", "oneOf", "anyOf", "allOf", "$defs"))


class Plain(Definition):
    """A mapping that is a part already."""

    def __init__(self, value: dict[str, Any]) -> None:
        super().__init__()
        self.value = value

    def serialize(self, maker: SchemaMaker | None = None) -> dict[str, Any]:
        """The mapping."""
        if "type" in self.value and not isinstance(self.value["type"], str):  # a field that is called type
            return (maker or SchemaMaker()).make(self.value)
        return self.value
