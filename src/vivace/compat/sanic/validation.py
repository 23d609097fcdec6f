"""``sanic_ext.validate`` and what uses it: ours, with the words of sanic-ext for what is wrong.

Rules of this file: what is accepted is decided in `vivace.ext.models`; here it is only told in other words.
"""

import re
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, is_typeddict

import msgspec

from vivace.ext.models import InvalidData, fields_of, is_model, is_pydantic
from vivace.ext.openapi import decorators
from vivace.ext.validation import Check, validator

__all__ = ["body", "definition", "validate"]

F = TypeVar("F", bound=Callable[..., Any])
_MISSING = re.compile(r"Object missing required field `([^`]+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]+)`")
_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")


class _Check(Check):
    """A check whose messages call everything a request body."""

    def place_name(self) -> str:
        """The place as messages call it."""
        return "request body"


def validate(
    json: Any = None,
    form: Any = None,
    query: Any = None,
    body_argument: str = "body",
    query_argument: str = "query",
    strict: bool | None = None,
) -> Callable[[F], F]:
    """Validate what the client sends; see `vivace.ext.validation.validate`.

    Raises:
        InitError: `json` and `form` are given, or something is no model.
    """
    json, form, query = (model if _is_looked_at(model) else None for model in (json, form, query))
    return validator(json, form, query, body_argument, query_argument, strict, _said, _Check)


def body(
    content: Any, *, validate: bool = False, body_argument: str = "body", **values: Any
) -> Callable[[F], F]:
    """Say what clients send; see `vivace.ext.openapi.decorators.body`."""
    check = _validate if validate else False
    return decorators.body(content, validate=check, body_argument=body_argument, **values)


def definition(*, validate: bool = False, **values: Any) -> Callable[[F], F]:
    """Say everything at once; see `vivace.ext.openapi.decorators.definition`."""
    return decorators.definition(validate=_validate if validate else False, **values)


_validate = validate


def _is_looked_at(model: Any) -> bool:
    """Whether sanic-ext validates by a model at all: other classes pass it without a word."""
    return not isinstance(model, type) or (is_model(model) and not is_typeddict(model))


def _said(check: Check, data: Any, error: InvalidData) -> str:
    """What is wrong, in sanic-ext's words; Struct and pydantic speak for themselves there too."""
    model = check.model
    if is_pydantic(model) or issubclass(model, msgspec.Struct):
        return str(error)
    return _tell(model, data, str(error), many=check.place != "json")


def _tell(model: Any, data: Any, message: str, many: bool) -> str:
    if not isinstance(data, dict):
        return f"Value '{data}' is not a dict"
    found = _PLACE.search(message)
    steps = [step for step in re.split(r"\.|(?=\[)", found[1]) if step] if found else []
    fields = fields_of(model)
    if not steps or steps[0] not in fields:
        return _tell_object(message)
    hint, value = fields[steps[0]], data.get(steps[0])
    parts = [part for part in get_args(hint) if part is not NoneType]
    is_union = get_origin(hint) in (Union, UnionType)
    if is_union and len(parts) == 1:  # Optional
        hint, is_union = parts[0], False
    if is_model(hint) and not is_pydantic(hint):
        inner = f"{message[: found.start()]} - at `$.{'.'.join(steps[1:])}`" if found and steps[1:] else ""
        return _tell(hint, value, inner or message[: found.start()] if found else message, many)
    if many and get_origin(hint) is not None and not isinstance(value, list):
        value = [value]
    return _tell_value(hint, value, is_union)


def _tell_object(message: str) -> str:
    missing, unknown = _MISSING.match(message), _UNKNOWN.match(message)
    if missing:
        return f"missing a required argument: '{missing[1]}'"
    return f"got an unexpected keyword argument '{unknown[1]}'" if unknown else message


def _tell_value(hint: Any, value: Any, is_union: bool) -> str:
    if get_origin(hint) is Literal:
        return f"Value '{value}' must be one of {', '.join(map(str, get_args(hint)))}"
    if is_union and (value is not None or NoneType in get_args(hint)):
        kinds = ", ".join(map(str, (part for part in get_args(hint) if part is not NoneType)))
        return f"Value '{value}' must be one of {kinds}{', or None' * (NoneType in get_args(hint))}"
    if get_origin(hint) is not None:
        return "Value cannot be None" if value is None else f"Value '{value}' must be a {hint}"
    return f"Value '{value}' is not of type {hint}"
