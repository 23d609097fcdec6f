"""Writing the head of a response, by both builds: framing, what the application may say, what is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from vivace.errors import LocalProtocolError
from vivace.wire import response
from vivace.wire.response import (
    CLOSE,
    KEEP_ALIVE,
    WITH_CHUNKS,
    WITH_LENGTH,
    WITH_LENGTH_OF_APP,
    WITH_LENGTH_OF_GET,
    WITH_NO_END,
    WITH_NOTHING,
)

BUILDS = {"python": response.py_render_head, "used": response.render_head}
LINE = b"HTTP/1.1 200 OK\r\n"
DATE = b"date: Sat, 21 Nov 2026 05:00:00 GMT\r\n"

Render = Callable[..., tuple[bytes, int, bool]]


@pytest.fixture(params=BUILDS)
def render(request: pytest.FixtureRequest) -> Render:
    build = BUILDS[request.param]

    def render(
        *fields: Any,
        date: bytes = b"",
        connection: int = 0,
        framing: int = WITH_LENGTH,
        length: int = 0,
        body: bytes = b"",
    ) -> tuple[bytes, int, bool]:
        return build(LINE, list(fields), date, connection, framing, length, body)

    return render


def test_a_whole_response_is_one_piece(render: Render) -> None:
    found = render((b"Content-Type", b"text/plain"), (b"x", b""), date=DATE, length=5, body=b"hello")
    assert found == (
        LINE + b"Content-Type: text/plain\r\nx: \r\n" + DATE + b"content-length: 5\r\n\r\nhello",
        5,
        False,
    )


def test_the_date_of_the_application_replaces_ours(render: Render) -> None:
    assert render((b"Date", b"today"), date=DATE)[0] == LINE + b"Date: today\r\ncontent-length: 0\r\n\r\n"
    assert b"date" not in render()[0]


@pytest.mark.parametrize(
    ("framing", "length", "said", "line"),
    [
        (WITH_LENGTH, 0, 0, b"content-length: 0\r\n"),
        (WITH_LENGTH, 1234567890123, 1234567890123, b"content-length: 1234567890123\r\n"),
        (WITH_CHUNKS, 0, -1, b"transfer-encoding: chunked\r\n"),
        (WITH_NO_END, 0, -1, b"connection: close\r\n"),
        (WITH_LENGTH_OF_GET, 0, -1, b""),
        (WITH_LENGTH_OF_GET, 10, 10, b"content-length: 10\r\n"),
        (WITH_LENGTH_OF_APP, 10, -1, b""),
        (WITH_NOTHING, 10, -1, b""),
    ],
)
def test_framing_by_the_server(render: Render, framing: int, length: int, said: int, line: bytes) -> None:
    assert render(framing=framing, length=length) == (LINE + line + b"\r\n", said, framing == WITH_NO_END)


@pytest.mark.parametrize(
    ("framing", "said"),
    [
        (WITH_LENGTH, 7),
        (WITH_CHUNKS, 7),
        (WITH_NO_END, 7),
        (WITH_LENGTH_OF_GET, 7),
        (WITH_LENGTH_OF_APP, 7),
        (WITH_NOTHING, -1),
    ],
)
def test_framing_by_the_length_of_the_application(render: Render, framing: int, said: int) -> None:
    line = b"content-length: 7\r\n" if said == 7 else b""
    found = render((b"Content-Length", b"007"), framing=framing, length=7)
    assert found == (LINE + line + b"\r\n", said, False)


def test_the_length_for_head_is_the_one_the_application_says(render: Render) -> None:
    assert render((b"content-length", b"9"), framing=WITH_LENGTH_OF_GET, length=5)[1] == 9


@pytest.mark.parametrize("value", [b"", b"+1", b"-1", b"1,1", b"0x1", b"1 ", b"1_0", b"\xd9\xa5", b"1" * 19])
def test_a_length_that_is_no_number_is_refused(render: Render, value: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        render((b"content-length", value), framing=WITH_CHUNKS)


def test_lengths_that_differ_or_repeat_are_refused(render: Render) -> None:
    with pytest.raises(LocalProtocolError):
        render((b"content-length", b"4"), length=5)
    with pytest.raises(LocalProtocolError):
        render((b"content-length", b"5"), (b"Content-Length", b"5"), length=5)


@pytest.mark.parametrize(
    ("value", "sent", "closes"),
    [
        (b"close", False, True),
        (b" Close\t", False, True),
        (b"keep-alive", False, False),
        (b"Upgrade", True, False),
        (b"upgrade, close", True, True),
        (b"closed", True, False),
    ],
)
def test_connection_of_the_application(render: Render, value: bytes, sent: bool, closes: bool) -> None:
    data, _, found = render((b"Connection", value))
    assert found == closes
    assert (b"Connection: " + value in data) == sent
    assert (b"connection: close\r\n" in data) == closes


def test_connection_of_the_server(render: Render) -> None:
    assert render(connection=CLOSE)[0].endswith(b"connection: close\r\n\r\n")
    assert render(connection=KEEP_ALIVE)[0].endswith(b"connection: keep-alive\r\n\r\n")
    both = render((b"connection", b"close"), connection=KEEP_ALIVE)
    assert (b"keep-alive" in both[0], both[2]) == (False, True)


def test_a_transfer_encoding_of_the_application_is_dropped_if_it_is_ours(render: Render) -> None:
    data = render((b"Transfer-Encoding", b" Chunked"), length=2, body=b"ab")[0]
    assert data == LINE + b"content-length: 2\r\n\r\nab"
    for other in (b"gzip", b"gzip, chunked", b"", b"identity"):
        with pytest.raises(LocalProtocolError):
            render((b"transfer-encoding", other))


def test_every_octet_in_names_and_values(render: Render) -> None:
    token = set(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
    for octet in range(256):
        pair = (b"x" + bytes([octet]), b"v")
        if octet in token:
            assert pair[0] + b": v\r\n" in render(pair)[0]
        else:
            with pytest.raises(LocalProtocolError):
                render(pair)
        pair = (b"x", b"v" + bytes([octet]))
        if octet == 9 or (octet >= 0x20 and octet != 0x7F):
            assert b"x: " + pair[1] + b"\r\n" in render(pair)[0]
        else:
            with pytest.raises(LocalProtocolError):
                render(pair)


@pytest.mark.parametrize("value", [b"a\r\nX: y", b"a\nX: y", b"a\rX: y", b"a\x00", b"\r\n\r\n<html>"])
def test_header_injection_is_refused(render: Render, value: bytes) -> None:
    # CVE-2020-7695, CVE-2018-1000164, CVE-2012-2374
    for name in (b"location", b"content-length", b"connection", b"date", b"transfer-encoding"):
        with pytest.raises(LocalProtocolError):
            render((name, value))
    with pytest.raises(LocalProtocolError):
        render((value, b"v"))


def test_an_empty_name_is_refused(render: Render) -> None:
    with pytest.raises(LocalProtocolError):
        render((b"", b"v"))


@pytest.mark.parametrize("pair", [("x", b"y"), (b"x", "y"), (b"x", None), (1, b"y")])
def test_what_is_not_bytes_is_refused(render: Render, pair: Any) -> None:
    with pytest.raises(LocalProtocolError):
        render(pair)


def test_fields_may_be_any_sequence_of_pairs() -> None:
    for build in BUILDS.values():
        for fields in ([[b"a", b"b"]], ((b"a", b"b"),), iter([(b"a", b"b")]), [(b"a", b"b")]):
            assert build(LINE, fields, b"", 0, WITH_NOTHING, 0, b"")[0] == LINE + b"a: b\r\n\r\n"  # type: ignore[arg-type]


def test_many_and_long_fields_are_written_whole(render: Render) -> None:
    fields = [(b"x-%d" % i, b"v" * i) for i in range(1000)]
    data = render(*fields, framing=WITH_NOTHING)[0]
    assert data == LINE + b"".join(b"%b: %b\r\n" % pair for pair in fields) + b"\r\n"


def test_both_builds_say_the_same_why(render: Render) -> None:
    with pytest.raises(LocalProtocolError, match=r"value of x .*control octet"):
        render((b"x", b"\n"))
    with pytest.raises(LocalProtocolError, match="not a token"):
        render((b"x y", b""))
