"""The head of a response: writing it, and a short body behind it, as one piece (RFC 9112 sections 4 to 6).

Rules of this file:

- It is the definition; `_response.pyx` does the same faster.
- A whole message or none: whatever is illegal is refused before there are octets to send.
- An application's ``Content-Length`` must agree with what follows. Its ``Transfer-Encoding: chunked`` is
  dropped, since the framing is ours, and another coding refused. Its ``Connection`` is sent if it says more
  than ``close`` or ``keep-alive``, which we say ourselves. Its ``Date`` replaces ours.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from vivace._build import PURE
from vivace.errors import LocalProtocolError
from vivace.wire.field import TEXT_OCTETS, check_coding, check_field, closes_connection, is_only_ours

__all__ = [
    "CLOSE",
    "KEEP_ALIVE",
    "WITH_CHUNKS",
    "WITH_LENGTH",
    "WITH_LENGTH_OF_APP",
    "WITH_LENGTH_OF_GET",
    "WITH_NOTHING",
    "WITH_NO_END",
    "render_head",
]

WITH_LENGTH: Final = 0
"""Content of known length follows: Content-Length is written, and must agree with the application's."""
WITH_CHUNKS: Final = 1
"""Content follows in chunks, unless the application says its length."""
WITH_NO_END: Final = 2
"""Content ends with the connection, unless the application says its length."""
WITH_LENGTH_OF_GET: Final = 3
"""No content follows (HEAD): the application's Content-Length, else `length` if it is positive."""
WITH_LENGTH_OF_APP: Final = 4
"""No content follows (304): the application's Content-Length only."""
WITH_NOTHING: Final = 5
"""No content follows (1xx, 204): never a Content-Length."""

CLOSE: Final = 1
"""Say ``Connection: close``."""
KEEP_ALIVE: Final = 2
"""Say ``Connection: keep-alive``, as HTTP/1.0 wants."""

_LENGTH: Final = re.compile(rb"[0-9]{1,18}+")
_OURS: Final = frozenset((b"connection", b"content-length", b"date", b"transfer-encoding"))


def render_head(
    line: bytes,
    fields: Sequence[tuple[bytes, bytes]],
    date: bytes,
    connection: int,
    framing: int,
    length: int,
    body: bytes,
) -> tuple[bytes, int, bool]:
    """Write the head of a response, and `body` behind it.

    Args:
        line: The status line with its CR LF.
        fields: Pairs of name and value; sent as they come, if they are legal.
        date: The Date line with its CR LF; empty: none.
        connection: `CLOSE`, `KEEP_ALIVE` or 0.
        framing: One of the ``WITH_...`` constants.
        length: Octets of content, for `WITH_LENGTH` and `WITH_LENGTH_OF_GET`.
        body: What is put behind the head.

    Returns:
        The octets; the content length that was written, -1 for none; whether the connection has to close
        behind this response.

    Raises:
        LocalProtocolError: A name is no token, a value has a control octet, lengths are wrong or differ.
    """
    out = [line]
    said, closes = -1, connection == CLOSE
    for name, value in fields:
        if type(value) is not bytes or type(name) is not bytes or value.translate(None, TEXT_OCTETS):
            check_field(name, value)
        ours = _which(name)
        if ours:
            if ours == b"content-length":
                said = _read_length(value, said)
                continue
            if ours == b"transfer-encoding":
                check_coding(value)
                continue
            if ours == b"date":
                date = b""
            else:
                closes = closes or closes_connection(value)
                if is_only_ours(value):
                    continue
        out.append(b"%b: %b\r\n" % (name, value))
    said = _choose_length(framing, said, length)
    closes = closes or (framing == WITH_NO_END and said < 0)
    out.append(date)
    if said >= 0:
        out.append(b"content-length: %d\r\n" % said)
    elif framing == WITH_CHUNKS:
        out.append(b"transfer-encoding: chunked\r\n")
    if closes:
        out.append(b"connection: close\r\n")
    elif connection == KEEP_ALIVE:
        out.append(b"connection: keep-alive\r\n")
    out += (b"\r\n", body)
    return b"".join(out), said, closes


@lru_cache(maxsize=512)
def _which(name: bytes) -> bytes:
    """The name in lower case, checked, if the server has a say in that field; else nothing."""
    check_field(name, b"")
    lower = name.lower()
    return lower if lower in _OURS else b""


def _read_length(value: bytes, said: int) -> int:
    if not _LENGTH.fullmatch(value):
        raise LocalProtocolError(f"Content-Length {value!r} is not a number of octets")
    if said >= 0:
        raise LocalProtocolError("Content-Length is given twice")
    return int(value)


def _choose_length(framing: int, said: int, length: int) -> int:
    if framing == WITH_LENGTH:
        if 0 <= said != length:
            raise LocalProtocolError(f"Content-Length is {said} and the content has {length} octets")
        return length
    if framing == WITH_LENGTH_OF_GET and said < 0 < length:
        return length
    return -1 if framing == WITH_NOTHING else said


py_render_head = render_head
"""The definition, whatever build runs: for the tests that compare the two."""

if not PURE:
    try:
        from vivace.wire._response import render_head
    except ImportError:
        pass
