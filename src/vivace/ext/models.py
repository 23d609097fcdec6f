"""Models: what is known of a class that describes data, and how data becomes one.

A model is a dataclass, an attrs class, a `msgspec.Struct`, a TypedDict, or one of pydantic's.

Rules of this file:

- msgspec converts all of them but pydantic's, which convert themselves; no third library is imported for it.
- An error says what was expected, what was seen, and where in the data.
"""

import dataclasses
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

__all__ = ["InvalidData", "convert", "fields_of", "is_model", "is_pydantic", "single_values"]

_FLAGS: Final = {
    **dict.fromkeys(("1", "on", "t", "true", "y", "yes"), True),
    **dict.fromkeys(("0", "f", "false", "n", "no", "off"), False),
}
"""How forms and query strings say yes and no; a ticked box says ``on``."""
_LISTS: Final = (list, set, frozenset, tuple)


class InvalidData(ValueError):
    """Data is not what a model says; the text says what and where.

    Attributes:
        cause: What the library raised.
    """

    def __init__(self, message: str, cause: Exception | None = None) -> None:
        super().__init__(message)
        self.cause = cause


def is_pydantic(model: Any) -> bool:
    """Whether it is a model, or a dataclass, of pydantic."""
    return hasattr(model, "__pydantic_validator__")


def is_model(model: Any) -> bool:
    """Whether data can be made into it."""
    if not isinstance(model, type):
        return False
    return (
        is_pydantic(model)
        or issubclass(model, msgspec.Struct)
        or dataclasses.is_dataclass(model)
        or hasattr(model, "__attrs_attrs__")
        or is_typeddict(model)
    )


def fields_of(model: Any) -> dict[str, Any]:
    """The names that data may have for a model, and what each must be."""
    if is_pydantic(model):
        fields: dict[str, Any] = model.__pydantic_fields__
        return {n: field.annotation for key, field in fields.items() for n in {key, field.alias or key}}
    hints = get_type_hints(model)
    if issubclass(model, msgspec.Struct):
        return {f.encode_name: hints[f.name] for f in msgspec.structs.fields(model)}
    if dataclasses.is_dataclass(model):
        return {f.name: hints[f.name] for f in dataclasses.fields(model) if f.init}
    attributes = getattr(model, "__attrs_attrs__", None)
    if attributes is not None:
        return {a.alias: hints.get(a.name, Any) for a in attributes if a.init}
    return hints


def single_values(values: Mapping[str, list[Any]], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a form or a query string: a list where there are several, or where a list is expected.

    Args:
        values: Every name with all its values.
        fields: What `fields_of` says of the model.
    """
    data: dict[str, Any] = {}
    for name, found in values.items():
        hint = fields.get(name)
        if len(found) > 1 or _takes_list(hint):
            data[name] = list(found)
        else:
            data[name] = _FLAGS.get(found[0].lower(), found[0]) if _is_flag(hint) else found[0]
    return data


def _is_flag(hint: Any) -> bool:
    return hint is bool or (
        get_origin(hint) in (Union, UnionType) and set(get_args(hint)) == {bool, NoneType}
    )


def _takes_list(hint: Any) -> bool:
    origin = get_origin(hint) or hint
    if origin in (Union, UnionType):
        return any(_takes_list(part) for part in get_args(hint) if part is not NoneType)
    if hasattr(hint, "__metadata__"):
        return _takes_list(get_args(hint)[0])
    return isinstance(origin, type) and issubclass(origin, _LISTS)


def convert(model: Any, data: Any, *, strict: bool | None = None, text: bool = False) -> Any:
    """Make an object of a model.

    Args:
        model: The model.
        data: What JSON, a form or a query string held.
        strict: Whether ``"1"`` is no number; default: as the model's library does it with JSON.
        text: The data is a form or a query string, where everything is text.

    Raises:
        InvalidData: The data is not what the model says.
    """
    if is_pydantic(model):
        return _by_pydantic(model, data, False if text else bool(strict))
    _check_names(model, data)
    data = _by_attribute(model, data)
    lax = text or strict is False
    try:
        made = msgspec.convert(data, model, strict=not lax, dec_hook=_convert_other)
    except msgspec.ValidationError as error:
        raise InvalidData(str(error), error) from None
    _set_defaults(made)
    return made


def _set_defaults(made: Any) -> None:
    """Let dataclasses have their defaults as attributes of their own: msgspec leaves them to the class."""
    if isinstance(made, list | tuple | set | frozenset):
        for item in made:
            _set_defaults(item)
    elif isinstance(made, dict):
        for item in made.values():
            _set_defaults(item)
    elif dataclasses.is_dataclass(made):
        _complete(made)
        for field in dataclasses.fields(made):
            _set_defaults(getattr(made, field.name, None))
    elif isinstance(made, msgspec.Struct):
        for name in made.__struct_fields__:
            _set_defaults(getattr(made, name))


def _complete(made: Any) -> None:
    own = getattr(made, "__dict__", None)
    names = [field.name for field in dataclasses.fields(made)]
    if own is not None and any(name not in own for name in names):
        found = {name: getattr(made, name) for name in names if hasattr(made, name)}
        rest = {name: value for name, value in own.items() if name not in found}
        own.clear()
        own.update(found | rest)


def _by_pydantic(model: Any, data: Any, strict: bool) -> Any:
    try:
        if not hasattr(model, "model_validate"):
            return model(**data) if isinstance(data, dict) else model(data)
        return model.model_validate(data, strict=strict or None)
    except ValueError as error:
        raise InvalidData(str(error), error) from None


def _check_names(model: Any, data: Any) -> None:
    """Refuse missing and unknown names as the classes themselves would: msgspec lets some pass."""
    required = _required(model) if isinstance(data, dict) else None
    if required is None:
        return
    for name in required:
        if name not in data:
            raise InvalidData(f"Object missing required field `{name}`")
    known = fields_of(model)
    for name in data:
        if name not in known:
            raise InvalidData(f"Object contains unknown field `{name}`")


def _by_attribute(model: Any, data: Any) -> Any:
    """The data of an attrs class under the names of its attributes, which may begin with ``_``."""
    attributes = getattr(model, "__attrs_attrs__", ())
    names = {a.alias: a.name for a in attributes if a.alias != a.name}
    return {names.get(key, key): value for key, value in data.items()} if names and data else data


def _required(model: Any) -> list[str] | None:
    """The fields without a default of a dataclass or attrs class; None for other models."""
    if dataclasses.is_dataclass(model):
        missing: Any = dataclasses.MISSING
        return [
            f.name
            for f in dataclasses.fields(model)
            if f.init and f.default is missing and f.default_factory is missing
        ]
    attributes = getattr(model, "__attrs_attrs__", None)
    if attributes is None:
        return None
    return [a.alias for a in attributes if a.init and getattr(a.default, "name", "") == "NOTHING"]


def _convert_other(kind: Any, value: Any) -> Any:
    """What msgspec does not know: pydantic's models inside others."""
    if is_pydantic(kind):
        return _by_pydantic(kind, value, strict=False)
    if isinstance(kind, type) and isinstance(value, kind):
        return value
    raise ValueError(f"Expected `{getattr(kind, '__name__', kind)}`, got `{type(value).__name__}`")
