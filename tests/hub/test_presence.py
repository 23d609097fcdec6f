"""Who is present, as two hubs tell each other."""

from hypothesis import given, settings
from hypothesis import strategies as st

from vivace.hub.presence import DOWN, MOST, Presence
from vivace.hub.records import Roll


def tell(source: Presence, target: Presence, payload: bytes | None, now: float = 0.0) -> None:
    """Carry a message, and what is said in return, until nobody says anything."""
    while payload is not None:
        payload = target.take(payload, now)
        source, target = target, source


def test_who_is_present_on_this_machine_has_every_meta() -> None:
    presence = Presence("a")
    presence.track("worker", "room", "7", "1", {"tab": 1})
    presence.track("worker", "room", "7", "2", {"tab": 2})
    assert presence.of("room") == {"7": [{"tab": 1}, {"tab": 2}]}
    presence.untrack("worker", "room", "7", "1")
    presence.untrack("worker", "room", "7", "1")
    presence.untrack("another", "room", "7", "2")
    assert presence.of("room") == {"7": [{"tab": 2}]}
    assert presence.count == 1
    presence.detach("worker")
    assert presence.of("room") == {}


def test_changes_reach_the_other_hub() -> None:
    one, two = Presence("a"), Presence("b")
    one.track("worker", "room", "7", "1", "x")
    assert one.changed is True
    tell(one, two, one.delta()[1])
    assert two.of("room") == {"7": ["x"]}
    one.untrack("worker", "room", "7", "1")
    tell(one, two, one.delta()[1])
    assert two.of("room") == {}


def test_a_lost_change_is_noticed_and_heals() -> None:
    one, two = Presence("a"), Presence("b")
    one.track("worker", "room", "7", "1", "x")
    one.delta()[1]  # it never arrives
    one.track("worker", "room", "8", "2", "y")
    tell(one, two, one.delta()[1])
    assert two.of("room") == {"7": ["x"], "8": ["y"]}


def test_word_of_life_heals_too() -> None:
    one, two = Presence("a"), Presence("b")
    one.track("worker", "room", "7", "1", "x")
    one.delta()[1]
    tell(one, two, one.digest())
    assert two.of("room") == {"7": ["x"]}


def test_a_new_hub_asks_everybody() -> None:
    one, two = Presence("a"), Presence("b")
    one.track("worker", "room", "7", "1", "x")
    tell(two, one, two.ask())
    assert two.of("room") == {"7": ["x"]}


def test_a_silent_hub_is_gone_with_all_whom_it_spoke_for() -> None:
    one, two = Presence("a"), Presence("b")
    one.track("worker", "room", "7", "1", "x")
    tell(one, two, one.delta()[1], now=100.0)
    assert two.sweep(100.0 + DOWN - 0.1) == []
    assert two.hubs == 1
    assert two.sweep(100.0 + DOWN) == ["a"]
    assert two.of("room") == {}


def test_a_hub_that_leaves_says_so() -> None:
    one, two = Presence("a"), Presence("b")
    one.track("worker", "room", "7", "1", "x")
    tell(one, two, one.delta()[1])
    tell(one, two, one.leaving())
    assert two.of("room") == {}
    assert two.hubs == 0


def test_who_comes_and_goes_is_told_once_wherever_it_is() -> None:
    told: list[tuple[str, str, bool, object]] = []
    one, two = Presence("a"), Presence("b", lambda *change: told.append(change))
    one.track("worker", "room", "7", "1", "x")
    tell(one, two, one.delta()[1])
    two.track("worker", "room", "7", "2", "y")
    two.track("worker", "room", "8", "3", "z")
    assert told == [("room", "7", True, "x"), ("room", "8", True, "z")]
    told.clear()
    tell(one, two, one.everything())
    assert told == []
    two.detach("worker")
    assert told == [("room", "8", False, "z")]
    tell(one, two, one.leaving())
    assert told[1:] == [("room", "7", False, "x")]


def test_nobody_is_told_of_crowds() -> None:
    told: list[object] = []
    presence = Presence("a", lambda *change: told.append(change))
    for number in range(MOST):
        presence.track("worker", "room", str(number), str(number), None)
    assert len(told) == MOST
    presence.track("worker", "room", "more", "more", None)
    presence.untrack("worker", "room", "0", "0")  # as many as may be, now
    assert len(told) == MOST + 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["track", "untrack", "tell", "lose"]),
            st.sampled_from("xy"),
            st.sampled_from("123"),
        ),
        max_size=40,
    )
)
def test_two_hubs_agree_after_a_word_of_life_whatever_was_lost(steps: list[tuple[str, str, str]]) -> None:
    present: set[tuple[str, str]] = set()

    def note(topic: str, key: str, came: bool, meta: object) -> None:
        assert ((topic, key) in present) is not came
        present.symmetric_difference_update({(topic, key)})

    one, two = Presence("a"), Presence("b", note)
    for step, topic, key in steps:
        if step == "track":
            one.track("worker", topic, key, key, key)
        elif step == "untrack":
            one.untrack("worker", topic, key, key)
        elif step == "tell":
            tell(one, two, one.delta()[1])
        else:
            one.delta()[1]
    if one.changed:
        tell(one, two, one.delta()[1])
    tell(one, two, one.digest())
    for topic in "xy":
        assert two.of(topic) == one.of(topic)
        assert {key for name, key in present if name == topic} == set(two.of(topic))


def test_a_hub_in_the_place_of_one_that_was_killed_speaks_for_its_entries_too() -> None:
    old, new, two = Presence("old"), Presence("new"), Presence("b")
    for hub in (old, new):  # the process says again whom it speaks for
        hub.track("worker", "room", "7", "1", "x")
        tell(hub, two, hub.everything())
    assert two.of("room") == {"7": ["x"]}
    new.untrack("worker", "room", "7", "1")
    tell(new, two, new.delta()[1])
    assert two.of("room") == {}


def test_what_is_written_down_is_taken_until_the_hub_speaks_for_itself() -> None:
    one, two = Presence("a"), Presence("b", ttl=10.0)
    one.track("worker", "room", "7", "1", {"tab": [b"1"]})
    roll, _ = one.delta()
    two.learn(roll._replace(kept=4.0), 100.0)
    two.learn(Roll("b", 1, [("room", "8", "2", b"\xc0")], [], True, 4.0), 100.0)  # its own, of before
    assert two.of("room") == {"7": [{"tab": [b"1"]}]}
    one.untrack("worker", "room", "7", "1")
    tell(one, two, one.delta()[1], now=100.0)  # what changed since builds on it
    assert two.of("room") == {}
    one.track("worker", "room", "9", "3", None)
    two.learn(one.whole(), 100.0)  # it has heard more already
    assert two.of("room") == {}
    three = Presence("c", ttl=10.0)
    three.learn(one.whole()._replace(kept=4.0), 100.0)
    assert three.sweep(103.9) == []
    assert three.sweep(104.0) == ["a"]
    assert three.of("room") == {}
