"""Trusted addresses: who is among them, and who never is."""

import pytest

from vivace.http.networks import Networks, address_of


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("10.0.0.7", ["10.0.0.7", "::ffff:10.0.0.7"], ["10.0.0.8", "::10.0.0.7"]),
        ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["11.0.0.0", "9.255.255.255"]),
        ("fd00::/8 ::1", ["fd00::1", "::1", "FD12::", "fdff::%eth0"], ["fc00::1", "::2", "127.0.0.1"]),
        ("127.0.0.0/8,::1", ["127.1.2.3"], ["128.0.0.1"]),
        ("0.0.0.0/0", ["1.2.3.4"], ["::1"]),
        ("*", ["1.2.3.4", "::1", None, "anything"], []),
        ("unix", [None], ["127.0.0.1", ""]),
        ("", [], ["127.0.0.1", None, ""]),
        ("10.0.0.7", [], [None, "", "10.0.0.7:80", "10.0.0.07", "x", "*", "unix"]),
    ],
)
def test_who_is_among_them(text: str, inside: list[str | None], outside: list[str | None]) -> None:
    networks = Networks(text)
    assert bool(networks) is bool(text)
    assert [address for address in inside if address not in networks] == []
    assert [address for address in outside if address in networks] == []


@pytest.mark.parametrize("text", ["10.0.0.1/8", "localhost", "10.0.0", "10.0.0.0/33", "::1::", "300.1.1.1"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Networks(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.3.4:80", "1.2.3.4"),
        ("[::1]:80", "::1"),
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("fe80::1:80", "fe80::1:80"),
        ("unknown", "unknown"),
        ("_x", "_x"),
    ],
)
def test_an_address_is_found_without_its_port(text: str, address: str) -> None:
    assert address_of(text) == address
