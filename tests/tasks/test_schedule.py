"""Rules and slots: what is due when, also where clocks change; and that a slot runs once."""

import asyncio
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.tasks.conftest import START, Clock
from tests.tasks.test_runner import drain
from vivace.errors import DeclarationError
from vivace.tasks.book import Book
from vivace.tasks.schedule import LATE, LONGEST, MOST_MISSED, Cron, Every, Schedule, parse_jitter
from vivace.tasks.scheduler import Scheduler

MADRID = ZoneInfo("Europe/Madrid")


def at(*parts: int, zone: Any = UTC, fold: int = 0) -> float:
    return datetime(*parts, tzinfo=zone, fold=fold).timestamp()  # type: ignore[arg-type,misc]


def slots(rule: Cron | Every, start: float, count: int) -> list[str]:
    return [slot.isoformat() for slot in Schedule("x", rule).next_slots(start, count)]


def test_slots_of_cron_in_its_zone() -> None:
    rule = Cron("*/30 8-9 * * mon-fri", "Europe/Madrid")
    assert slots(rule, at(2026, 11, 20, 9, 15, zone=MADRID), 2) == [
        "2026-11-20T09:30:00+01:00",
        "2026-11-23T08:00:00+01:00",
    ]


def test_a_time_that_is_left_out_runs_behind_it_once() -> None:
    rule = Cron("30 2 * * *", "Europe/Madrid")
    assert slots(rule, at(2026, 3, 28, 12, zone=MADRID), 2) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]


def test_a_time_that_comes_twice_runs_once_and_an_hourly_rule_each_hour() -> None:
    daily = Cron("30 2 * * *", "Europe/Madrid")
    start = at(2026, 10, 25, 0, zone=MADRID)
    assert slots(daily, start, 2) == ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
    hourly = Cron("0 * * * *", "Europe/Madrid")
    assert [slot[11:19] for slot in slots(hourly, start, 4)] == [
        "01:00:00",
        "02:00:00",
        "02:00:00",
        "03:00:00",
    ]
    assert len({hourly.after(start + hour * 3600) for hour in range(24)}) == 24


def test_the_last_slot_is_at_the_moment_or_before() -> None:
    for rule in (Cron("*/5 * * * *"), Every("5m")):
        slot = at(2026, 1, 1, 10, 5)
        assert [rule.last(slot + more) - slot for more in (-1, 0, 1, 299, 300)] == [-300, 0, 0, 0, 300]
        assert rule.after(slot) == slot + 300


ZONES = ["Europe/Madrid", "America/Santiago", "Australia/Lord_Howe", "Africa/Casablanca"]
CHANGES = [(2026, 2, 14), (2026, 3, 28), (2026, 4, 4), (2026, 9, 5), (2026, 10, 24)]
"""Days before those on which clocks change somewhere of these."""


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("text", ["30 2 * * *", "15,45 1-2 * * *", "30 0-3 * * *", "*/20 * * * *"])
def test_backwards_there_are_the_same_slots_where_clocks_change(zone: str, text: str) -> None:
    rule = Cron(text, zone)
    for day in CHANGES:
        begin = at(*day, zone=ZoneInfo(zone))
        forwards = [rule.after(begin)]
        while forwards[-1] < begin + 2 * 86400:
            forwards.append(rule.after(forwards[-1]))
        for slot, later in pairwise(forwards):
            assert later > slot
            assert {rule.last(slot), rule.last(slot + 1), rule.last(later - 1)} == {slot}
        missed = Schedule("x", rule, catch_up="all").due(forwards[0], forwards[-1])
        assert missed == forwards[1:]


def test_seconds_may_stand_before_the_minutes() -> None:
    assert slots(Cron("*/20 * * * * *"), at(2026, 1, 1), 2) == [
        "2026-01-01T00:00:20+00:00",
        "2026-01-01T00:00:40+00:00",
    ]


@pytest.mark.parametrize("wrong", ["", "* * * *", "61 * * * *", "0 0 30 2 *", "every monday"])
def test_what_is_no_rule_is_refused(wrong: str) -> None:
    with pytest.raises(DeclarationError, match="expected minute, hour"):
        Cron(wrong)


def test_a_zone_that_is_none_is_refused() -> None:
    with pytest.raises(DeclarationError, match="Atlantis"):
        Cron("0 0 * * *", "Atlantis")


def test_an_interval_has_a_shortest_length() -> None:
    assert Every(1).length == Every("1s").length == 1
    with pytest.raises(DeclarationError, match="at least 1s"):
        Every(0.9)


def test_jitter_is_a_length_or_a_part_and_no_longer_than_the_interval() -> None:
    assert (parse_jitter("10%", 30), parse_jitter("2s", 30), parse_jitter(30, 30)) == (3, 2, 30)
    with pytest.raises(DeclarationError, match="longer than the interval"):
        parse_jitter(31, 30)
    schedule = Schedule("x", Every(60), jitter=6.0)
    starts = {schedule.start_of(slot) - slot for slot in range(0, 6000, 60)}
    assert all(0 <= start < 6 for start in starts)
    assert len(starts) > 50
    assert schedule.start_of(60) == schedule.start_of(60)


def test_of_missed_slots_run_the_last_all_or_none() -> None:
    now = START + 1000
    first = START // 60 * 60 + 60

    def due(catch_up: str, since: float = START) -> list[float]:
        return Schedule("x", Every(60), catch_up=catch_up).due(since, now)

    every = [first + 60 * n for n in range(int((now - first) // 60) + 1)]
    assert due("all") == every
    assert due("last") == every[-1:]
    assert due("none") == (every[-1:] if now - every[-1] <= LATE else [])
    assert due("all", since=START - 60 * 5000)[0] > START - 60 * 1000
    assert len(due("all", since=START - 60 * 5000)) == MOST_MISSED
    assert due("last", since=every[-1]) == []


def test_of_more_missed_slots_than_can_be_counted_the_newest_are_run() -> None:
    for rule, apart in ((Every("1s"), 1.0), (Every("1.5s"), 1.5), (Cron("* * * * * *"), 1.0)):
        found = Schedule("x", rule, catch_up="all").due(0.0, START)
        assert len(found) == MOST_MISSED
        assert (found[-1], found[-1] - found[0]) == (START, (MOST_MISSED - 1) * apart)


def test_an_interval_has_a_longest_length() -> None:
    assert Every(LONGEST).length == LONGEST
    with pytest.raises(DeclarationError, match="at most"):
        Every(LONGEST + 1)


def test_none_still_runs_what_is_a_moment_late() -> None:
    schedule = Schedule("x", Every(60), catch_up="none")
    slot = START // 60 * 60 + 60
    assert schedule.due(slot - 1, slot + LATE) == [slot]
    assert schedule.due(slot - 1, slot + LATE + 1) == []


@pytest.mark.parametrize("options", [{"overlap": "never"}, {"catch_up": "some"}])
def test_words_that_are_none_are_refused(book: Book, options: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError, match="expected"):
        book.declare_schedule(lambda: None, Every(60), name="x", **options)


def test_what_runs_by_itself_takes_one_argument_at_most(book: Book) -> None:
    def many(a: int, b: int) -> None: ...

    with pytest.raises(DeclarationError, match="may take one argument"):
        book.declare_schedule(many, Every(60))
    assert book.functions == {}


async def test_a_slot_runs_once_over_twenty_restarts_and_two_schedulers(book: Book, clock: Clock) -> None:
    seen: list[datetime] = []

    async def note(slot: datetime) -> None:
        seen.append(slot)

    book.declare_schedule(note, Cron("* * * * *"))
    first = Scheduler(book)
    await first.tick(clock())
    start = clock()
    for _ in range(20):
        clock.move(20)
        for scheduler in (Scheduler(book), Scheduler(book), first):
            await scheduler.tick(clock())
            await scheduler.tick(clock())
        await drain(book)
    expected = [start // 60 * 60 + 60 * n for n in range(1, 8) if start // 60 * 60 + 60 * n <= clock()]
    assert [slot.timestamp() for slot in seen] == expected


async def test_nothing_runs_because_it_was_declared(book: Book, clock: Clock) -> None:
    seen: list[int] = []
    book.declare_schedule(lambda: seen.append(1), Every("1h"), name="hourly")
    scheduler = Scheduler(book)
    when = await scheduler.tick(clock())
    await drain(book)
    assert seen == []
    assert when == Every("1h").after(clock())


async def test_a_slot_that_passed_during_a_restart_is_made_up_for(book: Book, clock: Clock) -> None:
    seen: list[int] = []
    book.declare_schedule(lambda: seen.append(1), Every("1h"), name="hourly")
    await Scheduler(book).tick(clock())
    clock.move(5 * 3600)
    await Scheduler(book).tick(clock())
    await drain(book)
    assert seen == [1]


@pytest.mark.parametrize(("overlap", "runs"), [("skip", 1), ("queue", 3), ("allow", 3)])
async def test_a_run_whose_predecessor_is_not_done(book: Book, clock: Clock, overlap: str, runs: int) -> None:
    most, seen, when = 0, 0, 0.0

    async def slow() -> None:
        nonlocal seen
        seen += 1

    book.declare_schedule(slow, Every("1m"), overlap=overlap)
    scheduler = Scheduler(book)
    await scheduler.tick(clock())
    for _ in range(3):
        clock.move(60)
        when = await scheduler.tick(clock())
        states = (await book.clerk.do(lambda spool: spool.stats(clock()), reads=True))["states"]
        most = max(most, states["ready"])
    assert most == (3 if overlap == "allow" else 1)
    assert when - clock() <= (0.5 if overlap == "queue" else 60)
    for _ in range(3):
        await drain(book)
        await scheduler.tick(clock())
    assert seen == runs


async def test_a_spool_that_does_not_answer_is_asked_again(
    book: Book, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    book.declare_schedule(lambda: None, Every("1m"), name="x")
    book.config().TASKS_URL = "sqlite:////proc/none/tasks.sqlite3"
    scheduler = Scheduler(book)
    assert await scheduler.tick(clock()) - clock() <= 1
    await scheduler.tick(clock() + 1)
    assert caplog.text.count("nothing can be scheduled") == 1  # it is said once, not each time
    book.config().TASKS_URL = "sqlite:///" + str(tmp_path / "well.sqlite3")
    with caplog.at_level("INFO"):
        await scheduler.tick(clock() + 2)
    assert "over: nothing can be scheduled" in caplog.text


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_clock_that_was_far_ahead_takes_no_slots_from_the_time_to_come(
    book: Book, clock: Clock, restarted: bool
) -> None:
    runs: list[datetime] = []

    def run(slot: datetime) -> None:
        runs.append(slot)

    book.declare_schedule(run, Every("1h"))
    scheduler = Scheduler(book)
    for hours in (0, 1, 24 * 365, 2 - 24 * 365, 1):
        clock.move(hours * 3600)
        scheduler = Scheduler(book) if restarted else scheduler
        await scheduler.tick(clock())
        await drain(book)
    assert [(slot.timestamp() - START) / 3600 for slot in runs] == [1, 24 * 365 + 1, 4]


async def test_a_clock_that_is_set_back_a_little_runs_nothing_twice(book: Book, clock: Clock) -> None:
    runs: list[datetime] = []

    def run(slot: datetime) -> None:
        runs.append(slot)

    book.declare_schedule(run, Every("1h"))
    scheduler = Scheduler(book)
    for hours in (0, 1, -1, 1, 1):
        clock.move(hours * 3600)
        await scheduler.tick(clock())
        await drain(book)
    assert [(slot.timestamp() - START) / 3600 for slot in runs] == [1, 2]


@pytest.mark.parametrize("annotation", [int, list[str]])
def test_an_argument_that_cannot_be_the_slot_is_refused_when_it_is_declared(
    book: Book, annotation: Any
) -> None:
    def run(slot: Any) -> None: ...

    run.__annotations__["slot"] = annotation
    with pytest.raises(DeclarationError, match="and is given a datetime"):
        book.declare_schedule(run, Every("1h"))
    assert book.functions == {}


async def test_it_ends_when_it_is_told(book: Book) -> None:
    book.declare_schedule(lambda: None, Every("1h"), name="x")
    stopping = asyncio.Event()
    life = asyncio.create_task(Scheduler(book).run(stopping))
    await asyncio.sleep(0.01)
    stopping.set()
    async with asyncio.timeout(30):
        await life
