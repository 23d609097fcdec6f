"""The core of a hub: interest, order, histories that are complete or say that they are not."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from vivace.hub.broker import Broker
from vivace.hub.records import Outgoing, Position, Rule, Stored
from vivace.hub.rules import Rules


class Listener:
    """A peer that writes down what it gets."""

    def __init__(self) -> None:
        self.got: list[Stored] = []
        self.gaps: list[str] = []

    def deliver(self, stored: Stored) -> None:
        self.got.append(stored)

    def gap(self, topic: str, reason: str) -> None:
        self.gaps.append(f"{topic} {reason}")


def make_broker(room: int = 1_000_000, **rule: Any) -> Broker:
    rules = Rules()
    rules.declare([Rule("*", "resume", **{"history": 3, **rule})])
    return Broker("e", rules, room)


def say(broker: Broker, topic: str, text: str, now: float = 0.0, message_id: str = "") -> Stored | None:
    rule = broker.rules.of(topic)
    stored = broker.publish(Outgoing(topic, text.encode(), rule, message_id or text, "o"), now)
    if stored is not None:
        broker.route(stored)
    return stored


def texts(messages: list[Stored]) -> list[str]:
    return [stored.payload.decode() for stored in messages]


def test_the_first_and_the_last_who_want_a_topic_are_told() -> None:
    broker, one, two = make_broker(), Listener(), Listener()
    assert broker.subscribe(one, "a") is True
    assert broker.subscribe(two, "a") is False
    assert broker.unsubscribe(one, "a") is False
    assert broker.unsubscribe(one, "a") is False
    assert broker.unsubscribe(two, "a") is True
    assert broker.topics == {}


def test_who_leaves_leaves_everything() -> None:
    broker, one, two = make_broker(), Listener(), Listener()
    for topic in "abc":
        broker.subscribe(one, topic)
    broker.subscribe(two, "b")
    assert sorted(broker.detach(one)) == ["a", "c"]
    assert broker.has_subscribers("b")


def test_a_message_reaches_those_who_want_it_except_the_one_that_has_it() -> None:
    broker, one, two, three = make_broker(), Listener(), Listener(), Listener()
    broker.subscribe(one, "a")
    broker.subscribe(two, "a")
    broker.subscribe(three, "b")
    stored = Stored("a", b"x", None)
    assert broker.route(stored, one) == 1
    assert (one.got, two.got, three.got) == ([], [stored], [])
    assert broker.route(Stored("c", b"x", None)) == 0


def test_a_gap_reaches_those_who_want_the_topic() -> None:
    broker, one = make_broker(), Listener()
    broker.subscribe(one, "a")
    broker.gap("a", "why")
    broker.gap("b", "why")
    assert one.gaps == ["a why"]


def test_what_came_after_a_position_is_complete_or_not_given() -> None:
    broker = make_broker()
    positions = [say(broker, "a", text).pos for text in "12345"]  # type: ignore[union-attr]
    assert texts(broker.past("a", positions[3], 10, 0.0).messages) == ["5"]
    assert texts(broker.past("a", positions[1], 10, 0.0).messages) == ["3", "4", "5"]
    late = broker.past("a", positions[0], 10, 0.0)
    assert (late.complete, late.messages, late.position) == (False, [], positions[4])
    assert not broker.past("a", positions[1], 2, 0.0).complete
    assert not broker.past("a", Position("other", 4), 10, 0.0).complete
    assert not broker.past("a", Position("e", 99), 10, 0.0).complete


def test_the_newest_messages_can_be_asked_for() -> None:
    broker = make_broker()
    for text in "12345":
        say(broker, "a", text)
    assert texts(broker.past("a", None, 2, 0.0).messages) == ["4", "5"]
    assert broker.past("a", None, 0, 0.0).messages == []
    assert broker.past("nothing", None, 5, 0.0).messages == []


def test_messages_are_kept_for_their_time() -> None:
    broker = make_broker(ttl=10.0)
    first = say(broker, "a", "1", now=0.0)
    say(broker, "a", "2", now=5.0)
    assert first is not None
    assert texts(broker.past("a", None, 9, 9.9).messages) == ["1", "2"]
    assert texts(broker.past("a", first.pos, 9, 10.0).messages) == ["2"]
    broker.sweep(15.0)
    assert broker.topics == {}
    assert not broker.past("a", first.pos, 9, 15.0).complete


def test_a_topic_that_was_forgotten_does_not_use_an_offset_twice() -> None:
    broker = make_broker(ttl=1.0)
    old = say(broker, "a", "1", now=0.0)
    broker.sweep(2.0)
    new = say(broker, "a", "2", now=3.0)
    assert old is not None
    assert new is not None
    assert old.pos is not None
    assert new.pos is not None
    assert new.pos.offset > old.pos.offset
    assert texts(broker.past("a", old.pos, 9, 3.0).messages) == ["2"]


def test_the_oldest_messages_go_when_all_histories_are_too_large() -> None:
    broker = make_broker(room=1000, history=100)
    for number in range(10):
        say(broker, f"t{number}", str(number) * 50)
    assert broker.size <= 1000
    assert broker.kept_count == 4
    assert sorted(broker.topics) == ["t6", "t7", "t8", "t9"]
    assert not broker.past("t0", Position("e", 0), 9, 0.0).complete


def test_a_message_that_is_sent_again_is_stored_once() -> None:
    broker, one = make_broker(), Listener()
    broker.subscribe(one, "a")
    first = say(broker, "a", "x", message_id="id")
    assert say(broker, "a", "x", message_id="id") is None
    assert first is not None
    assert broker.position_of("id") == first.pos
    assert len(one.got) == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("say"), st.sampled_from("ab"), st.integers(0, 3)),
            st.tuples(st.just("read"), st.sampled_from("ab"), st.integers(0, 9)),
            st.tuples(st.just("sweep"), st.just(""), st.integers(0, 9)),
        ),
        max_size=60,
    )
)
def test_a_reader_that_comes_back_gets_everything_in_order_or_is_told(
    steps: list[tuple[str, str, int]],
) -> None:
    """A model of what was said; each reader keeps its position between its visits."""
    broker, now = make_broker(ttl=7.0, room=1500), 0.0
    said: dict[str, list[str]] = {"a": [], "b": []}
    # where each reader is, and how many had been said then
    seen: dict[str, tuple[Position, int]] = dict.fromkeys(said, (broker.position, 0))
    for count, (step, topic, number) in enumerate(steps):
        now += number * 0.5
        if step == "say":
            say(broker, topic, f"{topic}{count}", now)
            said[topic].append(f"{topic}{count}")
        elif step == "sweep":
            broker.sweep(now)
        else:
            position, before = seen[topic]
            past = broker.past(topic, position, 100, now)
            missed = said[topic][before:]
            assert texts(past.messages) == (missed if past.complete else [])
            assert past.position is not None
            seen[topic] = past.position, len(said[topic])
