"""What the fleet decides, driven by events and a clock that is only a number."""

import random
import signal

import pytest

from vivace.supervisor.fleet.actions import (
    Abandon,
    Action,
    Done,
    Force,
    Load,
    Retire,
    Say,
    Send,
    Spawn,
    Unload,
)
from vivace.supervisor.fleet.fleet import ECHO, INTENSITY_PERIOD, KILL_AFTER, NOBODY, Fleet, Patience
from vivace.supervisor.fleet.handle import State, WorkerHandle, describe_exit

PATIENCE = Patience(graceful=10.0, boot=60.0, idle=5.0, canary=1.0)


class Clock:
    """Plays the supervisor: loads at once, gives each fork a new process id."""

    def __init__(self, size: int, *, loads: bool = True, delay: float = 0.0) -> None:
        self.fleet = Fleet(size, PATIENCE._replace(delay=delay), random.Random(7))
        self.now = 1000.0
        self.next_pid = 1
        self.loads = loads
        self.loading: list[int] = []
        self.unloaded: list[int] = []
        self.said: list[str] = []
        self.sent: list[tuple[int, int]] = []
        self.retired: list[int] = []
        self.patient: list[int] = []
        self.forced: list[int] = []
        self.abandoned: list[int] = []
        self.stuck = False
        self.done: list[tuple[int, bool]] = []
        self.do(self.fleet.start(self.now))

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Spawn) and self.stuck:
                continue
            if isinstance(action, Spawn):
                pid = self.next_pid
                self.next_pid += 1
                self.do(self.fleet.spawned(action.slot, pid))
            elif isinstance(action, Load):
                self.loading.append(action.generation)
                if self.loads:
                    self.load()
            elif isinstance(action, Send):
                self.sent.append((action.pid, action.signal))
            elif isinstance(action, Abandon):
                self.abandoned.append(action.generation)
            elif isinstance(action, Force):
                self.forced.append(action.pid)
            elif isinstance(action, Retire):
                self.retired.append(action.pid)
                self.patient += [action.pid] if action.patient else []
            elif isinstance(action, Unload):
                self.unloaded.append(action.generation)
            elif isinstance(action, Done):
                self.done.append((action.generation, action.good))
            else:
                assert isinstance(action, Say)
                self.said.append(action.text)

    def load(self) -> None:
        self.do(self.fleet.loaded(self.loading.pop(0), self.now))

    def fail_load(self) -> None:
        self.do(self.fleet.load_failed(self.loading.pop(0), 3, self.now))

    def ready(self, *pids: int) -> None:
        for pid in pids:
            self.do(self.fleet.ready(pid, self.now))

    def all_ready(self) -> None:
        self.ready(*(pid for pid, w in list(self.fleet.workers.items()) if w.state is State.STARTING))

    def exit(self, pid: int, code: int = -9) -> None:
        self.do(self.fleet.exited(pid, code, self.now))

    def leave(self) -> None:
        """All that were told to leave do so."""
        for pid in self.retired:
            self.exit(pid, 0)
        self.retired.clear()

    def stop(self) -> None:
        self.now += 2 * ECHO  # later than any signal before
        self.do(self.fleet.stop(self.now))

    def hand(self) -> None:
        if not self.fleet.leaving and self.fleet.booted:
            self.do(self.fleet.hand_over(self.now))

    def back(self) -> None:
        self.do(self.fleet.take_back(self.now))

    def restart(self) -> None:
        self.do(self.fleet.restart(self.now))

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.do(self.fleet.tick(self.now))

    def pids(self) -> list[int]:
        return list(self.fleet.workers)

    def ended(self) -> bool:
        return self.fleet.done

    def leaving(self) -> bool:
        return self.fleet.leaving

    def booted(self) -> bool:
        return self.fleet.booted

    def restarting(self) -> bool:
        return self.fleet.restarting

    def generations(self) -> list[int]:
        return sorted(w.generation for w in self.fleet.workers.values() if w.state is State.READY)


def serving(size: int, *, loads: bool = True, delay: float = 0.0) -> Clock:
    clock = Clock(size, delay=delay)
    clock.all_ready()
    clock.loads = loads
    return clock


# The start


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


# Deaths


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


# A restart


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


def test_a_stop_during_the_start_delays_for_those_who_serve() -> None:
    clock = Clock(2, delay=5.0)
    clock.ready(clock.pids()[0])
    clock.stop()
    assert clock.sent == []
    clock.advance(5.0)
    assert {number for _, number in clock.sent} == {signal.SIGTERM}


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


# Recycling and number


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


# The stop


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


def test_words_for_an_exit() -> None:
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-9) == "SIGKILL"
    assert describe_exit(-99) == "signal 99"
    assert repr(WorkerHandle(0, 7, 0.0)) == "<worker 1, pid 7, starting>"
