"""A gate for drivers without a pool: so many at a time, the others wait in order.

Rules of this file:

- Coroutines and threads pass the same gate and count together.
- A turn that is given to somebody who has just left goes to the next: none gets lost.
"""

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from types import TracebackType

__all__ = ["Gate", "Lease"]


class Gate:
    """Lets a fixed number pass at a time.

    Args:
        count: How many, at least 1.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[Future[None]] = deque()
        self._lock = threading.Lock()

    def ask(self) -> "Future[None]":
        """A turn: done when it is one's own; whoever gives up cancels it and has nothing to give back."""
        turn: Future[None] = Future()
        with self._lock:
            if not self._free:
                self._waiting.append(turn)
                return turn
            self._free -= 1
        turn.set_running_or_notify_cancel()
        turn.set_result(None)
        return turn

    def give_back(self) -> None:
        """Let the next one pass."""
        with self._lock:
            while self._waiting:
                turn = self._waiting.popleft()
                if turn.set_running_or_notify_cancel():
                    turn.set_result(None)
                    return
            self._free += 1


class Lease:
    """One turn at a gate, for ``with`` and for ``async with``; an object is entered once at a time.

    Args:
        gate: The gate.
        timeout: Seconds to wait; None waits for ever.

    Raises:
        TimeoutError: On entering, when it took longer.
    """

    def __init__(self, gate: Gate, timeout: float | None) -> None:
        self._gate = gate
        self._timeout = timeout

    def __enter__(self) -> None:
        turn = self._gate.ask()
        try:
            turn.result(self._timeout)
        except BaseException:
            self._give_up(turn)
            raise

    def __exit__(self, _: type[BaseException] | None, __: object, ___: TracebackType | None) -> None:
        self._gate.give_back()

    async def __aenter__(self) -> None:
        turn = self._gate.ask()
        if turn.done():
            return
        try:
            async with asyncio.timeout(self._timeout):
                await asyncio.wrap_future(turn)
        except BaseException:
            self._give_up(turn)
            raise

    async def __aexit__(self, _: type[BaseException] | None, __: object, ___: TracebackType | None) -> None:
        self._gate.give_back()

    def _give_up(self, turn: "Future[None]") -> None:
        # It cannot be cancelled any more once it was given: then it is ours to give back.
        if not turn.cancel():
            self._gate.give_back()
