"""Who is blocked, judged by signs of life and a clock that is only a number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivace.supervisor.chores.blocked import DUMP_TIME, BlockJudge, Sign, Step

LIMIT = 10.0


class Bench:
    """Workers that beat, or do not, and a judge that is asked when it wants to be."""

    def __init__(self, *pids: int, limit: float = LIMIT) -> None:
        self.judge = BlockJudge(limit)
        self.now = 1000.0
        self.signs = {pid: Sign(self.now) for pid in pids}
        self.beating = set(pids)
        self.found: list[tuple[int, str, float]] = []

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self.judge.due <= end:
            self.now = max(self.now, self.judge.due)
            self.look()
        self.now = end

    def look(self) -> None:
        for pid in self.beating & self.signs.keys():
            self.signs[pid] = Sign(self.now, self.signs[pid].mark)
        self.found += [(v.pid, v.step.value, v.late) for v in self.judge.look(self.signs, self.now)]

    def steps(self, pid: int) -> list[str]:
        return [step for one, step, _ in self.found if one == pid]


def test_who_beats_is_left_alone() -> None:
    bench = Bench(1, 2)
    bench.advance(3600)
    assert bench.found == []


def test_who_stands_still_is_warned_shown_and_ended_in_time() -> None:
    bench = Bench(1, 2)
    bench.advance(60)
    bench.beating.discard(2)
    stopped = bench.signs[2].heartbeat
    bench.advance(60)
    assert [(pid, step) for pid, step, _ in bench.found] == [(2, "warn"), (2, "show"), (2, "end")]
    times = [late for _, _, late in bench.found]
    pause = bench.judge.pause
    for late, due in zip(times, (LIMIT / 2, LIMIT, LIMIT + DUMP_TIME), strict=True):
        assert due <= late <= due + pause
    assert stopped > 0


def test_a_short_limit_is_kept_as_closely() -> None:
    bench = Bench(1, limit=0.5)
    bench.look()
    bench.beating.clear()
    bench.advance(2)
    assert bench.steps(1) == ["warn", "show", "end"]
    assert bench.found[-1][2] <= 0.5 + DUMP_TIME + 0.05


def test_who_wakes_up_after_a_warning_begins_anew() -> None:
    bench = Bench(1)
    bench.look()
    bench.beating.discard(1)
    bench.advance(7)
    assert bench.steps(1) == ["warn"]
    bench.beating.add(1)
    bench.advance(5)
    bench.beating.discard(1)
    bench.advance(9)
    assert bench.steps(1) == ["warn", "warn"]


def test_requests_that_begin_are_a_sign_of_life_too() -> None:
    bench = Bench(1)
    bench.look()
    bench.beating.clear()
    for number in range(100):
        bench.advance(4)
        bench.signs[1] = Sign(bench.signs[1].heartbeat, number)
    assert "end" not in bench.steps(1)


def test_a_worker_is_judged_from_when_it_was_first_seen() -> None:
    bench = Bench()
    bench.advance(100)
    bench.signs[3] = Sign(bench.now - 500)
    bench.advance(4)
    assert bench.found == []


def test_when_this_process_was_held_up_nobody_is_blamed() -> None:
    bench = Bench(1)
    bench.advance(5)
    bench.now += 3600  # stopped with all its workers, and continued
    bench.look()
    assert bench.found == []
    bench.beating.discard(1)
    bench.advance(60)
    assert bench.steps(1) == ["warn", "show", "end"]


def test_a_worker_that_hangs_is_ended_all_the_same_after_we_were_held_up() -> None:
    bench = Bench(1)
    bench.look()
    bench.beating.clear()
    bench.advance(6)
    bench.now += 30
    bench.look()
    assert bench.steps(1) == ["warn"]
    bench.advance(5)
    assert bench.steps(1) == ["warn", "show", "end"]


def test_without_a_limit_nobody_is_judged() -> None:
    bench = Bench(1, limit=0)
    bench.beating.clear()
    assert bench.judge.due == float("inf")
    bench.look()
    assert bench.judge.due == float("inf")
    bench.now += 1e6
    bench.look()
    assert bench.found == []


def test_a_limit_may_come_later() -> None:
    bench = Bench(1, limit=0)
    bench.judge.limit = 2.0
    assert bench.judge.due == 0.0
    bench.look()
    bench.beating.clear()
    bench.advance(5)
    assert bench.steps(1) == ["warn", "show", "end"]


@given(
    st.floats(0.2, 60),
    st.lists(st.tuples(st.sampled_from(["beat", "begin", "wait"]), st.floats(0.01, 5)), max_size=60),
)
def test_nobody_is_ended_who_moved_within_the_limit(limit: float, events: list[tuple[str, float]]) -> None:
    judge = BlockJudge(limit)
    now = moved = 100.0
    sign = Sign(now)
    steps: list[Step] = []
    for what, seconds in events:
        now += seconds
        if what == "beat":
            sign, moved = Sign(now, sign.mark), now
        elif what == "begin":
            sign, moved = Sign(sign.heartbeat, now), now
        verdicts = judge.look({1: sign}, now)
        steps = [] if moved == now else steps
        steps += [verdict.step for verdict in verdicts]
        assert steps == [Step.WARN, Step.SHOW, Step.END][: len(steps)]
        if any(verdict.step is Step.END for verdict in verdicts):
            assert now - moved >= limit


@pytest.mark.parametrize("limit", [0.2, 1.0, 10.0, 600.0])
def test_looks_are_neither_rare_nor_many(limit: float) -> None:
    assert limit / 100 <= BlockJudge(limit).pause <= max(limit / 10, 0.5) or limit > 50
    assert BlockJudge(limit).pause <= 0.5
