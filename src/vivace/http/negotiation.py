"""Content negotiation (RFC 9110 section 12): ``Accept`` and the other fields with weights.

Rules: the most specific range that names a media type decides its weight (section 12.5.1); a weight of 0
means "not this"; a malformed or overlong list is refused, never guessed at.
"""

import re
from typing import Final, NamedTuple

from vivace.errors import InvalidHeader
from vivace.http.forms import parse_parameters

__all__ = ["MAX_ITEMS", "AcceptList", "Matched", "MediaType", "parse_accept", "parse_weights"]

MAX_ITEMS: Final = 100
"""How many items one field may list."""

_TCHARS: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_RANGE: Final = re.compile(rf"({_TCHARS})/({_TCHARS})")
_ITEM: Final = re.compile(_TCHARS)
_WEIGHT: Final = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


class MediaType:
    """A media range of ``Accept``, or a media type: ``text/html;level=1``. Equal to its `mime` as text.

    Attributes:
        type: Before the slash, lower case; ``*`` for any.
        subtype: After it.
        params: The parameters, without the weight.
        q: The weight, 0.0 to 1.0.
    """

    __slots__ = ("params", "q", "subtype", "type")

    def __init__(self, type_: str, subtype: str, q: float = 1.0, **params: str) -> None:
        self.type = type_.lower()
        self.subtype = subtype.lower()
        self.q = q
        self.params = params

    @property
    def mime(self) -> str:
        """Type and subtype, without parameters."""
        return f"{self.type}/{self.subtype}"

    @property
    def has_wildcard(self) -> bool:
        """Whether it is a range such as ``text/*``."""
        return self.type == "*" or self.subtype == "*"

    @property
    def specificity(self) -> tuple[bool, bool, int]:
        """Sorts more specific ranges above less specific ones."""
        return self.type != "*", self.subtype != "*", len(self.params)

    def match(self, mime: "str | MediaType") -> bool:
        """Tell whether this range covers `mime`, which must have every parameter of the range."""
        other = mime if isinstance(mime, MediaType) else _parse_media_type(mime)
        return (
            self.type in ("*", other.type)
            and self.subtype in ("*", other.subtype)
            and all(other.params.get(name) == value for name, value in self.params.items())
        )

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.mime == other or str(self) == other
        if isinstance(other, MediaType):
            return self.mime == other.mime and self.params == other.params
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.mime)

    def __str__(self) -> str:
        return self.mime + "".join(f";{name}={value}" for name, value in self.params.items())

    def __repr__(self) -> str:
        return f"<MediaType {self};q={self.q:g}>"


class Matched(NamedTuple):
    """What `AcceptList.match` found; false if nothing. Equal to its `mime` as text.

    Attributes:
        mime: One of those offered; empty if none is acceptable.
        header: The range that decided; None if none did.
    """

    mime: str
    header: MediaType | None

    def __bool__(self) -> bool:
        return bool(self.mime)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.mime == other
        if isinstance(other, Matched):
            return self.mime == other.mime and self.header == other.header
        return NotImplemented

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.mime)


class AcceptList(list[MediaType]):
    """The ranges of ``Accept``, the most wanted first."""

    __slots__ = ()

    def match(self, *mimes: str, accept_wildcards: bool = True) -> Matched:
        """Find which of `mimes` the client wants most; among equals, the one named first.

        Args:
            mimes: What can be served, such as ``"text/html"``, best first.
            accept_wildcards: Whether ranges such as ``*/*`` count.
        """
        best = Matched("", None)
        best_q = 0.0
        for mime in mimes:
            media_type = _parse_media_type(mime)
            decisive: MediaType | None = None
            for item in self:
                if (
                    (accept_wildcards or not item.has_wildcard)
                    and (decisive is None or item.specificity > decisive.specificity)
                    and item.match(media_type)
                ):
                    decisive = item
            if decisive is not None and decisive.q > best_q:
                best, best_q = Matched(mime, decisive), decisive.q
        return best


def parse_accept(value: str | None) -> AcceptList:
    """Read the ``Accept`` field: ordered by weight, then by how specific a range is, then as written.

    Args:
        value: The value, repeated fields joined by commas. None: there is no field, anything goes. Empty:
            nothing goes.

    Raises:
        InvalidHeader: It is malformed, or lists more than `MAX_ITEMS` ranges.
    """
    if value is None:
        return AcceptList([MediaType("*", "*")])
    found = [_parse_range(item) for item in _split_list(value, "Accept")]
    found.sort(key=lambda item: (item.q, item.specificity), reverse=True)
    return AcceptList(found)


def parse_weights(value: str, field: str = "Accept-Encoding") -> list[tuple[str, float]]:
    """Read ``Accept-Encoding``, ``Accept-Language``, ...: ``(lower-case item, weight)``, heaviest first.

    Raises:
        InvalidHeader: It is malformed, or lists more than `MAX_ITEMS` items.
    """
    found: list[tuple[str, float]] = []
    for item in _split_list(value, field):
        name, _, rest = item.partition(";")
        name = name.strip(" \t")
        if not _ITEM.fullmatch(name):
            raise InvalidHeader(f"{field}: {item[:100]!r} is malformed")
        found.append((name.lower(), _weight(rest.strip(" \t"), field) if rest else 1.0))
    found.sort(key=lambda pair: pair[1], reverse=True)
    return found


def _weight(text: str, field: str) -> float:
    name, _, value = text.partition("=")
    if name.rstrip(" \t").lower() != "q" or not _WEIGHT.fullmatch(value):
        raise InvalidHeader(f"{field}: {text[:100]!r} is not a weight such as q=0.5")
    return float(value)


def _split_list(value: str, field: str) -> list[str]:
    if value.count(",") > 2 * MAX_ITEMS:
        raise InvalidHeader(f"{field} lists more than {MAX_ITEMS} items")
    items = [item for part in _split_outside_quotes(value) if (item := part.strip(" \t"))]
    if len(items) > MAX_ITEMS:
        raise InvalidHeader(f"{field} lists more than {MAX_ITEMS} items")
    return items


def _split_outside_quotes(value: str) -> list[str]:
    if '"' not in value:
        return value.split(",")
    return [found[0] for found in _LIST_ITEM.finditer(value)]


# Possessive and without overlap between the alternatives: linear, also in an unclosed quote.
_LIST_ITEM: Final = re.compile(r'(?:[^",]++|"(?:[^"\\]|\\.)*+"|")++')


def _parse_range(item: str) -> MediaType:
    name, _, rest = item.partition(";")
    found = _RANGE.fullmatch(name.strip(" \t"))
    parameters = parse_parameters(rest) if rest else {}
    if found is None or parameters is None or (found[1] == "*" and found[2] != "*"):
        raise InvalidHeader(f"Accept: {item[:100]!r} is not a media range such as text/html;q=0.5")
    q = parameters.pop("q", "1")
    if not _WEIGHT.fullmatch(q):
        raise InvalidHeader(f"Accept: the weight {q[:100]!r} is not between 0 and 1")
    made = MediaType(found[1], found[2], float(q))
    made.params = parameters
    return made


def _parse_media_type(mime: str) -> MediaType:
    name, _, rest = mime.partition(";")
    type_, _, subtype = name.strip().partition("/")
    made = MediaType(type_, subtype)
    made.params = (parse_parameters(rest) or {}) if rest else {}
    return made
