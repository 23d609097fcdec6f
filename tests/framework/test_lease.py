"""A gate lets a fixed number pass at a time, coroutines and threads alike, and loses no turn."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from vivace.framework.lease import Gate, Lease


class Crowd:
    """Counts who is inside."""

    def __init__(self) -> None:
        self.inside = self.most = self.passed = 0
        self._lock = threading.Lock()

    def enter(self) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def leave(self) -> None:
        with self._lock:
            self.inside -= 1
            self.passed += 1


async def test_coroutines_and_threads_pass_together() -> None:
    gate, crowd = Gate(3), Crowd()

    async def walk() -> None:
        async with Lease(gate, None):
            crowd.enter()
            await asyncio.sleep(0.002)
            crowd.leave()

    def run() -> None:
        with Lease(gate, None):
            crowd.enter()
            threading.Event().wait(0.002)
            crowd.leave()

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(8) as threads:
        ran = [loop.run_in_executor(threads, run) for _ in range(20)]
        await asyncio.gather(*(walk() for _ in range(20)), *ran)
    assert (crowd.passed, crowd.inside, crowd.most) == (40, 0, 3)


async def test_turns_come_in_the_order_of_asking() -> None:
    gate, order = Gate(1), []

    async def walk(number: int) -> None:
        async with Lease(gate, None):
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(walk(number) for number in range(10)))
    assert order == list(range(10))


async def test_who_waits_too_long_gets_an_error_and_takes_no_turn() -> None:
    gate = Gate(1)
    async with Lease(gate, None):
        with pytest.raises(TimeoutError):
            async with Lease(gate, 0.01):
                raise AssertionError("passed")
        with pytest.raises(TimeoutError), Lease(gate, 0.01):
            raise AssertionError("passed")
    with Lease(gate, 0):
        pass


@pytest.mark.parametrize("given_first", [False, True])
async def test_a_cancelled_wait_loses_no_turn(given_first: bool) -> None:
    gate = Gate(1)

    async def walk() -> None:
        async with Lease(gate, None):
            raise AssertionError("passed")

    async with Lease(gate, None):
        waiting = asyncio.create_task(walk())
        await asyncio.sleep(0)
        if not given_first:
            waiting.cancel()
    waiting.cancel()  # its turn is given by now, and it has not run since
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with Lease(gate, 1):
        assert not gate.ask().done()


async def test_the_turn_of_an_error_is_given_back() -> None:
    gate = Gate(1)
    with pytest.raises(ZeroDivisionError):
        async with Lease(gate, None):
            raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), Lease(gate, 0):
        raise ZeroDivisionError
    assert gate.ask().done()
