"""Percent-escapes, by both builds: decoded once, malformed ones kept."""

import random
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

import pytest

from vivace.wire import percent

BUILDS = {"python": percent.py_unquote_octets, "used": percent.unquote_octets}

Unquote = Callable[[bytes], bytes]


@pytest.fixture(params=BUILDS)
def unquote(request: pytest.FixtureRequest) -> Unquote:
    return BUILDS[request.param]


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"/a%20b", b"/a b"),
        (b"%2F%2f", b"//"),
        (b"/%00%0d%0A", b"/\0\r\n"),
        (b"/%C3%a9%ff", b"/\xc3\xa9\xff"),
        (b"/%2541", b"/%41"),
        (b"%25%32%35", b"%25"),
        (b"/=3D+%3D", b"/=3D+="),
        (b"/a=\r\nb =\n%41_", b"/a=\r\nb =\nA_"),
        (b"%", b"%"),
        (b"%4", b"%4"),
        (b"%%41", b"%A"),
        (b"%4%31", b"%41"),
        (b"%zz%4g%g4%-1% 1%+1%:0%@0%G0", b"%zz%4g%g4%-1% 1%+1%:0%@0%G0"),
        (b"%41%", b"A%"),
    ],
)
def test_escapes_are_decoded_once_and_malformed_ones_stay(
    unquote: Unquote, octets: bytes, expected: bytes
) -> None:
    assert unquote(octets) == expected


@pytest.mark.parametrize("octets", [b"", b"/", b"/a/b+c=d", b"\xff\x00=41"])
def test_octets_without_an_escape_are_returned_themselves(unquote: Unquote, octets: bytes) -> None:
    assert unquote(octets) is octets


def test_every_octet_has_its_escapes(unquote: Unquote) -> None:
    for octet in range(256):
        assert unquote(b"%%%02x.%%%02X" % (octet, octet)) == bytes([octet, 0x2E, octet])


def test_it_agrees_with_the_standard_library(unquote: Unquote) -> None:
    source = random.Random(1)
    for _ in range(2000):
        octets = bytes(source.choices(b"%%%%0123aAfFgG=/\r\n\xff", k=source.randrange(40)))
        assert unquote(octets) == unquote_to_bytes(octets), octets


def test_a_million_percent_signs_are_no_attack(unquote: Unquote) -> None:
    assert unquote(b"%" * 1_000_000) == b"%" * 1_000_000
