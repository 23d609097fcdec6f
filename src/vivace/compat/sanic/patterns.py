"""sanic_routing.patterns: the parameter types as a table, and what makes their values.

Rules of this file: routes are matched by `vivace.framework.pattern`; this is for programs that look at types.
"""

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from vivace.framework.pattern import TypeTable

__all__ = [
    "REGEX_TYPES",
    "REGEX_TYPES_ANNOTATION",
    "ExtParamInfo",
    "ParamInfo",
    "alpha",
    "describe_types",
    "ext",
    "nonemptystr",
    "parse_date",
    "slug",
]

_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_FILE = re.compile(r"(.+?)\.([a-z0-9](?:[a-z0-9.]*[a-z0-9])?)")


class ParamInfo:
    """A parameter of a path.

    Args:
        name: The argument that it fills.
        raw_path: The path.
        label: Its type.
        cast: Makes its value.
        pattern: What it matches.
        regex: It is matched as a regular expression.
        priority: Of its type.
    """

    def __init__(
        self,
        name: str = "",
        raw_path: str = "",
        label: str = "",
        cast: Callable[[str], Any] = str,
        pattern: re.Pattern[str] | None = None,
        regex: bool = False,
        priority: int = 0,
    ) -> None:
        self.name = name
        self.raw_path = raw_path
        self.label = label
        self.cast = cast
        self.pattern = pattern
        self.regex = regex
        self.priority = priority


class ExtParamInfo(ParamInfo):
    """A parameter that is a name with an extension."""


def parse_date(d: str) -> date:
    """A date of the form ``2026-11-21``.

    Raises:
        ValueError: It is none.
    """
    return datetime.strptime(d, "%Y-%m-%d").date()  # noqa: DTZ007  # a date has no zone


def alpha(param: str) -> str:
    """The text, of ASCII letters only.

    Raises:
        ValueError: It has others.
    """
    if not param.isalpha():
        raise ValueError(f"Value {param} contains non-alphabetic chracters")
    return param


def slug(param: str) -> str:
    """The text, of words in lower case with hyphens between them.

    Raises:
        ValueError: It is otherwise.
    """
    if not _SLUG.fullmatch(param):
        raise ValueError(f"Value {param} does not match the slug format")
    return param


def ext(param: str) -> tuple[str, ...]:
    """Name and extension of a file.

    Raises:
        ValueError: It has no extension.
    """
    found = _FILE.fullmatch(param)
    if found is None:
        raise ValueError(f"Value {param} does not match filename format")
    return found.groups()


def nonemptystr(param: str) -> str:
    """The text.

    Raises:
        ValueError: It is empty.
    """
    if not param:
        raise ValueError(f"Value {param} is an empty string")
    return param


_CASTS: Final[dict[str, Callable[[str], Any]]] = {
    "parse_date": parse_date,
    "alpha": alpha,
    "slug": slug,
    "ext": ext,
    "nonemptystr": nonemptystr,
    "int": int,
    "float": float,
    "UUID": UUID,
}


def describe_types(
    types: TypeTable,
) -> dict[str, tuple[Callable[[str], Any], re.Pattern[str], type[ParamInfo]]]:
    """Cast, pattern and kind of parameter for each type."""
    return {
        label: (_CASTS.get(cast, str), re.compile(pattern), ExtParamInfo if label == "ext" else ParamInfo)
        for label, (pattern, cast) in types.shown().items()
    }


REGEX_TYPES: Final = describe_types(TypeTable())
"""The types that every router knows."""
REGEX_TYPES_ANNOTATION: Final = dict[str, tuple[Callable[[str], Any], re.Pattern[str], type[ParamInfo]]]
