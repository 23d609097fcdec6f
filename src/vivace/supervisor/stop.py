"""How a serving process is asked to stop: by signals, by its supervisor, by the app itself.

Rules of this file:

- Handlers are Python's, not the loop's: they run between two bytecodes even where a handler of the app blocks
  the loop, so that at least the watchdog is set.
- The first request to stop is graceful, a second one forces. A watchdog of the interpreter writes the stack
  that blocks and ends a process that does not stop.
- Retiring is a stop with patience: another worker has taken the place, and clients that keep their
  connections are served on them for as long as they were promised.
"""

import asyncio
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Final

from vivace.supervisor.children import noted
from vivace.supervisor.fleet import FORCED

__all__ = ["Interrupted", "StopRequest"]

logger = logging.getLogger("vivace")

WATCHDOG_AFTER: Final = 2.5
"""Seconds after GRACEFUL_SHUTDOWN_TIMEOUT when a process that did not stop dumps its stack and ends."""
THREADS_END: Final = 0.5
"""Seconds that threads without work get to end."""
HARMLESS: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGALRM)
"""Signals that would end a process by default and must not end a server."""


class Interrupted(BaseException):
    """A signal to stop came before anything served."""


class StopRequest:
    """Turns signals into a stop.

    Args:
        numbers: The signals that stop.
        repeat_forces: A second one forces; else it says nothing new (a platform may send SIGTERM to each
            process, and the supervisor does as well).

    Attributes:
        graceful: Seconds that the stop may take.
        retiring: Another worker has taken the place of this one.
    """

    def __init__(self, numbers: Sequence[int], *, repeat_forces: bool) -> None:
        self.graceful = 0.0
        self.retiring = False
        self._repeat_forces = repeat_forces
        self._event: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._force: Callable[[], None] | None = None
        self._starting: asyncio.Task[Any] | None = None
        self._count = 0
        self._over = False
        self._numbers = tuple(numbers)
        self._before: dict[int, Any] = {}
        self._threads = set(threading.enumerate())

    def install(self, ignored: Sequence[int] = ()) -> None:
        """Take over the signals; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in self._numbers:
            self._before[number] = signal.signal(number, self._on_stop)
        self._before[signal.SIGQUIT] = signal.signal(signal.SIGQUIT, self._on_force)
        # A handler rather than SIG_IGN, which programs that the app starts would inherit.
        for number in ignored:
            self._before[number] = signal.signal(number, noted)
        for number in HARMLESS:
            if signal.getsignal(number) is signal.SIG_DFL:
                self._before[number] = signal.signal(number, noted)
        if signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL and sys.__stderr__ is not None:
            # In C: it shows where a thread is that never gives the interpreter back.
            faulthandler.register(signal.SIGUSR2, sys.__stderr__, all_threads=True)

    def end(self) -> None:
        """From now on a signal changes nothing: there is nothing left to stop."""
        self._over = True

    def restore(self) -> None:
        """Give the signals back; take the watchdog away unless a handler still blocks a thread."""
        if self._count and not self._threads_left():
            faulthandler.cancel_dump_traceback_later()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _threads_left(self) -> bool:
        """Whether a thread that began since the start goes on: at its end Python would wait for it."""
        until = time.monotonic() + THREADS_END
        left = []
        for thread in set(threading.enumerate()) - self._threads:
            if not thread.daemon:
                thread.join(max(until - time.monotonic(), 0.0))
                if thread.is_alive():
                    left.append(thread.name)
        if left:
            names = ", ".join(left)
            logger.warning("still at work after the stop: %s; the process ends without them", names)
        return bool(left)

    def bind(self, force: Callable[[], None], graceful: float) -> None:
        """From now on a signal stops the task that calls this: by cancelling it until `started` is called."""
        self.graceful = graceful
        self._force = force
        self._event = asyncio.Event()
        self._starting = asyncio.current_task()
        self._loop = asyncio.get_running_loop()

    def started(self) -> None:
        """The start is over: a signal cancels nothing any more."""
        self._starting = None

    @property
    def requested(self) -> bool:
        """A stop was asked for."""
        return self._count > 0

    async def wait(self) -> None:
        """Until a stop is asked for."""
        assert self._event is not None, "bind() comes first"
        await self._event.wait()

    def request(self) -> None:
        """Ask for a graceful stop from within the loop."""
        if not self._count:
            self._begin()
            self._wake()

    def retire(self) -> None:
        """Stop with patience; from any thread."""
        if self._loop is None or self._count:
            os.kill(os.getpid(), signal.SIGTERM)
            return
        self.retiring = True
        self._count = 1
        self._tell_loop()

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        if self._over:
            return
        if self._loop is None:
            raise Interrupted
        if not self._count:
            self._begin()
            self._tell_loop()
        elif self._repeat_forces:
            self._on_force(number, frame)

    def _on_force(self, _: int, __: FrameType | None) -> None:
        if self._over:
            return
        if self._loop is None:
            raise Interrupted
        if self._count > 1:  # twice forced: at once
            os._exit(1)
        self._count = 2
        self._arm(FORCED + WATCHDOG_AFTER)
        self._tell_loop()

    def _begin(self) -> None:
        self._count = 1
        self._arm(self.graceful + WATCHDOG_AFTER)

    def _tell_loop(self) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # closed: the stop is complete already
            return

    def _wake(self) -> None:
        assert self._event is not None
        self._event.set()
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None
        elif self._count > 1 and self._force is not None:
            self._force()

    def _arm(self, seconds: float) -> None:
        if sys.__stderr__ is not None:
            faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__)
