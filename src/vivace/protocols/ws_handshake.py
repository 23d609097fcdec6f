"""The opening handshake of a WebSocket, the server's side (RFC 6455 section 4.2).

Rules of this file:

- A request that cannot become a WebSocket is refused with the status that says what to change: 426 with the
  version that we speak, 400 for what is malformed, 403 for a page of another site.
- Nothing that the client offers is echoed: a sub-protocol or an extension is named in the answer only if it
  was chosen here.
- Where an Origin stands there is a browser, and its user's cookies: by default only pages of the same site
  may connect (section 10.2). Programs send none and pass.
"""

import base64
import binascii
import re
from collections.abc import Collection, Sequence
from typing import Final

from vivace.errors import BadRequest, Forbidden, HTTPException
from vivace.protocols.deflate import Extension
from vivace.protocols.events import RequestReceived

__all__ = [
    "Handshake",
    "accept_fields",
    "allows_origin",
    "check_origin",
    "choose_subprotocol",
    "is_handshake",
    "read_handshake",
]

VERSION: Final = b"13"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_TCHAR: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_TOKEN: Final = re.compile(rf"{_TCHAR}++")
_PARAMETER: Final = re.compile(
    rf'[ \t]*+;[ \t]*+({_TCHAR}++)(?:[ \t]*+=[ \t]*+(?:({_TCHAR}++)|"([^"]*+)"))?+'
)

MAX_OFFERS: Final = 32
"""Sub-protocols and extensions that a client may offer (400 beyond)."""


class Handshake:
    """What a client asks for.

    Attributes:
        key: Its nonce, in base64.
        subprotocols: What it speaks, the best first.
        extensions: What it offers, in its order.
        origin: The site of the page that connects; None: it is no browser.
    """

    __slots__ = ("extensions", "key", "origin", "subprotocols")

    def __init__(
        self, key: bytes, subprotocols: Sequence[str], extensions: Sequence[Extension], origin: str | None
    ) -> None:
        self.key = key
        self.subprotocols = subprotocols
        self.extensions = extensions
        self.origin = origin


def is_handshake(head: RequestReceived) -> bool:
    """Whether a request asks for a WebSocket, well or badly; only GET of HTTP/1.1 without a body can."""
    return head.upgrade and any(
        name == b"upgrade" and b"websocket" in _tokens(value) for name, value in head.fields()
    )


def read_handshake(head: RequestReceived) -> Handshake:
    """Read what a client asks for.

    Raises:
        HTTPException: 426: it does not ask for a WebSocket of version 13. 400: it does so in a wrong way.
    """
    if not is_handshake(head):
        raise _wants_upgrade("this address is a WebSocket: the request needs Upgrade: websocket")
    fields = head.fields()
    version = _only(fields, b"sec-websocket-version")
    if version != VERSION:
        raise _wants_upgrade(f"Sec-WebSocket-Version is 13 here, not {_shown(version)}")
    key = _only(fields, b"sec-websocket-key")
    if key is None or not _is_nonce(key):
        raise BadRequest("Sec-WebSocket-Key is 16 octets in base64 (RFC 6455 section 4.1)")
    origin = _only(fields, b"origin")
    return Handshake(
        key,
        _subprotocols(_all(fields, b"sec-websocket-protocol")),
        _extensions(_all(fields, b"sec-websocket-extensions")),
        None if origin is None else origin.decode("latin-1"),
    )


def _wants_upgrade(message: str) -> HTTPException:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": VERSION.decode()}
    return HTTPException(message, 426, headers=headers)


def _shown(value: bytes | None) -> str:
    return "missing" if value is None else repr(value.decode("latin-1"))


def _all(fields: Sequence[tuple[bytes, bytes]], name: bytes) -> str:
    """The members of a list field, all of its lines."""
    return ",".join(value.decode("latin-1") for found, value in fields if found == name)


def _only(fields: Sequence[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The value of a field that may stand once."""
    values = [value for found, value in fields if found == name]
    if len(values) > 1:
        raise BadRequest(f"{name.decode()} stands {len(values)} times: it may stand once")
    return values[0] if values else None


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip(b" \t") for token in value.lower().split(b",")]


def _is_nonce(key: bytes) -> bool:
    try:
        return len(key) == 24 and len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def _subprotocols(value: str) -> list[str]:
    found = [name for member in value.split(",") if (name := member.strip(" \t"))]
    if len(found) > MAX_OFFERS or len(set(found)) < len(found):
        raise BadRequest("Sec-WebSocket-Protocol names a sub-protocol twice, or too many of them")
    if not all(map(_TOKEN.fullmatch, found)):
        raise BadRequest("a sub-protocol is a token (RFC 6455 section 4.1)")
    return found


def _extensions(value: str) -> list[Extension]:
    """Parse the value of Sec-WebSocket-Extensions (section 9.1)."""
    found: list[Extension] = []
    at = 0
    value = value.strip(" \t,")
    while at < len(value):
        name = _TOKEN.match(value, at)
        if name is None or len(found) == MAX_OFFERS:
            raise BadRequest("Sec-WebSocket-Extensions is malformed (RFC 6455 section 9.1)")
        at = name.end()
        parameters: list[tuple[str, str | None]] = []
        while parameter := _PARAMETER.match(value, at):
            at = parameter.end()
            key, bare, quoted = parameter.groups()
            if quoted is not None and not _TOKEN.fullmatch(quoted):
                raise BadRequest("a quoted value in Sec-WebSocket-Extensions is not a token")
            parameters.append((key, bare or quoted))
        found.append((name.group(), parameters))
        rest = value[at:].lstrip(" \t")
        if rest and rest[0] != ",":
            raise BadRequest("Sec-WebSocket-Extensions is malformed (RFC 6455 section 9.1)")
        rest = rest.lstrip(" \t,")
        at = len(value) - len(rest)
    return found


def choose_subprotocol(offered: Collection[str], supported: Sequence[str]) -> str | None:
    """The first of ours that the client speaks; None: it speaks none of them, or we have none."""
    return next((name for name in supported if name in offered), None)


def allows_origin(origin: str | None, host: bytes, allowed: Sequence[str]) -> bool:
    """Whether a page of this origin may connect.

    Args:
        origin: As sent; None: it is no browser, and passes.
        host: The authority of the request.
        allowed: ``*`` (any), ``same`` (the host of the request), ``https://example.com`` (that origin),
            ``example.com`` (that host, any scheme and port), ``*.example.com`` (all below it).
    """
    if origin is None or "*" in allowed:
        return True
    origin = origin.lower()
    scheme, _, authority = origin.partition("://")
    name = _host_of(authority)
    for rule in allowed:
        rule = rule.lower()
        if rule == "same":
            fits = bool(authority) and _is_same(scheme, authority, host.decode("latin-1").lower())
        elif "://" in rule:
            fits = rule.rstrip("/") == origin
        elif rule.startswith("*."):
            fits = name.endswith(rule[1:])
        else:
            fits = rule in (name, authority)
        if fits:
            return True
    return False


def check_origin(handshake: Handshake, host: bytes, allowed: Sequence[str]) -> None:
    """Raise `Forbidden` unless `allows_origin`."""
    if not allows_origin(handshake.origin, host, allowed):
        raise Forbidden("this WebSocket is not open to pages of that origin")


def _is_same(scheme: str, authority: str, host: str) -> bool:
    """Whether two authorities are one; the port of the scheme may stand there or not."""
    port = {"http": ":80", "https": ":443"}.get(scheme, "")
    return authority == host or (port != "" and authority.removesuffix(port) == host.removesuffix(port))


def _host_of(authority: str) -> str:
    """An authority without its port."""
    if authority.startswith("["):
        return authority.partition("]")[0] + "]"
    return authority.partition(":")[0]


def accept_fields(
    handshake: Handshake, subprotocol: str | None = None, extensions: str = ""
) -> list[tuple[bytes, bytes]]:
    """The fields of the 101 that opens the WebSocket, without those of the server itself."""
    import hashlib  # it brings OpenSSL into memory, which a worker without WebSockets can do without

    digest = hashlib.sha1(handshake.key + _GUID, usedforsecurity=False).digest()
    fields = [
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"sec-websocket-accept", base64.b64encode(digest)),
    ]
    if subprotocol is not None:
        fields.append((b"sec-websocket-protocol", subprotocol.encode("latin-1")))
    if extensions:
        fields.append((b"sec-websocket-extensions", extensions.encode("latin-1")))
    return fields
