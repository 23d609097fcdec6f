"""sanic.handlers.ContentRangeHandler: the part of a file that a Range field asks for.

Rules of this file:

- For programs that send parts of files by themselves; `vivace.framework.files` needs none of it.
- A malformed field is refused in Sanic's words. Differs: a range ends within the file (RFC 9110 section
  14.1.2), so that what is announced can be sent.
"""

from typing import TYPE_CHECKING, Any, Protocol

from vivace.errors import HeaderNotFound, InvalidRangeType, RangeNotSatisfiable
from vivace.http.ranges import ByteRange, parse_range

if TYPE_CHECKING:
    from vivace.framework.request import Request

__all__ = ["ContentRangeHandler", "HTMLProtocol", "Range", "malformed_range"]


class HTMLProtocol(Protocol):
    """What knows how it looks as HTML."""

    def __html__(self) -> str | bytes:
        """The HTML."""
        ...


class Range(Protocol):
    """A part of something: what `file` takes as ``_range``."""

    start: int | None
    end: int | None
    size: int | None
    total: int | None


class _Total:
    def __init__(self, total: int) -> None:
        self.total = total


class ContentRangeHandler:
    """A range as the client asked for it.

    Args:
        request: With a Range field.
        stats: Of the file, with ``st_size``.

    Attributes:
        start: The first octet.
        end: The last one.
        size: How many there are.
        total: The octets of the file.
        headers: ``Content-Range`` for the response.

    Raises:
        HeaderNotFound: There is no Range field.
        InvalidRangeType: Its unit is not ``bytes``.
        RangeNotSatisfiable: It is malformed, or nothing of it lies within the file.
    """

    __slots__ = ("end", "headers", "size", "start", "total")

    def __init__(self, request: "Request", stats: Any) -> None:
        self.total: int = stats.st_size
        value = request.headers.get("range")
        if value is None:
            raise HeaderNotFound("Range Header Not Found")
        unit, _, asked = str(value).partition("=")
        if unit.strip().lower() != "bytes":
            raise InvalidRangeType(f"{unit.strip()} is not a valid Range Type", _Total(self.total))
        found = _single(asked.strip(), self.total)
        if found is None:
            raise malformed_range(asked, self.total)
        self.start: int = found.start
        self.end: int = found.end
        self.size: int = found.size
        self.headers: dict[str, str] = {"Content-Range": found.content_range}

    def __bool__(self) -> bool:
        return self.size > 0


def _single(asked: str, total: int) -> ByteRange | None:
    try:
        found = parse_range(f"bytes={asked}", total)
    except RangeNotSatisfiable:
        return None
    return found[0] if found and "," not in asked else None


def malformed_range(asked: str, total: int) -> RangeNotSatisfiable:
    """What is wrong with a range, in Sanic's words.

    Args:
        asked: What stands behind ``bytes=``.
        total: The octets of the file.
    """
    for part in asked.strip().split("-", 1):
        if part and not part.lstrip("-").isdigit():
            return RangeNotSatisfiable(f"'{part}' is invalid for Content Range", _Total(total))
    return RangeNotSatisfiable("Invalid for Content Range parameters", _Total(total))
