"""Opening a WebSocket: what is taken, what is refused and with which status, and what the answer says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivace.errors import Forbidden, HTTPException
from vivace.protocols.events import RequestReceived
from vivace.protocols.h1 import H1Connection, H1Limits
from vivace.protocols.ws_handshake import (
    Handshake,
    accept_fields,
    allows_origin,
    check_origin,
    choose_subprotocol,
    is_handshake,
    read_handshake,
)

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
MANY = b",".join(b"p%d" % i for i in range(33))
FIELDS = {
    b"Host": b"example.com",
    b"Upgrade": b"websocket",
    b"Connection": b"Upgrade",
    b"Sec-WebSocket-Key": KEY,
    b"Sec-WebSocket-Version": b"13",
}


def head_of(
    line: bytes = b"GET /chat HTTP/1.1", extra: bytes = b"", **changed: bytes | None
) -> RequestReceived:
    """The head of a handshake; fields are changed by name, with underscores, or left out."""
    fields = dict(FIELDS)
    for name, value in changed.items():
        key = next(k for k in FIELDS if k.lower() == name.replace("_", "-").encode())
        if value is None:
            del fields[key]
        else:
            fields[key] = value
    lines = [line, *(b"%b: %b" % field for field in fields.items())]
    h1 = H1Connection(H1Limits())
    h1.receive_data(b"\r\n".join(lines) + b"\r\n" + extra + b"\r\n")
    head = h1.next_event()
    assert isinstance(head, RequestReceived)
    return head


def status_of(head: RequestReceived) -> int:
    try:
        read_handshake(head)
    except HTTPException as error:
        return error.status_code
    return 101


def test_the_example_of_the_standard() -> None:
    handshake = read_handshake(
        head_of(extra=b"Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n")
    )
    assert (handshake.subprotocols, handshake.origin) == (["chat", "superchat"], "http://example.com")
    assert accept_fields(handshake, "chat", "permessage-deflate") == [
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        (b"sec-websocket-protocol", b"chat"),
        (b"sec-websocket-extensions", b"permessage-deflate"),
    ]
    assert len(accept_fields(handshake)) == 3


@pytest.mark.parametrize(
    ("changed", "is_one"),
    [
        ({}, True),
        ({"upgrade": b"h2c, WebSocket", "connection": b"keep-alive, upgrade"}, True),
        ({"upgrade": b"h2c"}, False),
        ({"upgrade": None}, False),
        ({"connection": b"keep-alive"}, False),
    ],
)
def test_what_asks_for_a_websocket(changed: dict[str, Any], is_one: bool) -> None:
    assert is_handshake(head_of(**changed)) is is_one
    assert status_of(head_of(**changed)) == (101 if is_one else 426)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (head_of(b"POST /chat HTTP/1.1"), 426),
        (head_of(b"HEAD /chat HTTP/1.1"), 426),
        (head_of(b"GET /chat HTTP/1.0"), 426),
        (head_of(extra=b"Content-Length: 4\r\n"), 426),
        (head_of(extra=b"Transfer-Encoding: chunked\r\n"), 426),
        (head_of(sec_websocket_version=b"8"), 426),
        (head_of(sec_websocket_version=b"13, 8"), 426),
        (head_of(sec_websocket_version=None), 426),
        (head_of(extra=b"Sec-WebSocket-Version: 13\r\n"), 400),
        (head_of(sec_websocket_key=None), 400),
        (head_of(sec_websocket_key=b"c2hvcnQ="), 400),
        (head_of(sec_websocket_key=b"dGhlIHNhbXBsZSBub25jZQ=!"), 400),
        (head_of(extra=b"Sec-WebSocket-Key: " + KEY + b"\r\n"), 400),
        (head_of(extra=b"Origin: http://a\r\nOrigin: http://b\r\n"), 400),
        (head_of(extra=b"Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n"), 400),
        (head_of(extra=b"Sec-WebSocket-Protocol: a b\r\n"), 400),
        (head_of(extra=b"Sec-WebSocket-Protocol: " + MANY + b"\r\n"), 400),
        (head_of(extra=b"Sec-WebSocket-Extensions: =\r\n"), 400),
        (head_of(extra=b"Sec-WebSocket-Extensions: a b\r\n"), 400),
        (head_of(extra=b"Sec-WebSocket-Extensions: a; \r\n"), 400),
        (head_of(extra=b"Sec-WebSocket-Extensions: a; b=\r\n"), 400),
        (head_of(extra=b'Sec-WebSocket-Extensions: a; b="x y"\r\n'), 400),
        (head_of(extra=b'Sec-WebSocket-Extensions: a; b="x\r\n'), 400),
        (head_of(extra=b"Sec-WebSocket-Extensions: " + b",".join([b"x"] * 33) + b"\r\n"), 400),
    ],
)  # fmt: skip
def test_what_cannot_become_a_websocket_is_refused(head: RequestReceived, status: int) -> None:
    assert status_of(head) == status


def test_426_says_which_version_is_spoken() -> None:
    with pytest.raises(HTTPException) as caught:
        read_handshake(head_of(sec_websocket_version=b"7"))
    assert caught.value.headers["Sec-WebSocket-Version"] == "13"
    assert caught.value.headers["Upgrade"] == "websocket"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"permessage-deflate", [("permessage-deflate", [])]),
        (b' a ; b ; c=1 , d;e="2",, ', [("a", [("b", None), ("c", "1")]), ("d", [("e", "2")])]),
        (b"", []),
    ],
)
def test_extensions_are_read(value: bytes, expected: list[Any]) -> None:
    extra = b"Sec-WebSocket-Extensions: " + value + b"\r\n"
    assert read_handshake(head_of(extra=extra)).extensions == expected


def test_extensions_of_several_lines_are_one_list() -> None:
    extra = b"Sec-WebSocket-Extensions: a\r\nSec-WebSocket-Extensions: b\r\n"
    assert read_handshake(head_of(extra=extra)).extensions == [("a", []), ("b", [])]


@given(value=st.text('abc=;," \t', max_size=30))
def test_any_list_of_extensions_is_read_or_refused(value: str) -> None:
    extra = b"Sec-WebSocket-Extensions: " + value.encode() + b"\r\n"
    assert status_of(head_of(extra=extra)) in (101, 400)


def test_our_order_chooses_the_sub_protocol() -> None:
    assert choose_subprotocol(["chat", "superchat"], ["superchat", "chat"]) == "superchat"
    assert choose_subprotocol(["chat"], ["other"]) is None
    assert choose_subprotocol([], ["chat"]) is None
    assert choose_subprotocol(["chat"], []) is None


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "passes"),
    [
        (None, b"example.com", ["same"], True),
        ("https://example.com", b"example.com", ["same"], True),
        ("https://EXAMPLE.com", b"Example.com", ["same"], True),
        ("https://example.com", b"example.com:443", ["same"], True),
        ("http://example.com", b"example.com:80", ["same"], True),
        ("http://example.com:8000", b"example.com:8000", ["same"], True),
        ("http://example.com:8001", b"example.com:8000", ["same"], False),
        ("http://[::1]:8000", b"[::1]:8000", ["same"], True),
        ("https://evil.example", b"example.com", ["same"], False),
        ("null", b"example.com", ["same"], False),
        ("", b"", ["same"], False),
        ("https://evil.example", b"example.com", [], False),
        ("https://evil.example", b"example.com", ["*"], True),
        ("https://app.example", b"example.com", ["same", "https://app.example"], True),
        ("http://app.example", b"example.com", ["https://app.example/"], False),
        ("http://app.example:99", b"example.com", ["app.example"], True),
        ("http://app.example:99", b"example.com", ["app.example:99"], True),
        ("http://a.b.example", b"example.com", ["*.b.example"], True),
        ("http://b.example", b"example.com", ["*.b.example"], False),
        ("http://evilb.example", b"example.com", ["*.b.example"], False),
    ],
)
def test_pages_of_which_origins_may_connect(
    origin: str | None, host: bytes, allowed: list[str], passes: bool
) -> None:
    assert allows_origin(origin, host, allowed) is passes
    handshake = Handshake(KEY, [], [], origin)
    if passes:
        check_origin(handshake, host, allowed)
    else:
        with pytest.raises(Forbidden):
            check_origin(handshake, host, allowed)
