"""Frames of a WebSocket, by both builds: every rule of RFC 6455 section 5 at its edge, and at every cut."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivace.errors import RemoteProtocolError
from vivace.wire import frame

KEY = b"\x37\xfa\x21\x3d"
NAMES = ("build_frame", "build_text", "mask", "parse_frame", "read_messages")
PYTHON = SimpleNamespace(**{name: getattr(frame, f"py_{name}") for name in NAMES})
USED = SimpleNamespace(**{name: getattr(frame, name) for name in NAMES})


@pytest.fixture(params=["python", "used"])
def build(request: pytest.FixtureRequest) -> SimpleNamespace:
    return PYTHON if request.param == "python" else USED


def refusal_of(build: SimpleNamespace, data: bytes, reserved: int = 0, masked: bool = True) -> str | None:
    """The reason why a head is refused; None if it is not."""
    try:
        build.parse_frame(data, 0, reserved, masked)
    except RemoteProtocolError as error:
        return f"{error.status_hint} {error}"
    return None


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (0, b"\x82\x80"),
        (125, b"\x82\xfd"),
        (126, b"\x82\xfe\x00\x7e"),
        (0xFFFF, b"\x82\xfe\xff\xff"),
        (0x10000, b"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00"),
        (2**63 - 1, b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff"),
    ],
)
def test_a_length_has_one_way_to_be_written(build: SimpleNamespace, length: int, head: bytes) -> None:
    data = b"??" + head + KEY
    assert build.parse_frame(data, 2, 0, True) == (0x82, length, KEY, len(data))
    if length <= 0x10000:
        assert build.build_frame(0x82, bytes(length), KEY)[: len(head) + 4] == head + KEY
        assert build.build_frame(0x82, bytes(length), b"")[2:] == head[2:] + bytes(length)
    for cut in range(2, len(data)):
        assert build.parse_frame(data[:cut], 2, 0, True) is None


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"\x91", frame.RESERVED_BIT),
        (b"\xa1", frame.RESERVED_BIT),
        (b"\xc1", frame.RESERVED_BIT),
        (b"\x83", frame.OPCODE_UNKNOWN),
        (b"\x87", frame.OPCODE_UNKNOWN),
        (b"\x8b", frame.OPCODE_UNKNOWN),
        (b"\x8f", frame.OPCODE_UNKNOWN),
        (b"\x08", frame.CONTROL_FRAGMENT),
        (b"\x09", frame.CONTROL_FRAGMENT),
        (b"\x89\xfe", frame.CONTROL_LONG),
        (b"\x88\xff", frame.CONTROL_LONG),
        (b"\x81\x05", frame.MASK_MISSING),
        (b"\x81\xfe\x00\x7d", frame.LENGTH_NOT_MINIMAL),
        (b"\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff", frame.LENGTH_NOT_MINIMAL),
        (b"\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00", frame.LENGTH_HUGE),
    ],
)
def test_a_head_is_refused_at_its_first_wrong_octet(build: SimpleNamespace, head: bytes, reason: int) -> None:
    code, sentence = frame.REASONS[reason]
    assert refusal_of(build, head) == f"{code} {sentence}"
    assert refusal_of(build, head[:-1]) is None


def test_the_bit_of_an_extension_is_for_the_beginning_of_a_message(build: SimpleNamespace) -> None:
    assert refusal_of(build, b"\xc1", 0x40) is None
    assert refusal_of(build, b"\x42", 0x40) is None
    for first in (b"\xc0", b"\xc8", b"\xc9", b"\xca"):
        assert refusal_of(build, first, 0x40) == f"1002 {frame.REASONS[frame.CONTROL_COMPRESSED][1]}"
    assert refusal_of(build, b"\xe1", 0x40) == f"1002 {frame.REASONS[frame.RESERVED_BIT][1]}"


def test_a_server_may_not_mask(build: SimpleNamespace) -> None:
    assert build.parse_frame(b"\x81\x05Hello", 0, 0, False) == (0x81, 5, b"", 2)
    assert refusal_of(build, b"\x81\x85", masked=False) == f"1002 {frame.REASONS[frame.MASK_UNWANTED][1]}"


def test_the_examples_of_the_standard(build: SimpleNamespace) -> None:
    assert build.build_text("Hello", b"") == b"\x81\x05Hello"
    assert build.build_text("Hello", KEY) == b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
    assert build.mask(b"\x7f\x9f\x4d\x51\x58", KEY) == b"Hello"
    found: list[Any] = []
    assert build.read_messages(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 0, 5, True, found) == 11
    assert found == ["Hello"]


@given(data=st.binary(max_size=70), key=st.binary(min_size=4, max_size=4), cut=st.integers(0, 70))
def test_masking_goes_on_where_it_stopped(data: bytes, key: bytes, cut: int) -> None:
    cut = min(cut, len(data))
    expected = bytes(octet ^ key[i & 3] for i, octet in enumerate(data))
    for build in (PYTHON, USED):
        assert build.mask(data, key) == expected
        assert build.mask(data[:cut], key) + build.mask(data[cut:], key, cut) == expected


@pytest.mark.parametrize("masked", [True, False])
def test_whole_messages_are_read_at_once(build: SimpleNamespace, masked: bool) -> None:
    messages = [
        "",
        "a",
        "Grüße",
        "x" * 125,
        "y" * 126,
        b"",
        b"\xff\x00",
        b"z" * 70_000,
        "é" * 40_000,
        "\U0001f600",
    ]
    key = KEY if masked else b""
    data = b"".join(
        build.build_text(m, key) if isinstance(m, str) else build.build_frame(0x82, m, key) for m in messages
    )
    found: list[Any] = []
    assert build.read_messages(b"?" + data, 1, 80_000, masked, found) == len(data) + 1
    assert found == messages


@pytest.mark.parametrize(
    "stop",
    [
        b"",
        b"\x81",
        b"\x82\x85" + KEY + b"1234",
        b"\x89\x80" + KEY,  # a ping
        b"\x01\x80" + KEY,  # a fragment
        b"\xc1\x80" + KEY,  # compressed
        b"\x81\x00",  # not masked
        b"\x82\x8b" + KEY + bytes(11),  # over the limit
        b"\x82\xfe\x00\x0a" + KEY + bytes(10),  # not minimal
        b"\x81\x81" + KEY + b"\xff",  # not UTF-8: 0xff ^ 0x37 = 0xc8
    ],
)
def test_what_is_no_whole_message_is_left(build: SimpleNamespace, stop: bytes) -> None:
    data = build.build_text("first", KEY) + stop
    found: list[Any] = []
    assert build.read_messages(data, 0, 10, True, found) == len(data) - len(stop)
    assert found == ["first"]


def test_a_lone_surrogate_cannot_be_sent(build: SimpleNamespace) -> None:
    with pytest.raises(UnicodeEncodeError):
        build.build_text("\ud800", b"")


# -- both builds alike ----------------------------------------------------------------------------------

octets = st.one_of(
    st.binary(max_size=20),
    st.builds(
        lambda first, second, rest: bytes((first, second)) + rest,
        st.sampled_from([0x81, 0x82, 0x01, 0x80, 0x88, 0x89, 0xC1, 0x8B, 0xA2]),
        st.sampled_from([0x80, 0x81, 0x85, 0xFD, 0xFE, 0xFF, 0x00, 0x05, 0x7E, 0x7F]),
        st.one_of(st.binary(max_size=20), st.sampled_from([b"\0\x7e", b"\0" * 5 + b"\1\0\0", b"\xff" * 8])),
    ),
)


@given(data=octets, reserved=st.sampled_from([0, 0x40]), masked=st.booleans())
def test_both_builds_judge_heads_alike(data: bytes, reserved: int, masked: bool) -> None:
    expected = refusal_of(PYTHON, data, reserved, masked)
    assert refusal_of(USED, data, reserved, masked) == expected
    if expected is None:
        assert USED.parse_frame(data, 0, reserved, masked) == PYTHON.parse_frame(data, 0, reserved, masked)


@given(parts=st.lists(octets, max_size=4), masked=st.booleans(), limit=st.integers(0, 30))
def test_both_builds_read_messages_alike(parts: list[bytes], masked: bool, limit: int) -> None:
    data = b"".join(parts)
    outcomes = []
    for build in (PYTHON, USED):
        found: list[Any] = []
        outcomes.append((build.read_messages(data, 0, limit, masked, found), found))
    assert outcomes[0] == outcomes[1]


@given(text=st.text(), data=st.binary(), key=st.sampled_from([b"", KEY]))
def test_both_builds_write_alike(text: str, data: bytes, key: bytes) -> None:
    assert USED.build_text(text, key) == PYTHON.build_text(text, key)
    assert USED.build_frame(0x02, data, key) == PYTHON.build_frame(0x02, data, key)


# -- text -----------------------------------------------------------------------------------------------


def second_octets(first: int) -> range:
    """What may follow the first octet of a character of three or four (RFC 3629 section 4)."""
    low = {0xE0: 0xA0, 0xF0: 0x90}.get(first, 0x80)
    high = {0xED: 0x9F, 0xF4: 0x8F}.get(first, 0xBF)
    return range(low, high + 1)


def characters() -> Iterator[tuple[bytes, bool]]:
    """Beginnings of characters, and whether they can become one."""
    for first in range(0x80, 0x100):
        yield bytes((first,)), 0xC2 <= first <= 0xF4
    for first in range(0xC2, 0xF5):
        for second in (0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF):
            good = 0x80 <= second <= 0xBF if first < 0xE0 else second in second_octets(first)
            yield bytes((first, second)), good


@pytest.mark.parametrize("before", [b"", b"abcdefgh\xc3\xa9"])
def test_text_is_refused_at_its_first_wrong_octet(before: bytes) -> None:
    for octets_, good in characters():
        if good:
            text, pending = frame.decode_text(b"", before + octets_, final=False)
            assert text.encode() + pending == before + octets_
        else:
            with pytest.raises(RemoteProtocolError) as caught:
                frame.decode_text(b"", before + octets_, final=False)
            assert caught.value.status_hint == 1007


@given(text=st.text(max_size=20), cuts=st.lists(st.integers(0, 80), max_size=5))
def test_text_in_pieces_is_the_same_text(text: str, cuts: list[int]) -> None:
    data = text.encode()
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0})
    pieces, pending = [], b""
    for start, end in zip(edges, [*edges[1:], len(data)], strict=True):
        piece, pending = frame.decode_text(pending, data[start:end], final=end == len(data))
        pieces.append(piece)
    assert ("".join(pieces), pending) == (text, b"")


def test_text_may_not_end_within_a_character() -> None:
    _, pending = frame.decode_text(b"", b"\xe2\x82", final=False)
    assert pending == b"\xe2\x82"
    assert frame.decode_text(pending, b"\xac", final=True) == ("€", b"")
    with pytest.raises(RemoteProtocolError):
        frame.decode_text(pending, b"", final=True)


# -- close ----------------------------------------------------------------------------------------------


def test_codes_that_may_be_sent() -> None:
    good = {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}
    assert {code for code in range(65_536) if frame.is_sendable(code)} == good


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", (1005, "")),
        (b"\x03\xe8", (1000, "")),
        (b"\x03\xe9going away", (1001, "going away")),
        (b"\x0f\xa0\xc3\xa9", (4000, "é")),
    ],
)
def test_a_close_frame_says_why(payload: bytes, expected: tuple[int, str]) -> None:
    assert frame.parse_close(payload) == expected


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"\x03", 1002), (b"\x03\xe7", 1002), (b"\x03\xed", 1002), (b"\x03\xee", 1002), (b"\x03\xf7", 1002),
     (b"\x03\xe8\xc3", 1007), (b"\x03\xe8\xff", 1007)],
)  # fmt: skip
def test_a_close_frame_that_may_not_be_sent_is_refused(payload: bytes, code: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        frame.parse_close(payload)
    assert caught.value.status_hint == code
