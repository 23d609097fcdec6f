"""How a fleet stops: with a delay, gracefully, forced, or because another server takes over."""

import signal

import pytest

from tests.supervisor.fleet.clock import PATIENCE, Clock, serving
from vivace.supervisor.fleet.actions import Say, Spawn
from vivace.supervisor.fleet.patience import AGAIN, ECHO, KILL_AFTER


def test_a_stop_is_graceful_and_ends_with_the_last_worker() -> None:
    clock = serving(2)
    clock.stop()
    assert clock.sent == [(1, signal.SIGTERM), (2, signal.SIGTERM)]
    clock.exit(1, 0)
    assert not clock.ended()
    clock.exit(2, 0)
    assert clock.ended()
    assert clock.fleet.exit_code == 0


def test_who_does_not_leave_in_time_is_killed() -> None:
    clock = serving(1)
    clock.stop()
    clock.advance(PATIENCE.graceful + KILL_AFTER - 0.1)
    assert (1, signal.SIGKILL) not in clock.sent
    clock.advance(0.1)
    assert (1, signal.SIGKILL) in clock.sent


def test_a_second_signal_forces_and_a_third_kills() -> None:
    clock = serving(1)
    clock.stop()
    clock.stop()
    clock.stop()
    assert clock.sent == [(1, signal.SIGTERM), (1, signal.SIGKILL)]
    assert clock.forced == [1]


@pytest.mark.parametrize(
    ("code", "forced", "event"),
    [
        (1, False, "drain.timeout"),
        (-9, False, "drain.timeout"),
        (-11, False, ""),
        (1, True, ""),
        (-9, True, ""),
    ],
)
def test_who_was_killed_for_being_late_is_an_event(code: int, forced: bool, event: str) -> None:
    clock = serving(1)
    clock.stop()
    if forced:
        clock.stop()
    (said,) = (one for one in clock.fleet.exited(1, code, clock.now) if isinstance(one, Say))
    assert (said.event, said.subject) == (event, "worker 1")


def test_signals_of_one_moment_are_one_request() -> None:
    clock = serving(1)
    clock.stop()
    for forced in (False, True):
        clock.do(clock.fleet.stop(clock.now + ECHO - 0.01, forced=forced))
        assert clock.forced == ([1] if forced else [])
    for forced in (False, True):  # who develops forces from the beginning
        clock.do(clock.fleet.stop(clock.now + 2 * ECHO - 0.02, forced=forced))
        assert clock.sent == [(1, signal.SIGTERM)]
    clock.do(clock.fleet.stop(clock.now + 2 * ECHO))
    assert clock.sent[-1] == (1, signal.SIGKILL)


def test_a_delay_comes_before_a_stop_and_everything_goes_on() -> None:
    clock = serving(2, delay=5.0)
    clock.stop()
    assert clock.leaving()
    assert clock.sent == []
    assert clock.said == ["stopping: not ready any more, accepting for 5 s"]
    clock.exit(1)
    clock.all_ready()
    assert len(clock.generations()) == 2
    clock.restart()
    assert clock.loading == []
    clock.advance(4.9)
    assert clock.sent == []
    assert clock.fleet.next_tick() == pytest.approx(clock.now + 0.1)
    clock.advance(0.1)
    assert clock.sent == [(2, signal.SIGTERM), (3, signal.SIGTERM)]


def test_a_second_signal_does_not_wait_for_the_delay() -> None:
    clock = serving(1, delay=5.0)
    clock.stop()
    clock.stop()
    assert clock.sent == [(1, signal.SIGTERM)]
    assert clock.forced == [1]


def test_a_first_start_that_fails_knows_no_delay() -> None:
    clock = Clock(2, delay=5.0)
    clock.exit(1, 3)
    assert clock.sent == [(2, signal.SIGTERM)]


def test_a_server_that_is_replaced_retires_its_workers_and_ends() -> None:
    clock = serving(2)
    clock.hand()
    assert clock.retired == [1, 2]
    assert clock.sent == []
    clock.advance(PATIENCE.idle + PATIENCE.graceful + KILL_AFTER - 0.1)
    assert clock.sent == []
    clock.leave()
    assert clock.ended()


def test_a_server_whose_successor_ends_makes_new_workers() -> None:
    clock = serving(2)
    clock.hand()
    clock.exit(1, 0)
    clock.back()
    clock.all_ready()
    assert clock.generations() == [1, 1]
    assert not clock.leaving()
    clock.exit(2, 0)
    assert len(clock.pids()) == 2


def test_a_stop_while_workers_retire_takes_no_longer_than_a_stop() -> None:
    clock = serving(1)
    clock.hand()
    clock.stop()
    assert clock.fleet.handed
    clock.advance(PATIENCE.graceful + KILL_AFTER)
    assert clock.sent == [(1, signal.SIGKILL)]


def test_a_worker_that_has_no_process_yet_is_stopped_when_it_has() -> None:
    clock = serving(1)
    actions = clock.fleet.exited(1, -9, clock.now)
    (spawn,) = [a for a in actions if isinstance(a, Spawn)]
    clock.stop()
    assert not clock.ended()
    clock.do(clock.fleet.spawned(spawn.slot, 2))
    assert clock.sent == [(2, signal.SIGTERM)]


def test_a_worker_that_dies_during_a_stop_is_mentioned() -> None:
    clock = serving(2)
    clock.stop()
    clock.exit(1, -11)
    assert clock.said == ["worker 1 (pid 1) ended with SIGSEGV while it stopped (stopping)"]
    assert clock.pids() == [2]


def test_a_stop_during_the_start_delays_for_those_who_serve() -> None:
    clock = Clock(2, delay=5.0)
    clock.ready(clock.pids()[0])
    clock.stop()
    assert clock.sent == []
    clock.advance(5.0)
    assert {number for _, number in clock.sent} == {signal.SIGTERM}


def test_a_worker_that_is_starting_is_asked_again_until_it_leaves() -> None:
    clock = Clock(2)
    serving_one, starting = clock.pids()
    clock.ready(serving_one)
    clock.stop()
    clock.sent.clear()
    clock.advance(AGAIN - 0.01)
    assert clock.sent == []
    clock.advance(0.01)
    clock.advance(AGAIN)
    assert clock.sent == [(starting, signal.SIGTERM)] * 2
    clock.exit(starting, 0)
    clock.advance(AGAIN)
    assert clock.sent == [(starting, signal.SIGTERM)] * 2
