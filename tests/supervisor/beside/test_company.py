"""Who is to run beside the workers, over generations of the code: without processes and without a clock."""

import random
import re
import signal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from vivace.supervisor.beside.company import BOOT, Company, Deed, Member
from vivace.supervisor.beside.place import KILLED, OFTEN, Phase
from vivace.supervisor.fleet.actions import Say, Send
from vivace.supervisor.ipc.spec import CompanionSpec

MAIL = CompanionSpec("mail")


class World:
    """Makes what a company asks for, and remembers what it sent and said."""

    def __init__(self) -> None:
        self.company = Company(random.Random(1))
        self.sent: list[tuple[int, int]] = []
        self.said: list[str] = []
        self.made: list[Member] = []
        self.pid = 100

    def do(self, deeds: list[Deed], now: float, *, makes: bool = True) -> None:
        for deed in deeds:
            if isinstance(deed, Say):
                self.said.append(deed.text)
            elif isinstance(deed, Send):
                self.sent.append((deed.pid, deed.signal))
            else:
                self.made.append(deed.member)
                if makes:
                    self.pid += 1
                    self.do(self.company.made(deed.member.number, self.pid, now), now)

    def want(self, generation: int, *specs: CompanionSpec, now: float = 0.0) -> None:
        self.do(self.company.want(generation, specs, now), now)

    def die(self, pid: int, code: int, now: float) -> None:
        self.do(self.company.exited(pid, code, now), now)

    @property
    def living(self) -> list[tuple[str, int]]:
        return [(m.spec.name, m.pid) for m in self.company.members if m.pid]


def test_each_instance_is_made_once() -> None:
    world = World()
    world.want(1, MAIL, CompanionSpec("search", 2))
    assert [m.name for m in world.made] == ["service mail", "service search 1", "service search 2"]
    world.want(1, MAIL, CompanionSpec("search", 2))
    assert len(world.made) == 3


def test_the_dead_are_replaced_at_once_and_then_later_and_later() -> None:
    world = World()
    world.want(1, MAIL)
    now, waits = 10.0, list[float]()
    for _ in range(OFTEN + 3):
        world.die(world.pid, 1, now)
        found = re.search(r"again (?:now|in ([0-9.]+) s)$", world.said[-1])
        assert found is not None
        waits.append(float(found[1] or 0.0))
        now += waits[-1] + 0.1
        world.do(world.company.tick(now), now)
    assert waits[0] == 0.0
    assert 0.4 <= waits[1] <= 0.6
    assert waits[1] < waits[2] < waits[3]
    assert max(waits) <= 18.0
    assert "in a row" in world.said[-1]


def test_a_long_life_forgives() -> None:
    world = World()
    world.want(1, MAIL)
    for born, died in ((1.0, 1.0), (1.1, 1.1), (50.0, 100.0)):
        world.do(world.company.tick(born), born)
        world.die(world.pid, 1, died)
    assert world.said[-1].endswith("started again now")


def test_rules_of_restarts_hold() -> None:
    world = World()
    world.want(1, CompanionSpec("always"), CompanionSpec("failing", restart="on-failure"))
    world.die(101, 0, 1.0)
    world.die(102, 0, 1.0)
    assert world.living == [("always", 103)]
    world.want(2, CompanionSpec("once", restart="never"), now=2.0)
    world.die(104, 1, 3.0)
    assert "it is not started again" in world.said[-1]
    assert world.company.members[-1].phase is Phase.ENDED


def test_a_process_of_older_code_leaves_when_the_new_one_is_ready() -> None:
    world = World()
    told = CompanionSpec("mail", tells=True)
    world.want(1, told)
    world.do(world.company.ready(101, 0.5), 0.5)
    world.want(2, told, now=1.0)
    assert world.sent == []
    world.do(world.company.ready(102, 2.0), 2.0)
    assert world.sent == [(101, signal.SIGTERM)]
    world.die(101, 0, 3.0)
    assert world.living == [("mail", 102)]


def test_older_code_stays_while_the_new_one_cannot_run_and_is_not_made_again() -> None:
    world = World()
    told = CompanionSpec("mail", tells=True)
    world.want(1, told)
    world.want(2, told, now=1.0)
    world.die(102, 1, 1.5)
    assert ("mail", 101) in world.living
    assert world.sent == []
    world.die(101, 1, 2.0)
    assert {member.generation for member in world.company.members} == {2}


def test_a_name_that_is_gone_is_told_at_once() -> None:
    world = World()
    world.want(1, MAIL)
    world.want(2, now=1.0)
    assert world.sent == [(101, signal.SIGTERM)]
    world.die(101, 0, 2.0)
    assert world.company.members == []


def test_one_that_keeps_lives_on() -> None:
    world = World()
    keeps = CompanionSpec("queue", keeps=True)
    world.want(1, keeps)
    world.want(2, keeps, now=1.0)
    assert (world.living, world.sent) == ([("queue", 101)], [])
    world.die(101, 1, 2.0)
    assert (world.made[-1].generation, world.living) == (2, [("queue", 102)])


def test_who_does_not_leave_in_time_is_killed() -> None:
    world = World()
    world.want(1, CompanionSpec("slow", grace=4.0))
    world.do(world.company.stop(10.0), 10.0)
    assert world.company.next == 14.0
    world.do(world.company.tick(13.9), 13.9)
    assert world.sent == [(101, signal.SIGTERM)]
    world.do(world.company.tick(14.0), 14.0)
    world.do(world.company.tick(14.0 + KILLED), 14.0 + KILLED)
    assert world.sent[1:] == [(101, signal.SIGKILL)] * 2
    world.die(101, -9, 18.0)
    assert world.company.gone


def test_those_that_want_to_know_early_are_told_before_the_others() -> None:
    world = World()
    world.want(1, MAIL, CompanionSpec("runner", early=True))
    world.do(world.company.stop(1.0, early=True), 1.0)
    assert world.sent == [(102, signal.SIGTERM)]
    world.die(101, 1, 1.5)
    assert world.living == [("runner", 102)], "a stop begins no process"
    world.do(world.company.stop(2.0, grace=0.5), 2.0)
    assert world.company.next == 2.5


def test_a_stop_that_is_taken_back_starts_them_again() -> None:
    world = World()
    world.want(1, MAIL)
    world.do(world.company.stop(1.0), 1.0)
    world.die(101, 0, 1.5)
    world.do(world.company.resume(2.0), 2.0)
    assert world.living == [("mail", 102)]


def test_a_stop_that_is_taken_back_starts_nothing_that_was_given_up() -> None:
    world = World()
    world.want(1, MAIL)
    world.want(1)
    world.do(world.company.stop(1.0), 1.0)
    world.do(world.company.resume(2.0), 2.0)
    world.die(101, 0, 2.5)
    assert world.company.members == []


def test_what_is_never_made_counts_as_refused() -> None:
    world = World()
    world.do(world.company.want(1, [MAIL], 0.0), 0.0, makes=False)
    world.do(world.company.tick(BOOT), BOOT, makes=False)
    assert f"nothing came of it within {BOOT:g} s" in world.said[0]
    assert world.company.members[0].phase is Phase.EMPTY


def test_a_late_arrival_of_a_place_that_is_gone_is_killed() -> None:
    world = World()
    world.do(world.company.made(77, 500, 0.0), 0.0)
    assert world.sent == [(500, signal.SIGKILL)]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["want", "die", "ready", "tick", "refuse", "stop", "resume"]), st.integers(0, 5)
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_after_any_history_a_stop_ends_everything(steps: list[tuple[str, int]]) -> None:
    world, now, generation = World(), 0.0, 0
    specs = (
        CompanionSpec("a", 2, tells=True),
        CompanionSpec("b", restart="never", early=True),
        CompanionSpec("c", restart="on-failure", keeps=True),
    )
    for what, number in steps:
        now += number
        living: Any = world.living
        if what == "want":
            generation += number % 2
            world.want(generation, *specs[: number % 4], now=now)
        elif what == "die" and living:
            world.die(living[number % len(living)][1], number % 2, now)
        elif what == "ready" and living:
            world.do(world.company.ready(living[number % len(living)][1], now), now)
        elif what == "refuse" and world.company.members:
            world.do(world.company.refused(world.company.members[0].number, "no", now), now)
        elif what == "tick":
            world.do(world.company.tick(now), now, makes=number % 2 == 0)
        elif what == "stop":
            world.do(world.company.stop(now, early=number % 2 == 0), now)
        elif what == "resume" and world.company.stopping:
            world.do(world.company.resume(now), now)
        keys = [(m.key, m.generation) for m in world.company.members if m.phase is not Phase.STOPPING]
        assert len(keys) == len(set(keys))
    world.do(world.company.stop(now), now)
    for moment in range(400):
        world.do(world.company.tick(now + moment), now + moment)
    for _name, pid in world.living:
        assert (pid, signal.SIGKILL) in world.sent
        world.die(pid, -9, now + 400)
    assert world.company.gone
