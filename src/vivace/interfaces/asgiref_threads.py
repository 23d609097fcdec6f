"""A fixed number of threads for the sync code of all requests, and a seat on one for each request.

A WebSocket has its seat from its begin to its end and shares its thread always: a thread for each would be a
database connection for each. asgiref alone would run the sync code of all WebSockets in one thread.

A request takes a seat when its body is there, and has the thread for itself while sync code may follow: while
middleware and a sync view run. While an async view runs or a response is sent it shares: its thread may be
another request's as well, and what it still has to do there waits its turn. So a thousand waiting async views
need no thousand threads, and no request waits behind a slow sync view while another thread is free.

Rules of this file:

- Everything but the threads themselves belongs to the event loop's thread; nothing here needs a lock.
- All sync code of one request runs in one thread, as asgiref promises with thread_sensitive.
- A thread starts when it is first needed, so that a process may fork before. It ends with its process.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import ContextVar, Token
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self, TypeVar

from asgiref.sync import SyncToAsync, ThreadSensitiveContext

__all__ = [
    "OneThread",
    "Seat",
    "SocketSeat",
    "Threads",
    "current_seat",
    "share_threads",
    "socket_threads",
    "what_is_missing",
]

_T = TypeVar("_T")
_seat: ContextVar["Seat"] = ContextVar("vivace_seat")


class OneThread(Executor):
    """Runs calls one after the other in one thread.

    Not a ThreadPoolExecutor of the library: its threads hold the end of the process even when they idle.

    Args:
        name: Of the thread.

    Attributes:
        guests: Requests that have a seat on it.
    """

    def __init__(self, name: str) -> None:
        self.guests = 0
        self._name = name
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._begin = threading.Lock()
        self._begun = False

    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> "Future[_T]":
        """Have a call made after those before it.

        Args:
            fn: What to call.
            args: Its arguments.
            kwargs: The same.
        """
        future: Future[_T] = Future()
        self._calls.put((future, partial(fn, *args, **kwargs)))
        with self._begin:
            if not self._begun:
                self._begun = True
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            _run(*self._calls.get())


def _run(future: "Future[Any]", call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - it is the caller's to see
        future.set_exception(error)
    else:
        future.set_result(result)


class Threads:
    """The threads, handed out first come, first served.

    Args:
        count: How many, at least 1.
    """

    def __init__(self, count: int) -> None:
        self._all = [OneThread(f"vivace-django-{number}") for number in range(max(count, 1))]
        self._free = self._all.copy()
        self._waiting: deque[asyncio.Future[OneThread]] = deque()

    async def take(self) -> OneThread:
        """A thread that runs no other request's sync view; waits until there is one."""
        if self._free:
            thread = min(self._free, key=_guests_of)
            self._free.remove(thread)
            return thread
        turn: asyncio.Future[OneThread] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(turn.result())
            raise

    def least_used(self) -> OneThread:
        """The thread with the fewest guests, for one who shares it; it may be taken."""
        return min(self._all, key=_guests_of)

    def give_back(self, thread: OneThread) -> None:
        """Let the next one have it."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(thread)
                return
        self._free.append(thread)


def _guests_of(thread: OneThread) -> int:
    return thread.guests


class Seat(ThreadSensitiveContext):
    """A request's place on one of the threads: where asgiref runs all of its thread-sensitive calls.

    asgiref looks up a context's executor in a table (since 3.3). The entry stays until the seat is collected:
    a task that outlives its request goes on in the same thread.

    Args:
        threads: Where it comes from.
    """

    def __init__(self, threads: Threads) -> None:
        super().__init__()
        self._threads = threads
        self._thread: OneThread | None = None
        self._alone = False
        self._tokens: tuple[Token[ThreadSensitiveContext], Token[Seat]] | None = None

    async def __aenter__(self) -> Self:
        self._tokens = SyncToAsync.thread_sensitive_context.set(self), _seat.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._tokens is not None, "entered first"
        SyncToAsync.thread_sensitive_context.reset(self._tokens[0])
        _seat.reset(self._tokens[1])
        self.share()
        if self._thread is not None:
            self._thread.guests -= 1

    async def take(self) -> None:
        """Wait for a thread; from now on it is this request's alone."""
        self._thread = await self._threads.take()
        self._thread.guests += 1
        self._alone = True
        SyncToAsync.context_to_thread_executor[self] = self._thread

    def share(self) -> None:
        """Let others have the thread too."""
        if self._alone:
            assert self._thread is not None, "taken first"
            self._alone = False
            self._threads.give_back(self._thread)


class SocketSeat(ThreadSensitiveContext):
    """A WebSocket's place on one of the threads, for as long as it lasts.

    Args:
        threads: Where it comes from.
    """

    def __init__(self, threads: Threads) -> None:
        super().__init__()
        self._thread = threads.least_used()

    async def __aenter__(self) -> Self:
        self._token = SyncToAsync.thread_sensitive_context.set(self)
        SyncToAsync.context_to_thread_executor[self] = self._thread
        self._thread.guests += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        SyncToAsync.thread_sensitive_context.reset(self._token)
        self._thread.guests -= 1


_sockets: Threads | None = None


def share_threads(threads: Threads) -> None:
    """Let the WebSockets of this process use these threads too."""
    global _sockets
    _sockets = threads


def socket_threads(count: int) -> Threads:
    """The threads of the WebSockets of this process: those of `share_threads`, or `count` of their own."""
    global _sockets
    if _sockets is None:
        _sockets = Threads(count)
    return _sockets


def current_seat() -> Seat:
    """That of the request that is answered here."""
    return _seat.get()


def what_is_missing() -> str:
    """What the installed asgiref lacks of what a seat needs; empty if nothing."""
    wanted = ("context_to_thread_executor", "thread_sensitive_context")
    return ", ".join(f"SyncToAsync.{name}" for name in wanted if not hasattr(SyncToAsync, name))
