"""The threads in which plain handlers run, and which of them works for which request.

Rules of this file:

- A handler that takes too long is answered in its place; its thread goes on. It is known by name until it
  comes to its end, and that is logged.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vivace.protocols.stream import Stream
from vivace.protocols.threads import AtWork, teams

__all__ = ["HandlerThreads"]

logger = logging.getLogger("vivace.error")


class HandlerThreads:
    """A pool for the handlers of one app.

    Args:
        size: THREADS.

    Attributes:
        size: The same.
    """

    __slots__ = ("__weakref__", "_pool", "_waiting", "_working", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._pool = ThreadPoolExecutor(size, "vivace-handler")
        self._waiting: set[Stream] = set()
        self._working: dict[int, tuple[str, Stream]] = {}
        teams.add(self)

    async def call(self, stream: Stream, function: Callable[[], Any]) -> Any:
        """Call `function` in a thread, on behalf of a request."""
        self._waiting.add(stream)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, stream, function)
        finally:
            self._waiting.discard(stream)

    def _run(self, stream: Stream, function: Callable[[], Any]) -> Any:
        me = threading.get_ident()
        self._working[me] = threading.current_thread().name, stream
        try:
            return function()
        finally:
            del self._working[me]
            if stream.timed_out:
                which = stream.head.describe()
                logger.warning("%s came to its end after its time-out; its thread is free again", which)

    def at_work(self) -> list[AtWork]:
        """The threads that run a handler right now."""
        return [AtWork(thread, *work) for thread, work in list(self._working.items())]

    def waits(self, stream: Stream) -> bool:
        """Whether a request waits until one of the threads is free."""
        return stream in self._waiting and all(one.stream is not stream for one in self.at_work())

    def close(self) -> None:
        """End the threads once they are idle."""
        teams.discard(self)
        self._pool.shutdown(wait=False, cancel_futures=True)
