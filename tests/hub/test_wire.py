"""Frames between the hub's process and the others."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vivace.hub.records import Past, Position, Stored
from vivace.hub.wire import FRAME_MAX, Frames, Op, encode_frame


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9) | st.binary(max_size=40) | st.text(max_size=9))), st.data())
def test_frames_come_out_whole_however_they_are_cut(said: list[list[Any]], data: st.DataObject) -> None:
    octets = b"".join(encode_frame(Op.SEND, *fields) for fields in said)
    frames, got = Frames(), []
    while octets:
        size = data.draw(st.integers(1, len(octets)))
        got += frames.feed(octets[:size])
        octets = octets[size:]
    assert got == [[Op.SEND, *fields] for fields in said]


def test_records_travel() -> None:
    stored = Stored("t", b"x", Position("e", 3), "id", "o", None)
    ((op, topic, past),) = Frames().feed(
        encode_frame(Op.FOLLOWED, "t", Past([stored], True, Position("e", 3)))
    )
    assert (op, topic) == (Op.FOLLOWED, "t")
    assert msgspec.convert(past, Past) == Past([stored], True, Position("e", 3))


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="this is no hub"):
        Frames().feed((FRAME_MAX + 1).to_bytes(4, "big"))
    assert Frames().feed(FRAME_MAX.to_bytes(4, "big")) == []
    with pytest.raises(msgspec.MsgspecError):
        Frames().feed(b"\0\0\0\1\xc1")
