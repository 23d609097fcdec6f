"""The arguments of a task as JSON, checked against the annotations when written and when read again.

Rules of this file:

- What a function takes is decided once, when it is declared.
- A parameter without an annotation takes whatever JSON can say.
- Arguments stand by name, so that a function may get a new parameter with a default while tasks wait.
"""

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from vivace.errors import DeclarationError
from vivace.tasks.errors import BadArguments

__all__ = ["Arguments"]

_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Arguments:
    """What a function takes.

    Args:
        function: The function of a task.
        name: Of the task, for messages.

    Raises:
        DeclarationError: It takes something that cannot stand by name, or that JSON does not know.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._function = function
        self._name = name
        self.signature = inspect.signature(function)
        try:
            hints = typing.get_type_hints(function, include_extras=True)
        except NameError as error:
            raise DeclarationError(
                f"task {name}: an annotation cannot be read ({error}); import what it names where the task is"
            ) from error
        fields: list[tuple[str, Any]] = []
        for parameter in self.signature.parameters.values():
            if parameter.kind not in _NAMED:
                raise DeclarationError(
                    f"task {name}: {parameter} cannot be stored by name; write its parameters out"
                )
            fields.append((parameter.name, hints.get(parameter.name, Any)))
        required = {p.name: p.default is inspect.Parameter.empty for p in self.signature.parameters.values()}
        self._decoder = msgspec.json.Decoder(_make_type(name, fields, required))
        self._names = tuple(field for field, _ in fields)
        self.hints = hints

    def __reduce__(self) -> "tuple[type[Arguments], tuple[Callable[..., Any], str]]":
        return type(self), (self._function, self._name)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments by name, defaults left out.

        Raises:
            BadArguments: They are not those of the function.
        """
        try:
            return dict(self.signature.bind(*args, **kwargs).arguments)
        except TypeError as error:
            raise BadArguments(f"task {self._name}: {error}; it takes {self._name}{self.signature}") from None

    def encode(self, values: Mapping[str, Any]) -> bytes:
        """Write arguments, and be sure that they can be read again.

        Raises:
            BadArguments: One is of another type, or JSON cannot say it.
        """
        try:
            payload = msgspec.json.encode(values)
            self._decoder.decode(payload)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise BadArguments(f"task {self._name}: {error}; it takes {self._name}{self.signature}") from None
        return payload

    def decode(self, payload: bytes) -> dict[str, Any]:
        """Read arguments.

        Raises:
            ValueError: They do not fit the function as it is now.
        """
        found = self._decoder.decode(payload)
        return {name: value for name in self._names if (value := getattr(found, name)) is not msgspec.UNSET}


def _make_type(name: str, fields: list[tuple[str, Any]], required: Mapping[str, bool]) -> Any:
    declared = [
        (field, hint)
        if required[field]
        else (field, hint | msgspec.UnsetType, msgspec.UNSET)
        if _is_type(hint)
        else (field, typing.Union[hint, msgspec.UnsetType], msgspec.UNSET)  # noqa: UP007
        for field, hint in fields
    ]
    try:
        made = msgspec.defstruct("Arguments", declared, kw_only=True, forbid_unknown_fields=True)
        msgspec.json.Decoder(made)
    except (TypeError, ValueError) as error:
        raise DeclarationError(
            f"task {name}: its arguments are stored as JSON, and {error}; annotate what JSON can say, such as"
            " numbers, text, dates, lists, dataclasses and msgspec.Struct"
        ) from error
    return made


def _is_type(hint: Any) -> bool:
    return isinstance(hint, type)
