"""A past and what comes live, put together: each message once, in order."""

from hypothesis import given, settings
from hypothesis import strategies as st

from vivace.hub.records import Message, Past, Position, Stored
from vivace.hub.tail import Tail


def live(offset: int, epoch: str = "e") -> Message:
    return Message("t", b"\xc0", Position(epoch, offset))


def kept(*offsets: int) -> list[Stored]:
    return [Stored("t", b"\xc0", Position("e", offset)) for offset in offsets]


def offsets(messages: list[Message]) -> list[int]:
    return [message.pos.offset for message in messages if message.pos is not None]


def test_live_messages_wait_for_the_past() -> None:
    tail = Tail(Position("e", 1))
    tail.wait()
    assert not tail.passes(live(4))
    assert tail.waits
    assert offsets(tail.join(Past(kept(2, 3), True, Position("e", 3)))) == [2, 3, 4]
    assert tail.passes(live(5))
    assert not tail.passes(live(5))
    assert tail.last == Position("e", 5)


def test_a_message_that_comes_both_ways_is_given_once() -> None:
    tail = Tail(Position("e", 1))
    tail.wait()
    tail.passes(live(3))
    assert offsets(tail.join(Past(kept(2, 3, 4), True, Position("e", 4)))) == [2, 3, 4]
    assert not tail.passes(live(4))


def test_without_a_past_what_was_held_is_given() -> None:
    tail = Tail()
    tail.wait()
    tail.passes(live(3))
    assert offsets(tail.join(Past([], True, Position("e", 3)))) == [3]
    tail.wait()
    tail.passes(live(4))
    assert offsets(tail.give_up()) == [4]
    assert not tail.waits


def test_a_new_epoch_begins_anew() -> None:
    tail = Tail(Position("old", 50))
    assert tail.passes(live(1))
    assert tail.last == Position("e", 1)


def test_fast_messages_have_no_order() -> None:
    tail = Tail()
    assert tail.passes(Message("t", b"\xc0"))
    assert tail.passes(Message("t", b"\xc0"))
    assert tail.last is None


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 8), st.integers(0, 8))
def test_whatever_overlaps_nothing_is_lost_and_nothing_comes_twice(
    seen: int, past_end: int, live_begin: int, more: int
) -> None:
    end = max(past_end, live_begin) + more
    live_begin = min(live_begin, past_end)  # they meet or overlap: the engine promises it
    tail = Tail(Position("e", seen))
    tail.wait()
    got: list[int] = []
    for offset in range(live_begin + 1, past_end + 1):
        assert not tail.passes(live(offset))
    past = Past(kept(*range(seen + 1, past_end + 1)), True, Position("e", max(past_end, seen)))
    got += offsets(tail.join(past))
    got += [offset for offset in range(past_end + 1, end + 1) if tail.passes(live(offset))]
    assert got == list(range(seen + 1, end + 1))
