"""The lines of a chunked body: chunk sizes with their extensions, and trailer fields (RFC 9112 section 7.1).

Rules of this file:

- A size is 1 to 16 hexadecimal digits, and what follows at once is CR LF or a semicolon: the white space that
  section 7.1.1 lets stand there is an old way to hide. Extensions are checked against their grammar, then
  ignored. Lines end in CR LF only.
- A line that is not whole yet is refused when it cannot become a legal one, or passes its limit.
- Trailer fields that frame, route, authenticate or describe the content are dropped, never merged into the
  header section (RFC 9110 section 6.5.1).
"""

import re
from typing import Final

from vivace.wire import refusal
from vivace.wire.field import TCHAR, TEXT
from vivace.wire.refusal import refuse

__all__ = ["FORBIDDEN_TRAILERS", "parse_chunk_line", "parse_trailer_line"]

FORBIDDEN_TRAILERS: Final = frozenset(
    b"age authorization cache-control connection content-encoding content-length content-range content-type"
    b" cookie date expect expires forwarded host if-match if-modified-since if-none-match if-range"
    b" if-unmodified-since keep-alive location max-forwards pragma proxy-authenticate proxy-authorization"
    b" proxy-connection range retry-after set-cookie te trailer transfer-encoding upgrade vary via warning"
    b" www-authenticate x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-real-ip".split()
)
"""Names (lower case) of fields that have no meaning, or a dangerous one, behind the content."""

_QUOTED: Final = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]++|\\%b)*+"' % TEXT
_EXTENSION: Final = rb";[ \t]*+%b++(?:[ \t]*+=[ \t]*+(?:%b++|%b))?" % (TCHAR, TCHAR, _QUOTED)
_CHUNK_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,16}+)((?:%b(?:[ \t]*+%b)*)?)\r\n" % (_EXTENSION, _EXTENSION)
)
_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{0,17}+")
_REST: Final = re.compile(rb"(?:;%b*+)?" % TEXT)
_FIELD_LINE: Final = re.compile(rb"(%b++):(%b*+)\r\n" % (TCHAR, TEXT))
_NAME: Final = re.compile(rb"%b*+" % TCHAR)
_VALUE: Final = re.compile(rb"%b*+" % TEXT)


def parse_chunk_line(data: bytes, at: int, max_line: int) -> tuple[int, int, int] | None:
    """Parse the line before the data of a chunk.

    Args:
        data: What was received.
        at: The offset at which the line begins.
        max_line: Octets of the line at most, without CR LF.

    Returns:
        The size of the chunk, the offset behind the line, the octets of the extensions; None if more is
        needed.

    Raises:
        RemoteProtocolError: 400.
    """
    found = _CHUNK_LINE.match(data, at)
    if found is not None and found.end() - at <= max_line + 2:
        return int(found[1], 16), found.end(), len(found[2])
    end = _end_of(_SIZE, data, at)
    if end - at > 16 or (end == at < len(data)):
        refuse(refusal.CHUNK_SIZE, data, at)
    end = _end_of(_REST, data, end)
    if end - at > max_line:
        refuse(refusal.CHUNK_LINE_LONG, data, end)
    if data[end : end + 2] not in (b"", b"\r"):
        refuse(refusal.CHUNK_EXTENSION, data, end)
    return None


def parse_trailer_line(data: bytes, at: int, max_line: int) -> tuple[bytes, bytes, int] | None:
    """Parse a line of the trailer section.

    Args:
        data: What was received.
        at: The offset at which the line begins.
        max_line: Octets of the line at most, without CR LF.

    Returns:
        Name in lower case, value, and the offset behind the line; the name is empty for the empty line that
        ends the section. None if more is needed.

    Raises:
        RemoteProtocolError: 400 for a malformed field, 431 over the limit.
    """
    if data[at : at + 2] == b"\r\n":
        return b"", b"", at + 2
    found = _FIELD_LINE.match(data, at)
    if found is not None and found.end() - at <= max_line + 2:
        return found[1].lower(), found[2].strip(b" \t"), found.end()
    end = _end_of(_NAME, data, at)
    if end > at and data[end : end + 1] == b":":
        end = _end_of(_VALUE, data, end + 1)
        whole = True
    else:
        whole = end == at
    if end - at > max_line:
        refuse(refusal.TRAILERS_LONG, data, end)
    rest = data[end : end + 2]
    if rest and not (whole and rest == b"\r"):
        wrong = refusal.VALUE_OCTET if whole and end > at else refusal.NAME_OCTET
        refuse(refusal.LINE_END if rest[0] in b"\r\n" else wrong, data, end)
    return None


def _end_of(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """Where a match of `pattern`, which matches the empty string too, ends."""
    found = pattern.match(data, at)
    assert found is not None
    return found.end()
