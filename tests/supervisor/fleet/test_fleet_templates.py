"""What becomes of a fleet whose template does not answer, or cannot be made again."""

import signal

from tests.supervisor.fleet.clock import PATIENCE, serving
from vivace.supervisor.fleet.actions import Send


def test_a_template_that_makes_no_worker_in_time_is_killed() -> None:
    clock = serving(2)
    clock.stuck = True
    clock.exit(1)
    assert list(clock.fleet.coming) == [0]
    assert clock.fleet.next_tick() == clock.now + PATIENCE.boot
    clock.advance(PATIENCE.boot)
    assert clock.abandoned == [1]
    clock.stuck = False
    clock.do(clock.fleet.spawn_failed(0, "its template is gone", clock.now))
    clock.do(clock.fleet.lost(1, clock.now))
    clock.advance(30)
    clock.all_ready()
    assert clock.fleet.ready_count == 2


def test_a_stop_does_not_wait_for_who_is_never_made() -> None:
    clock = serving(2)
    clock.stuck = True
    clock.exit(1)
    clock.stop()
    clock.exit(2, 0)
    assert not clock.ended()
    due = clock.fleet.next_tick()
    assert due is not None
    clock.advance(due - clock.now)
    assert clock.abandoned == [1]
    assert clock.ended()
    assert clock.fleet.next_tick() is None
    assert clock.fleet.spawned(0, 99) == [Send(99, signal.SIGKILL)]
    assert clock.fleet.spawn_failed(0, "too late", clock.now) == []


def test_code_that_broke_under_a_lost_template_is_tried_again_later_only() -> None:
    clock = serving(2, loads=False)
    clock.do(clock.fleet.lost(1, clock.now))
    for _ in range(3):
        clock.fail_load()
        clock.do(clock.fleet.lost(1, clock.now))
        assert clock.loading == []
        due = clock.fleet.next_tick()
        assert due is not None
        assert due >= clock.now + 15
        clock.advance(due - clock.now)
        assert clock.loading == [1]


def test_a_template_that_is_lost_is_loaded_again() -> None:
    clock = serving(1, loads=False)
    clock.do(clock.fleet.lost(1, clock.now))
    assert clock.loading == [1]
    clock.exit(1)
    assert clock.pids() == []
    clock.load()
    assert len(clock.pids()) == 1
    clock.do(clock.fleet.lost(1, clock.now))
    clock.fail_load()
    assert not clock.fleet.stopping
    clock.advance(15)
    assert clock.loading == [1]
