"""OpenAPI 3: a document of an app's API, made of its routes, its annotations and what decorators say.

``from vivace.ext import openapi``, then ``@openapi.summary("...")``, ``@openapi.body(Person)``.

Rules of this package: nothing of it is imported by an app that is not extended and says nothing of its API.
"""

from vivace.ext.openapi.decorators import (
    body,
    component,
    definition,
    deprecated,
    description,
    document,
    exclude,
    no_autodoc,
    operation,
    parameter,
    response,
    secured,
    summary,
    tag,
)
from vivace.ext.openapi.definitions import Component
from vivace.ext.openapi.extension import OpenAPIExtension

__all__ = [
    "Component",
    "OpenAPIExtension",
    "body",
    "component",
    "definition",
    "deprecated",
    "description",
    "document",
    "exclude",
    "no_autodoc",
    "operation",
    "parameter",
    "response",
    "secured",
    "summary",
    "tag",
]
