"""Proxies that are believed by their address: what a request of our own apps says of its client."""

from typing import Any

import pytest

from tests.framework.streams import make_app, make_request
from vivace import Config, Request

PEER = "127.0.0.1"
CHAIN = [
    ("X-Forwarded-For", "9.9.9.9, 203.0.113.7, 10.0.0.2"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "shop.example:8443"),
]


def request_with(headers: list[tuple[str, str]], **settings: Any) -> Request:
    return make_request(make_app(config=Config(**settings)), headers=headers, host="own:81")


def told(request: Request) -> tuple[str, str, str]:
    return request.remote_addr, request.scheme, request.host


def test_a_trusted_peer_is_believed_and_its_proxies_are_passed_over() -> None:
    request = request_with(CHAIN, TRUSTED_PROXIES=f"{PEER} 10.0.0.0/8")
    assert told(request) == ("203.0.113.7", "https", "shop.example:8443")
    assert request.client_ip == "203.0.113.7"
    assert request.ip == PEER


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"PROXIES_COUNT": 1},
        {"REAL_IP_HEADER": "X-Forwarded-For"},
        {"FORWARDED_SECRET": "s3"},
        {"FORWARDED_FOR_HEADER": "Forwarded", "PROXIES_COUNT": 1},
    ],
)
def test_nobody_else_is_believed_whatever_else_is_set(settings: dict[str, Any]) -> None:
    headers = [*CHAIN, ("Forwarded", "for=9.9.9.9;secret=s3")]
    request = request_with(headers, TRUSTED_PROXIES="10.0.0.0/8", **settings)
    assert request.forwarded == {}
    assert told(request) == ("", "http", "own:81")


def test_the_address_and_the_count_go_together() -> None:
    request = request_with(CHAIN, TRUSTED_PROXIES=PEER, PROXIES_COUNT=3)
    assert request.remote_addr == "9.9.9.9"


def test_a_peer_on_a_unix_socket_is_believed_by_that_name() -> None:
    request = request_with(CHAIN, TRUSTED_PROXIES="unix 10.0.0.2")
    assert request.forwarded == {}
    request = request_with(CHAIN, TRUSTED_PROXIES="unix 10.0.0.2")
    request._transport.client = None  # type: ignore[misc]
    assert request.remote_addr == "203.0.113.7"


def test_everybody_means_the_one_that_connects() -> None:
    assert request_with(CHAIN, TRUSTED_PROXIES="*").remote_addr == "10.0.0.2"


def test_elements_of_forwarded_are_found_by_address_or_count() -> None:
    headers = [*CHAIN, ("Forwarded", 'for=9.9.9.9, for="[2001:db8::7]";proto=https;host=own2, for=10.0.0.2')]
    by_address = {"TRUSTED_PROXIES": f"{PEER} 10.0.0.0/8", "FORWARDED_FOR_HEADER": "forwarded"}
    assert told(request_with(headers, **by_address)) == ("[2001:db8::7]", "https", "own2")
    by_count: dict[str, Any] = {"PROXIES_COUNT": 2, "FORWARDED_FOR_HEADER": "Forwarded"}
    assert told(request_with(headers, **by_count)) == ("[2001:db8::7]", "https", "own2")
    assert told(request_with(CHAIN, **by_count)) == ("", "http", "own:81")
