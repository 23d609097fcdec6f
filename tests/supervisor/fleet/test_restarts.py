"""How new workers take the place of old ones: of new code, or because these have served long enough."""

import signal

import pytest

from tests.supervisor.fleet.clock import PATIENCE, Clock, serving
from vivace.supervisor.fleet.handle import State
from vivace.supervisor.fleet.patience import KILL_AFTER


def test_a_restart_replaces_one_after_the_other_and_never_has_fewer() -> None:
    clock = serving(3)
    clock.restart()
    assert clock.generations() == [1, 1, 1]
    assert len(clock.pids()) == 4
    clock.all_ready()
    assert clock.retired == []
    clock.advance(PATIENCE.canary)
    for fresh in (1, 2, 3):
        assert clock.generations().count(2) == fresh
        assert len(clock.generations()) >= 3
        clock.leave()
        clock.all_ready()
    assert clock.generations() == [2, 2, 2]
    assert clock.done == [(2, True)]
    assert clock.unloaded == [1]
    assert not clock.restarting()


def test_code_that_cannot_be_loaded_leaves_the_old_one_alone() -> None:
    clock = serving(2, loads=False)
    clock.restart()
    assert clock.restarting()
    clock.fail_load()
    assert clock.generations() == [1, 1]
    assert clock.done == [(2, False)]
    assert clock.unloaded == [2]
    assert not clock.restarting()
    clock.loads = True
    clock.restart()
    clock.all_ready()
    assert clock.fleet.workers[3].generation == 3


@pytest.mark.parametrize("ready", [False, True])
def test_a_first_new_worker_that_dies_ends_the_restart(ready: bool) -> None:
    clock = serving(2)
    clock.restart()
    if ready:
        clock.all_ready()
        clock.advance(PATIENCE.canary / 2)
    clock.exit(3, 1)
    assert clock.generations() == [1, 1]
    assert clock.done == [(2, False)]
    assert "the restart is given up, the old code goes on serving" in clock.said[-1]
    clock.exit(1)
    assert clock.fleet.workers[4].generation == 1


def test_a_later_new_worker_that_does_not_start_brings_the_old_code_back() -> None:
    clock = serving(3)
    clock.restart()
    clock.all_ready()
    clock.advance(PATIENCE.canary)
    clock.leave()
    starting = [pid for pid, w in clock.fleet.workers.items() if w.state is State.STARTING]
    clock.exit(starting[0], 3)
    for _ in range(4):
        clock.all_ready()
        clock.leave()
    assert clock.generations() == [1, 1, 1]
    assert clock.done == [(2, False)]


def test_an_import_that_hangs_is_given_up() -> None:
    clock = serving(1, loads=False)
    clock.restart()
    clock.advance(PATIENCE.boot)
    assert clock.done == [(2, False)]
    assert clock.unloaded == [2]


def test_of_two_restarts_the_later_one_wins() -> None:
    clock = serving(2, loads=False)
    clock.restart()
    clock.restart()
    assert clock.unloaded == [2]
    clock.do(clock.fleet.loaded(2, clock.now))
    assert len(clock.pids()) == 2, "what was given up makes no workers"
    clock.loading.pop(0)
    clock.load()
    clock.all_ready()
    clock.loads = True
    clock.restart()
    for _ in range(5):
        clock.all_ready()
        clock.advance(PATIENCE.canary)
        clock.leave()
    assert clock.generations() == [4, 4]
    assert clock.done == [(2, False), (3, False), (4, True)]


def test_a_restart_that_is_asked_for_during_the_start_follows_it() -> None:
    clock = Clock(2)
    clock.restart()
    assert clock.loading == []
    for _ in range(5):
        clock.all_ready()
        clock.advance(PATIENCE.canary)
        clock.leave()
    assert clock.generations() == [2, 2]
    assert clock.done == [(2, True)]


def test_a_worker_that_does_not_leave_is_killed_and_delays_nobody() -> None:
    clock = serving(1)
    clock.restart()
    clock.all_ready()
    clock.advance(PATIENCE.canary)
    assert clock.done == [(2, True)]
    assert clock.retired == [1]
    clock.advance(PATIENCE.idle + PATIENCE.graceful + KILL_AFTER)
    assert (1, signal.SIGKILL) in clock.sent
    clock.exit(1)
    assert clock.generations() == [2]
    assert "it is replaced" not in "".join(clock.said)


def test_recycling_replaces_first_and_one_at_a_time() -> None:
    clock = serving(2)
    clock.do(clock.fleet.recycle(1, "enough requests", clock.now))
    clock.do(clock.fleet.recycle(2, "enough requests", clock.now))
    assert len(clock.pids()) == 3
    assert clock.retired == []
    clock.all_ready()
    assert clock.retired == [1]
    assert len(clock.pids()) == 3
    clock.leave()
    clock.all_ready()
    assert clock.retired == [2]
    clock.leave()
    assert len(clock.pids()) == 2
    assert not any("replaced" in text for text in clock.said)


def test_who_is_recycled_has_longer_to_leave_than_who_is_restarted() -> None:
    clock = serving(1)
    clock.fleet.patience = PATIENCE._replace(sockets=60.0)
    clock.do(clock.fleet.recycle(1, "age", clock.now))
    clock.all_ready()
    assert clock.patient == [1]
    clock.advance(60.0 + PATIENCE.graceful + KILL_AFTER - 0.1)
    assert clock.sent == []
    clock.advance(0.1)
    assert clock.sent == [(1, signal.SIGKILL)]
    clock.exit(1)
    clock.restart()
    clock.all_ready()
    clock.advance(PATIENCE.canary)
    assert clock.retired == [1, 2]
    assert clock.patient == [1]


def test_a_restart_takes_the_place_of_recycling() -> None:
    clock = serving(1, loads=False)
    clock.restart()
    clock.do(clock.fleet.recycle(1, "age", clock.now))
    assert len(clock.pids()) == 1
    clock.load()
    clock.all_ready()
    clock.advance(PATIENCE.canary)
    clock.leave()
    assert clock.generations() == [2]


def test_a_restart_that_comes_while_one_is_recycled_goes_on() -> None:
    clock = serving(1, loads=False)
    clock.do(clock.fleet.recycle(1, "age", clock.now))
    clock.restart()
    clock.load()
    clock.ready(2)
    assert clock.retired == [1], "who was to be replaced is, and makes room for the new code"
    assert [w.generation for w in clock.fleet.workers.values() if w.state is State.STARTING] == [2]
    clock.leave()
    clock.all_ready()
    clock.advance(PATIENCE.canary)
    assert clock.generations() == [2]
    assert clock.done == [(2, True)]
