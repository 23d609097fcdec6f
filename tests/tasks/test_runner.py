"""A runner in this process: what becomes of tasks that go well, fail, hang, and are stopped."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import pytest

from tests.tasks.conftest import Clock
from vivace.framework.work import CLEANUP
from vivace.supervisor.workers.companion import LAST_WORDS
from vivace.tasks import Retry, TaskError, TaskFailed, current_task
from vivace.tasks.book import Book
from vivace.tasks.errors import BadArguments
from vivace.tasks.records import Task
from vivace.tasks.runner import HEED, LOOK, Runner

LEASE = 30.0


async def drain(book: Book) -> int:
    runner = Runner(book, book.names(""), 10, LEASE)
    try:
        return await runner.drain()
    finally:
        runner.close()


async def find(book: Book, number: int) -> Task:
    task = await book.clerk.do(lambda spool: spool.get(number), reads=True)
    assert task is not None
    return task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def running(
    book: Book, concurrency: int = 10, patience: float = 5.0
) -> AsyncIterator[tuple[Runner, asyncio.Event]]:
    runner = Runner(book, book.names(""), concurrency, LEASE)
    stopping = asyncio.Event()
    life = asyncio.create_task(runner.run(stopping, patience))
    try:
        yield runner, stopping
    finally:
        stopping.set()
        await life


async def test_tasks_run_and_their_results_are_there(book: Book) -> None:
    async def add(a: int, b: int = 2) -> int:
        return a + b

    def double(text: str) -> str:
        return text * 2

    one, two = book.declare(add, keep="1h"), book.declare(double, keep="1h")
    handles = [await one.enqueue(1), await two.enqueue("ab")]
    assert await drain(book) == 2
    assert [await handle.result(1) for handle in handles] == [3, "abab"]


async def test_many_are_enqueued_at_once_or_none(book: Book) -> None:
    seen: list[tuple[int, str]] = []

    async def note(n: int, text: str = "") -> None:
        seen.append((n, text))

    task = book.declare(note)
    handles = await task.enqueue_many([(1,), (2, "two"), {"n": 3, "text": "three"}])
    assert [handle.id for handle in handles] == [1, 2, 3]
    with pytest.raises(BadArguments):
        await task.enqueue_many([(4,), ("five",)])
    assert (await book.stats())["states"] == {"ready": 3}
    await drain(book)
    assert seen == [(1, ""), (2, "two"), (3, "three")]


async def test_called_a_task_is_the_function_that_it_was(book: Book) -> None:
    def double(n: int) -> int:
        """Twice as much."""
        return n * 2

    task = book.declare(double)
    assert task(4) == 8
    assert task.__doc__ == "Twice as much."


async def test_a_result_that_is_not_kept_cannot_be_asked_for(book: Book) -> None:
    async def quick() -> None: ...

    handle = await book.declare(quick).enqueue()
    with pytest.raises(TaskError, match='declare it with keep="1h"'):
        await handle.result()


async def test_a_task_that_fails_is_run_again_as_often_as_it_may(book: Book, clock: Clock) -> None:
    seen: list[int] = []

    async def fail() -> None:
        seen.append(current_task().attempts)
        raise ValueError("no luck")

    handle = await book.declare(fail, retries=2, backoff="exp:10s..1m", keep="1h").enqueue()
    await drain(book)
    await drain(book)
    assert seen == [1]
    clock.move(10)
    await drain(book)
    clock.move(19)
    await drain(book)
    assert seen == [1, 2]
    clock.move(1)
    await drain(book)
    assert seen == [1, 2, 3]
    task = await find(book, handle.id)
    assert (task.state, (task.last_error or "").splitlines()[-1]) == ("dead", "ValueError: no luck")
    with pytest.raises(TaskFailed, match="ValueError: no luck") as caught:
        await handle.result()
    assert "in fail" in caught.value.error


async def test_a_task_may_say_when_it_wants_to_be_run_again(book: Book, clock: Clock) -> None:
    seen: list[float] = []

    async def later() -> None:
        seen.append(clock())
        if len(seen) == 1:
            raise Retry("5m")

    await book.declare(later, retries=1).enqueue()
    await drain(book)
    clock.move(299)
    await drain(book)
    assert len(seen) == 1
    clock.move(1)
    await drain(book)
    assert len(seen) == 2


async def test_a_task_for_later_waits_for_its_time(book: Book, clock: Clock) -> None:
    seen: list[int] = []

    async def note(n: int) -> None:
        seen.append(n)

    task = book.declare(note)
    await task.delay("5m").enqueue(1)
    task.at(datetime.fromtimestamp(clock() + 60, UTC)).enqueue_sync(2)
    assert await drain(book) == 0
    clock.move(60)
    await drain(book)
    clock.move(240)
    await drain(book)
    assert seen == [2, 1]


async def test_a_unique_task_is_there_once(book: Book) -> None:
    async def note(n: int) -> None: ...

    task = book.declare(note, unique=True)
    first, second, other = await task.enqueue(1), await task.enqueue(1), await task.enqueue(2)
    assert (first.new, second.new, other.new) == (True, False, True)
    assert first.id == second.id != other.id
    await drain(book)
    assert (await task.enqueue(1)).new


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
async def test_a_task_over_its_time_has_failed(book: Book, kind: str) -> None:
    ends = threading.Event()

    async def sleep() -> None:
        await asyncio.sleep(60)

    def block() -> None:
        ends.wait(60)

    task = book.declare(sleep if kind == "coroutine" else block, retries=0, timeout=0.02)
    handle = await task.enqueue()
    await drain(book)
    ends.set()
    found = await find(book, handle.id)
    assert (found.state, found.last_error) == ("dead", "it took longer than its timeout of 0.02 s")


async def test_a_thread_that_cannot_be_ended_ends_its_process(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vivace.tasks.runner.STUCK", 0.05)
    monkeypatch.setattr("vivace.tasks.runner.LOOK", 0.05)
    ends = threading.Event()

    def block() -> None:
        ends.wait(60)

    await book.declare(block, retries=0, timeout=0.01).enqueue()
    runner = Runner(book, book.names(""), 10, LEASE)
    async with asyncio.timeout(5):
        await runner.run(asyncio.Event(), 5.0)  # nobody told it to stop
    ends.set()


async def test_what_does_not_fit_the_function_any_more_is_dead(book: Book) -> None:
    def old(text: str) -> None: ...

    def new(number: int) -> None: ...

    handle = await book.declare(old, name="note").enqueue("x")
    del book.functions["app.note"]
    book.declare(new, name="note")
    await drain(book)
    found = await find(book, handle.id)
    assert found.state == "dead"
    assert "do not fit the function as it is now" in (found.last_error or "")


async def test_not_even_an_exit_ends_the_runner(book: Book) -> None:
    async def leave() -> None:
        raise SystemExit(1)

    handle = await book.declare(leave, retries=0).enqueue()
    await drain(book)
    assert "SystemExit: 1" in ((await find(book, handle.id)).last_error or "")


ERRORS: list[Callable[[], BaseException]] = [
    partial(ValueError, "a\udc80b"),
    partial(ValueError, "a\0b"),
    GeneratorExit,
    KeyboardInterrupt,
    asyncio.CancelledError,
]


@pytest.mark.parametrize("error", ERRORS)
async def test_whatever_is_raised_an_attempt_has_an_end(
    book: Book, error: Callable[[], BaseException]
) -> None:
    async def fail() -> None:
        raise error()

    handle = await book.declare(fail, retries=0).enqueue()
    async with asyncio.timeout(30):
        assert await drain(book) == 1
    task = await find(book, handle.id)
    assert (task.state, task.kills) == ("dead", 0)
    assert task.last_error is not None
    assert "\0" not in task.last_error


@pytest.mark.parametrize("result", [object(), "a\udc80"])
async def test_a_result_that_json_cannot_say_is_no_reason_to_do_it_all_again(
    book: Book, result: object
) -> None:
    runs: list[int] = []

    async def work() -> object:
        runs.append(1)
        return result

    handle = await book.declare(work, retries=3, backoff=0, keep="1h").enqueue()
    await drain(book)
    task = await find(book, handle.id)
    assert (task.state, len(runs)) == ("dead", 1)
    assert (task.last_error or "").startswith("it was done, but its result is not what JSON can say: ")


async def test_of_tasks_whose_process_died_one_runs_at_a_time(book: Book) -> None:
    at_once: list[set[int]] = []
    here: set[int] = set()

    async def note(n: int) -> None:
        here.add(n)
        at_once.append(set(here))
        await asyncio.sleep(0.01)
        here.discard(n)

    task = book.declare(note)
    for n in range(4):
        await task.enqueue(n)

    def die() -> None:
        book.clerk.do_now(lambda spool: spool.claim("killed", book.names(""), 2, LEASE, book.clock()))
        book.clerk.do_now(lambda spool: spool.recover(["killed"], book.clock()))

    die()
    await drain(book)
    assert not any({0, 1} <= seen for seen in at_once)
    assert {n for seen in at_once for n in seen} == {0, 1, 2, 3}


async def test_a_runner_hears_at_once_that_there_is_work(book: Book) -> None:
    started: list[float] = []

    async def note() -> None:
        started.append(time.perf_counter())

    def arrived(count: int) -> bool:
        return len(started) == count

    task = book.declare(note)
    waits = []
    async with running(book):
        for count in range(1, 30):
            began = time.perf_counter()
            await task.enqueue()
            await until(partial(arrived, count))
            waits.append(started[-1] - began)
    assert sorted(waits)[len(waits) // 2] < LOOK / 4  # it was not found by looking


async def test_no_more_run_at_a_time_than_said(book: Book) -> None:
    here, most = 0, 0

    async def note() -> None:
        nonlocal here, most
        here += 1
        most = max(most, here)
        await asyncio.sleep(0.005)
        here -= 1

    task = book.declare(note)
    handles = await asyncio.gather(*[task.enqueue() for _ in range(20)])
    async with running(book, concurrency=3) as (runner, _):
        await until(lambda: runner.done == len(handles))
    assert most == 3


async def test_a_stop_takes_nothing_more_and_waits_for_what_runs(book: Book) -> None:
    began, go = asyncio.Event(), asyncio.Event()
    done: list[int] = []

    async def slow(n: int) -> None:
        began.set()
        await go.wait()
        done.append(n)

    task = book.declare(slow)
    await task.enqueue(1)
    async with running(book) as (_, stopping):
        await began.wait()
        stopping.set()
        await asyncio.sleep(0)
        second = await task.enqueue(2)
        go.set()
    assert done == [1]
    assert (await find(book, second.id)).state == "ready"


async def test_what_is_not_done_in_time_is_given_back_at_once(book: Book) -> None:
    began = asyncio.Event()

    async def slow() -> None:
        began.set()
        await asyncio.sleep(60)

    handle = await book.declare(slow, retries=1).enqueue()
    async with running(book, patience=0.05) as (_, stopping):
        await began.wait()
        stopping.set()
        told = time.perf_counter()
    assert time.perf_counter() - told < 5
    task = await find(book, handle.id)
    assert (task.state, task.attempts, task.max_attempts, task.kills) == ("ready", 1, 3, 0)


async def test_what_heeds_no_cancellation_is_given_back_while_there_is_time(book: Book) -> None:
    end = asyncio.Event()

    async def deaf() -> None:
        while not end.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await end.wait()

    handle = await book.declare(deaf, retries=3).enqueue()
    async with running(book, patience=0.05) as (runner, _):
        await until(lambda: len(runner._running) == 1)
    task = await find(book, handle.id)
    assert (task.state, task.attempts, task.max_attempts) == ("ready", 1, 5)
    assert HEED + LAST_WORDS < CLEANUP  # then its process is cancelled, and then killed
    end.set()


async def test_leases_are_renewed_while_the_loop_stands_still(book: Book, clock: Clock) -> None:
    seen: list[float | None] = []

    async def block() -> None:
        clock.move(25)
        time.sleep(0.3)  # noqa: ASYNC251 - that is what it does wrong
        seen.append(book.clerk.do_now(lambda spool: spool.get(number), reads=True).lease_until)  # type: ignore[union-attr]

    task = book.declare(block)
    runner = Runner(book, book.names(""), 10, LEASE)
    book.clerk.every(0.05, runner._renew)
    start = clock()
    number = (await task.enqueue()).id
    await runner.drain()
    runner.close()
    assert seen == [start + 25 + LEASE]


async def test_tasks_of_a_runner_that_is_gone_are_found_within_a_second(book: Book) -> None:
    async def note() -> None: ...

    task = book.declare(note, keep="1h")
    handle = await task.enqueue()
    bell = book.bells.hang()
    await book.clerk.do(lambda spool: spool.claim(bell.worker, book.names(""), 1, LEASE, book.clock()))
    async with running(book) as (runner, _):
        await asyncio.sleep(0.05)
        assert runner.done == 0
        bell.close()  # what the end of its process does
        told = time.perf_counter()
        await until(lambda: runner.done == 1)
    assert time.perf_counter() - told < LEASE / 4  # by its bell, not by its lease
    assert (await find(book, handle.id)).kills == 1


async def test_a_clock_that_was_set_costs_nobody_his_lease(
    book: Book, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    steady = 1000.0
    monkeypatch.setattr("vivace.tasks.runner.time.monotonic", lambda: steady)
    handle = await book.declare(lambda: None, name="note").enqueue()
    await book.clerk.do(lambda spool: spool.claim("far", book.names(""), 1, LEASE, clock()))
    runner = Runner(book, book.names(""), 10, LEASE)

    async def look(passed: float, ticked: float) -> str:
        nonlocal steady
        clock.move(passed)
        steady += ticked
        await book.clerk.do(runner._recover)
        return (await find(book, handle.id)).state

    for _ in range(int(LEASE) - 1):
        assert await look(1, 1) == "running"  # it has just begun: nobody may have been able to renew before
    assert await look(3600, 1) == "running"  # somebody set the clock
    for _ in range(int(LEASE) - 1):
        assert await look(1, 1) == "running"
    assert await look(1, 1) == "ready"  # it had the time to renew, and did not
    runner.close()


async def test_a_standstill_costs_nobody_his_lease(
    book: Book, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    steady = 1000.0
    monkeypatch.setattr("vivace.tasks.runner.time.monotonic", lambda: steady)
    runner = Runner(book, book.names(""), 10, LEASE)
    for _ in range(int(LEASE)):
        assert not runner._trusts_clock(clock())
        clock.move(1)
        steady += 1
    assert runner._trusts_clock(clock())
    clock.move(60)
    steady += 60
    assert not runner._trusts_clock(clock())
    runner.close()


async def test_tasks_that_this_code_does_not_know_stay(book: Book) -> None:
    def note() -> None: ...

    handle = await book.declare(note).enqueue()
    del book.functions["app.note"]
    assert await drain(book) == 0
    assert (await find(book, handle.id)).state == "ready"


def test_runners_of_some_queues_leave_the_others(book: Book) -> None:
    def one() -> None: ...

    def two() -> None: ...

    book.declare(one, queue="mail")
    book.declare(two)
    assert book.names("") == ("app.one", "app.two")
    assert book.names("mail, other") == ("app.one",)
