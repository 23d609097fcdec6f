"""Chores in turn, and one that the system does not let us do."""

import errno
import logging

import pytest

from vivace.supervisor.chores.rota import REST, Rota


class Count:
    """A chore of each second."""

    def __init__(self) -> None:
        self.due = 0.0
        self.done: list[float] = []
        self.fails = False

    def look(self, now: float) -> None:
        if self.fails:
            raise OSError(errno.EMFILE, "Too many open files")
        self.due = now + 1
        self.done.append(now)


def test_each_is_done_when_it_is_due() -> None:
    early, late = Count(), Count()
    late.due = 5.0
    rota = Rota([early])
    rota.add(late)
    assert rota.due == 0.0
    rota.look(1.0)
    assert (early.done, late.done, rota.due) == ([1.0], [], 2.0)
    rota.look(5.0)
    assert (early.done, late.done) == ([1.0, 5.0], [5.0])
    assert Rota().due == float("inf")


def test_one_that_fails_rests_is_mentioned_once_and_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "vivace")
    logging.getLogger("vivace").propagate = True
    poor, other = Count(), Count()
    poor.fails = True
    rota = Rota([poor, other])
    for now in (10.0, 10.0 + REST / 2, 10.0 + REST):
        rota.look(now)
    assert other.done == [10.0, 10.0 + REST]
    assert caplog.text.count("Too many open files") == 1
    poor.fails = False
    rota.look(10.0 + 2 * REST)
    assert poor.done == [10.0 + 2 * REST]
