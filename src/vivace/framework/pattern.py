"""The path syntax: `/static/<name>/<name:type>/<name:regular expression>`, taken apart at registration.

Rules of this file:

- A parameter fills a whole segment; only `path` and regular expressions may span several.
- A value is matched as it came, still percent-encoded; a literal segment is compared after
  normalisation (RFC 3986 section 6.2.2), so `%41` and `A` are one path.
- Every pattern must match to the very end: `%0a` at the end of a path is part of it.
- A wrong declaration is a `ConfigError` that shows the path and what could have stood there.
"""

import re
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from vivace.errors import DeclarationError, InvalidRoute, ParameterNameConflicts

__all__ = [
    "NO_MATCH",
    "PATH_REGEX",
    "ParamType",
    "Segment",
    "TypeTable",
    "check_names",
    "normalize",
    "parse_path",
    "split_path",
]

NO_MATCH: Final = object()
"""What a converter returns for a text that is not of its type."""

Converter = Callable[[str], Any]


class ParamType:
    """A parameter type: the text of one segment in, its value or `NO_MATCH` out.

    Attributes:
        label: As written in the path.
        convert: Converts one segment; for `ext` to the pair (stem, extension).
        rank: Types of lower rank are tried first.
        pair: The value is a pair that fills two arguments.
        pattern: What it matches, for people and messages.
        cast_name: What makes its values, for the same.
    """

    __slots__ = ("cast_name", "convert", "label", "pair", "pattern", "rank")

    def __init__(
        self,
        label: str,
        convert: Converter,
        rank: int,
        pair: bool = False,
        pattern: str = "",
        cast_name: str = "",
    ) -> None:
        self.label: str = label
        self.pattern: str = pattern
        self.cast_name: str = cast_name or label
        self.convert: Converter = convert
        self.rank: int = rank
        self.pair: bool = pair


class Segment:
    """What stands between two slashes of a declared path.

    Attributes:
        literal: The normalised text; None for a parameter.
        names: The arguments that the parameter fills.
        kind: The type of the parameter; None for a literal and for a regular expression.
        regex: What a `path` or regular expression parameter must match, without anchors.
    """

    __slots__ = ("kind", "literal", "names", "regex")

    def __init__(
        self,
        literal: str | None = None,
        names: tuple[str, ...] = (),
        kind: ParamType | None = None,
        regex: str | None = None,
    ) -> None:
        self.literal: str | None = literal
        self.names: tuple[str, ...] = names
        self.kind: ParamType | None = kind
        self.regex: str | None = regex

    @property
    def name(self) -> str:
        """The argument that the parameter fills first; empty for a literal."""
        return self.names[0] if self.names else ""

    @property
    def label(self) -> str:
        """The type as written in the path; the regular expression if it is one."""
        if self.kind is not None:
            return "ext" if self.kind.pair else self.kind.label
        return "path" if self.regex == PATH_REGEX else self.regex or ""

    @property
    def pattern(self) -> re.Pattern[str]:
        """What the parameter matches, for people."""
        shown = self.kind.pattern if self.kind is not None else _SHOWN["path"][0]
        return re.compile(shown if self.regex in (None, PATH_REGEX) else f"^{self.regex}$")

    def __str__(self) -> str:
        return self.literal if self.literal is not None else f"<__dynamic__:{self.label}>"


def _by_regex(pattern: str | re.Pattern[str], cast: Converter) -> Converter:
    return partial(_convert, re.compile(pattern).fullmatch, cast)  # no closure: apps can be pickled


def _convert(matches: Callable[[str], Any], cast: Converter, text: str) -> Any:
    if matches(text) is None:
        return NO_MATCH
    try:
        return cast(text)
    except ValueError:
        return NO_MATCH


def _nonempty(text: str) -> Any:
    return text or NO_MATCH


def _integer(text: str) -> Any:
    if not (text.isdigit() and text.isascii()):
        digits = text[1:]
        if text[:1] != "-" or not (digits.isdigit() and digits.isascii()):
            return NO_MATCH
    try:
        return int(text)
    except ValueError:  # more digits than the interpreter converts
        return NO_MATCH


_BUILTIN: Final[tuple[tuple[str, Converter], ...]] = (
    ("ymd", _by_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", date.fromisoformat)),
    ("uuid", _by_regex(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", UUID)),
    ("int", _integer),
    ("float", _by_regex(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)", float)),
    ("alpha", _by_regex(r"[A-Za-z]+", str)),
    ("slug", _by_regex(r"[a-z0-9]+(?:-[a-z0-9]+)*", str)),
    ("str", _nonempty),
    ("strorempty", str),
)
_SHOWN: Final = {
    "ymd": (r"^([12]\d{3}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01]))$", "parse_date"),
    "uuid": (r"^[A-Fa-f0-9]{8}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{12}$", "UUID"),
    "int": (r"^-?\d+$", "int"),
    "float": (r"^-?(?:\d+(?:\.\d*)?|\.\d+)$", "float"),
    "alpha": (r"^[A-Za-z]+$", "alpha"),
    "slug": (r"^[a-z0-9]+(?:-[a-z0-9]+)*$", "slug"),
    "str": (r"^[^/]+$", "nonemptystr"),
    "strorempty": (r"^[^/]*$", "str"),
    "ext": (r"^[^/]+\.[a-z0-9](?:[a-z0-9\.]*[a-z0-9])?$", "ext"),
    "path": (r"^[^/]?.*?$", "str"),
}
"""Pattern and cast of each type in the words of Sanic, whose programs compare messages."""
_EXT_RANK: Final = 75  # between slug and str: a name with an extension is more special than any name
_CUSTOM_RANK: Final = 5
PATH_REGEX: Final = r"[^/].*?|"
"""What a `path` parameter matches: anything that does not begin with a slash, or nothing."""


class TypeTable:
    """The parameter types of one app: the built-in ones and those it registered, most special first.

    Args:
        lenient: A word that is no type is a regular expression, as in Sanic, and its old names are known.
    """

    __slots__ = ("_types", "lenient")

    def __init__(self, lenient: bool = False) -> None:
        self.lenient = lenient
        self._types = {
            label: ParamType(
                label,
                convert,
                (index + 1) * 10 + (10 if label.startswith("str") else 0),
                False,
                *_SHOWN[label],
            )
            for index, (label, convert) in enumerate(_BUILTIN)
        }

    def add(self, label: str, cast: Converter, pattern: str | re.Pattern[str]) -> None:
        """Register `<name:label>`: one segment that matches `pattern` entirely, converted by `cast`.

        `cast` raises ValueError for a text that is not of the type; such a path does not match.
        """
        if not self.lenient and (
            label in self._types or label in ("path", "ext") or not label.isidentifier()
        ):
            raise DeclarationError(f"parameter type {label!r} is taken or not an identifier", key=label)
        shown = pattern.pattern if isinstance(pattern, re.Pattern) else pattern
        name = getattr(cast, "__name__", label)
        self._types[label] = ParamType(label, _by_regex(pattern, cast), _CUSTOM_RANK, False, shown, name)

    def get(self, label: str) -> ParamType | None:
        """The type of that name."""
        return self._types.get(label)

    def labels(self) -> list[str]:
        """Every name that may stand behind the colon."""
        return [*self._types, "path", "ext"]

    def shown(self) -> dict[str, tuple[str, str]]:
        """Pattern and cast of each type, for people."""
        return {**{t.label: (t.pattern, t.cast_name) for t in self._types.values()}, **_EXTRA}


_EXTRA: Final = {label: _SHOWN[label] for label in ("ext", "path")}

_PARAMETER = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:=([a-z]+))?(?::(.+))?", re.DOTALL)
_EXTENSIONS = re.compile(r"ext(?:=(.*))?")
_TYPE_AND_EXT = re.compile(r"[a-z]+:ext(=.*)?")
_OPENING = re.compile(r"(?:^|[^\\])\(")
_GROUP = re.compile(r"((?:^|[^\\]))\((?!\?)")
_LOOKS_LIKE_TYPE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def parse_path(path: str, types: TypeTable) -> list[Segment]:
    """Take a declared path apart; the empty list is the path `/`. A trailing slash is an empty last literal.

    Raises:
        ConfigError: The syntax, a type or a regular expression is wrong.
    """
    if not path.startswith("/"):
        raise InvalidRoute(f"route path {path!r} must start with a slash", key=path)
    if path == "/":
        return []
    return [_parse_segment(text, path, types) for text in split_path(path)]


def check_names(path: str, segments: list[Segment], shown: str = "") -> None:
    """Refuse a path that names two parameters alike.

    Args:
        path: The path.
        segments: The path, taken apart.
        shown: The path for the message, if it is another.

    Raises:
        ConfigError: It does.
    """
    names = [name for segment in segments for name in segment.names]
    if len(set(names)) < len(names):
        raise ParameterNameConflicts(f"Duplicate named parameters in: {(shown or path).strip('/')}", key=path)


def split_path(path: str) -> list[str]:
    """What stands between the slashes outside of angle brackets."""
    parts: list[str] = []
    start, depth = 1, 0
    for index, char in enumerate(path):
        before = path[index - 1] if index else ""
        if char == "<" and before != "\\" and not (depth and before == "?"):
            depth += 1
        elif char == ">" and before != "\\" and depth:
            depth -= 1
        elif char == "/" and index and not depth:
            parts.append(path[start:index])
            start = index + 1
    if depth:
        raise InvalidRoute(
            f"Invalid declaration: {path[start:]}: route path {path!r} has a '<' that is never closed",
            key=path,
        )
    parts.append(path[start:])
    return parts


def _parse_segment(text: str, path: str, types: TypeTable) -> Segment:
    if text.startswith("<") and text.endswith(">"):
        return _parse_parameter(text[1:-1], path, types)
    if "<" in text or ">" in text:
        raise InvalidRoute(
            f"Invalid declaration: {text}: in route path {path!r} a parameter must fill its segment; "
            "use <name:ext> or a regular expression for parts of a segment",
            key=path,
        )
    return Segment(literal=normalize(quote(text, safe="%!$&'()*+,;=:@-._~")))


def _parse_parameter(text: str, path: str, types: TypeTable) -> Segment:
    found = _PARAMETER.fullmatch(text)
    if found is None:
        raise InvalidRoute(
            f"Invalid declaration: <{text}>: route path {path!r} takes <name:type> or <name:regex>",
            key=path,
        )
    name, stem, label = found[1], found[2], found[3] or "str"
    if extension := _EXTENSIONS.fullmatch(label):
        return _parse_ext(name, stem, extension.group(1), path, types)
    if stem is not None:
        raise InvalidRoute(f"route path {path!r}: <{text}>: '=' belongs to the type ext", key=path)
    if label == "path":
        return Segment(names=(name,), regex=PATH_REGEX)
    kind = types.get(label)
    if kind is not None:
        return Segment(names=(name,), kind=kind)
    if _LOOKS_LIKE_TYPE.fullmatch(label) and not types.lenient:
        raise InvalidRoute(
            f"route path {path!r}: unknown parameter type {label!r}; expected one of "
            f"{', '.join(types.labels())} or a regular expression",
            key=path,
            allowed=types.labels(),
        )
    if _TYPE_AND_EXT.fullmatch(label):
        raise InvalidRoute(f"Invalid parameter declaration: <{text}>: write <{name}=type:ext>", key=path)
    return Segment(names=(name,), regex=_check_regex(name, label, path, types.lenient))


def _check_regex(name: str, pattern: str, path: str, sure: bool) -> str:
    """A regular expression without its anchors; one group is allowed, under the parameter's name or none.

    What the group matches is the value. With `sure` a group without a name must be the only parenthesis.
    """
    pattern = pattern.removeprefix("^")
    if pattern.endswith("$") and not pattern.endswith("\\$"):
        pattern = pattern[:-1]
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InvalidRoute(
            f"route path {path!r}: bad regular expression {pattern!r}: {error}", key=path
        ) from None
    if compiled.groups > 1:
        raise InvalidRoute(
            f"Invalid matching pattern {pattern}: {compiled.groups} groups in {path!r}, one is allowed",
            key=path,
        )
    if compiled.groupindex and list(compiled.groupindex) != [name]:
        raise InvalidRoute(
            f"Named group ({next(iter(compiled.groupindex))}) must match your named parameter ({name})",
            key=path,
        )
    if compiled.groups and not compiled.groupindex:
        return _name_group(name, pattern, path, sure)
    return pattern


def _name_group(name: str, pattern: str, path: str, sure: bool) -> str:
    """The expression with a name for its only group."""
    found = _OPENING.findall(pattern)
    if sure and len(found) > 1:
        raise InvalidRoute(
            f"Could not compile pattern {pattern}. Try using a named group instead: "
            f"'(?P<{name}>your_matching_group)'",
            key=path,
        )
    return _GROUP.sub(lambda match: match[1] + f"(?P<{name}>", pattern, count=1)


def _parse_ext(name: str, stem: str | None, extensions: str | None, path: str, types: TypeTable) -> Segment:
    if stem == "path":
        raise InvalidRoute("Extension parameter matching does not support the `path` type.", key=path)
    base = types.get(stem or "str")
    if base is None:
        raise InvalidRoute(
            f"route path {path!r}: unknown parameter type {stem!r}", key=path, allowed=types.labels()
        )
    endings = tuple(sorted(("." + e for e in (extensions or "").split("|") if e), key=len, reverse=True))
    if extensions is not None and (
        not endings or any(not re.fullmatch(r"(\.[A-Za-z0-9_-]+)+", e) for e in endings)
    ):
        raise InvalidRoute(
            f"Invalid extension parameter definition: <{name}:ext={extensions}>: route path {path!r}",
            key=path,
        )
    if len({ending.count(".") for ending in endings}) > 1:
        raise InvalidRoute(
            "All allowed extensions within a single route definition must contain the same number of "
            "subparts. For example: <foo:ext=js|css> and <foo:ext=min.js|min.css> are both acceptable, but "
            "<foo:ext=js|min.js> is not.",
            key=path,
        )
    label = f"{base.label}:ext={extensions or ''}"
    rank = _EXT_RANK - (3 if endings else 0) - (1 if base.label != "str" else 0)
    return Segment(
        names=(name, "ext"),
        kind=ParamType(label, _ext_converter(base.convert, endings), rank, True, *_SHOWN["ext"]),
    )


def _ext_converter(base: Converter, endings: tuple[str, ...]) -> Converter:
    any_ending = re.compile(r"\.[A-Za-z0-9]+").fullmatch

    def convert(text: str) -> Any:
        if endings:
            ending = next((e for e in endings if text.endswith(e)), "")
        else:
            ending = text[text.rfind(".") :] if "." in text else ""
            if any_ending(ending) is None:
                return NO_MATCH
        stem = text[: len(text) - len(ending)]
        if not ending or not stem:
            return NO_MATCH
        value = base(stem)
        return NO_MATCH if value is NO_MATCH else (value, ending[1:])

    return convert


_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def normalize(text: str) -> str:
    """Decode the escapes of unreserved characters, write the others in upper case (RFC 3986 section 6.2.2).

    A `%` without two hexadecimal digits stays as it is: it matches no literal.
    """
    return _ESCAPE.sub(_normalize_escape, text)


def _normalize_escape(found: re.Match[str]) -> str:
    char = chr(int(found.group(1), 16))
    return char if char in _UNRESERVED else found.group().upper()
