"""Header fields as keys of a WSGI environ, by both builds."""

from collections.abc import Callable

import pytest

from vivace.wire import environ, head
from vivace.wire.known import NAMES

BUILDS = {"python": environ.py_add_fields, "used": environ.add_fields}

Add = Callable[[bytes], dict[str, object]]


@pytest.fixture(params=BUILDS)
def add(request: pytest.FixtureRequest) -> Add:
    build = BUILDS[request.param]

    def add(block: bytes) -> dict[str, object]:
        found: dict[str, object] = {}
        build(found, block)
        return found

    return add


def test_fields_become_keys_in_upper_case(add: Add) -> None:
    block = b"Host: a:80\r\nX-My-Own:\t v w \r\nuser-agent:u\r\nEmpty:\r\n"
    assert add(block) == {
        "HTTP_HOST": "a:80",
        "HTTP_X_MY_OWN": "v w",
        "HTTP_USER_AGENT": "u",
        "HTTP_EMPTY": "",
    }
    assert add(b"") == {}


def test_type_and_length_of_the_content_have_no_prefix(add: Add) -> None:
    block = b"Content-Type: text/plain\r\nCONTENT-LENGTH: 5\r\nContent-Language: en\r\n"
    assert add(block) == {
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "5",
        "HTTP_CONTENT_LANGUAGE": "en",
    }


def test_what_the_environ_holds_already_stays() -> None:
    for build in BUILDS.values():
        found: dict[str, object] = {"SERVER_PORT": 80}
        build(found, b"A: b\r\n")
        assert found == {"SERVER_PORT": 80, "HTTP_A": "b"}


@pytest.mark.parametrize("value", [b"1", b"ab", b"", b"\xe9"])
def test_repeated_fields_are_joined_in_their_order(add: Add, value: bytes) -> None:
    # a value of one octet is one object each time, so identity does not tell a second field
    text = value.decode("latin-1")
    block = b"X: %b\r\nAccept: %b\r\nx: %b\r\naccept: c\r\nX: d\r\n" % (value, value, value)
    assert add(block) == {"HTTP_X": f"{text},{text},d", "HTTP_ACCEPT": f"{text},c"}


def test_repeated_cookies_are_joined_by_semicolons(add: Add) -> None:
    # RFC 9113 section 8.2.3: HTTP/2 clients send one field for each pair
    assert add(b"Cookie: a=b\r\ncookie: c=d\r\nCookie2: e\r\nCookie2: f\r\n") == {
        "HTTP_COOKIE": "a=b; c=d",
        "HTTP_COOKIE2": "e,f",
    }


@pytest.mark.parametrize(
    "name",
    [b"X_Forwarded_For", b"x-forwarded_for", b"Content_Length", b"Content_Type", b"Host_", b"_", b"_Host"],
)
def test_names_with_an_underscore_forge_no_key(add: Add, name: bytes) -> None:
    assert add(b"A: 1\r\n" + name + b": evil\r\nB: 2\r\n") == {"HTTP_A": "1", "HTTP_B": "2"}


@pytest.mark.parametrize("name", [b"Proxy", b"proxy", b"PROXY"])
def test_proxy_is_left_out(add: Add, name: bytes) -> None:
    # CVE-2016-5385: HTTP_PROXY names the proxy of the program's own requests
    assert add(name + b": http://evil/\r\nProxy-X: a\r\n") == {"HTTP_PROXY_X": "a"}


def test_values_are_octets_as_text(add: Add) -> None:
    value = bytes(octet for octet in range(0x21, 256) if octet != 0x7F)
    assert add(b"X: " + value + b"\r\n") == {"HTTP_X": value.decode("latin-1")}


def test_every_letter_of_a_token_may_stand_in_a_key(add: Add) -> None:
    token = b"!#$%&'*+-.^`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    for octet in token:
        name = b"x%by" % bytes([octet])
        key = "HTTP_" + name.decode().upper().replace("-", "_")
        assert add(name + b": v\r\n") == {key: "v"}


@pytest.mark.parametrize("name", NAMES)
def test_known_names_are_known_in_any_case_and_their_neighbours_are_not(add: Add, name: bytes) -> None:
    plain = name in (b"content-type", b"content-length")
    key = ("" if plain else "HTTP_") + name.decode().upper().replace("-", "_")
    for spelt in (name, name.upper(), name.title()):
        assert add(spelt + b": v\r\n") == {key: "v"}
        assert head.split_fields(spelt + b": v\r\n") == [(name, b"v")]
    for other in (name + b"x", name[:-1] + b"~", b"!" + name[1:]):
        key = "HTTP_" + other.decode().upper().replace("-", "_")
        assert add(other + b": v\r\n") == {key: "v"}
        assert head.split_fields(other + b": v\r\n") == [(other, b"v")]


def test_long_names_and_many_fields(add: Add) -> None:
    block = b"".join(b"%b-%d: %d\r\n" % (b"n" * 300, i, i) for i in range(300))
    found = add(block)
    assert len(found) == 300
    assert found["HTTP_" + "N" * 300 + "_299"] == "299"
