"""Who is present, as two hubs tell each other."""

from hypothesis import given, settings
from hypothesis import strategies as st

from vivace.hub.presence import DOWN, Presence


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
    tell(one, two, one.delta())
    assert two.of("room") == {"7": ["x"]}
    one.untrack("worker", "room", "7", "1")
    tell(one, two, one.delta())
    assert two.of("room") == {}


def test_a_lost_change_is_noticed_and_heals() -> None:
    one, two = Presence("a"), Presence("b")
    one.track("worker", "room", "7", "1", "x")
    one.delta()  # it never arrives
    one.track("worker", "room", "8", "2", "y")
    tell(one, two, one.delta())
    assert two.of("room") == {"7": ["x"], "8": ["y"]}


def test_word_of_life_heals_too() -> None:
    one, two = Presence("a"), Presence("b")
    one.track("worker", "room", "7", "1", "x")
    one.delta()
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
    tell(one, two, one.delta(), now=100.0)
    assert two.sweep(100.0 + DOWN - 0.1) == []
    assert two.hubs == 1
    assert two.sweep(100.0 + DOWN) == ["a"]
    assert two.of("room") == {}


def test_a_hub_that_leaves_says_so() -> None:
    one, two = Presence("a"), Presence("b")
    one.track("worker", "room", "7", "1", "x")
    tell(one, two, one.delta())
    tell(one, two, one.leaving())
    assert two.of("room") == {}
    assert two.hubs == 0


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
    one, two = Presence("a"), Presence("b")
    for step, topic, key in steps:
        if step == "track":
            one.track("worker", topic, key, key, key)
        elif step == "untrack":
            one.untrack("worker", topic, key, key)
        elif step == "tell":
            tell(one, two, one.delta())
        else:
            one.delta()
    if one.changed:
        tell(one, two, one.delta())
    tell(one, two, one.digest())
    for topic in "xy":
        assert two.of(topic) == one.of(topic)
