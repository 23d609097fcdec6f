"""Parsing the head of a request, by both builds: what is taken, what is refused and with which status."""

from collections.abc import Callable
from typing import Any

import pytest

from vivace.errors import RemoteProtocolError
from vivace.wire import head

LIMITS = (16_384, 32_768, 100)
BUILDS = {
    "python": (head.py_parse_head, head.py_split_fields),
    "used": (head.parse_head, head.split_fields),
}
LINE = b"GET / HTTP/1.1\r\n"
HOST = b"Host: a\r\n"

Parse = Callable[..., Any]


@pytest.fixture(params=BUILDS)
def parse(request: pytest.FixtureRequest) -> Parse:
    build = BUILDS[request.param][0]

    def parse(data: bytes, start: int = 0, limits: tuple[int, int, int] = LIMITS) -> Any:
        return build(data, start, *limits)

    return parse


@pytest.fixture(params=BUILDS)
def split(request: pytest.FixtureRequest) -> Callable[[bytes], list[tuple[bytes, bytes]]]:
    return BUILDS[request.param][1]


def status_of(parse: Parse, data: bytes, *args: Any) -> int:
    with pytest.raises(RemoteProtocolError) as caught:
        parse(data, *args)
    return caught.value.status_hint


# -- what is taken ------------------------------------------------------------------------------------------


def test_a_plain_head_gives_its_parts(parse: Parse) -> None:
    data = b"GET /a/b?c=d&e HTTP/1.1\r\nHost: example.com:8000\r\nAccept: */*\r\n\r\nrest"
    assert parse(data) == (
        len(data) - 4,
        "GET",
        b"/a/b?c=d&e",
        b"/a/b",
        b"c=d&e",
        1,
        head.KEEP_ALIVE,
        -1,
        b"example.com:8000",
        b"Host: example.com:8000\r\nAccept: */*\r\n",
    )


def test_known_methods_are_the_same_object_each_time(parse: Parse) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        found = parse(method.encode() + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert found[1] is method


@pytest.mark.parametrize("method", [b"get", b"FOO", b"M-SEARCH", b"!#$%&'*+-.^_`|~09", b"A" * 32])
def test_other_methods_are_taken_as_they_are(parse: Parse, method: bytes) -> None:
    assert parse(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n")[1] == method.decode()


def test_a_head_may_begin_anywhere(parse: Parse) -> None:
    first = LINE + HOST + b"\r\n"
    found = parse(first + b"POST /x HTTP/1.1\r\nHost: b\r\n\r\n", len(first))
    assert found[:3] == (len(first) + 29, "POST", b"/x")
    assert found[8] == b"b"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/", (b"/", b"")),
        (b"/?", (b"/", b"")),
        (b"/a?b?c", (b"/a", b"b?c")),
        (b"//evil.test/..", (b"//evil.test/..", b"")),
        (b"/\\x", (b"/\\x", b"")),
        (b'/%zz|{}"<>^`', (b'/%zz|{}"<>^`', b"")),
        (b"/~!$&'()*+,;=:@[]", (b"/~!$&'()*+,;=:@[]", b"")),
    ],
)
def test_targets_are_split_at_the_first_question_mark_only(
    parse: Parse, path: bytes, expected: tuple[bytes, bytes]
) -> None:
    assert parse(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)[3:5] == expected


def test_every_octet_of_a_uri_and_no_other_may_stand_in_a_target(parse: Parse) -> None:
    for octet in range(256):
        data = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % bytes([octet])
        if 0x21 <= octet <= 0x7E and octet != ord("#"):
            assert parse(data)[2] == b"/" + bytes([octet])
        else:
            assert status_of(parse, data) == 400, octet


def test_every_octet_in_a_field_name_and_value(parse: Parse) -> None:
    token = set(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
    for octet in range(256):
        name = LINE + HOST + b"x%by: v\r\n\r\n" % bytes([octet])
        if octet in token or octet == ord(":"):
            assert parse(name)
        else:
            assert status_of(parse, name) == 400, octet
        # at each place in a machine word and behind it
        for before in (0, 3, 7, 8, 15):
            value = LINE + HOST + b"x: %b%by\r\n\r\n" % (b"v" * before, bytes([octet]))
            if octet == 9 or (octet >= 0x20 and octet != 0x7F):
                assert parse(value)
            else:
                assert status_of(parse, value) == 400, octet


def test_up_to_eight_empty_lines_before_are_skipped(parse: Parse) -> None:
    data = LINE + HOST + b"\r\n"
    for count in range(9):
        assert parse(b"\r\n" * count + data)[0] == len(data) + 2 * count
        assert parse(b"\r\n" * count) is None
        assert parse(b"\r\n" * count + b"\r"[: count < 8]) is None
    assert status_of(parse, b"\r\n" * 9 + data) == 400
    assert status_of(parse, b"\r\n" * 9) == 400


def test_a_minor_version_above_one_is_like_one(parse: Parse) -> None:
    assert parse(b"GET / HTTP/1.9\r\nHost: a\r\n\r\n")[5] == 9
    assert status_of(parse, b"GET / HTTP/1.2\r\n\r\n") == 400  # no Host


def test_http_1_0_needs_no_host_and_closes(parse: Parse) -> None:
    found = parse(b"GET / HTTP/1.0\r\n\r\n")
    assert (found[5], found[6], found[8]) == (0, 0, b"")


FLAGS = [
    (b"Connection: close\r\n", 0),
    (b"Connection: CLOSE\r\n", 0),
    (b"Connection: keep-alive\r\n", head.KEEP_ALIVE),
    (b"Connection: foo, \tClose ,bar\r\n", 0),
    (b"Connection: ,,close,\r\n", 0),
    (b"Connection: keep-alive\r\nconnection: close\r\n", 0),
    (b"Connection: close\r\nConnection: keep-alive\r\n", 0),
    (b"Connection: closed\r\n", head.KEEP_ALIVE),
    (b"Connection: xclose\r\n", head.KEEP_ALIVE),
    (b"Connection:\r\n", head.KEEP_ALIVE),
    (b"Connection: Upgrade\r\nUpgrade: websocket\r\n", head.KEEP_ALIVE | head.UPGRADE),
    (b"Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\n", head.KEEP_ALIVE | head.UPGRADE),
    (b"Upgrade: websocket\r\n", head.KEEP_ALIVE),
    (b"Connection: upgrade\r\n", head.KEEP_ALIVE),
    (b"Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n", head.KEEP_ALIVE),
    (b"Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 0\r\n", head.KEEP_ALIVE | head.UPGRADE),
    (b"Expect: 100-continue\r\n", head.KEEP_ALIVE),
    (b"Expect: 100-Continue\r\nContent-Length: 0\r\n", head.KEEP_ALIVE),
    (b"Expect: 100-Continue\r\nContent-Length: 1\r\n", head.KEEP_ALIVE | head.EXPECT_CONTINUE),
    (
        b"Expect: 100-continue\r\nTransfer-Encoding:\tCHUNKED \r\n",
        head.KEEP_ALIVE | head.EXPECT_CONTINUE | head.CHUNKED,
    ),
    (b"Transfer-Encoding: chunked\r\n", head.KEEP_ALIVE | head.CHUNKED),
]


@pytest.mark.parametrize(("fields", "flags"), FLAGS, ids=[repr(fields) for fields, _ in FLAGS])
def test_flags_of_fields(parse: Parse, fields: bytes, flags: int) -> None:
    assert parse(LINE + HOST + fields + b"\r\n")[6] == flags


@pytest.mark.parametrize(
    ("fields", "flags"),
    [
        (b"Connection: keep-alive\r\n", head.KEEP_ALIVE),
        (b"Connection: Keep-Alive, x\r\n", head.KEEP_ALIVE),
        (b"Connection: keep-alive, close\r\n", 0),
        (b"Expect: 100-continue\r\nContent-Length: 1\r\n", 0),
        (b"Expect: the unexpected\r\n", 0),
        (b"Connection: upgrade\r\nUpgrade: x\r\n", 0),
    ],
)
def test_flags_in_http_1_0(parse: Parse, fields: bytes, flags: int) -> None:
    assert parse(b"GET / HTTP/1.0\r\n" + fields + b"\r\n")[6] == flags


def test_upgrade_is_for_get_only(parse: Parse) -> None:
    fields = b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert not parse(b"POST / HTTP/1.1\r\n" + HOST + fields)[6] & head.UPGRADE


@pytest.mark.parametrize(
    ("value", "length"),
    [
        (b"0", 0),
        (b"5", 5),
        (b"007", 7),
        (b"\t 42 \t", 42),
        (b"0" * 50 + b"1", 1),
        (b"9223372036854775807", 2**63 - 1),
    ],
)
def test_content_length_is_decimal(parse: Parse, value: bytes, length: int) -> None:
    assert parse(LINE + HOST + b"content-length:%b\r\n\r\n" % value)[7] == length


PLAIN_HOSTS = [b"a", b"example.com", b"example.com:80", b"a_b.c-d", b"127.0.0.1:8000", b"a:", b"localhost:1"]
PLAIN_HOSTS += [b"a:65535", b"a:10000", b"a:00080", b"a:00000", b"a:59999", b"a:64999", b"a:65529"]
ODD_HOSTS = [
    b"[::1]",
    b"[::1]:80",
    b"a:65536",
    b"a:65540",
    b"a:65600",
    b"a:66000",
    b"a:70000",
    b"a:99999",
    b"a:000080",
    b"a:12345 ,b",
    b"a%41",
    b"a,b",
    b"a b",
    b"a/?",
    b"u@a",
    b":80",
    b"\xff",
    b"a:b",
]


def test_unusual_authorities_are_left_to_the_caller(parse: Parse) -> None:
    for value in PLAIN_HOSTS:
        found = parse(LINE + b"Host:  %b\t\r\n\r\n" % value)
        assert (found[6], found[8]) == (head.KEEP_ALIVE, value)
    for value in ODD_HOSTS:
        found = parse(LINE + b"Host: %b\r\n\r\n" % value)
        assert (found[6], found[8]) == (head.KEEP_ALIVE | head.ODD_HOST, value)


def test_other_forms_of_targets_are_left_to_the_caller(parse: Parse) -> None:
    found = parse(b"GET http://b/c?d HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (found[3], found[4], found[6]) == (b"http://b/c?d", b"", head.KEEP_ALIVE | head.ABSOLUTE)
    found = parse(b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (found[3], found[4], found[6]) == (b"*", b"", head.KEEP_ALIVE)


@pytest.mark.parametrize(
    "fields",
    [
        b"Transfer-Encoding: gzip\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding:\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: \xa0chunked\r\n",
        b"Transfer-Encoding: chunked;x=y\r\n",
        b'Transfer-Encoding: "chunked"\r\n',
    ],
)
def test_other_codings_are_left_to_the_caller(parse: Parse, fields: bytes) -> None:
    assert parse(LINE + HOST + fields + b"\r\n")[6] & head.ODD_CODING


# -- what is refused ----------------------------------------------------------------------------------------

MALFORMED = {
    "tls hello": b"\x16\x03\x01",
    "space first": b" GET / HTTP/1.1\r\n",
    "bare lf first": b"\nGET",
    "bare cr first": b"\rGET",
    "method with a control octet": b"GE\x01T",
    "method with a colon": b"GET: /",
    "method ended by tab": b"GET\t/",
    "only a method": b"GET\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\n",
    "tab before target": b"GET \t/ HTTP/1.1\r\n",
    "target without a slash": b"GET @evil/ HTTP/1.1\r\n",
    "target of a question mark": b"GET ?a HTTP/1.1\r\n",
    "fragment": b"GET /a#b HTTP/1.1\r\n",
    "non-ASCII target": b"GET /\xc3\xa9 HTTP/1.1\r\n",
    "delete in target": b"GET /\x7f HTTP/1.1\r\n",
    "nul in target": b"GET /\x00 HTTP/1.1\r\n",
    "tab behind target": b"GET /\tHTTP/1.1\r\n",
    "asterisk without OPTIONS": b"GET * HTTP/1.1\r\n",
    "asterisk and more": b"OPTIONS *a HTTP/1.1\r\n",
    "HTTP/0.9 request": b"GET /\r\n",
    "version in lower case": b"GET / http/1.1\r\n",
    "version without a dot": b"GET / HTTP/11\r\n",
    "version of two digits": b"GET / HTTP/1.10\r\n",
    "version missing": b"GET / \r\n",
    "space in target": b"GET /a b HTTP/1.1\r\n",
    "space behind version": b"GET / HTTP/1.1 \r\n",
    "other protocol": b"GET / ICY/1.1\r\n",
    "bare lf behind request line": b"GET / HTTP/1.1\n",
    "bare cr behind request line": b"GET / HTTP/1.1\rH",
    "cr cr lf": b"GET / HTTP/1.1\r\r\n",
    "space before the first field": LINE + b" Host: a\r\n",
    "tab before the first field": LINE + b"\tHost: a\r\n",
    "obs-fold": LINE + HOST + b"X: a\r\n b\r\n\r\n",
    "no colon": LINE + HOST + b"X\r\n",
    "empty name": LINE + HOST + b": a\r\n",
    "space before colon": LINE + HOST + b"X : a\r\n",
    "tab before colon": LINE + HOST + b"X\t: a\r\n",
    "space in name": LINE + HOST + b"X Y: a\r\n",
    "non-ASCII name": LINE + HOST + b"X\xe9: a\r\n",
    "parentheses in name": LINE + HOST + b"X(): a\r\n",
    "nul in value": LINE + HOST + b"X: a\x00b\r\n",
    "vertical tab in value": LINE + HOST + b"X: \x0bchunked\r\n",
    "x1e in value": LINE + HOST + b"X: a\x1eb\r\n",
    "delete in value": LINE + HOST + b"X: a\x7f\r\n",
    "bare lf in value": LINE + HOST + b"X: a\nY: b\r\n",
    "bare cr in value": LINE + HOST + b"X: a\rY: b\r\n",
    "lf ends a line": LINE + HOST + b"X: y\nTransfer-Encoding: chunked\r\n",
    "bare lf ends the head": LINE + HOST + b"\n",
    "cr alone ends the head": LINE + HOST + b"\rZ",
    "no Host": LINE + b"X: a\r\n\r\n",
    "no field": LINE + b"\r\n",
    "empty Host": LINE + b"Host:\r\n\r\n",
    "blank Host": LINE + b"Host: \t \r\n\r\n",
    "absolute-form without Host": b"GET http://a/ HTTP/1.1\r\n\r\n",
    "length with a sign": LINE + HOST + b"Content-Length: +5\r\n\r\n",
    "negative length": LINE + HOST + b"Content-Length: -1\r\n\r\n",
    "empty length": LINE + HOST + b"Content-Length: \r\n\r\n",
    "length in hexadecimal": LINE + HOST + b"Content-Length: 0x5\r\n\r\n",
    "length with an underscore": LINE + HOST + b"Content-Length: 1_0\r\n\r\n",
    "length with a space": LINE + HOST + b"Content-Length: 1 0\r\n\r\n",
    "length of unicode digits": LINE + HOST + b"Content-Length: \xd9\xa5\r\n\r\n",
    "length as a list": LINE + HOST + b"Content-Length: 5, 5\r\n\r\n",
    "length with a fraction": LINE + HOST + b"Content-Length: 5.0\r\n\r\n",
    "length and coding": LINE + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "coding and length": LINE + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "unknown coding and length": LINE + HOST + b"Transfer-Encoding: blegh\r\nContent-Length: 5\r\n\r\n",
    "coding in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "unknown coding in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: x\r\n\r\n",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_heads_are_refused_at_once(parse: Parse, data: bytes) -> None:
    assert status_of(parse, data) == 400
    assert status_of(parse, data + b"\r\n\r\n") == 400


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_comes_before_the_fault_is_not_refused(parse: Parse, data: bytes) -> None:
    ends = [parse_or_status(parse, data[:size]) for size in range(len(data) + 1)]
    first = next(i for i, end in enumerate(ends) if end == 400)
    assert all(end is None for end in ends[:first])
    assert all(end == 400 for end in ends[first:])


def parse_or_status(parse: Parse, data: bytes) -> Any:
    try:
        return parse(data)
    except RemoteProtocolError as error:
        return error.status_hint


@pytest.mark.parametrize(
    "name",
    [
        b"Host",
        b"Content-Type",
        b"Content-Length",
        b"Authorization",
        b"Date",
        b"If-Match",
        b"If-None-Match",
        b"If-Modified-Since",
        b"If-Unmodified-Since",
        b"If-Range",
    ],
)
def test_singletons_are_refused_when_repeated(parse: Parse, name: bytes) -> None:
    host = b"" if name == b"Host" else HOST
    once = LINE + host + name + b": 1\r\n"
    assert parse(once + b"\r\n")
    assert status_of(parse, once + name.upper() + b": 1\r\n") == 400


@pytest.mark.parametrize(
    "name", [b"Accept", b"Cookie", b"X-Date", b"Hose", b"If-Mitch", b"Content-Lengti", b"From"]
)
def test_other_fields_may_be_repeated(parse: Parse, name: bytes) -> None:
    assert parse(LINE + HOST + name + b": 1\r\n" + name + b": 1\r\n\r\n")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"CONNECT ", 501),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"TRACE / HTTP/1.1\r\n", 501),
        (b"A" * 33, 501),
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/0.9\r\n", 505),
        (b"GET / HTTP/3.1\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET / HTTP/2\r\n", 400),
        (b"PRI * HTTP/1.1\r\n", 400),
        (LINE + HOST + b"Expect: x\r\n", 417),
        (LINE + HOST + b"Expect: 100-continue, x\r\n", 417),
        (LINE + HOST + b"Expect:\r\n", 417),
        (LINE + HOST + b"Content-Length: 9223372036854775808\r\n", 413),
        (LINE + HOST + b"Content-Length: 99999999999999999999999999\r\n", 413),
        (LINE + HOST + b"Content-Length: 99999999999999999999999999x\r\n", 400),
    ],
)
def test_status_of_what_we_do_not_speak(parse: Parse, data: bytes, status: int) -> None:
    assert status_of(parse, data) == status


def test_a_value_that_ends_in_a_control_octet_is_refused_fast(parse: Parse) -> None:
    # CVE-2020-5236: a search that goes back over 6 kB of white space
    assert status_of(parse, LINE + HOST + b"X: " + b" " * 6000 + b"\x10\r\n") == 400


# -- limits -------------------------------------------------------------------------------------------------


def test_the_request_line_has_a_limit(parse: Parse) -> None:
    limits = (100, 1000, 10)
    ends = b" HTTP/1.1\r\n" + HOST + b"\r\n"
    assert parse(b"GET /" + b"a" * 86 + ends, 0, limits)  # 100 octets
    assert status_of(parse, b"GET /" + b"a" * 87 + ends, 0, limits) == 414
    assert parse(b"GET /" + b"a" * 95, 0, limits) is None
    assert status_of(parse, b"GET /" + b"a" * 96, 0, limits) == 414


def test_a_field_line_has_a_limit(parse: Parse) -> None:
    limits = (100, 1000, 10)
    start = LINE + HOST + b"X: "
    assert parse(start + b"a" * 97 + b"\r\n\r\n", 0, limits)
    assert parse(start + b"a" * 97 + b"\r", 0, limits) is None
    assert status_of(parse, start + b"a" * 98, 0, limits) == 431
    assert status_of(parse, LINE + b"N" * 101, 0, limits) == 431


def test_the_head_has_a_limit(parse: Parse) -> None:
    whole = LINE + HOST + b"X: a\r\n" * 5 + b"\r\n"
    assert parse(whole, 0, (100, len(whole), 10))
    assert parse(b"\r\n\r\n" + whole, 0, (100, len(whole), 10)), "empty lines before it do not count"
    assert status_of(parse, whole, 0, (100, len(whole) - 1, 10)) == 431
    assert status_of(parse, whole[:-1], 0, (100, len(whole) - 1, 10)) == 431
    assert parse(whole[:-3], 0, (100, len(whole) - 1, 10)) is None


def test_fields_have_a_limit(parse: Parse) -> None:
    fields = [b"X: a\r\n"] * 9
    assert parse(LINE + HOST + b"".join(fields) + b"\r\n", 0, (100, 1000, 10))
    assert status_of(parse, LINE + HOST + b"".join(fields) + b"Y", 0, (100, 1000, 10)) == 431


def test_the_first_octet_past_a_limit_is_judged_by_the_limit(parse: Parse) -> None:
    limits = (50, 1000, 10)
    assert status_of(parse, b"GET /" + b"a" * 44 + b"\x00", 0, limits) == 400
    assert status_of(parse, b"GET /" + b"a" * 45 + b"\x00", 0, limits) == 414


def test_a_start_outside_of_the_data_is_an_error(parse: Parse) -> None:
    assert parse(b"", 0) is None
    assert parse(b"abc", 3) is None


# -- splitting ----------------------------------------------------------------------------------------------


def test_fields_are_split_in_order_with_lower_case_names(
    split: Callable[[bytes], list[tuple[bytes, bytes]]],
) -> None:
    block = b"Host: a\r\nX-A:b\r\nx-a: \t c: d \t\r\nEmpty:\r\nZ: \xe9\x85\r\nA:1\r\n"
    assert split(block) == [
        (b"host", b"a"),
        (b"x-a", b"b"),
        (b"x-a", b"c: d"),
        (b"empty", b""),
        (b"z", b"\xe9\x85"),
        (b"a", b"1"),
    ]
    assert split(b"") == []


def test_splitting_does_not_change_octets_that_others_share(
    split: Callable[[bytes], list[tuple[bytes, bytes]]],
) -> None:
    split(b"A: B\r\n")
    assert bytes([65]) == b"\x41"
    assert b"A".lower() == b"\x61"
