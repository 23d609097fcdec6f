"""What a field of ours may be: the rules for names and values that are going to be sent.

Rules of this file:

- An illegal field is refused before an octet of its message is out (RFC 9110 section 5.5 warns of the rest).
- The framing is the server's: of what an application says about it, only what agrees is taken.
"""

import re
from collections.abc import Sequence
from typing import Final

from vivace.errors import LocalProtocolError

__all__ = [
    "TCHAR",
    "TEXT",
    "TEXT_OCTETS",
    "check_coding",
    "check_field",
    "closes_connection",
    "is_only_ours",
    "with_length",
]

TCHAR: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
"""The octets of a token (RFC 9110 section 5.6.2)."""
TEXT: Final = rb"[\t\x20-\x7e\x80-\xff]"
"""The octets of a field value (RFC 9110 section 5.5)."""
TEXT_OCTETS: Final = bytes(octet for octet in range(256) if octet == 9 or (octet >= 32 and octet != 127))
"""The same, for `bytes.translate`, the quickest way to find others."""
_NAME: Final = re.compile(rb"%b++" % TCHAR)
_VALUE: Final = re.compile(rb"%b*+" % TEXT)


def check_field(name: bytes, value: bytes) -> None:
    """Raise LocalProtocolError unless `name` is a token and `value` has no control octet but HTAB."""
    if not (isinstance(name, bytes) and isinstance(value, bytes)):  # type: ignore[redundant-expr]
        raise LocalProtocolError(f"a field is a pair of bytes, not {name!r}: {value!r}")
    if not _NAME.fullmatch(name):
        raise LocalProtocolError(f"the field name {name!r} is not a token (RFC 9110 section 5.1)")
    if not _VALUE.fullmatch(value):
        raise LocalProtocolError(
            f"the value of {name.decode('ascii')} has a control octet (RFC 9110 section 5.5): {value!r}"
        )


def check_coding(value: bytes) -> None:
    """Raise LocalProtocolError unless an application's Transfer-Encoding is our own ``chunked``."""
    if value.strip(b" \t").lower() != b"chunked":
        raise LocalProtocolError(f"the server frames the message: no Transfer-Encoding {value!r}")


def is_only_ours(value: bytes) -> bool:
    """Whether an application's Connection field says nothing that the server does not say itself."""
    return value.strip(b" \t").lower() in (b"close", b"keep-alive")


def closes_connection(value: bytes) -> bool:
    """Whether ``close`` is in an application's Connection field."""
    return b"close" in [token.strip(b" \t") for token in value.lower().split(b",")]


def with_length(fields: Sequence[tuple[bytes, bytes]], size: int) -> Sequence[tuple[bytes, bytes]]:
    """`fields` with a content length of `size`.

    Raises:
        LocalProtocolError: They name another one.
    """
    for name, value in fields:
        if name.lower() == b"content-length":
            if value != b"%d" % size:
                raise LocalProtocolError(f"the Content-Length {value!r} is not that of the content, {size}")
            return fields
    return [*fields, (b"content-length", b"%d" % size)]
