"""What proxies say of the client: believed as far as the settings allow it, and never a word more."""

from typing import Any

import pytest

from tests.framework.streams import make_app, make_request
from vivace import Config, Request

SECRET = {"FORWARDED_SECRET": "mySecret"}
CHAIN = [
    ("X-Forwarded-For", "1.1.1.1, 2.2.2.2, 3.3.3.3"),
    ("X-Forwarded-Proto", "HTTPS"),
    ("X-Forwarded-Host", "Ho.st:8443"),
    ("X-Forwarded-Port", "99"),
    ("X-Forwarded-Path", "/%20p"),
    ("X-Real-IP", "::2"),
]
TOLD = {"proto": "https", "host": "ho.st:8443", "port": 99, "path": "/ p"}


def request_with(headers: list[tuple[str, str]], **settings: Any) -> Request:
    return make_request(make_app(config=Config(**settings)), target="/at?x=1", headers=headers, host="own:81")


def forwarded(value: str, **settings: Any) -> dict[str, Any]:
    return request_with([("Forwarded", value)], **(settings or SECRET)).forwarded


def test_without_a_setting_nothing_is_believed() -> None:
    request = request_with([*CHAIN, ("Forwarded", "for=9.9.9.9;secret=")])
    assert request.forwarded == {}
    assert (request.remote_addr, request.client_ip, request.ip) == ("", "127.0.0.1", "127.0.0.1")
    assert (request.scheme, request.host, request.server_port, request.server_path) == (
        "http",
        "own:81",
        81,
        "/at",
    )


# Forwarded (RFC 7239)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("for=1.1.1.1", None),
        ("for=1.1.1.1;secret=other", None),
        ("for=1.1.1.1;secret=mysecret", None),
        ("for=1.1.1.1;secret=mySecret", "1.1.1.1"),
        ("for=1.1.1.1; secret = mySecret", None),
        ('for=1.1.1.1 ; secret="mySecret" ', "1.1.1.1"),
        ("FOR=1.1.1.1;Secret=mySecret", "1.1.1.1"),
        ("by=mySecret;for=1.1.1.1", "1.1.1.1"),
        ("for=9.9.9.9;secret=mySecret, for=8.8.8.8", "9.9.9.9"),
        ("for=9.9.9.9, for=8.8.8.8;secret=mySecret", "8.8.8.8"),
        ("for=9.9.9.9;secret=mySecret, for=7.7.7.7;secret=mySecret", "7.7.7.7"),
        ('for="[::1]:80";secret=mySecret', "[::1]:80"),
        ("for=_Hidden;secret=mySecret", "_Hidden"),
        ("for=unknown;secret=mySecret", ""),
        ("for=1.1.1.1;secret=mySecret, ", "1.1.1.1"),
        ("for=1.1.1.1;secret=mySecret,, ;", "1.1.1.1"),
    ],
)
def test_the_element_that_shows_the_secret_is_believed(value: str, found: str | None) -> None:
    told = forwarded(value)
    assert told.get("for") == (found or None)
    assert bool(told) is (found is not None)


@pytest.mark.parametrize(
    "forged", ['for="broken', "for", ";;;=", 'x="\\', "for=1.1.1.1;secret=guess", '"""', "é=é"]
)
def test_what_a_client_writes_before_cannot_hide_what_the_proxy_wrote(forged: str) -> None:
    assert forwarded(f"{forged}, for=5.5.5.5;secret=mySecret")["for"] == "5.5.5.5"


@pytest.mark.parametrize("after", ['for="x', "what", "for=1.1.1.1;secret"])
def test_what_is_malformed_at_the_right_is_not_passed_over(after: str) -> None:
    assert forwarded(f"for=5.5.5.5;secret=mySecret, {after}") == {}


def test_a_secret_inside_a_quoted_value_is_none() -> None:
    assert forwarded('for="1.1.1.1;secret=mySecret"') == {}
    assert forwarded('x="a, for=1.1.1.1;secret=mySecret"') == {}


def test_all_that_the_element_says_is_used() -> None:
    value = 'for=_abc;secret=mySecret;proto=HTTPS;host="A.b:80";path="/app%20x";port=1234;own=x'
    request = request_with([("Forwarded", value)], **SECRET)
    assert request.forwarded == {
        "for": "_abc",
        "secret": "mySecret",
        "proto": "https",
        "host": "a.b:80",
        "path": "/app x",
        "port": 1234,
        "own": "x",
    }
    assert (request.remote_addr, request.client_ip, request.scheme) == ("_abc", "_abc", "https")
    assert (request.host, request.server_name, request.server_port) == ("a.b:80", "a.b", 1234)
    assert (request.server_path, request.url) == ("/app x", "https://a.b:80/at?x=1")


@pytest.mark.parametrize(
    "part",
    ["port=abc", "port=70000", "port=", 'host="a b"', 'host="a/b"', "proto=gopher", 'path="no"', 'for="a<b"'],
)
def test_a_value_of_no_sense_is_dropped(part: str) -> None:
    assert forwarded(f"{part};secret=mySecret") == {"secret": "mySecret"}


def test_several_fields_are_one_list() -> None:
    fields = [("Forwarded", "for=1.1.1.1;secret=mySecret"), ("Forwarded", "for=2.2.2.2")]
    assert request_with(fields, **SECRET).remote_addr == "1.1.1.1"


def test_only_so_many_pairs_are_read() -> None:
    assert forwarded("for=1.1.1.1;secret=mySecret" + ",for=x" * 98)["for"] == "1.1.1.1"
    assert forwarded("for=1.1.1.1;secret=mySecret" + ",for=x" * 99) == {}


def test_a_secret_does_not_make_other_fields_believable() -> None:
    assert request_with(CHAIN, **SECRET).forwarded == {}
    assert request_with(CHAIN, **SECRET, PROXIES_COUNT=1).forwarded == {"for": "3.3.3.3", **TOLD}


# X-Forwarded-For and its like


@pytest.mark.parametrize(("count", "address"), [(1, "3.3.3.3"), (2, "2.2.2.2"), (3, "1.1.1.1")])
def test_the_address_that_our_first_proxy_saw(count: int, address: str) -> None:
    request = request_with(CHAIN, PROXIES_COUNT=count)
    assert request.forwarded == {"for": address, **TOLD}
    assert (request.client_ip, request.ip, request.server_port) == (address, "127.0.0.1", 99)


@pytest.mark.parametrize("count", [0, 4])
def test_a_chain_that_is_too_short_is_not_believed(count: int) -> None:
    assert request_with(CHAIN, PROXIES_COUNT=count).forwarded == {}
    assert request_with(CHAIN[1:], PROXIES_COUNT=1).forwarded == {}


def test_a_forged_beginning_of_the_chain_is_not_reached() -> None:
    chain = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "6.6.6.7, , 4.4.4.4")]
    assert request_with(chain, PROXIES_COUNT=1).remote_addr == "4.4.4.4"
    other = [("X-Chain", "4.4.4.4"), ("X-Forwarded-For", "6.6.6.6")]
    assert request_with(other, PROXIES_COUNT=1, FORWARDED_FOR_HEADER="X-Chain").remote_addr == "4.4.4.4"


def test_the_header_of_the_real_address() -> None:
    assert request_with(CHAIN, REAL_IP_HEADER="x-real-ip").forwarded == {"for": "[::2]", **TOLD}
    assert request_with(CHAIN, REAL_IP_HEADER="x-none").forwarded == {}
    assert request_with(CHAIN, REAL_IP_HEADER="x-none", PROXIES_COUNT=1).remote_addr == "3.3.3.3"


def test_a_field_that_stands_twice_is_not_believed() -> None:
    twice = [*CHAIN, ("X-Real-IP", "6.6.6.6"), ("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "evil")]
    request = request_with(twice, PROXIES_COUNT=1)
    assert (request.scheme, request.host) == ("http", "own:81")
    assert request_with(twice, REAL_IP_HEADER="X-Real-IP").remote_addr == ""


def test_an_unknown_address_is_none_and_x_scheme_is_read() -> None:
    fields = [("X-Forwarded-For", "unknown"), ("X-Scheme", "https")]
    assert request_with(fields, PROXIES_COUNT=1).forwarded == {"proto": "https"}
