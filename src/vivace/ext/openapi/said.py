"""What a program says of a handler: collected by decorators, read when the document is built.

Rules of this file: what is said stands on the function itself, so that other decorators carry it on.
"""

from typing import Any, Final
from weakref import WeakSet

from vivace.ext.openapi.definitions import (
    ExternalDocumentation,
    Parameter,
    Plain,
    RequestBody,
    Response,
    SecurityRequirement,
    Tag,
)
from vivace.ext.openapi.types import Definition, plain
from vivace.ext.schema import SchemaMaker
from vivace.framework.blueprint import Blueprint

__all__ = ["EXCLUDED_BLUEPRINTS", "OperationBuilder", "operation_of", "said_of"]

EXCLUDED_BLUEPRINTS: Final[WeakSet[Blueprint]] = WeakSet()
"""Blueprints that no document shows."""


class OperationBuilder:
    """What is said of one operation.

    Attributes:
        excluded: It is not shown.
        autodoc: Its docstring is read.
        tags: Its tags.
    """

    def __init__(self) -> None:
        self.excluded = False
        self.autodoc = True
        self.tags: list[Any] = []
        self.parameters: list[Any] = []
        self.responses: dict[str, Any] = {}
        self.security: list[Any] = []
        self.values: dict[str, Any] = {}

    def name(self, value: str) -> None:
        """Set the operation's id."""
        self.values["operationId"] = value

    def describe(self, summary: str | None = None, description: str | None = None) -> None:
        """Say what it does, in a line and in full."""
        given = {"summary": summary, "description": description}
        self.values |= {name: value for name, value in given.items() if value is not None}

    def document(self, url: str, description: str | None = None) -> None:
        """Say where more is written."""
        self.values["externalDocs"] = ExternalDocumentation(url, description)

    def tag(self, *args: str | Tag) -> None:
        """Add tags."""
        self.tags.extend(arg.fields["name"] if isinstance(arg, Tag) else arg for arg in args)

    def deprecate(self) -> None:
        """Say that it should not be used any more."""
        self.values["deprecated"] = True

    def body(self, content: Any, **values: Any) -> None:
        """Say what clients send."""
        is_part = isinstance(content, RequestBody)
        self.values["requestBody"] = content if is_part else RequestBody(content, **values)

    def parameter(self, name: str, schema: Any = str, location: str = "query", **values: Any) -> None:
        """Add a parameter."""
        self.parameters.append(Parameter(name, schema, location, **values))

    def response(
        self, status: int | str, content: Any = None, description: str | None = None, **values: Any
    ) -> None:
        """Say what clients get."""
        self.responses[str(status)] = Response(content, status, description, **values)

    def secured(self, *args: Any, **values: Any) -> None:
        """Add a requirement: security schemes that must be used together, with their scopes."""
        needed: dict[str, Any] = {}
        for arg in args:
            needed |= arg if isinstance(arg, dict) else {arg: []}
        self.security.append(SecurityRequirement(**needed, **values))

    def exclude(self, flag: bool = True) -> None:
        """Do not show it."""
        self.excluded = flag

    def disable_autodoc(self) -> None:
        """Do not read its docstring."""
        self.autodoc = False

    def merged(self, documented: dict[str, Any], maker: SchemaMaker) -> dict[str, Any]:
        """The operation as a mapping.

        Args:
            documented: What its docstring says; what is said here goes before it.
            maker: Keeps components.
        """
        said: dict[str, Any] = {name: plain(value, maker) for name, value in self.values.items()}
        lists = {"tags": self.tags, "parameters": self.parameters, "security": self.security}
        said |= {name: plain(items, maker) for name, items in lists.items() if items}
        if self.responses:
            said["responses"] = plain(self.responses, maker)
        merged = documented | said
        if "responses" in documented and "responses" in said:
            merged["responses"] = documented["responses"] | said["responses"]
        return merged


def operation_of(function: Any) -> OperationBuilder:
    """What is said of a function, to say more."""
    found = said_of(function)
    if found is None:
        found = function.__openapi__ = OperationBuilder()
    return found


def said_of(function: Any) -> OperationBuilder | None:
    """What is said of a function; None if nothing is."""
    found: OperationBuilder | None = getattr(function, "__openapi__", None)
    return found


def add_body(builder: OperationBuilder, body: Any, **values: Any) -> None:
    """Say what clients send, by a part of a document, a mapping of its fields, or a type."""
    if isinstance(body, dict) and "content" in body:
        builder.body(RequestBody(**body))
    else:
        builder.body(body, **values)


def add_parameter(builder: OperationBuilder, parameter: Any) -> None:
    """Add a parameter, given as a part, a mapping of its fields, or a name."""
    if isinstance(parameter, Definition):
        builder.parameters.append(parameter)
    elif isinstance(parameter, dict):
        builder.parameter(**parameter)
    else:
        builder.parameter(str(parameter))


def add_response(builder: OperationBuilder, response: Any) -> None:
    """Say what clients get, by a part, a mapping of its fields, or a type."""
    if isinstance(response, Response):
        builder.responses[str(response.status)] = response
    elif isinstance(response, dict) and ("content" in response or "status" in response):
        builder.response(**{"status": "default"} | response)
    elif isinstance(response, Plain):
        builder.responses["default"] = response
    else:
        builder.response("default", response)


def models_in(content: Any) -> list[tuple[str, Any]]:
    """Pairs of a media type and a type in what `body` was given."""
    given = content.given if isinstance(content, RequestBody) else content
    return list(given.items()) if isinstance(given, dict) else [("", given)]
