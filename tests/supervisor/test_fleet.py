"""What the fleet decides, driven by events and a clock that is only a number."""

import logging
import signal

from hypothesis import given, settings
from hypothesis import strategies as st

from vivace.supervisor.fleet import KILL_AFTER, Action, Fleet, Say, Send, Spawn
from vivace.supervisor.handle import State, WorkerHandle, describe_exit

GRACEFUL = 10.0


class Clock:
    """Plays the supervisor: gives each fork a new process id."""

    def __init__(self, size: int) -> None:
        self.fleet = Fleet(size, GRACEFUL)
        self.now = 1000.0
        self.next_pid = 1
        self.said: list[str] = []
        self.sent: list[tuple[int, int]] = []
        self.do(self.fleet.start(self.now))

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Spawn):
                self.fleet.spawned(action.slot, self.next_pid, self.now)
                self.next_pid += 1
            elif isinstance(action, Send):
                self.sent.append((action.pid, action.signal))
            else:
                self.said.append(action.text)

    def ready(self, pid: int) -> None:
        self.do(self.fleet.ready(pid, self.now))

    def exit(self, pid: int, code: int = -9) -> None:
        self.do(self.fleet.exited(pid, code, self.now))

    def stop(self) -> None:
        self.do(self.fleet.stop(self.now))

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.do(self.fleet.tick(self.now))

    def pids(self) -> list[int]:
        return list(self.fleet.workers)


def serving(size: int) -> Clock:
    clock = Clock(size)
    for pid in clock.pids():
        clock.ready(pid)
    return clock


def test_a_start_forks_one_worker_per_slot() -> None:
    clock = Clock(3)
    assert clock.pids() == [1, 2, 3]
    assert [w.slot for w in clock.fleet.workers.values()] == [0, 1, 2]
    assert clock.fleet.next_tick() is None
    for pid in clock.pids():
        clock.ready(pid)
    assert clock.fleet.booted
    assert {w.state for w in clock.fleet.workers.values()} == {State.READY}


def test_a_worker_that_served_for_a_while_is_replaced_at_once_in_its_slot() -> None:
    clock = serving(2)
    clock.advance(60)
    clock.exit(1)
    assert clock.pids() == [2, 3]
    assert clock.fleet.workers[3].slot == 0
    assert "worker 1 (pid 1) ended with SIGKILL; it is replaced now" in clock.said[0]
    clock.ready(3)
    assert clock.said[-1] == "worker 1 serves again as pid 3"


def test_a_worker_killed_just_after_its_start_is_replaced_within_a_second() -> None:
    clock = serving(2)
    clock.exit(1)
    assert clock.pids() == [2]
    due = clock.fleet.next_tick()
    assert due is not None
    assert due - clock.now <= 0.2
    clock.advance(due - clock.now)
    assert clock.pids() == [2, 3]


def test_a_crash_loop_backs_off_and_never_ends() -> None:
    clock = serving(1)
    waits = []
    for _ in range(40):
        clock.exit(clock.pids()[0], 1)
        due = clock.fleet.next_tick()
        assert due is not None
        waits.append(round(due - clock.now, 3))
        clock.advance(due - clock.now)
    assert waits[:6] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
    assert set(waits[9:]) == {30.0}
    assert not clock.fleet.done


def test_a_long_life_forgives_earlier_deaths() -> None:
    clock = serving(1)
    for _ in range(5):
        clock.exit(clock.pids()[0])
        clock.advance(40)
    clock.ready(clock.pids()[0])
    clock.advance(5)
    clock.exit(clock.pids()[0])
    assert len(clock.pids()) == 1
    clock.exit(clock.pids()[0])
    due = clock.fleet.next_tick()
    assert due is not None
    assert due - clock.now == 0.1 or abs(due - clock.now - 0.1) < 1e-6


def test_a_first_generation_that_fails_ends_the_start() -> None:
    for code, expected in ((3, 3), (2, 2), (4, 4), (1, 3), (-9, 3), (0, 3)):
        clock = Clock(3)
        clock.ready(1)
        clock.exit(2, code)
        assert clock.fleet.stopping
        assert clock.sent == [(1, signal.SIGTERM), (3, signal.SIGTERM)]
        clock.exit(1, 0)
        clock.exit(3, -15)
        assert clock.fleet.done
        assert clock.fleet.exit_code == expected


def test_a_fleet_is_booted_by_its_last_worker() -> None:
    clock = Clock(2)
    assert clock.fleet.booted is False
    clock.ready(1)
    assert clock.fleet.booted is False


def test_a_ready_worker_that_dies_during_the_first_start_is_replaced() -> None:
    clock = Clock(2)
    clock.ready(1)
    clock.exit(1)
    assert not clock.fleet.stopping


def test_a_later_failure_to_start_ends_nothing() -> None:
    clock = serving(2)
    clock.advance(60)
    clock.exit(1)
    clock.exit(3, 3)
    assert not clock.fleet.stopping
    assert clock.fleet.next_tick() == clock.now + 0.1


def test_a_stop_is_graceful_and_ends_with_the_last_worker() -> None:
    clock = serving(2)
    clock.stop()
    assert clock.sent == [(1, signal.SIGTERM), (2, signal.SIGTERM)]
    clock.exit(1, 0)
    assert clock.pids() == [2]
    clock.exit(2, 0)
    assert clock.fleet.done
    assert (clock.fleet.exit_code, clock.said) == (0, [])


def test_a_worker_that_dies_during_a_stop_is_not_replaced_but_mentioned() -> None:
    clock = serving(2)
    clock.stop()
    clock.exit(1, -11)
    clock.advance(5)
    assert clock.pids() == [2]
    assert "SIGSEGV" in clock.said[0]


def test_who_does_not_leave_in_time_is_killed() -> None:
    clock = serving(2)
    clock.stop()
    deadline = clock.fleet.next_tick()
    assert deadline == clock.now + GRACEFUL + KILL_AFTER
    clock.advance(GRACEFUL + KILL_AFTER - 0.01)
    assert (1, signal.SIGKILL) not in clock.sent
    clock.exit(1, 0)
    clock.advance(0.02)
    assert clock.sent[-1] == (2, signal.SIGKILL)
    assert "killed 2" in clock.said[-1]
    assert clock.fleet.next_tick() is None
    clock.exit(2, -9)
    assert (clock.fleet.done, clock.fleet.exit_code) == (True, 0)


def test_a_second_signal_forces_and_a_third_kills() -> None:
    clock = serving(1)
    clock.stop()
    clock.stop()
    assert clock.sent[-1] == (1, signal.SIGQUIT)
    assert clock.fleet.next_tick() == clock.now + 2.0
    clock.stop()
    assert clock.sent[-1] == (1, signal.SIGKILL)


def test_a_stop_during_a_back_off_forks_nothing_more() -> None:
    clock = serving(1)
    clock.exit(1)
    clock.stop()
    assert clock.fleet.done
    clock.advance(60)
    assert clock.pids() == []


def test_a_refused_fork_is_tried_again() -> None:
    fleet = Fleet(1, GRACEFUL)
    assert fleet.start(0.0) == [Spawn(0)]
    said = fleet.spawn_failed(0, "no memory", 0.0)
    assert said == [Say(logging.ERROR, "worker 1 cannot be forked: no memory; next try in 0.1 s")]
    assert fleet.tick(0.05) == []
    assert fleet.tick(0.1) == [Spawn(0)]


def test_strangers_are_ignored() -> None:
    clock = serving(1)
    clock.exit(999)
    clock.ready(999)
    clock.ready(1)
    assert clock.pids() == [1]
    assert clock.said == []


def test_words_for_an_exit() -> None:
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-15) == "SIGTERM"
    assert describe_exit(-250) == "signal 250"
    assert repr(WorkerHandle(0, 7, 0.0)) == "<worker 1, pid 7, starting>"


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["ready", "exit", "tick", "stop"]),
        st.integers(0, 3),
        st.sampled_from([0, 1, 2, 3, -9, -15]),
        st.floats(0, 40),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 4), EVENTS)
def test_any_history_keeps_the_rules(size: int, events: list[tuple[str, int, int, float]]) -> None:
    clock = Clock(size)
    for event, which, code, seconds in events:
        pids = clock.pids()
        pid = pids[which % len(pids)] if pids else -1
        was_stopping = clock.fleet.stopping
        forked = clock.next_pid
        if event == "ready":
            clock.ready(pid)
        elif event == "exit":
            clock.exit(pid, code)
        elif event == "tick":
            clock.advance(seconds)
        else:
            clock.stop()
        slots = [w.slot for w in clock.fleet.workers.values()]
        assert len(slots) == len(set(slots)) <= size
        if was_stopping:
            assert clock.next_pid == forked, "nothing is forked once a stop began"
        elif not clock.fleet.stopping and len(slots) < size:
            due = clock.fleet.next_tick()
            assert due is not None
            assert due <= clock.now + 30, "whoever is missing comes back"
    clock.stop()
    clock.advance(GRACEFUL + KILL_AFTER)
    for pid in clock.pids():
        assert (pid, signal.SIGKILL) in clock.sent
        clock.exit(pid)
    assert clock.fleet.done
