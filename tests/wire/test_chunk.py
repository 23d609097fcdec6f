"""The lines of a chunked body: sizes, extensions, trailer fields."""

import pytest

from vivace.errors import RemoteProtocolError
from vivace.wire.chunk import FORBIDDEN_TRAILERS, parse_chunk_line, parse_trailer_line

LONG = 4096


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (b"0", 0),
        (b"5", 5),
        (b"aF", 0xAF),
        (b"0000000000000005", 5),
        (b"ffffffffffffffff", 2**64 - 1),
        (b"5;", None),
        (b"5;a", 5),
        (b"5;a=b", 5),
        (b"5;a=b;c", 5),
        (b"5;\ta = b ;c", 5),
        (b'5;a="b c\\"\t;\xe9"', 5),
        (b'5;a=""', 5),
        (b"0;last", 0),
    ],
)
def test_chunk_lines(line: bytes, size: int | None) -> None:
    if size is None:
        with pytest.raises(RemoteProtocolError):
            parse_chunk_line(line + b"\r\n", 0, LONG)
        return
    extensions = len(line) - len(line.split(b";")[0].rstrip(b" \t")) if b";" in line else 0
    assert parse_chunk_line(b"..." + line + b"\r\ndata", 3, LONG) == (size, len(line) + 5, extensions)
    for end in range(len(line) + 2):
        assert parse_chunk_line((line + b"\r\n")[:end], 0, LONG) is None


@pytest.mark.parametrize(
    "line",
    [
        b"\r\n",
        b"\n",
        b" 5\r\n",
        b"+5\r\n",
        b"-5\r\n",
        b"0x5\r\n",
        b"0_5\r\n",
        b"5_0\r\n",
        b"5 \r\n",
        b"5\t\r\n",
        b"5\n",
        b"5\rX",
        b"5\r\r\n",
        b"g\r\n",
        b"\xd9\xa5\r\n",
        b"10000000000000005\r\n",
        b"00000000000000005\r\n",
        b";a\r\n",
        b"5;\r\n",
        b"5;;a\r\n",
        b"5 ;a\r\n",
        b"5\t;a\r\n",
        b"5;a \r\n",
        b"5;=b\r\n",
        b"5;a=\r\n",
        b"5;a b\r\n",
        b"5;a=b \r\n",
        b'5;a="b\r\n',
        b'5;a="b"c\r\n',
        b'5;a="\\\r\n',
        b"5;\x01\r\n",
        b"5;a=\x00\r\n",
        b"5;a\nb\r\n",
        b'5;a="\n"\r\n',
        b"5;a\x7f\r\n",
        b"5;\xe9\r\n",
        b"5a;b?=c d\r\n",
        b"5,5\r\n",
    ],
)
def test_chunk_lines_that_are_refused(line: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_chunk_line(line, 0, LONG)
    assert caught.value.status_hint == 400


def test_a_chunk_line_has_a_limit() -> None:
    assert parse_chunk_line(b"5;" + b"a" * 8 + b"\r\n", 0, 10) == (5, 12, 9)
    assert parse_chunk_line(b"5;" + b"a" * 8 + b"\r", 0, 10) is None
    for data in (b"5;" + b"a" * 9, b"5;" + b"a" * 9 + b"\r\n"):
        with pytest.raises(RemoteProtocolError) as caught:
            parse_chunk_line(data, 0, 10)
        assert caught.value.status_hint == 400


def test_trailer_lines() -> None:
    data = b"X-Sum:\t abc \r\nY:\r\n\r\nrest"
    assert parse_trailer_line(data, 0, LONG) == (b"x-sum", b"abc", 14)
    assert parse_trailer_line(data, 14, LONG) == (b"y", b"", 18)
    assert parse_trailer_line(data, 18, LONG) == (b"", b"", 20)
    for end in range(14):
        assert parse_trailer_line(data[:end], 0, LONG) is None
    assert parse_trailer_line(data[:19], 18, LONG) is None


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"\rX",
        b": a\r\n",
        b" x: a\r\n",
        b"x : a\r\n",
        b"x\r\n",
        b"x: a\n",
        b"x: a\rb",
        b"x: \x00\r\n",
        b"x\xe9: a\r\n",
        b"GET / HTTP/1.1\r\n",
    ],
)
def test_trailer_lines_that_are_refused(line: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_trailer_line(line, 0, LONG)
    assert caught.value.status_hint == 400


def test_a_trailer_line_has_a_limit() -> None:
    assert parse_trailer_line(b"x: " + b"a" * 7 + b"\r\n", 0, 10) == (b"x", b"a" * 7, 12)
    assert parse_trailer_line(b"x: " + b"a" * 7, 0, 10) is None
    for data in (b"x: " + b"a" * 8, b"x: " + b"a" * 8 + b"\r\n", b"n" * 11):
        with pytest.raises(RemoteProtocolError) as caught:
            parse_trailer_line(data, 0, 10)
        assert caught.value.status_hint == 431


def test_fields_that_frame_route_or_authenticate_are_no_trailers() -> None:
    for name in (
        b"transfer-encoding",
        b"content-length",
        b"host",
        b"authorization",
        b"content-type",
        b"cookie",
    ):
        assert name in FORBIDDEN_TRAILERS
    assert all(name == name.lower() for name in FORBIDDEN_TRAILERS)
