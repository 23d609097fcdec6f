"""The wheel looks at everything in time, never early, and forgets what is over."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivace.server.deadlines import Deadlines


class Entry:
    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.looked: list[float] = []
        self.fired: float | None = None
        self.aborted = False
        self.slot: set[Any] | None = None

    def check(self, now: float) -> float:
        self.looked.append(now)
        if now >= self.deadline:
            self.fired = now
            return 0.0
        return self.deadline

    def abort(self) -> None:
        self.aborted = True


class Failing(Entry):
    def check(self, now: float) -> float:
        raise RuntimeError("broken check")


def test_one_that_fails_is_ended_and_keeps_no_other_from_its_time(caplog: pytest.LogCaptureFixture) -> None:
    wheel = Deadlines(0.5, 5.0, 0.0)
    failing, entry = Failing(1.0), Entry(1.0)
    wheel.add(failing, 1.0)
    wheel.add(entry, 1.0)
    turn_until(wheel, 0.0, 3.0, 0.5)
    assert failing.aborted
    assert entry.fired is not None
    assert "broken check" in caplog.text


def turn_until(wheel: Deadlines, start: float, end: float, step: float) -> None:
    now = start
    while now < end:
        now += step
        wheel.turn(now)


def test_fires_within_two_ticks_of_the_deadline() -> None:
    wheel = Deadlines(0.5, 5.0, 100.0)
    entry = Entry(103.2)
    wheel.add(entry, 103.2)
    turn_until(wheel, 100.0, 110.0, 0.1)
    assert entry.fired is not None
    assert 103.2 <= entry.fired <= 103.2 + 2 * 0.5


def test_a_deadline_beyond_the_horizon_is_looked_at_on_the_way() -> None:
    wheel = Deadlines(0.5, 5.0, 0.0)
    entry = Entry(60.0)
    wheel.add(entry, 60.0)
    turn_until(wheel, 0.0, 70.0, 0.5)
    assert entry.fired is not None
    assert 60.0 <= entry.fired <= 61.0
    assert all(b - a <= 5.0 + 2 * 0.5 for a, b in zip([0.0, *entry.looked], entry.looked, strict=False))


def test_a_deadline_that_moved_away_is_kept() -> None:
    wheel = Deadlines(0.5, 5.0, 0.0)
    entry = Entry(2.0)
    wheel.add(entry, 2.0)
    entry.deadline = 4.0
    turn_until(wheel, 0.0, 3.0, 0.5)
    assert entry.fired is None
    turn_until(wheel, 3.0, 6.0, 0.5)
    assert entry.fired is not None


def test_what_is_over_is_not_looked_at_again() -> None:
    wheel = Deadlines(0.5, 5.0, 0.0)
    entry = Entry(1.0)
    wheel.add(entry, 1.0)
    turn_until(wheel, 0.0, 30.0, 0.5)
    assert sum(1 for when in entry.looked if when >= 1.0) == 1


def test_added_again_it_is_looked_at_once_at_the_new_time() -> None:
    wheel = Deadlines(0.5, 5.0, 0.0)
    entry = Entry(1.0)
    wheel.add(entry, 4.0)
    wheel.add(entry, 1.0)
    turn_until(wheel, 0.0, 10.0, 0.5)
    assert len(entry.looked) == 1


def test_removed_it_is_not_looked_at_and_not_held() -> None:
    wheel = Deadlines(0.5, 5.0, 0.0)
    entry = Entry(1.0)
    wheel.add(entry, 1.0)
    wheel.remove(entry)
    assert entry.slot is None
    turn_until(wheel, 0.0, 10.0, 0.5)
    assert entry.looked == []


def test_a_long_pause_of_the_process_fires_everything_once() -> None:
    wheel = Deadlines(0.5, 5.0, 0.0)
    entries = [Entry(float(n)) for n in range(1, 6)]
    for entry in entries:
        wheel.add(entry, entry.deadline)
    wheel.turn(1000.0)
    assert [entry.fired for entry in entries] == [1000.0] * 5


@given(st.lists(st.floats(0.0, 40.0), min_size=1, max_size=30), st.floats(0.01, 3.0))
def test_any_mix_of_deadlines_and_steps_fires_all_and_none_early(deadlines: list[float], step: float) -> None:
    wheel = Deadlines(0.5, 5.0, 0.0)
    entries = [Entry(when) for when in deadlines]
    for entry in entries:
        wheel.add(entry, entry.deadline)
    turn_until(wheel, 0.0, 50.0, step)
    for entry in entries:
        assert entry.fired is not None
        assert entry.deadline <= entry.fired <= entry.deadline + 2 * 0.5 + step
