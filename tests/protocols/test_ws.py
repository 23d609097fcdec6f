"""A WebSocket after its handshake: messages, fragments, control frames, closing, limits; at every cut."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocols.ws_driver import KEY, WS_BUILDS, frames, of_client, told
from vivace.errors import LocalProtocolError
from vivace.protocols.ws import WsLimits, close_payload
from vivace.wire import frame

TEXT, BINARY, MORE, CLOSE, PING, PONG = 0x81, 0x82, 0x00, 0x88, 0x89, 0x8A
FIRST_TEXT, FIRST_BINARY, LAST = 0x01, 0x02, 0x80


@pytest.fixture(params=WS_BUILDS)
def ws(request: pytest.FixtureRequest) -> Any:
    """One build of the module."""
    return WS_BUILDS[request.param]


def run(ws: Any, *data: bytes, limits: WsLimits | None = None) -> tuple[list[Any], list[tuple[int, bytes]]]:
    """What a server tells of octets, and what it answers by itself."""
    connection = ws.WsConnection(limits or WsLimits())
    events = [event for piece in data for event in connection.receive_data(piece)]
    answers = connection.take_answers()
    if events and type(events[-1]).__name__ in ("Closed", "Failed"):
        last = events[-1]
        answers += connection.send_close(last.code, last.reason if connection.failed else "")
    return told(events), frames(answers)


def failure(ws: Any, *data: bytes, limits: WsLimits | None = None) -> int:
    """The code with which the connection fails; 0 if it does not."""
    events, answers = run(ws, *data, limits=limits)
    failed = [event for event in events if event[0] == "Failed"]
    if not failed:
        return 0
    assert events[-1] is failed[0]
    code: int = failed[0][1]
    assert answers[-1] == (CLOSE, code.to_bytes(2, "big") + failed[0][2].encode())
    return code


def test_messages_of_one_arrival_are_told_together(ws: Any) -> None:
    data = of_client(TEXT, b"one") + of_client(BINARY, b"two") + of_client(TEXT)
    assert run(ws, data) == (["one", b"two", ""], [])


def test_fragments_are_one_message_and_control_frames_may_come_between(ws: Any) -> None:
    data = (
        of_client(FIRST_TEXT, b"Gr\xc3")
        + of_client(PING, b"alive?")
        + of_client(MORE, b"\xbc\xc3\x9f")
        + of_client(PONG, b"unasked")
        + of_client(MORE)
        + of_client(LAST, b"e")
    )
    told_, answers = run(ws, data)
    assert told_ == [("Ping", b"alive?"), ("Pong", b"unasked"), "Grüße"]
    assert answers == [(PONG, b"alive?")]
    assert run(ws, of_client(FIRST_BINARY) + of_client(LAST)) == ([b""], [])
    assert run(ws, of_client(FIRST_TEXT) + of_client(LAST)) == ([""], [])


def test_every_ping_is_answered_in_order(ws: Any) -> None:
    told_, answers = run(ws, b"".join(of_client(PING, b"%d" % i) for i in range(10)))
    assert len(told_) == 10
    assert answers == [(PONG, b"%d" % i) for i in range(10)]


@pytest.mark.parametrize(
    "data",
    [
        of_client(LAST, b"x"),
        of_client(MORE, b"x"),
        of_client(FIRST_TEXT, b"x") + of_client(TEXT, b"y"),
        of_client(FIRST_TEXT, b"x") + of_client(FIRST_BINARY, b"y"),
        of_client(FIRST_TEXT, b"x") + of_client(LAST, b"y") + of_client(LAST, b"z"),
        of_client(0xC1, b"not agreed upon"),
        of_client(0x83),
        of_client(0x8B),
        of_client(0x09, b"ping"),
        b"\x81\x05Hello",
        of_client(PING, bytes(126)),
        of_client(CLOSE, b"\x03"),
        of_client(CLOSE, b"\x03\xed"),
        of_client(CLOSE, b"\x00\x00"),
    ],
)
def test_what_the_standard_forbids_fails_with_1002(ws: Any, data: bytes) -> None:
    assert failure(ws, data) == 1002


def test_what_was_told_before_a_fault_stays_told(ws: Any) -> None:
    told_, answers = run(ws, of_client(TEXT, b"good") + of_client(0x83) + of_client(TEXT, b"lost"))
    assert told_[0] == "good"
    assert [event[0] for event in told_[1:]] == ["Failed"]
    assert len(answers) == 1


@pytest.mark.parametrize(
    "data",
    [
        of_client(TEXT, b"\xff"),
        of_client(TEXT, b"abc\xc3"),
        of_client(TEXT, b"\xed\xa0\x80"),
        of_client(FIRST_TEXT, b"\xc3") + of_client(LAST, b"x"),
        of_client(FIRST_TEXT, b"\xc3") + of_client(LAST),
        of_client(CLOSE, b"\x03\xe8\xff"),
    ],
)
def test_text_that_is_not_utf8_fails_with_1007(ws: Any, data: bytes) -> None:
    assert failure(ws, data) == 1007


def test_text_fails_as_soon_as_it_cannot_be_utf8(ws: Any) -> None:
    # Within a frame of which the rest has not come, and within a message of which it has not.
    whole = of_client(TEXT, b"\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80 and more")
    head = len(whole) - 18
    assert failure(ws, whole[: head + 5]) == 0
    assert failure(ws, whole[: head + 6]) == 0
    assert failure(ws, whole[: head + 7]) == 1007
    assert failure(ws, of_client(FIRST_TEXT, b"\xf4\x90")) == 1007
    assert failure(ws, of_client(FIRST_TEXT, b"\xf4") + of_client(MORE, b"\x90")) == 1007


# -- limits -------------------------------------------------------------------------------------------


def test_a_message_may_have_max_message_octets(ws: Any) -> None:
    limits = WsLimits(max_message=10)
    assert run(ws, of_client(TEXT, b"0123456789"), limits=limits)[0] == ["0123456789"]
    # Refused by its length, before an octet of it came.
    assert failure(ws, of_client(TEXT, b"0123456789a")[:2], limits=limits) == 0
    assert failure(ws, of_client(TEXT, b"0123456789a")[:6], limits=limits) == 1009
    split = of_client(FIRST_TEXT, b"01234") + of_client(MORE, b"56789")
    assert run(ws, split + of_client(LAST), limits=limits)[0] == ["0123456789"]
    assert failure(ws, split + of_client(LAST, b"a")[:6], limits=limits) == 1009


def test_a_frame_may_have_max_frame_octets(ws: Any) -> None:
    limits = WsLimits(max_frame=4)
    assert run(ws, of_client(FIRST_TEXT, b"0123") + of_client(LAST, b"4567"), limits=limits)[0] == [
        "01234567"
    ]
    assert failure(ws, of_client(TEXT, b"01234"), limits=limits) == 1009
    assert run(ws, of_client(PING, b"01234"), limits=limits)[0] == [("Ping", b"01234")]


def test_a_message_may_have_max_fragments_frames(ws: Any) -> None:
    limits = WsLimits(max_fragments=3)
    three = of_client(FIRST_TEXT) + of_client(MORE, b"a") + of_client(LAST)
    assert run(ws, three * 2, limits=limits)[0] == ["a", "a"]
    assert failure(ws, of_client(FIRST_TEXT) + of_client(MORE) * 2 + of_client(LAST), limits=limits) == 1009


def test_zero_is_no_limit(ws: Any) -> None:
    limits = WsLimits(max_message=0, max_fragments=0)
    data = (
        of_client(FIRST_BINARY, bytes(1_000_000))
        + of_client(MORE) * 20_000
        + of_client(LAST, bytes(1_000_000))
    )
    assert run(ws, data, limits=limits)[0] == [bytes(2_000_000)]


# -- closing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "event", "answer"),
    [
        (b"", ("Closed", 1005, ""), b""),
        (b"\x03\xe8", ("Closed", 1000, ""), b"\x03\xe8"),
        (b"\x03\xe9bye", ("Closed", 1001, "bye"), b"\x03\xe9"),
        (b"\x0f\xa1", ("Closed", 4001, ""), b"\x0f\xa1"),
    ],
)
def test_a_close_is_answered_once_and_ends_reading(
    ws: Any, payload: bytes, event: tuple[Any, ...], answer: bytes
) -> None:
    data = of_client(CLOSE, payload) + of_client(TEXT, b"late") + of_client(CLOSE, payload) + of_client(0x83)
    assert run(ws, data) == ([event], [(CLOSE, answer)])


def test_a_close_within_a_message_ends_it(ws: Any) -> None:
    told_, answers = run(ws, of_client(FIRST_TEXT, b"half") + of_client(CLOSE), of_client(LAST, b"whole"))
    assert told_ == [("Closed", 1005, "")]
    assert answers == [(CLOSE, b"")]


def test_our_close_is_sent_once_and_not_answered_again(ws: Any) -> None:
    connection = ws.WsConnection(WsLimits())
    assert connection.send_close(1001, "stop") == b"\x88\x06\x03\xe9stop"
    assert connection.send_close(1000) == b""
    assert told(connection.receive_data(of_client(TEXT, b"on its way"))) == ["on its way"]
    assert told(connection.receive_data(of_client(PING))) == [("Ping", b"")]
    assert told(connection.receive_data(of_client(CLOSE, b"\x03\xe9"))) == [("Closed", 1001, "")]
    assert connection.take_answers() == b""
    assert connection.close_received


def test_nothing_is_sent_behind_a_close(ws: Any) -> None:
    connection = ws.WsConnection(WsLimits())
    connection.send_close()
    sends: tuple[Callable[[], bytes], ...] = (
        lambda: connection.send_text("x"),
        lambda: connection.send_bytes(b"x"),
        lambda: connection.send_ping(b""),
        lambda: connection.send_pong(b""),
        lambda: connection.send_fragment(b"", True, True, True),
    )
    for send in sends:
        with pytest.raises(LocalProtocolError, match="closed, or closing"):
            send()


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 70_000])
def test_a_code_that_may_not_be_sent_is_refused(ws: Any, code: int) -> None:
    connection = ws.WsConnection(WsLimits())
    with pytest.raises(LocalProtocolError, match=str(code)):
        connection.send_close(code, "why")
    assert not connection.close_sent


def test_a_reason_has_at_most_123_octets() -> None:
    assert len(close_payload(1000, "é" * 61 + "x")) == 125
    with pytest.raises(LocalProtocolError, match="124"):
        close_payload(1000, "é" * 62)
    assert close_payload(1005) == b""


def test_every_reason_fits_a_close_frame() -> None:
    for code, sentence in frame.REASONS.values():
        assert close_payload(code, sentence)


# -- sending ------------------------------------------------------------------------------------------


def test_a_server_does_not_mask_and_a_client_does(ws: Any) -> None:
    server = ws.WsConnection(WsLimits())
    client = ws.WsConnection(WsLimits(), None, lambda: KEY)
    sent = server.send_text("é") + server.send_bytes(b"\xff") + server.send_ping(b"?")
    assert frames(sent) == [(TEXT, b"\xc3\xa9"), (BINARY, b"\xff"), (PING, b"?")]
    assert told(client.receive_data(sent)) == ["é", b"\xff", ("Ping", b"?")]
    back = (
        client.take_answers() + client.send_text("é") + client.send_pong(b"!") + client.send_close(4000, "x")
    )
    assert frames(back, masked=True)
    assert told(server.receive_data(back)) == [("Pong", b"?"), "é", ("Pong", b"!"), ("Closed", 4000, "x")]
    assert told(client.receive_data(of_client(TEXT)))[0][:2] == ("Failed", 1002)


def test_a_message_may_be_sent_in_pieces(ws: Any) -> None:
    connection = ws.WsConnection(WsLimits())
    sent = (
        connection.send_fragment(b"\xc3", True, True, False)
        + connection.send_fragment(b"\xa9", True, False, False)
        + connection.send_fragment(b"", True, False, True)
    )
    assert frames(sent) == [(FIRST_TEXT, b"\xc3"), (MORE, b"\xa9"), (LAST, b"")]


def test_a_control_frame_carries_at_most_125_octets(ws: Any) -> None:
    connection = ws.WsConnection(WsLimits())
    assert len(connection.send_ping(bytes(125))) == 127
    with pytest.raises(LocalProtocolError, match="126"):
        connection.send_ping(bytes(126))


# -- any cut, any octets ------------------------------------------------------------------------------

message = st.one_of(
    st.tuples(st.just(TEXT), st.text(max_size=12).map(str.encode)),
    st.tuples(st.sampled_from([TEXT, BINARY, FIRST_TEXT, FIRST_BINARY, MORE, LAST]), st.binary(max_size=12)),
    st.tuples(st.sampled_from([PING, PONG, CLOSE]), st.binary(max_size=8)),
    st.tuples(
        st.sampled_from([PING, CLOSE]), st.sampled_from([b"\x03\xe8", b"\x03\xe9bye", b"\x03\xe8\xc3"])
    ),
    st.tuples(st.sampled_from([BINARY, FIRST_BINARY, LAST]), st.integers(120, 300).map(bytes)),
    st.tuples(st.integers(0, 255), st.binary(max_size=3)),
)


def stream_of(parts: list[tuple[int, bytes]]) -> bytes:
    return b"".join(of_client(first, payload) for first, payload in parts)


@given(parts=st.lists(message, max_size=6), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_neither_cuts_nor_builds_change_what_is_told(parts: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data = stream_of(parts)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges)]
    limits = WsLimits(max_message=200, max_fragments=3)
    expected = run(WS_BUILDS["plain"], data, limits=limits)
    assert run(WS_BUILDS["plain"], *pieces, limits=limits) == expected
    assert run(WS_BUILDS["used"], *pieces, limits=limits) == expected
    assert run(WS_BUILDS["used"], *(data[i : i + 1] for i in range(len(data))), limits=limits) == expected


@given(data=st.binary(max_size=60))
def test_any_octets_are_taken_or_refused(data: bytes) -> None:
    expected = run(WS_BUILDS["plain"], data)
    assert run(WS_BUILDS["used"], data) == expected
    assert sum(event[0] in ("Failed", "Closed") for event in expected[0] if isinstance(event, tuple)) <= 1
