"""How a serving process is asked to stop: by signals, by its supervisor, by the app itself.

Rules of this file:

- Handlers are Python's, not the loop's: they run between two bytecodes even where a handler of the app blocks
  the loop, so that at least the watchdog is set.
- The first request to stop is graceful, a second one forces, a third one ends the process on the spot; what
  comes in the same moment as another is the same request. A watchdog of the interpreter writes the stack
  that blocks and ends a process that does not stop.
- Retiring is a stop with patience: another worker has taken the place, and clients that keep their
  connections are served on them for as long as they were promised.
"""

import _thread
import asyncio
import contextlib
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from tempfile import TemporaryFile
from types import FrameType
from typing import Any, Final

from vivace.server.logs.direct import write_now
from vivace.supervisor.fleet.patience import ECHO, FORCED
from vivace.supervisor.system.children import noted

__all__ = ["Interrupted", "StopRequest"]

logger = logging.getLogger("vivace")

WATCHDOG_AFTER: Final = 2.5
"""Seconds after GRACEFUL_SHUTDOWN_TIMEOUT when a process that did not stop dumps its stack and ends."""
AT_ONCE: Final = FORCED - 0.2
"""The same once the stop is forced."""
GRUDGING: Final = 0.2
"""Seconds after that when a single process ends badly whose interpreter nobody gives back."""
THREADS_END: Final = 0.5
"""Seconds that threads without work get to end."""
HARMLESS: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGALRM)
"""Signals that would end a process by default and must not end a server."""


DUMP_SIZE: Final = 65_536
"""Octets that are told, at most, of where a process is that did not stop."""


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
        reopen: Called in the loop at SIGUSR1; None: there is nothing to do.
        retiring: Another worker has taken the place of this one.
        patient: Nothing hurries then.
    """

    def __init__(self, numbers: Sequence[int], *, repeat_forces: bool) -> None:
        self.graceful = 0.0
        self.retiring = False
        self.patient = False
        self.reopen: Callable[[], object] | None = None
        self._repeat_forces = repeat_forces
        self._event: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._force: Callable[[], None] | None = None
        self._hasten: Callable[[], object] | None = None
        self._starting: asyncio.Task[Any] | None = None
        self._count = 0
        self._over = False
        self._asked_at = 0.0
        self._ends_at: float | None = None
        self._numbers = tuple(numbers)
        self._before: dict[int, Any] = {}
        self._threads = set(threading.enumerate())

    def install(self, ignored: Sequence[int] = (), forcing: Sequence[int] = (signal.SIGQUIT,)) -> None:
        """Take over the signals; only the main thread can.

        Args:
            ignored: Mean nothing to this process.
            forcing: Force the stop at once; SIGQUIT also shows what is at work.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (*self._numbers, signal.SIGQUIT):
            handler = self._on_force if number in forcing else self._on_stop
            self._before[number] = signal.signal(number, handler)
        # A handler rather than SIG_IGN, which programs that the app starts would inherit.
        for number in ignored:
            self._before[number] = signal.signal(number, noted)
        for number in HARMLESS:
            if signal.getsignal(number) in (signal.SIG_DFL, noted):
                self._before[number] = signal.signal(number, noted)
        if signal.getsignal(signal.SIGUSR1) is noted:
            signal.signal(signal.SIGUSR1, self._on_reopen)
        self._show_stacks(chained=signal.SIGQUIT in forcing)

    def _show_stacks(self, *, chained: bool) -> None:
        """In C, so that it is seen where a thread is that never gives the interpreter back."""
        if sys.__stderr__ is None:
            return
        if signal.getsignal(signal.SIGUSR2) in (signal.SIG_DFL, noted):
            faulthandler.register(signal.SIGUSR2, sys.__stderr__, all_threads=True)
        if chained:
            faulthandler.register(signal.SIGQUIT, sys.__stderr__, all_threads=True, chain=True)

    def end(self) -> None:
        """From now on a signal changes nothing: there is nothing left to stop."""
        self._over = True

    def restore(self, *, last: bool = False) -> None:
        """Give the signals back; take the watchdog away unless a handler still blocks a thread.

        Args:
            last: The process ends now: who asks it to stop once more does not change its exit code.
        """
        if self._count and not self._threads_left():
            faulthandler.cancel_dump_traceback_later()
            self._ends_at = None
        faulthandler.unregister(signal.SIGQUIT)
        for number, handler in self._before.items():
            # Ignored, not noted: at its end the interpreter takes handlers of Python's away.
            signal.signal(number, signal.SIG_IGN if last and number in self._numbers else handler)
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

    def bind(
        self,
        force: Callable[[], None],
        graceful: float,
        delay: float = 0.0,
        hasten: Callable[[], object] | None = None,
    ) -> None:
        """From now on a signal stops the task that calls this: by cancelling it until `started` is called.

        Args:
            force: Called in the loop when the stop is forced.
            graceful: Seconds that the stop may take.
            delay: Seconds before that.
            hasten: Called in the loop when a stop is asked for while this worker retires.
        """
        self.graceful = delay + graceful
        self._force = force
        self._hasten = hasten
        self._event = asyncio.Event()
        self._starting = asyncio.current_task()
        self._loop = asyncio.get_running_loop()

    def started(self) -> None:
        """The start is over: a signal cancels nothing any more."""
        if self._starting is not None and self._count == 1:
            self._arm(self.graceful + WATCHDOG_AFTER)
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

    def retire(self, *, patient: bool = False) -> None:
        """Stop with patience; from any thread.

        Args:
            patient: With still more, for those who are connected for long.
        """
        if self._loop is None or self._count:
            os.kill(os.getpid(), signal.SIGTERM)
            return
        self.retiring = True
        self.patient = patient
        self._count = 1
        self._tell_loop()

    def force(self) -> None:
        """Stop at once; from any thread."""
        if self._loop is None:
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            self._on_force(0, None)

    def _on_reopen(self, _: int, __: FrameType | None) -> None:
        # Not here: what is interrupted may just be writing a line.
        if self._loop is not None and self.reopen is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.reopen)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        if self._over:
            return
        if self._loop is None:
            raise Interrupted
        if not self._count:
            self._begin()
            self._tell_loop()
        elif self.retiring and self._hasten is not None:
            self._loop.call_soon_threadsafe(self._hasten)
        elif self._repeat_forces and time.monotonic() >= self._asked_at + ECHO:
            self._on_force(number, frame)

    def _on_force(self, _: int, __: FrameType | None) -> None:
        if self._over:
            return
        if self._loop is None:
            raise Interrupted
        if self._count > 1:  # not by the log: what is interrupted may just be writing to it
            _say_now(b"the stop was forced twice: what still runs in this process is cut\n")
            os._exit(0)
        self._count = 2
        self._asked_at = time.monotonic()
        self._arm(AT_ONCE)
        self._tell_loop()

    def _begin(self) -> None:
        self._count = 1
        self._asked_at = time.monotonic()
        # A start that blocks has nobody to wait for.
        self._arm(AT_ONCE if self._starting is not None else self.graceful + WATCHDOG_AFTER)

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
        """End the process then if it did not end by itself.

        A single process ends well, as it was asked to, unless C code never lets our thread run; the end of a
        worker is told by its supervisor.
        """
        margin = 0.0
        if self._repeat_forces:
            margin = GRUDGING
            watched, self._ends_at = self._ends_at is not None, time.monotonic() + seconds
            if not watched:
                # Not by `threading`: what a signal interrupts may just hold the lock of that.
                _thread.start_new_thread(self._watch, ())
        if sys.__stderr__ is not None:
            faulthandler.dump_traceback_later(seconds + margin, exit=True, file=sys.__stderr__)

    def _watch(self) -> None:
        while (end := self._ends_at) is not None:
            left = end - time.monotonic()
            if left <= 0:
                with contextlib.suppress(OSError, AttributeError, ValueError), TemporaryFile() as dump:
                    _say_now(b"the time to stop is over: what is still at work here is cut\n")
                    faulthandler.dump_traceback(file=dump)
                    _say_now(os.pread(dump.fileno(), DUMP_SIZE, 0))
                os._exit(0)
            time.sleep(min(left, 0.1))


def _say_now(text: bytes) -> None:
    """To standard error, which nobody may read; nothing is waited for."""
    with contextlib.suppress(OSError):
        write_now(2, text)
