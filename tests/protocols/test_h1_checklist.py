"""The checklist of HTTP/1.1, and the history of mistakes: raw octets and what has to come of them.

An outcome lists, in order: requests as ``METHOD target``, bodies as bytes, errors as their status (the
connection ends there), ``close`` where the connection ends behind an answer, ``CONNECTION_CLOSED`` where the
client had nothing more to say.
"""

import time
from typing import Any

import pytest

from tests.protocols.driver import outcome, transcript
from vivace.errors import RemoteProtocolError
from vivace.protocols.h1 import H1Limits

END = "CONNECTION_CLOSED"
HOST = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST
POST = b"POST / HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

CASES: dict[str, tuple[bytes, list[Any]]] = {
    # framing: the length
    "no body": (GET + b"\r\n" + NEXT, ["GET /", "GET /next", END]),
    "counted body": (POST + b"Content-Length: 5\r\n\r\nhello" + NEXT, ["POST /", b"hello", "GET /next", END]),
    "a length of nothing": (POST + b"Content-Length: 0\r\n\r\n" + NEXT, ["POST /", "GET /next", END]),
    "GET has a body too": (GET + b"Content-Length: 2\r\n\r\nhi" + NEXT, ["GET /", b"hi", "GET /next", END]),
    "HEAD has a body too": (
        b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" + NEXT,
        ["HEAD /", b"hi", "GET /next", END],
    ),
    "DELETE has a body too": (
        b"DELETE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + NEXT,
        ["DELETE /", "GET /next", END],
    ),
    "a body without framing is the next request": (POST + b"\r\nhello: x\r\n", ["POST /", 400]),
    "two lengths": (POST + b"Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello" + NEXT, [400]),
    "two equal lengths": (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", [400]),
    "length with a sign": (POST + b"Content-Length: +5\r\n\r\nhello", [400]),
    "space before the colon of the length": (POST + b"Content-Length : 5\r\n\r\nhello", [400]),
    "length over 2^63-1": (POST + b"Content-Length: 9223372036854775808\r\n\r\n", [413]),
    "largest length": (POST + b"Content-Length: 9223372036854775807\r\n\r\nx", ["POST /", b"x", 400]),
    "body broken off": (POST + b"Content-Length: 5\r\n\r\nhell", ["POST /", b"hell", 400]),
    # framing: the coding
    "length and coding": (
        POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX" + NEXT,
        [400],
    ),
    "coding and length": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n", [400]),
    "coding in HTTP/1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400]),
    "coding in any case": (
        POST + b"transfer-encoding:\t ChUnKeD \r\n\r\n0\r\n\r\n" + NEXT,
        ["POST /", "GET /next", END],
    ),
    "coding that is not the last": (POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n", [400]),
    "two coding lines, chunked not last": (
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n",
        [400],
    ),
    "chunked twice": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", [400]),
    "gzip, chunked": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", [501]),
    "identity": (POST + b"Transfer-Encoding: identity\r\n\r\n", [501]),
    "blegh with a length": (POST + b"Transfer-Encoding: blegh\r\nContent-Length: 5\r\n\r\nhello", [400]),
    "blegh": (POST + b"Transfer-Encoding: blegh\r\n\r\n", [501]),
    "empty coding": (POST + b"Transfer-Encoding:\r\n\r\n", [400]),
    "coding with VT": (POST + b"Transfer-Encoding: \x0bchunked\r\nContent-Length: 5\r\n\r\nhello", [400]),
    "coding with FF": (POST + b"Transfer-Encoding: \x0cchunked\r\n\r\n", [400]),
    "coding with NEL": (POST + b"Transfer-Encoding: \x85chunked\r\n\r\n", [400]),
    "coding with NBSP": (POST + b"Transfer-Encoding: chunked\xa0\r\n\r\n", [400]),
    "coding with a parameter": (POST + b"Transfer-Encoding: chunked;a=b\r\n\r\n", [400]),
    "coding in quotes": (POST + b'Transfer-Encoding: "chunked"\r\n\r\n', [400]),
    "xchunked": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", [501]),
    # chunks
    "chunks": (
        CHUNKED + b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n" + NEXT,
        ["POST /", b"hello!", "GET /next", END],
    ),
    "extension on the last chunk": (CHUNKED + b'0;a="b"\r\n\r\n' + NEXT, ["POST /", "GET /next", END]),
    "last chunk of several zeros": (CHUNKED + b"000\r\n\r\n" + NEXT, ["POST /", "GET /next", END]),
    "chunk size with a prefix": (CHUNKED + b"0x5\r\nhello\r\n", ["POST /", 400]),
    "chunk size with a sign": (CHUNKED + b"+5\r\nhello\r\n", ["POST /", 400]),
    "chunk size with an underscore": (CHUNKED + b"0_5\r\nhello\r\n", ["POST /", 400]),
    "chunk size of 17 digits": (CHUNKED + b"10000000000000005\r\nhello\r\n", ["POST /", 400]),
    "chunk size over 2^63-1": (CHUNKED + b"ffffffffffffffff\r\nhello\r\n", ["POST /", 413]),
    "chunk sizes that add up to more than 2^63-1": (
        CHUNKED + b"1\r\na\r\n7fffffffffffffff\r\nhello",
        ["POST /", b"a", 413],
    ),
    "chunk size with a space": (CHUNKED + b"5 \r\nhello\r\n", ["POST /", 400]),
    "empty chunk size": (CHUNKED + b"\r\nhello\r\n", ["POST /", 400]),
    "chunk size ended by LF": (CHUNKED + b"5\nhello\r\n", ["POST /", 400]),
    "control octet in extension": (CHUNKED + b"5;\x01\r\nhello\r\n", ["POST /", 400]),
    "LF in extension": (CHUNKED + b"5;a\nhello\r\n0\r\n\r\n", ["POST /", 400]),
    "two other octets behind data": (CHUNKED + b"5\r\nhelloXX0\r\n\r\n", ["POST /", b"hello", 400]),
    "LF behind data": (CHUNKED + b"5\r\nhello\n0\r\n\r\n", ["POST /", b"hello", 400]),
    "CR and another behind data": (CHUNKED + b"5\r\nhello\rX0\r\n\r\n", ["POST /", b"hello", 400]),
    "data longer than its chunk": (CHUNKED + b"3\r\nhello\r\n0\r\n\r\n", ["POST /", b"hel", 400]),
    "last chunk without its empty line": (CHUNKED + b"0\r\n", ["POST /", 400]),
    "last chunk and two octets": (
        CHUNKED + b"0\r\nX:GET / HTTP/1.1\r\n\r\n" + NEXT,
        ["POST /", "GET /next", END],
    ),
    "last chunk and a request": (CHUNKED + b"0\r\n" + NEXT, ["POST /", 400]),
    "chunked body broken off": (CHUNKED + b"5\r\nhel", ["POST /", b"hel", 400]),
    "fold in trailers": (CHUNKED + b"0\r\nX: a\r\n b\r\n\r\n", ["POST /", 400]),
    "trailer without a colon": (CHUNKED + b"0\r\nX\r\n\r\n", ["POST /", 400]),
    "LF in trailers": (CHUNKED + b"0\r\nX: a\n\r\n", ["POST /", 400]),
    # connection
    "close": (GET + b"Connection: close\r\n\r\n" + NEXT, ["GET /", "close"]),
    "close in a list over lines": (
        GET + b"Connection: x\r\nConnection: y , CLOSE\r\n\r\n" + NEXT,
        ["GET /", "close"],
    ),
    "HTTP/1.0": (b"GET / HTTP/1.0\r\n\r\n" + NEXT, ["GET /", "close"]),
    "HTTP/1.0 keep-alive": (
        b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n" + NEXT,
        ["GET /", "GET /next", END],
    ),
    "rubbish behind a good request": (GET + b"\r\n\x00\x01", ["GET /", 400]),
    "rubbish behind the last request": (GET + b"Connection: close\r\n\r\n\x00", ["GET /", "close"]),
    "empty lines between requests": (GET + b"\r\n\r\n" + NEXT, ["GET /", "GET /next", END]),
    "empty line behind the last request": (GET + b"\r\n\r\n", ["GET /", END]),
    "nothing": (b"", [END]),
    "head broken off": (GET, [400]),
    "unknown expectation": (POST + b"Expect: 200-ok\r\nContent-Length: 1\r\n\r\n", [417]),
    "a body with its expectation": (
        POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi" + NEXT,
        ["POST /", b"hi"],
    ),
    "unknown upgrade with a body": (
        POST + b"Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nhi" + NEXT,
        ["POST /", b"hi", "GET /next", END],
    ),
    # targets and hosts
    "absolute-form": (b"GET http://b/x?y HTTP/1.1\r\n" + HOST + b"\r\n", ["GET http://b/x?y", END]),
    "absolute-form without Host": (b"GET http://b/ HTTP/1.1\r\n\r\n", [400]),
    "absolute-form with user information": (b"GET http://u:p@b/ HTTP/1.1\r\n" + HOST + b"\r\n", [400]),
    "absolute-form of another scheme": (b"GET ftp://b/ HTTP/1.1\r\n" + HOST + b"\r\n", [400]),
    "absolute-form and a bad Host": (b"GET http://b/ HTTP/1.1\r\nHost: a/?\r\n\r\n", [400]),
    "authority-form": (b"GET a:80 HTTP/1.1\r\n" + HOST + b"\r\n", [400]),
    "asterisk": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", ["OPTIONS *", END]),
    "asterisk with GET": (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", [400]),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1\r\n" + HOST + b"\r\n", [501]),
    "TRACE": (b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", [501]),
    "HTTP/2 with prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [505]),
    "Host that moves the authority": (b"GET / HTTP/1.1\r\nHost: a/?\r\n\r\n", [400]),
    "target that moves the authority": (b"GET @evil/ HTTP/1.1\r\nHost: a\r\n\r\n", [400]),
    "Host twice": (GET + b"Host: b\r\n\r\n", [400]),
    "Host as a list": (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", [400]),
    "Host with user information": (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", [400]),
    "Host of an address": (b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", ["GET /", END]),
    "TLS on a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [400]),
}


@pytest.mark.parametrize(("data", "expected"), CASES.values(), ids=CASES.keys())
def test_outcome(build: Any, data: bytes, expected: list[Any]) -> None:
    found = outcome(build, data)
    assert found[: len(expected)] == expected
    assert len(found) == len(expected) or expected[-1] != END


@pytest.mark.parametrize("data", [data for data, _ in CASES.values()], ids=CASES.keys())
def test_octet_by_octet_gives_the_same(build: Any, data: bytes) -> None:
    assert transcript(build, [data[i : i + 1] for i in range(len(data))]) == transcript(
        build, [data] if data else []
    )


def test_answers_are_in_order(build: Any) -> None:
    # CVE-2023-46137, CVE-2024-41671
    data = b"".join(
        b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (i, i, b"x" * i)
        for i in range(1, 21)
    )
    expected: list[Any] = []
    for i in range(1, 21):
        expected += [f"POST /{i}", b"x" * i]
    assert outcome(build, data) == [*expected, END]


def test_trailers_are_kept_apart_and_cleared(build: Any) -> None:
    # CVE-2024-52304, CVE-2025-53643
    first = CHUNKED + b"1\r\na\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nHost: evil\r\n\r\n"
    steps = transcript(build, [first + CHUNKED + b"0\r\nY: 2\r\n\r\n"])
    assert [step[1] for step in steps if step[0] == "end"] == [((b"x-sum", b"1"),), ((b"y", b"2"),)]
    heads = [dict(step[-1]) for step in steps if step[0] == "request"]
    assert all(b"x-sum" not in head and head[b"host"] == b"a" for head in heads)


def test_the_authority_of_an_absolute_target_replaces_host(build: Any) -> None:
    step = transcript(build, [b"GET https://b:1/x?y=z HTTP/1.1\r\nHost: a\r\n\r\n"])[0]
    assert step[2:8] == (b"https://b:1/x?y=z", b"/x", b"y=z", "1.1", b"https", b"b:1")
    assert step[-1] == ((b"host", b"b:1"),)


def test_20_000_chunks_take_linear_time(build: Any) -> None:
    # CVE-2025-69229
    data = CHUNKED + b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n"
    started = time.perf_counter()
    assert outcome(build, data) == ["POST /", b"a" * 20_000, END]
    assert time.perf_counter() - started < 1


def test_endless_chunk_extensions_are_cut(build: Any) -> None:
    # CVE-2023-39326, CVE-2024-21647
    for piece in (b"1;" + b"a" * 4000 + b"\r\nx\r\n", b"1;" + b"a=b;" * 4000):
        connection = build(H1Limits())
        connection.receive_data(CHUNKED)
        connection.next_event()
        fed = 0
        with pytest.raises(RemoteProtocolError, match="over the limit"):
            while fed < 200_000:
                connection.receive_data(piece)
                fed += len(piece)
                connection.next_event()
        assert fed < 80_000


def test_an_endless_trailer_section_is_cut(build: Any) -> None:
    # CVE-2026-22815
    for piece in (b"x: " + b"a" * 1000 + b"\r\n", b"a" * 1000, b"x:\r\n" * 10):
        assert outcome(build, CHUNKED + b"0\r\n" + piece * 1000) == ["POST /", 431]


def test_limits_of_trailers(build: Any) -> None:
    limits = H1Limits(max_trailers=20, max_trailer_fields=3)
    for trailers, fits in {
        b"x: 4567890\r\nyz: 56\r\n": True,
        b"x: 4567890\r\nyz: 567\r\n": False,
        b"x:\r\n" * 3: True,
        b"x:\r\n" * 4: False,
    }.items():
        expected = ["POST /", END] if fits else ["POST /", 431]
        assert outcome(build, CHUNKED + b"0\r\n" + trailers + b"\r\n", limits) == expected


def test_limit_of_chunk_extensions_of_a_body(build: Any) -> None:
    limits = H1Limits(max_chunk_extensions=12)
    assert outcome(build, CHUNKED + b"1;abc\r\nx\r\n" * 3 + b"0\r\n\r\n", limits) == ["POST /", b"xxx", END]
    assert outcome(build, CHUNKED + b"1;abc\r\nx\r\n" * 4 + b"0\r\n\r\n", limits)[-1] == 400
    both = (CHUNKED + b"1;abc\r\nx\r\n" * 3 + b"0\r\n\r\n") * 2
    assert outcome(build, both, limits) == ["POST /", b"xxx"] * 2 + [END], "counted for each message"


def test_limit_of_a_body(build: Any) -> None:
    limits = H1Limits(max_body=5)
    assert outcome(build, POST + b"Content-Length: 5\r\n\r\nhello", limits) == ["POST /", b"hello", END]
    assert outcome(build, POST + b"Content-Length: 6\r\n\r\nhello!", limits) == [413]
    assert outcome(build, CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", limits) == ["POST /", b"abcde", END]
    assert outcome(build, CHUNKED + b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", limits) == ["POST /", b"abc", 413]


def test_an_endless_head_is_refused_by_its_limits(build: Any) -> None:
    for piece, status in ((b"A" * 1000, 501), (b"/" * 1000, 414), (b"x: y\r\n", 431), (b"x" * 1000, 431)):
        start = {501: b"", 414: b"GET /", 431: GET}[status]
        connection = build(H1Limits())
        connection.receive_data(start or b"A")
        fed = 0
        started = time.perf_counter()
        with pytest.raises(RemoteProtocolError) as caught:
            while fed < 200_000:
                connection.receive_data(piece)
                fed += len(piece)
                connection.next_event()
        assert caught.value.status_hint == status
        assert fed <= 32_768 + 4096
        assert time.perf_counter() - started < 0.5
