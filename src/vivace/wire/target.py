"""The rare forms of a request head: absolute-form targets, unusual authorities, other transfer codings.

Rules of this file:

- Both builds of the head parser leave these forms to it, told by a flag; so it may take its time.
- An authority is checked, never decoded, never put together again (RFC 3986 section 3.2, RFC 9110 4.2).
- Only ``http`` and ``https`` are schemes; user information is refused (RFC 9110 section 4.2.4).
"""

import re
from typing import Final

from vivace.wire.refusal import (
    CODING_BAD,
    CODING_UNKNOWN,
    HOST_BAD,
    TARGET_FORM,
    refuse,
)

__all__ = ["check_authority", "refuse_codings", "split_absolute"]

_ABSOLUTE: Final = re.compile(rb"(?i)(https?)://([^/?]*+)([^?]*+)(?:\?(.*+))?+")
_REG_NAME: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
_PORT: Final = re.compile(rb"(?::([0-9]{0,5}+))?")
_LITERAL: Final = re.compile(rb"\[([0-9A-Fa-f:.]++|[vV][0-9A-Fa-f]++\.[A-Za-z0-9._~!$&'()*+,;=:-]++)\]")
_GROUP: Final = re.compile(rb"[0-9A-Fa-f]{1,4}")
_IPV4: Final = re.compile(rb"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}")
_CODING: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++")


def split_absolute(target: bytes, method: str) -> tuple[bytes, bytes, bytes, bytes]:
    """Split an absolute-form target (RFC 9112 section 3.2.2).

    Args:
        target: The request target, of octets that may stand in one.
        method: The method; an empty path means ``*`` with OPTIONS (section 3.2.4), else ``/``.

    Returns:
        Scheme in lower case, authority, path, query.

    Raises:
        RemoteProtocolError: 400: another form or scheme, user information, no valid authority.
    """
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        refuse(TARGET_FORM, target, 0)
    scheme, authority, path, query = found.groups()
    check_authority(authority)
    if not path:
        path = b"*" if method == "OPTIONS" and query is None else b"/"
    return scheme.lower(), authority, path, query or b""


def check_authority(authority: bytes) -> None:
    """Check ``uri-host [":" port]`` (RFC 9110 section 7.2), the host not empty, the port at most 65535.

    Raises:
        RemoteProtocolError: 400.
    """
    literal = _LITERAL.match(authority)
    host = literal or _REG_NAME.match(authority)
    if host is None or (literal is not None and not _is_address(literal[1])):
        refuse(HOST_BAD, authority, 0)
    port = _PORT.fullmatch(authority, host.end())
    if port is None or int(port[1] or b"0") > 65535:
        refuse(HOST_BAD, authority, host.end())


def _is_address(text: bytes) -> bool:
    """Whether `text` is an IPv6address or an IPvFuture of RFC 3986 section 3.2.2 (zones are none)."""
    if text[:1] in b"vV":
        return True
    front, gap, back = text.partition(b"::")
    groups = (front.split(b":") if front else []) + (back.split(b":") if back else [])
    size = len(groups)
    if groups and b"." in groups[-1]:
        if not _IPV4.fullmatch(groups.pop()) or not (back or not gap):
            return False
        size += 1
    if not all(map(_GROUP.fullmatch, groups)):
        return False
    return size <= 7 if gap else size == 8


def refuse_codings(values: list[bytes]) -> None:
    """Refuse what all Transfer-Encoding fields of a request say together, unless it is one ``chunked``.

    Raises:
        RemoteProtocolError: 400 for a malformed list, or ``chunked`` twice or not at its end; 501 for others.
    """
    codings = [coding.strip(b" \t").lower() for value in values for coding in value.split(b",")]
    if not all(map(_CODING.fullmatch, codings)) or b"chunked" in codings[:-1]:
        refuse(CODING_BAD)
    if codings != [b"chunked"]:
        refuse(CODING_UNKNOWN)
