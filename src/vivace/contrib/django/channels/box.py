"""What waits for the reader of one channel.

Rules of this file:

- A box belongs to no loop: whoever puts and whoever takes may be in different threads. Its lock is held for a
  few instructions only.
- A message leaves the box when its reader has it in hand, so a reader that is cancelled loses nothing.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable

__all__ = ["Box"]


class Box:
    """The queue of a channel.

    Args:
        capacity: Messages at most.
        expiry: Seconds for which a message waits.
        clock: Gives the time in seconds.

    Attributes:
        users: Readers that have it in hand, counted by the `Post`.
    """

    __slots__ = ("_capacity", "_clock", "_expiry", "_lock", "_messages", "_readers", "users")

    def __init__(self, capacity: int, expiry: float, clock: Callable[[], float]) -> None:
        self._capacity = capacity
        self._expiry = expiry
        self._clock = clock
        self._lock = threading.Lock()
        self._messages: deque[tuple[float, bytes]] = deque()
        self._readers: deque[asyncio.Future[None]] = deque()
        self.users = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is in it and nobody waits."""
        return not self._messages and not self.users

    @property
    def empty(self) -> bool:
        """Whether nothing is in it."""
        return not self._messages

    def put(self, payload: bytes) -> bool:
        """Add a message; False if there is no room.

        Args:
            payload: The message, encoded.
        """
        now = self._clock()
        with self._lock:
            self._expire(now)
            if len(self._messages) >= self._capacity:
                return False
            self._messages.append((now + self._expiry, payload))
            self._wake()
        return True

    async def get(self) -> bytes:
        """The oldest message; waits until there is one."""
        while True:
            loop = asyncio.get_running_loop()
            with self._lock:
                self._expire(self._clock())
                if self._messages:
                    return self._messages.popleft()[1]
                reader: asyncio.Future[None] = loop.create_future()
                self._readers.append(reader)
            try:
                await reader
            except BaseException:
                self._leave(reader)
                raise

    def expire(self) -> bool:
        """Forget what has waited too long; whether there was any."""
        with self._lock:
            return self._expire(self._clock())

    def clear(self) -> None:
        """Forget every message."""
        with self._lock:
            self._messages.clear()

    def _expire(self, now: float) -> bool:
        messages = self._messages
        found = False
        while messages and messages[0][0] <= now:
            messages.popleft()
            found = True
        return found

    def _wake(self) -> None:
        """Let the next reader look; one whose loop is closed will never."""
        while self._readers:
            reader = self._readers.popleft()
            try:
                reader.get_loop().call_soon_threadsafe(_finish, reader)
            except RuntimeError:
                continue
            return

    def _leave(self, reader: "asyncio.Future[None]") -> None:
        """A reader was cancelled: the message that it was woken for is another one's."""
        with self._lock:
            if reader in self._readers:
                self._readers.remove(reader)
            elif self._messages:
                self._wake()


def _finish(reader: "asyncio.Future[None]") -> None:
    if not reader.done():
        reader.set_result(None)
