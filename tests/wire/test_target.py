"""The rare forms of a head: absolute targets, unusual authorities, other transfer codings."""

import pytest

from vivace.errors import RemoteProtocolError
from vivace.wire import target


@pytest.mark.parametrize(
    ("text", "method", "expected"),
    [
        (b"http://a/b?c", "GET", (b"http", b"a", b"/b", b"c")),
        (b"HTTPS://A:8443/", "GET", (b"https", b"A:8443", b"/", b"")),
        (b"http://a", "GET", (b"http", b"a", b"/", b"")),
        (b"http://a?b", "GET", (b"http", b"a", b"/", b"b")),
        (b"http://a", "OPTIONS", (b"http", b"a", b"*", b"")),
        (b"http://a/", "OPTIONS", (b"http", b"a", b"/", b"")),
        (b"http://[::1]:80/x", "GET", (b"http", b"[::1]:80", b"/x", b"")),
    ],
)
def test_absolute_targets_are_split(text: bytes, method: str, expected: tuple[bytes, ...]) -> None:
    assert target.split_absolute(text, method) == expected


@pytest.mark.parametrize(
    "text",
    [
        b"ftp://a/",
        b"http:/a",
        b"http:a",
        b"a:80",
        b"http://",
        b"http:///x",
        b"http://u@a/",
        b"http://u:p@a/",
        b"http://a:x/",
        b"mailto:a",
    ],
)
def test_other_absolute_targets_are_refused(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        target.split_absolute(text, "GET")
    assert caught.value.status_hint == 400


@pytest.mark.parametrize(
    "text",
    [
        b"a",
        b"a:",
        b"a:65535",
        b"a%2Db",
        b"a,b",
        b"1.2.3.4",
        b"999.1.1.1",
        b"~a",
        b"[::]",
        b"[::1]:0",
        b"[1:2:3:4:5:6:7:8]",
        b"[1::8]",
        b"[::1.2.3.4]",
        b"[1:2:3:4:5:6:1.2.3.4]",
        b"[v1.a:b]",
        b"[fe80::1]",
        b"[1:2:3:4:5:6:7::]",
    ],
)
def test_authorities_that_are_taken(text: bytes) -> None:
    target.check_authority(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b":80",
        b"a b",
        b"a/?",
        b"a/",
        b"a?",
        b"a#b",
        b"u@a",
        b"a:b",
        b"a:65536",
        b"a:123456",
        b"a:+1",
        b"a%4",
        b"a%zz",
        b"a\\b",
        b"\xc3\xa9",
        b"a:1:2",
        b"::1",
        b"[",
        b"[]",
        b"[::1",
        b"[::1]x",
        b"[::1]:x",
        b"[1]",
        b"[:::]",
        b"[1::2::3]",
        b"[fe80::1%25eth0]",
        b"[::1.2.3]",
        b"[::1.2.3.256]",
        b"[1.2.3.4::]",
        b"[12345::]",
        b"[1:2:3:4:5:6:7:8:9]",
        b"[1:2:3:4:5:6:7:8::]",
        b"[v.a]",
        b"[va]",
        b"<script>",
        b'a"',
        b"a\x00",
    ],
)
def test_authorities_that_are_refused(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        target.check_authority(text)
    assert caught.value.status_hint == 400


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ([b"gzip"], 501),
        ([b"gzip, chunked"], 501),
        ([b"gzip", b"chunked"], 501),
        ([b"identity"], 501),
        ([b"blegh"], 501),
        ([b"chunked, gzip"], 400),
        ([b"chunked", b"chunked"], 400),
        ([b"chunked, chunked"], 400),
        ([b"chunked, identity"], 400),
        ([b""], 400),
        ([b"chunked,"], 400),
        ([b",chunked"], 400),
        ([b"\xa0chunked"], 400),
        ([b"chunked\x85"], 400),
        ([b"chunked;a=b"], 400),
        ([b'"chunked"'], 400),
        ([b"chun ked"], 400),
    ],
)
def test_other_codings_are_refused(values: list[bytes], status: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        target.refuse_codings(values)
    assert caught.value.status_hint == status


def test_one_chunked_is_no_other_coding() -> None:
    target.refuse_codings([b" Chunked\t"])
