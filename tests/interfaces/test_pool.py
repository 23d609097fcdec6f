"""The threads of WSGI apps: bounded, lazy, woken together, and never waited for in vain."""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from tests.server.support import until
from vivace.interfaces import pool as pool_module
from vivace.interfaces.pool import ThreadPool, open_pool


class Call:
    """A job that runs a function and notes when the loop heard of it."""

    def __init__(self, pool: ThreadPool, do: Callable[[], Any]) -> None:
        self.pool = pool
        self.do = do
        self.thread = ""
        self.settled = 0

    def run(self) -> None:
        self.thread = threading.current_thread().name
        self.do()
        self.pool.post(self)

    def settle(self) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.settled += 1

    def describe(self) -> str:
        return "a test"


@pytest.fixture
async def pool() -> AsyncIterator[ThreadPool]:
    made = open_pool(3)
    yield made
    await made.close()


def nothing() -> None:
    """A job that takes no time."""


async def test_jobs_run_in_a_thread_and_are_settled_on_the_loop(pool: ThreadPool) -> None:
    calls = [Call(pool, nothing) for _ in range(1000)]
    for call in calls:
        pool.submit(call)
    await until(lambda: all(call.settled == 1 for call in calls))
    assert {call.thread for call in calls} <= {f"vivace-wsgi-{n}" for n in (1, 2, 3)}


async def test_jobs_of_one_turn_run_in_order_in_one_thread_if_they_are_quick(pool: ThreadPool) -> None:
    order: list[int] = []
    calls = [Call(pool, partial(order.append, n)) for n in range(10)]
    for call in calls:
        pool.submit(call)
    await until(lambda: all(call.settled for call in calls))
    assert order == list(range(10))


async def test_jobs_of_one_turn_that_block_take_as_many_threads_as_there_are(pool: ThreadPool) -> None:
    barrier = threading.Barrier(3)
    calls = [Call(pool, lambda: barrier.wait(10)) for _ in range(6)]
    for call in calls:
        pool.submit(call)
    await until(lambda: all(call.settled for call in calls))
    assert len({call.thread for call in calls}) == 3


async def test_a_job_that_blocks_does_not_keep_back_what_was_done_before_it(pool: ThreadPool) -> None:
    release = threading.Event()
    quick, blocked = Call(pool, nothing), Call(pool, lambda: release.wait(10))
    pool.submit(quick)
    pool.submit(blocked)
    await until(lambda: quick.settled)
    assert not blocked.settled
    release.set()
    await until(lambda: blocked.settled)


async def test_a_job_that_raises_is_logged_and_the_thread_goes_on(
    pool: ThreadPool, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise SystemExit("no")

    pool.submit(Call(pool, fail))
    call = Call(pool, nothing)
    pool.submit(call)
    await until(lambda: call.settled)
    assert "vivace-wsgi-1 failed" in caplog.text


async def test_what_fails_on_the_loop_does_not_keep_the_rest(
    pool: ThreadPool, caplog: pytest.LogCaptureFixture
) -> None:
    class Bad(Call):
        def settle(self) -> None:
            raise ValueError("oh")

    pool.submit(Bad(pool, nothing))
    call = Call(pool, nothing)
    pool.submit(call)
    await until(lambda: call.settled)
    assert "an answer of a thread could not be sent" in caplog.text


async def test_users_of_a_loop_share_its_pool_until_the_last_has_closed_it() -> None:
    first, second = open_pool(2), open_pool(2)
    assert first is second
    call = Call(first, nothing)
    first.submit(call)
    await until(lambda: call.settled)
    await first.close()
    again = Call(second, nothing)
    second.submit(again)
    await until(lambda: again.settled)
    await second.close()
    third = open_pool(1)
    assert third is not first
    await third.close()


async def test_close_lets_queued_jobs_run_and_ends_all_threads() -> None:
    pool = open_pool(2)
    calls = [Call(pool, nothing) for _ in range(10)]
    for call in calls:
        pool.submit(call)
    await until(lambda: any(call.thread for call in calls))
    await pool.close()
    await until(lambda: all(call.settled for call in calls))
    assert not [t for t in threading.enumerate() if t.name.startswith("vivace-wsgi")]


async def test_close_does_not_wait_for_a_thread_that_never_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pool_module, "STOP_TIME", 0.05)
    release = threading.Event()
    pool = open_pool(2)
    blocked = Call(pool, lambda: release.wait(30))
    pool.submit(blocked)
    await until(lambda: blocked.thread)
    begun = time.monotonic()
    await pool.close()
    assert time.monotonic() - begun < 5
    assert "vivace-wsgi-1 is still at work after the stop: a test" in caplog.text
    release.set()
    await until(lambda: blocked.settled)


async def test_a_thread_that_outlives_its_loop_ends_quietly(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pool_module, "STOP_TIME", 0.05)
    release = threading.Event()
    made: list[Call] = []

    async def leave() -> None:
        pool = open_pool(1)
        made.append(Call(pool, lambda: release.wait(30)))
        pool.submit(made[0])
        await until(lambda: made[0].thread)
        await pool.close()

    await asyncio.to_thread(asyncio.run, leave())
    (thread,) = [t for t in threading.enumerate() if t.name == made[0].thread]
    release.set()
    await until(lambda: not thread.is_alive())
    assert not made[0].settled
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_while_a_pool_is_open_threads_that_compute_let_others_run_sooner() -> None:
    before = sys.getswitchinterval()
    pool = open_pool(1)
    assert sys.getswitchinterval() == pytest.approx(0.001)
    assert before > 0.001
    await pool.close()
    assert sys.getswitchinterval() == before


async def test_an_interval_that_somebody_chose_stays() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.002)
    try:
        pool = open_pool(1)
        assert sys.getswitchinterval() == pytest.approx(0.002)
        await pool.close()
        assert sys.getswitchinterval() == pytest.approx(0.002)
    finally:
        sys.setswitchinterval(before)


async def test_a_system_without_threads_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pool_module, "RETRY", 0.01)
    start = threading.Thread.start
    left = [2]

    def refuse(thread: threading.Thread) -> None:
        if left[0]:
            left[0] -= 1
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    pool = open_pool(1)
    call = Call(pool, nothing)
    pool.submit(call)
    await until(lambda: call.settled)
    await pool.close()
    assert caplog.text.count("no thread for the WSGI app: can't start new thread") == 2
