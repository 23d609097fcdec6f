from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivace.errors import LocalProtocolError, RangeNotSatisfiable
from vivace.http.dates import format_date
from vivace.http.ranges import ByteRange, ByteRangesLayout, if_range_matches, parse_range


def spans(value: str | None, total: int) -> list[tuple[int, int]] | None:
    found = parse_range(value, total)
    return None if found is None else [(part.start, part.end) for part in found]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-0", [(0, 0)]),
        ("bytes=0-499", [(0, 499)]),
        ("bytes=500-", [(500, 999)]),
        ("bytes=-100", [(900, 999)]),
        ("bytes=-5000", [(0, 999)]),
        ("bytes=900-5000", [(900, 999)]),
        ("bytes=999-999", [(999, 999)]),
        ("BYTES=0-1", [(0, 1)]),
        ("bytes=0-1, 4-5", [(0, 1), (4, 5)]),
        ("bytes=4-5,\t0-1 ,,", [(0, 1), (4, 5)]),
        ("bytes=0-1,2-3", [(0, 3)]),
        ("bytes=0-9,5-14,-990", [(0, 999)]),
        ("bytes=0-9,2-3", [(0, 9)]),
        ("bytes=0-1,5000-6000", [(0, 1)]),
        ("bytes=0-1,-0", [(0, 1)]),
        ("bytes=000000000000000000000000000001-2", [(1, 2)]),
        ("bytes=0-99999999999999999999999999", [(0, 999)]),
        ("bytes=-99999999999999999999999999", [(0, 999)]),
    ],
)
def test_ranges_of_a_thousand_octets(value: str, expected: list[tuple[int, int]]) -> None:
    assert spans(value, 1000) == expected


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=2-1",
        "bytes=0-1,2-1",
        "bytes=0-1,x",
        "bytes=+1-2",
        "bytes=1-+2",
        "bytes=--1",
        "bytes=1-2-3",
        "bytes=0x1-2",
        "bytes=1_0-20",
        "bytes=\u0661-\u0662",
        "bytes=²-",
        "bytes=1 -2",
        "bytes =0-1",
        " bytes=0-1",
        "items=0-1",
        "0-1",
        "bytes:0-1",
        "bytes=0-1;2-3",
    ],
)
def test_a_field_that_is_malformed_or_in_another_unit_is_ignored(value: str | None) -> None:
    assert parse_range(value, 1000) is None


@pytest.mark.parametrize(
    "value",
    ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=99999999999999999999999-", "bytes=1000-,2000-"],
)
def test_ranges_outside_the_content_are_a_416_that_tells_its_size(value: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        parse_range(value, 1000)
    assert caught.value.headers == {"Content-Range": "bytes */1000"}


def test_of_an_empty_content_only_a_suffix_is_satisfiable() -> None:
    assert parse_range("bytes=-5", 0) is None
    for value in ("bytes=0-", "bytes=0-0", "bytes=-0"):
        with pytest.raises(RangeNotSatisfiable):
            parse_range(value, 0)


def test_sixteen_ranges_are_taken_and_seventeen_ignored() -> None:
    sixteen = ",".join(f"{2 * n}-{2 * n}" for n in range(16))
    assert len(parse_range(f"bytes={sixteen}", 1000) or ()) == 16
    assert parse_range(f"bytes={sixteen},100-100", 1000) is None
    assert parse_range("bytes=0-0,2-2", 1000, max_ranges=1) is None


@pytest.mark.parametrize(
    "value",
    [
        "bytes=" + ",".join(["0-"] * 1000),
        "bytes=" + ",".join(f"{n}-{n + 1000}" for n in range(1000)),
        "bytes=" + "0" * 100_000,
        "bytes=" + "9" * 100_000 + "-" + "9" * 99_999,
        "bytes=" + "0-," * 33_000,
        "bytes=" + "," * 100_000,
        "bytes=" + " " * 100_000 + "0-",
        "bytes=" + "-" * 100_000,
        "=" * 100_000,
    ],
)
def test_bombs_are_ignored_or_refused_at_linear_cost(value: str) -> None:
    try:
        found = parse_range(value, 10_000)
    except RangeNotSatisfiable:
        return
    assert found is None or sum(part.size for part in found) <= 10_000


specs = st.one_of(
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda p: f"{min(p)}-{max(p)}"),
    st.integers(0, 60).map(lambda n: f"{n}-"),
    st.integers(0, 60).map(lambda n: f"-{n}"),
)


@given(st.lists(specs, min_size=1, max_size=16), st.integers(1, 50))
def test_merged_ranges_cover_what_was_asked_once(asked: list[str], total: int) -> None:
    wanted: set[int] = set()
    for spec in asked:
        first, _, last = spec.partition("-")
        if first:
            wanted |= set(range(int(first), min(int(last or total), total - 1) + 1))
        elif int(last):
            wanted |= set(range(max(0, total - int(last)), total))
    try:
        found = spans("bytes=" + ",".join(asked), total)
    except RangeNotSatisfiable:
        assert not wanted
        return
    assert found is not None
    sent = [octet for start, end in found for octet in range(start, end + 1)]
    assert sent == sorted(wanted)
    assert all(end + 1 < start for (_, end), (start, _) in pairwise(found))


@given(st.text(max_size=60), st.integers(0, 100))
def test_no_field_raises_anything_else(value: str, total: int) -> None:
    for text in (value, f"bytes={value}"):
        try:
            parse_range(text, total)
        except RangeNotSatisfiable:
            pass


def test_a_range_describes_itself() -> None:
    part = ByteRange(2, 5, 10)
    assert (part.size, part.content_range) == (4, "bytes 2-5/10")


@pytest.mark.parametrize(
    ("value", "etag", "matches"),
    [
        (None, '"a"', True),
        ('"a"', '"a"', True),
        ('"a"', '"b"', False),
        ('W/"a"', 'W/"a"', False),
        ('"a"', 'W/"a"', False),
        ('"a"', None, False),
        ("a", '"a"', False),
        ("", '"a"', False),
    ],
)
def test_if_range_compares_entity_tags_strongly(value: str | None, etag: str | None, matches: bool) -> None:
    assert if_range_matches(value, etag, None) is matches


def test_if_range_wants_the_same_second() -> None:
    moment = 784111777.25
    assert if_range_matches(format_date(moment), None, moment)
    assert not if_range_matches(format_date(moment + 1), None, moment)
    assert not if_range_matches(format_date(moment - 1), None, moment)
    assert not if_range_matches(format_date(moment), '"a"', None)


def test_several_ranges_are_laid_out_as_the_rfc_shows() -> None:
    content = b"0123456789"
    ranges = parse_range("bytes=0-1,8-", len(content))
    assert ranges is not None
    layout = ByteRangesLayout(ranges, "text/plain", "SEP")
    pieces = [
        head + content[r.start : r.end + 1] for head, r in zip(layout.heads, layout.ranges, strict=True)
    ]
    body = b"".join([*pieces, layout.tail])
    assert layout.content_type == "multipart/byteranges; boundary=SEP"
    assert layout.content_length == len(body)
    assert body == (
        b"\r\n--SEP\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01"
        b"\r\n--SEP\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89"
        b"\r\n--SEP--\r\n"
    )


def test_a_content_type_cannot_inject_into_the_parts() -> None:
    with pytest.raises(LocalProtocolError):
        ByteRangesLayout([ByteRange(0, 1, 2)], "text/plain\r\nX: y", "SEP")
