# cython: language_level=3, annotation_typing=False
"""Status and header fields as a WSGI app gives them to start_response, made into those of a response.

Rules of this file:

- Both are judged when the app calls, so that the traceback shows the line that is wrong (PEP 3333).
- Refused: anything but `str`, control characters, characters beyond Latin-1, names that are no tokens,
  hop-by-hop fields (the connection is the server's), interim statuses.
- The reason phrase is judged and not sent: it says nothing to a client (RFC 9112 section 4).
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from vivace.errors import LocalProtocolError

__all__ = ["read_fields", "read_status"]

_CACHED: Final = 1024
"""Statuses, names and whole fields that are remembered at most; an app has a few dozen."""
_LONGEST: Final = 64
"""Characters of what is remembered."""

_STATUS: Final = re.compile(r"([2-9][0-9]{2})(?: [^\x00-\x1f\x7f]*)?")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_HOP_BY_HOP: Final = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
    )
)
_LENGTH: Final = b"content-length"
_STEADY: Final = frozenset(
    (
        b"allow",
        b"cache-control",
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-type",
        b"cross-origin-opener-policy",
        b"referrer-policy",
        b"server",
        b"vary",
        b"x-content-type-options",
        b"x-frame-options",
    )
)
"""Names of fields that have few values: they are remembered with them."""

_statuses: dict[str, int] = {}
_names: dict[str, bytes] = {}
_fields: dict[tuple[str, str], tuple[bytes, bytes]] = {}


def read_status(status: str) -> int:
    """The status code of a line such as ``200 OK``.

    Raises:
        LocalProtocolError: It is no `str`, has another form, or is below 200.
    """
    code = _statuses.get(status) if type(status) is str else None
    if code is not None:
        return code
    if not isinstance(status, str):
        raise LocalProtocolError(f"the status is a str like '200 OK', not {status!r}")
    found = _STATUS.fullmatch(status)
    if found is None:
        raise LocalProtocolError(
            f"the status {status!r} has not the form '200 OK', with a code from 200 to 999"
        )
    code = int(found[1])
    if len(_statuses) < _CACHED and len(status) <= _LONGEST:
        _statuses[status] = code
    return code


def read_fields(headers: Iterable[tuple[str, str]]) -> tuple[list[tuple[bytes, bytes]], int]:
    """The fields for the wire, and the content length that they give; -1: none.

    Raises:
        LocalProtocolError: Something in them is not what it must be.
    """
    fields = []
    length = -1
    try:
        for pair in headers:
            field = _fields.get(pair) or _read_field(pair)
            if field[0] is _LENGTH:
                length = _read_length(field[1], length)
            fields.append(field)
    except (AttributeError, TypeError, ValueError) as error:
        raise _explain(headers) from error
    return fields, length


def _read_field(pair: tuple[str, str]) -> tuple[bytes, bytes]:
    name, value = pair
    octets = _names.get(name) or _learn(name)
    if not value.isprintable():
        _check_value(name, value)
    field = octets, value.encode("latin-1")
    if octets in _STEADY and len(value) <= _LONGEST:
        if len(_fields) >= _CACHED:
            _fields.clear()
        _fields[pair] = field
    return field


def _learn(name: str) -> bytes:
    """Judge a name that is new; it in lower case."""
    if not isinstance(name, str):
        raise TypeError(name)
    lower = name.lower()
    if not _NAME.fullmatch(name):
        raise LocalProtocolError(f"the field name {name!r} is not a token (RFC 9110 section 5.1)")
    if lower in _HOP_BY_HOP:
        raise LocalProtocolError(f"{name} is a hop-by-hop field: the connection is the server's (PEP 3333)")
    octets = _LENGTH if lower == "content-length" else lower.encode("ascii")
    if len(_names) < _CACHED and len(name) <= _LONGEST:
        _names[name] = octets
    return octets


def _check_value(name: str, value: str) -> None:
    if _CONTROL.search(value):
        raise LocalProtocolError(f"the value of {name} has a control character: {value!r}")


def _read_length(content: bytes, before: int) -> int:
    if before >= 0:
        raise LocalProtocolError("Content-Length is given twice")
    if not content.isdigit() or len(content) > 18:
        raise LocalProtocolError(f"Content-Length {content.decode('latin-1')!r} is not a number of octets")
    return int(content)


def _explain(headers: Any) -> LocalProtocolError:
    """What is wrong with fields that could not be read."""
    if not isinstance(headers, (list, tuple)):
        return LocalProtocolError(f"the headers are a list of pairs of str, not {type(headers).__name__}")
    for pair in headers:
        if not isinstance(pair, tuple) or len(pair) != 2:
            return LocalProtocolError(f"a header is a pair of name and value, not {pair!r}")
        name, value = pair
        if not (isinstance(name, str) and isinstance(value, str)):
            return LocalProtocolError(f"a header is a pair of str, not {name!r}: {value!r}")
        if not value.isascii() and max(value) > "\xff":
            return LocalProtocolError(f"the value of {name} has a character beyond Latin-1: {value!r}")
    return LocalProtocolError("the headers could not be read")
