"""Why a message is refused: one number, one status and one sentence for each reason.

Rules of this file:

- Both builds of the parsers refuse through `refuse`, so that their answers cannot drift apart.
- A sentence says what was seen and where, and names the section that forbids it. Octets of the peer are
  shown as hexadecimal digits only: a message may be logged or answered.
"""

from typing import Final, NoReturn

from vivace.errors import RemoteProtocolError

__all__ = ["REASONS", "refuse"]

METHOD_OCTET: Final = 0
METHOD_LONG: Final = 1
METHOD_UNSUPPORTED: Final = 2
EMPTY_LINES: Final = 3
LINE_END: Final = 4
TARGET_OCTET: Final = 5
TARGET_FORM: Final = 6
TARGET_LONG: Final = 7
VERSION: Final = 8
VERSION_UNSUPPORTED: Final = 9
NAME_OCTET: Final = 10
NAME_EMPTY: Final = 11
FOLDED: Final = 12
VALUE_OCTET: Final = 13
FIELD_LONG: Final = 14
FIELDS_MANY: Final = 15
REPEATED: Final = 16
HOST_MISSING: Final = 17
HOST_BAD: Final = 18
LENGTH_BAD: Final = 19
LENGTH_HUGE: Final = 20
LENGTH_AND_CODING: Final = 21
CODING_TOO_OLD: Final = 22
CODING_BAD: Final = 23
CODING_UNKNOWN: Final = 24
EXPECTATION: Final = 25
CHUNK_SIZE: Final = 26
CHUNK_EXTENSION: Final = 27
CHUNK_LINE_LONG: Final = 28
CHUNK_END: Final = 29
TRAILERS_LONG: Final = 30
BODY_LARGE: Final = 31
INCOMPLETE: Final = 32

REASONS: Final[dict[int, tuple[int, str]]] = {
    METHOD_OCTET: (400, "the method has an octet that is not a token character (RFC 9110 section 5.6.2)"),
    METHOD_LONG: (501, "the method is longer than any that is implemented (RFC 9112 section 3)"),
    METHOD_UNSUPPORTED: (501, "CONNECT and TRACE are not implemented here (RFC 9110 section 9.1)"),
    EMPTY_LINES: (400, "too many empty lines stand before the request line (RFC 9112 section 2.2)"),
    LINE_END: (400, "a line does not end in CR LF, or one of the two stands alone (RFC 9112 section 2.2)"),
    TARGET_OCTET: (400, "the request target is empty or has an octet that no URI has (RFC 9112 section 3.2)"),
    TARGET_FORM: (400, "the request target is in none of the forms for this method (RFC 9112 section 3.2)"),
    TARGET_LONG: (414, "the request line is over the limit (RFC 9112 section 3)"),
    VERSION: (400, "the request line does not end in one space and HTTP/1.x (RFC 9112 section 2.3)"),
    VERSION_UNSUPPORTED: (505, "the version of HTTP is not 1.x (RFC 9110 section 15.6.6)"),
    NAME_OCTET: (400, "a field name has an octet that is not a token character (RFC 9112 section 5.1)"),
    NAME_EMPTY: (400, "a field has no name (RFC 9112 section 5)"),
    FOLDED: (400, "a field line begins with white space (RFC 9112 sections 2.2 and 5.2)"),
    VALUE_OCTET: (400, "a field value has a control octet (RFC 9110 section 5.5)"),
    FIELD_LONG: (431, "the header section, or a line of it, is over the limit (RFC 6585 section 5)"),
    FIELDS_MANY: (431, "there are more fields than the limit (RFC 6585 section 5)"),
    REPEATED: (400, "a field that may stand once is repeated (RFC 9110 section 5.3)"),
    HOST_MISSING: (400, "an HTTP/1.1 request needs one Host field (RFC 9112 section 3.2)"),
    HOST_BAD: (400, "the authority is not a host with an optional port (RFC 9110 section 4.2)"),
    LENGTH_BAD: (400, "Content-Length is not one decimal number (RFC 9110 section 8.6)"),
    LENGTH_HUGE: (413, "Content-Length is over 2^63-1 (RFC 9110 section 15.5.14)"),
    LENGTH_AND_CODING: (
        400,
        "Content-Length and Transfer-Encoding exclude each other (RFC 9112 section 6.1)",
    ),
    CODING_TOO_OLD: (400, "HTTP/1.0 knows no Transfer-Encoding (RFC 9112 section 6.1)"),
    CODING_BAD: (400, "Transfer-Encoding is malformed or does not end in one chunked (RFC 9112 section 6.3)"),
    CODING_UNKNOWN: (501, "no transfer coding but chunked is implemented (RFC 9112 section 6.1)"),
    EXPECTATION: (417, "no expectation but 100-continue can be met (RFC 9110 section 10.1.1)"),
    CHUNK_SIZE: (
        400,
        "a chunk does not begin with its size in 1 to 16 hexadecimal digits (RFC 9112 section 7.1)",
    ),
    CHUNK_EXTENSION: (400, "a chunk extension is malformed (RFC 9112 section 7.1.1)"),
    CHUNK_LINE_LONG: (400, "the extensions of the chunks are over the limit (RFC 9112 section 7.1.1)"),
    CHUNK_END: (400, "the data of a chunk does not end in CR LF (RFC 9112 section 7.1)"),
    TRAILERS_LONG: (431, "the trailer section, or a line of it, is over the limit (RFC 6585 section 5)"),
    BODY_LARGE: (413, "the body is over the limit (RFC 9110 section 15.5.14)"),
    INCOMPLETE: (400, "the client ended the connection in the middle of a message (RFC 9112 section 8)"),
}
"""The status and the sentence of each reason."""


def refuse(reason: int, data: bytes = b"", at: int = 0) -> NoReturn:
    """Raise the error of `reason`, seen at octet `at` of `data` if that is one place.

    Raises:
        RemoteProtocolError: Always.
    """
    status, sentence = REASONS[reason]
    if data:
        octet = f"octet 0x{data[at]:02x}" if at < len(data) else "the end"
        sentence = f"{sentence}: {octet} at offset {at}"
    raise RemoteProtocolError(sentence, status)
