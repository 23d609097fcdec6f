"""Seats on a fixed number of threads: who gets one, who waits, who shares."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from asgiref.sync import SyncToAsync, async_to_sync, sync_to_async

from vivace.interfaces.asgiref_threads import (
    OneThread,
    Seat,
    SocketSeat,
    Threads,
    current_seat,
    share_threads,
    socket_threads,
    what_is_missing,
)


def name() -> str:
    return threading.current_thread().name


name_of_thread = sync_to_async(name)


async def turn(times: int = 3) -> None:
    """Let the loop do what it can."""
    for _ in range(times):
        await asyncio.sleep(0)


# OneThread


def test_a_call_gives_its_result_or_its_error() -> None:
    thread = OneThread("one")
    assert thread.submit(divmod, 7, 2).result() == (3, 1)
    with pytest.raises(ZeroDivisionError):
        thread.submit(divmod, 7, 0).result()
    with pytest.raises(SystemExit):
        thread.submit(exit_now).result()
    assert thread.submit(name).result() == "one"


def exit_now() -> None:
    raise SystemExit


def test_a_call_that_was_cancelled_is_not_made() -> None:
    thread, gate = OneThread("one"), threading.Event()
    made: list[int] = []
    thread.submit(gate.wait, 20)
    second = thread.submit(made.append, 2)
    assert second.cancel()
    gate.set()
    thread.submit(made.append, 3).result()
    assert made == [3]


def test_a_thread_that_idles_does_not_hold_its_process() -> None:
    thread = OneThread("idle")
    thread.submit(name).result()
    assert next(t for t in threading.enumerate() if t.name == "idle").daemon


# Threads


async def test_a_thread_is_taken_once_and_waited_for_in_order() -> None:
    threads = Threads(1)
    first = await threads.take()
    waiting = [asyncio.create_task(threads.take()) for _ in range(2)]
    await turn()
    assert not any(task.done() for task in waiting)
    threads.give_back(first)
    await turn()
    assert [task.done() for task in waiting] == [True, False]
    threads.give_back(first)
    assert await waiting[1] is first


async def test_who_left_the_queue_is_passed_over() -> None:
    threads = Threads(1)
    thread = await threads.take()
    gone, next_one = asyncio.create_task(threads.take()), asyncio.create_task(threads.take())
    await turn()
    gone.cancel()
    threads.give_back(thread)
    assert await next_one is thread


async def test_who_leaves_with_a_thread_in_hand_gives_it_back() -> None:
    threads = Threads(1)
    thread = await threads.take()
    gone = asyncio.create_task(threads.take())
    await turn()
    threads.give_back(thread)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await threads.take() is thread


async def test_there_is_at_least_one() -> None:
    assert isinstance(await Threads(0).take(), OneThread)


async def test_the_thread_with_the_fewest_guests_comes_first() -> None:
    threads = Threads(3)
    busy = [await threads.take() for _ in range(3)]
    for thread, guests in zip(busy, (2, 0, 1), strict=True):
        thread.guests = guests
        threads.give_back(thread)
    assert [(await threads.take()).guests for _ in range(3)] == [0, 1, 2]


async def test_a_request_is_a_guest_until_its_end() -> None:
    threads = Threads(1)
    async with Seat(threads) as seat:
        await seat.take()
        seat.share()
        thread = await threads.take()
        assert thread.guests == 1
    assert thread.guests == 0


# Seat


async def in_seat(threads: Threads, body: Callable[[], object]) -> None:
    async with Seat(threads) as seat:
        await seat.take()
        await sync_to_async(body)()


async def test_many_requests_share_few_threads() -> None:
    threads, names = Threads(3), set[str]()
    barrier = threading.Barrier(3)

    def body() -> None:
        names.add(name())
        barrier.wait(20)

    await asyncio.gather(*(in_seat(threads, body) for _ in range(39)))
    assert names == {f"vivace-django-{number}" for number in range(3)}


async def test_no_request_waits_behind_another_while_a_thread_is_free() -> None:
    threads, gate = Threads(2), threading.Event()
    slow = asyncio.create_task(in_seat(threads, lambda: gate.wait(20)))
    for _ in range(10):
        await in_seat(threads, name)
    assert not slow.done()
    gate.set()
    await slow


async def test_all_calls_of_a_request_run_in_its_thread() -> None:
    async with Seat(Threads(4)) as seat:
        await seat.take()
        names = {await name_of_thread() for _ in range(5)}
        names |= set(await asyncio.gather(*(name_of_thread() for _ in range(5))))
        names.add(await sync_to_async(async_to_sync(name_of_thread))())
        seat.share()
        names.add(await name_of_thread())
        assert current_seat() is seat
    assert names == {"vivace-django-0"}


async def test_a_seat_that_is_shared_is_given_back_once() -> None:
    threads = Threads(1)
    async with Seat(threads) as seat:
        await seat.take()
        seat.share()
        seat.share()
    await threads.take()
    second = asyncio.create_task(threads.take())
    await turn()
    assert not second.done()
    second.cancel()


async def test_a_seat_that_never_got_a_thread_ends_quietly() -> None:
    threads = Threads(1)
    await threads.take()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), Seat(threads) as seat:
            await seat.take()


async def test_a_task_that_outlives_its_request_stays_in_its_thread() -> None:
    ended = asyncio.Event()

    async def later() -> str:
        await ended.wait()
        return await name_of_thread()

    async with Seat(Threads(2)) as seat:
        await seat.take()
        task = asyncio.create_task(later())
        await turn()
    ended.set()
    assert await task == "vivace-django-0"


def test_what_asgiref_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not what_is_missing()
    monkeypatch.delattr(SyncToAsync, "context_to_thread_executor")
    assert what_is_missing() == "SyncToAsync.context_to_thread_executor"


# SocketSeat


async def test_sockets_share_the_threads_evenly_and_each_keeps_its_own() -> None:
    threads = Threads(2)

    async def use() -> set[str]:
        async with SocketSeat(threads):
            await turn()
            return {await name_of_thread() for _ in range(4)}

    found = await asyncio.gather(*(use() for _ in range(6)))
    assert all(len(names) == 1 for names in found)
    assert sorted(name for (name,) in found) == ["vivace-django-0"] * 3 + ["vivace-django-1"] * 3
    assert threads.least_used().guests == 0


async def test_sync_code_of_sockets_runs_side_by_side() -> None:
    threads, barrier = Threads(2), threading.Barrier(2)

    async def use() -> None:
        async with SocketSeat(threads):
            await sync_to_async(lambda: barrier.wait(20))()

    await asyncio.gather(use(), use())


async def test_sockets_use_the_threads_of_the_requests_where_there_are_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vivace.interfaces.asgiref_threads._sockets", None)
    own = socket_threads(3)
    assert socket_threads(1) is own
    shared = Threads(2)
    share_threads(shared)
    assert socket_threads(3) is shared
