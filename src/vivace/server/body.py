# cython: language_level=3, annotation_typing=False
"""The body of a request on its way to the app.

Rules of this file:

- It holds what arrived and was not taken; the connection stops reading before that grows.
- Its clock stands while it is us who do not read: a client is late by its own doing only.
"""

import asyncio
from collections import deque

from vivace.errors import PayloadTooLarge
from vivace.server.settings import ServerSettings

__all__ = ["Body"]


class Body:
    """The body of one request.

    Args:
        now: The monotonic time.

    Attributes:
        buffered: Octets that arrived and were not taken.
        chunks: Them.
        complete: The end of the message was seen.
        deadline: Monotonic time by which it must be complete; 0: none.
        error: Why no more will come; raised to whoever asks.
        limit: Octets at most; -1: no bound.
        patience: Seconds that the handler has once it is its turn; -1: RESPONSE_TIMEOUT.
        received: Octets so far.
        waiter: What wakes the app that waits for more.
    """

    __slots__ = (
        "_progress",
        "_received_before",
        "_since",
        "buffered",
        "chunks",
        "complete",
        "deadline",
        "error",
        "limit",
        "patience",
        "received",
        "waiter",
    )

    def __init__(self, now: float) -> None:
        self.chunks: deque[bytes] = deque()
        self.buffered = 0
        self.complete = False
        self.deadline = 0.0
        self.error: Exception | None = None
        self.limit = -1
        self.patience = -1.0
        self.received = 0
        self.waiter: asyncio.Future[None] | None = None
        self._since = now
        self._progress = now
        self._received_before = 0

    def feed(self, data: bytes, now: float) -> None:
        """A piece arrived at the time `now`."""
        self.received += len(data)
        self._progress = now
        if self.error is None:
            if 0 <= self.limit < self.received:
                self.fail(PayloadTooLarge("Request body exceeds the size limit"))
                return
            self.chunks.append(data)
            self.buffered += len(data)
            self._wake()

    def take(self) -> bytes:
        """The next piece; there must be one."""
        data = self.chunks.popleft()
        self.buffered -= len(data)
        return data

    def finish(self) -> None:
        """The end of the message arrived."""
        self.complete = True
        self._wake()

    def fail(self, error: Exception) -> None:
        """No more will come; what was not taken is dropped."""
        if self.error is None:
            self.error = error
        self.chunks.clear()
        self.buffered = 0
        self._wake()

    def restart_clock(self, now: float) -> None:
        """Reading goes on after it was us who stopped: stall and rate count from now."""
        self._since = now
        self._progress = now
        self._received_before = self.received

    def overdue(self, now: float, settings: ServerSettings, reading: bool) -> str:
        """Why the body must be given up, or an empty string; only its deadline counts while not `reading`."""
        if self.deadline and now >= self.deadline:
            return "Request Timeout"
        if not reading:
            return ""
        if 0 < settings.body_timeout <= now - self._progress:
            return f"nothing of the body came for {settings.body_timeout:g} s"
        seconds = now - self._since
        if seconds > settings.body_rate_grace:
            rate = (self.received - self._received_before) / seconds
            if rate < settings.body_min_rate:
                return f"the body came with less than {settings.body_min_rate} octets/s"
        return ""

    def _wake(self) -> None:
        waiter = self.waiter
        if waiter is not None:
            self.waiter = None
            if not waiter.done():
                waiter.set_result(None)
