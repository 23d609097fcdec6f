"""What a client asks for: ``query``, ``variables``, ``operationName``, ``extensions``.

Rules of this file:

- It is read the same way wherever it comes from: a body, a query string, a message of a WebSocket.
- Wrong ones are refused with the name of the parameter and what was expected.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from vivace.errors import BadRequest

__all__ = ["Params", "read_params", "read_query"]


class Params(msgspec.Struct, frozen=True):
    """An operation as its client sent it."""

    query: str
    variables: dict[str, Any] | None = None
    name: str | None = None
    extensions: dict[str, Any] | None = None


def read_params(given: Any) -> Params:
    """Read the object that a body or a message holds.

    Raises:
        BadRequest: Something of it is missing, or of the wrong type.
    """
    if not isinstance(given, dict):
        raise BadRequest("expected a JSON object with a query")
    query = given.get("query")
    if not isinstance(query, str) or not query:
        raise BadRequest("expected the text of a GraphQL document as query")
    name = given.get("operationName")
    if not (name is None or isinstance(name, str)):
        raise BadRequest("expected operationName to be a string")
    variables, extensions = (_mapping(given, key) for key in ("variables", "extensions"))
    return Params(query, variables, name or None, extensions)


def read_query(args: Mapping[str, Any]) -> Params:
    """Read the parameters of a query string, whose ``variables`` and ``extensions`` are JSON.

    Raises:
        BadRequest: Something of it is missing, or of the wrong type.
    """
    given: dict[str, Any] = {key: args.get(key) for key in ("query", "operationName")}
    for key in ("variables", "extensions"):
        text = args.get(key)
        if text:
            try:
                given[key] = msgspec.json.decode(text)
            except (msgspec.DecodeError, RecursionError):
                raise BadRequest(f"expected {key} to be a JSON object") from None
    return read_params(given)


def _mapping(given: dict[str, Any], key: str) -> dict[str, Any] | None:
    found = given.get(key)
    if not (found is None or isinstance(found, dict)):
        raise BadRequest(f"expected {key} to be an object")
    return found
