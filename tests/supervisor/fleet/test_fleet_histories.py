"""Whatever happens to a fleet, in whatever order: it keeps its rules.

HISTORIES sets how many histories are made up: `scripts/histories` runs the hundred thousand.
"""

import os
import signal

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.supervisor.fleet.clock import PATIENCE, Clock, serving
from vivace.supervisor.fleet.patience import KILL_AFTER

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "ready",
                "exit",
                "tick",
                "restart",
                "load",
                "fail",
                "recycle",
                "resize",
                "dismiss",
                "condemn",
                "lost",
                "leave",
                "stop",
                "hand",
                "back",
            ]
        ),
        st.integers(0, 5),
        st.sampled_from([0, 1, 2, 3, -9, -15]),
        st.floats(0, 40),
    ),
    max_size=80,
)


@settings(max_examples=int(os.environ.get("HISTORIES", "400")), deadline=None)
@given(st.integers(1, 4), EVENTS)
def test_any_history_keeps_the_rules(size: int, events: list[tuple[str, int, int, float]]) -> None:
    clock = serving(size, loads=False)
    fleet = clock.fleet
    for event, which, code, seconds in events:
        _happen(clock, event, which, code, seconds)
        slots = [w.slot for w in fleet.workers.values()]
        assert len(slots) == len(set(slots)), "no two have one place"
        active = [w for w in fleet.workers.values() if w.counts]
        assert len(active) <= max(fleet.size, 4) + 1
        fresh = [w for w in active if w.generation == fleet.target and not w.reason]
        if not fleet.stopping and (len(active) < fleet.size or not fresh):
            due = fleet.next_tick()
            assert due is not None, "whoever is missing comes back"
            assert due <= clock.now + PATIENCE.boot
    _finish(clock)


def _happen(clock: Clock, event: str, which: int, code: int, seconds: float) -> None:
    pids = clock.pids()
    pid = pids[which % len(pids)] if pids else -1
    spawned = clock.next_pid
    was_stopping = clock.fleet.stopping
    before = clock.fleet.ready_count
    planned = {"restart", "load", "fail", "recycle", "tick", "ready", "dismiss"}
    if event == "ready":
        clock.ready(pid)
    elif event == "exit":
        clock.exit(pid, code)
    elif event == "tick":
        clock.advance(seconds)
    elif event == "load" and clock.loading:
        clock.load()
    elif event == "fail" and clock.loading:
        clock.fail_load()
    elif event == "recycle":
        clock.do(clock.fleet.recycle(pid, "age", clock.now))
    elif event == "resize":
        clock.do(clock.fleet.resize(which % 4 + 1, clock.now))
    elif event == "dismiss":
        clock.do(clock.fleet.dismiss(pid, "idle", clock.now))
    elif event == "condemn":
        clock.do(clock.fleet.condemn(pid, "LOOP_TIMEOUT", "it stands still", clock.now))
    elif event == "lost":
        clock.do(clock.fleet.lost(clock.fleet.target, clock.now))
    elif event in ("leave", "restart", "stop", "hand", "back"):
        getattr(clock, event)()
    if was_stopping and event != "back":
        assert clock.next_pid == spawned, "nothing is made once a stop began"
    elif event in planned and not clock.fleet.stopping:
        assert clock.fleet.ready_count >= min(before, clock.fleet.size), "what is planned leaves enough"


def _finish(clock: Clock) -> None:
    clock.stop()
    clock.advance(PATIENCE.graceful + KILL_AFTER)
    for pid in clock.pids():
        if not clock.fleet.exit_code:
            assert (pid, signal.SIGKILL) in clock.sent or pid in clock.forced
        clock.exit(pid)
    assert clock.ended()
