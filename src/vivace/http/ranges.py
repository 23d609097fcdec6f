"""Range requests (RFC 9110 section 14): which octets a client asked for, and how they are sent.

Rules: a field that is malformed, in another unit or asks for too much is ignored, as section 14.2 allows: the
answer is the whole content with 200. Ranges are sorted and merged in one pass, so that their sum never
exceeds the content. Only a field that is well-formed and lies wholly outside the content is answered by 416.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from vivace.errors import RangeNotSatisfiable
from vivace.http.conditional import strong_match
from vivace.http.dates import parse_date
from vivace.http.headers import encode_value

__all__ = ["MAX_RANGES", "ByteRange", "ByteRangesLayout", "if_range_matches", "parse_range"]

MAX_RANGES: Final = 16
"""How many ranges one request may ask for."""

# More digits than any content has; longer numbers count as this one, and are never handed to int().
_MAX_DIGITS: Final = 18
_BEYOND: Final = 10**_MAX_DIGITS


class ByteRange(NamedTuple):
    """A part of a content: the octets `start` to `end`, both included, of `total`."""

    start: int
    end: int
    total: int

    @property
    def size(self) -> int:
        """The number of octets."""
        return self.end - self.start + 1

    @property
    def content_range(self) -> str:
        """The value of ``Content-Range``."""
        return f"bytes {self.start}-{self.end}/{self.total}"


class _Unsatisfiable(NamedTuple):
    total: int


def parse_range(value: str | None, total: int, max_ranges: int = MAX_RANGES) -> list[ByteRange] | None:
    """Read a ``Range`` field against a content of `total` octets.

    Returns:
        The ranges to send with 206, in ascending order and without overlap: one is sent as it is, several as
        ``multipart/byteranges``. None: ignore the field and send everything with 200.

    Raises:
        RangeNotSatisfiable: No range lies within the content.
    """
    asked = _split(value, max_ranges) if value else None
    if not asked:
        return None
    spans: list[tuple[int, int]] = []
    for first, last in asked:
        span = _resolve(first, last, total)
        if span is not None:
            spans.append(span)
    if not spans:
        # A suffix of nothing is satisfiable, but Content-Range cannot say so.
        if total == 0 and any(first is None and last for first, last in asked):
            return None
        raise RangeNotSatisfiable(
            f"no range of {value!r:.100} lies within the {total} octets", content_range=_Unsatisfiable(total)
        )
    return [ByteRange(start, end, total) for start, end in _merge(spans)]


def _split(value: str, max_ranges: int) -> list[tuple[int | None, int | None]] | None:
    unit, equals, rest = value.partition("=")
    if not equals or unit.lower() != "bytes" or rest.count(",") >= 4 * max_ranges:
        return None
    asked: list[tuple[int | None, int | None]] = []
    for item in filter(None, (part.strip(" \t") for part in rest.split(","))):
        first, dash, last = item.partition("-")
        if not dash or not _is_number(first) or not _is_number(last) or len(asked) == max_ranges:
            return None
        low, high = _number(first), _number(last)
        if (low is None and high is None) or (low is not None and high is not None and high < low):
            return None
        asked.append((low, high))
    return asked


def _is_number(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit())


def _number(digits: str) -> int | None:
    if not digits:
        return None
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= _MAX_DIGITS else _BEYOND


def _resolve(first: int | None, last: int | None, total: int) -> tuple[int, int] | None:
    if first is None:
        return (max(0, total - last), total - 1) if last and total else None
    if first >= total:
        return None
    return first, total - 1 if last is None else min(last, total - 1)


def _merge(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    spans.sort()
    merged = [spans[0]]
    for start, end in spans[1:]:
        if start <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def if_range_matches(value: str | None, etag: str | None, last_modified: float | None) -> bool:
    """Tell whether ``If-Range`` lets the ``Range`` field stand (RFC 9110 section 13.1.5).

    Args:
        value: The field's value; None if there is none, which lets it stand.
        etag: The entity tag of the content, with its quotes; a weak one never matches.
        last_modified: When the content changed last, in seconds since 1970; it has to be the same second.
    """
    if value is None:
        return True
    if value.startswith(('"', "W/")):
        return etag is not None and strong_match(value, etag)
    date = parse_date(value)
    return date is not None and last_modified is not None and date == int(last_modified)


class ByteRangesLayout:
    """How several ranges are laid out as ``multipart/byteranges`` (RFC 9110 section 14.6).

    Attributes:
        content_type: The value of the response's ``Content-Type``.
        heads: What goes before the octets of each range.
        tail: What goes after the last one.
        content_length: The size of it all.

    Args:
        ranges: As `parse_range` gave them.
        content_type: That of the content.
        boundary: Up to 70 characters that the content does not hold: choose them at random.

    Raises:
        LocalProtocolError: `content_type` cannot be the value of a field.
    """

    __slots__ = ("content_length", "content_type", "heads", "ranges", "tail")

    def __init__(self, ranges: Sequence[ByteRange], content_type: str, boundary: str) -> None:
        self.ranges = tuple(ranges)
        self.content_type = f"multipart/byteranges; boundary={boundary}"
        encode_value("content-type", content_type)
        prefix = f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: "
        self.heads = [f"{prefix}{part.content_range}\r\n\r\n".encode("latin-1") for part in self.ranges]
        self.tail = f"\r\n--{boundary}--\r\n".encode("latin-1")
        framing = sum(map(len, self.heads)) + len(self.tail)
        self.content_length = framing + sum(part.size for part in self.ranges)
