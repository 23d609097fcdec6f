"""How a fleet starts, and how many workers it has."""

import signal

import pytest

from tests.supervisor.fleet.clock import PATIENCE, Clock, serving


def test_a_start_loads_the_code_and_makes_the_workers() -> None:
    clock = Clock(3, loads=False)
    assert clock.pids() == []
    clock.load()
    assert clock.pids() == [1, 2, 3]
    assert [w.slot for w in clock.fleet.workers.values()] == [0, 1, 2]
    clock.ready(1, 2)
    assert not clock.booted()
    clock.ready(3)
    assert clock.booted()
    assert clock.fleet.next_tick() is None


@pytest.mark.parametrize(("code", "told"), [(2, 2), (3, 3), (4, 4), (1, 3), (-9, 3)])
def test_a_first_worker_that_fails_ends_the_start_with_its_code(code: int, told: int) -> None:
    clock = Clock(2)
    clock.exit(1, code)
    assert clock.fleet.stopping
    assert clock.sent == [(2, signal.SIGTERM)]
    clock.exit(2, 0)
    assert clock.ended()
    assert clock.fleet.exit_code == told


def test_code_that_cannot_be_loaded_at_first_ends_the_start() -> None:
    clock = Clock(2, loads=False)
    clock.do(clock.fleet.load_failed(1, 2, clock.now))
    assert clock.ended()
    assert clock.fleet.exit_code == 2


def test_an_import_and_a_start_have_a_time() -> None:
    clock = Clock(1, loads=False)
    assert clock.fleet.next_tick() == clock.now + PATIENCE.boot
    clock.advance(PATIENCE.boot)
    assert clock.fleet.exit_code == 3
    clock = Clock(1)
    clock.advance(PATIENCE.boot - 1)
    assert clock.sent == []
    clock.advance(1)
    assert clock.sent == [(1, signal.SIGKILL)]
    clock.exit(1, -9)
    assert clock.fleet.exit_code == 3


def test_the_number_of_workers_can_change() -> None:
    clock = serving(1)
    clock.do(clock.fleet.resize(3, clock.now))
    clock.all_ready()
    assert len(clock.generations()) == 3
    clock.do(clock.fleet.resize(0, clock.now))
    assert clock.fleet.size == 1
    assert clock.retired == [2, 3]
    clock.leave()
    assert clock.pids() == [1]
