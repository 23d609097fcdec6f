"""What a fleet does when workers die, or cannot be made."""

from tests.supervisor.fleet.clock import serving
from vivace.supervisor.fleet.actions import Say, Spawn
from vivace.supervisor.fleet.deaths import INTENSITY_PERIOD, NOBODY
from vivace.supervisor.fleet.handle import WorkerHandle, describe_exit


def test_a_dead_worker_is_replaced_at_once_in_its_place() -> None:
    clock = serving(2)
    clock.advance(100)
    clock.exit(1)
    assert clock.fleet.workers[3].slot == 0
    assert "ended with SIGKILL; it is replaced now" in clock.said[-1]


def test_a_crash_loop_backs_off_within_bounds_and_a_long_life_forgives() -> None:
    clock = serving(1)
    clock.exit(1)
    waits = []
    for expected in (0.5, 1, 2, 4, 8, 15, 15):
        clock.exit(clock.pids()[0], 1)
        assert clock.pids() == []
        due = clock.fleet.next_tick()
        assert due is not None
        waits.append(due - clock.now)
        assert expected * 0.8 <= waits[-1] <= expected * 1.2
        clock.advance(due - clock.now + INTENSITY_PERIOD)
        assert len(clock.pids()) == 1
    clock.all_ready()
    clock.advance(31)
    clock.exit(clock.pids()[0])
    assert "replaced now" in clock.said[-1]


def test_with_nobody_ready_for_long_a_crash_loop_ends_the_server() -> None:
    clock = serving(1)
    ended = 0
    while not clock.fleet.stopping:
        assert clock.now < 1200
        for pid in clock.pids():
            clock.exit(pid, 1)
            ended += 1
        due = clock.fleet.next_tick()
        assert due is not None
        clock.advance(min(due - clock.now, 2.0))
    assert ended > 6
    assert clock.now - 1000 >= NOBODY
    assert clock.fleet.exit_code == 5


def test_deaths_of_one_worker_do_not_end_a_server_that_serves() -> None:
    clock = serving(2)
    for _ in range(40):
        for pid, worker in list(clock.fleet.workers.items()):
            if worker.slot == 0:
                clock.exit(pid, 1)
        clock.advance(1.0)
    assert not clock.fleet.stopping


def test_a_fork_that_is_refused_is_tried_again() -> None:
    clock = serving(1)
    fleet = clock.fleet
    actions = fleet.exited(1, -9, clock.now)
    (spawn,) = [a for a in actions if isinstance(a, Spawn)]
    (said,) = fleet.spawn_failed(spawn.slot, "no memory", clock.now)
    assert isinstance(said, Say)
    assert "worker 1 cannot be forked: no memory; next try in 0." in said.text
    clock.advance(1)
    assert clock.pids() == [2]


def test_strangers_are_ignored() -> None:
    clock = serving(1)
    clock.exit(99)
    clock.ready(99)
    clock.do(clock.fleet.recycle(99, "x", clock.now))
    assert clock.pids() == [1]


def test_words_for_an_exit() -> None:
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-9) == "SIGKILL"
    assert describe_exit(-99) == "signal 99"
    assert repr(WorkerHandle(0, 7, 0.0)) == "<worker 1, pid 7, starting>"
