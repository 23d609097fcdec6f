"""sanic.headers: the media types of Accept, as Sanic orders, compares and prints them.

Rules of this file:

- The order is that of Sanic: by weight, then by the number of parameters, then wildcards last.
- Differs, for RFC 9110 section 12.4.2: a weight of 0 means "not this" and never matches.
- What Vivace itself goes by is `vivace.http.negotiation`.
"""

from typing import Self

from vivace.errors import InvalidHeader
from vivace.http.negotiation import MAX_ITEMS

__all__ = ["AcceptList", "Matched", "MediaType", "parse_accept"]


class MediaType:
    """A media type or range, with its parameters.

    Args:
        type_: Before the slash.
        subtype: After it.
        params: Its parameters; ``q`` is the weight.
    """

    def __init__(self, type_: str, subtype: str, **params: str) -> None:
        self.type = type_
        self.subtype = subtype
        self.q = float(params.get("q", "1.0"))
        self.params = params
        self.mime = f"{type_}/{subtype}"
        self.key = (-self.q, -len(params), subtype == "*", type_ == "*")

    def __repr__(self) -> str:
        return self.mime + "".join(f";{name}={value}" for name, value in self.params.items())

    def __eq__(self, other: object) -> bool:
        """Compare media types, or only the mime with text.

        Raises:
            ValueError: The text has parameters.
        """
        if isinstance(other, str):
            if ";" in other:
                raise ValueError("Use match() to compare with parameters")
            return self.mime == other
        if isinstance(other, MediaType):
            return self.mime == other.mime and self.params == other.params
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def match(self, mime_with_params: "str | MediaType") -> "MediaType | None":
        """This, if it fits: wildcards on either side fit all, and it has every parameter of the other."""
        other = (
            mime_with_params
            if isinstance(mime_with_params, MediaType)
            else MediaType._parse(mime_with_params)
        )
        fits = (
            other is not None
            and all(self.params.get(name) == value for name, value in other.params.items())
            and (self.type == other.type or "*" in (self.type, other.type))
            and (self.subtype == other.subtype or "*" in (self.subtype, other.subtype))
        )
        return self if fits else None

    @property
    def has_wildcard(self) -> bool:
        """Whether a part of it is ``*``."""
        return "*" in (self.type, self.subtype)

    @classmethod
    def _parse(cls, text: str) -> Self | None:
        mime, *params = text.strip().split(";")
        type_, slash, subtype = mime.strip().partition("/")
        if not slash or not type_ or not subtype:
            return None
        pairs = [part.split("=", 1) for part in params]
        return cls(type_, subtype, **{name.strip(): value.strip() for name, value in pairs})


class Matched:
    """What `AcceptList.match` found; false if nothing.

    Args:
        mime: One of those that were offered; empty if none fits.
        header: The range that it fits.
    """

    def __init__(self, mime: str, header: MediaType | None) -> None:
        self.mime = mime
        self.header = header

    def __repr__(self) -> str:
        return f"<{self} matched {self.header}>" if self else "<no match>"

    def __str__(self) -> str:
        return self.mime

    def __bool__(self) -> bool:
        return self.header is not None

    def __eq__(self, other: object) -> bool:
        """Compare by the range, or with the mime or the range as text."""
        if isinstance(other, str):
            return other in (self.mime, self.header.mime) if self.header is not None else not other
        if isinstance(other, Matched):
            return self.header == other.header
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def parse(cls, raw: str) -> "Matched":
        """A media type that matches itself."""
        media_type = MediaType._parse(raw)
        return cls(media_type.mime if media_type else "", media_type)

    def match(self, other: "str | Matched") -> "Matched | None":
        """The other, if its media type fits this range."""
        given = Matched.parse(other) if isinstance(other, str) else other
        if self.header is None or given.header is None:
            return None
        return given if given.header.match(self.header) else None


class AcceptList(list[MediaType]):
    """The ranges of Accept, the most wanted first."""

    def match(self, *mimes: str, accept_wildcards: bool = True) -> Matched:
        """Find which of `mimes` is wanted most; among equals the one named first.

        Args:
            mimes: What can be served.
            accept_wildcards: Whether ranges such as ``*/*`` count.
        """
        best: tuple[float, int, int] | None = None
        found = Matched("", None)
        for offered, mime in enumerate(mimes):
            for place, item in enumerate(self):
                if item.q <= 0 or (item.has_wildcard and not accept_wildcards) or not item.match(mime):
                    continue
                if best is None or (-item.q, offered, place) < best:
                    best, found = (-item.q, offered, place), Matched(mime, item)
        return found

    def __str__(self) -> str:
        return ", ".join(map(str, self))


def parse_accept(accept: str | None) -> AcceptList:
    """Read the Accept field.

    Args:
        accept: Its value. None: anything goes. Empty: nothing does.

    Raises:
        InvalidHeader: It is malformed, or too long.
    """
    if not accept:
        return AcceptList([MediaType("*", "*")] if accept is None else [])
    items = accept.split(",")
    try:
        found = [MediaType._parse(item) for item in items if item]
    except ValueError:
        found = []
    if not found or len(items) > 2 * MAX_ITEMS or any(item is None for item in found):
        raise InvalidHeader(f"Invalid header value in Accept: {accept}")
    return AcceptList(sorted((item for item in found if item is not None), key=lambda item: item.key))
