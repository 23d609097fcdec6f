# cython: language_level=3, annotation_typing=False
"""The writing side of a connection: what waits for the client, and whether it takes it.

Rules of this file:

- Whoever streams waits in `drained` while more than the high-water mark is unsent, so memory is bounded
  by the mark however slow the client.
- Progress is measured in octets that left for the kernel, from the transport's buffer or past it (files).
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from vivace.errors import ClientDisconnected

__all__ = ["Writer"]


class Writer:
    """Writes to a transport and knows how far the client is behind.

    Args:
        transport: The connection's.
        high_water: Octets unsent beyond which writers wait.

    Attributes:
        paused: More than the high-water mark waits to be written.
        sending_file: Octets go past the transport just now.
        written: Octets handed over so far.
    """

    __slots__ = (
        "_closed",
        "_flushed",
        "_flushed_at",
        "_high_water",
        "_transport",
        "_waiter",
        "paused",
        "sending_file",
        "written",
    )

    def __init__(self, transport: Any, high_water: int) -> None:
        transport.set_write_buffer_limits(high=high_water)
        self._transport = transport
        self._high_water = high_water
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self._flushed = 0
        self._flushed_at = 0.0
        self.paused = False
        self.sending_file = False
        self.written = 0

    def write(self, data: bytes) -> None:
        """Hand octets to the transport."""
        if data and not self._closed:
            self.written += len(data)
            self._transport.write(data)
            # A transport that failed takes octets without end and never says pause; until the loop tells us
            # that the connection is lost, which a handler that never waits would not let it do, it is full.
            if self._transport.is_closing():
                self.paused = True

    def write_all(self, parts: Sequence[bytes]) -> None:
        """Hand several pieces to the transport without joining them."""
        if not self._closed:
            self.written += sum(map(len, parts))
            self._transport.writelines(parts)
            if self._transport.is_closing():
                self.paused = True

    def pause(self) -> None:
        """The transport holds more than the high-water mark."""
        self.paused = True

    def resume(self) -> None:
        """The transport has room again."""
        self.paused = False
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def close(self) -> None:
        """The connection is gone."""
        self._closed = True
        self.resume()

    async def drained(self) -> None:
        """Wait until the transport has room.

        Raises:
            ClientDisconnected: The connection is gone.
        """
        while self.paused and not self._closed:
            if self._waiter is None:
                self._waiter = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._waiter)
        if self._closed:
            raise ClientDisconnected("the client is gone")

    async def flushed(self) -> Any:
        """Wait until all that was written has left for the kernel; the transport, to be gone past.

        Raises:
            ClientDisconnected: The connection is gone.
        """
        self._transport.set_write_buffer_limits(high=0)
        try:
            await self.drained()
        finally:
            self._transport.set_write_buffer_limits(high=self._high_water)
        return self._transport

    def passed_by(self, count: int) -> None:
        """Octets left for the kernel past the transport."""
        self.written += count

    def left(self) -> int:
        """Octets of all that was written that have left for the kernel."""
        waiting: int = self._transport.get_write_buffer_size()
        return self.written - waiting

    def stalled(self, now: float) -> float:
        """Seconds since the client last took something of what waits for it; 0.0: nothing waits."""
        flushed = self.left()
        if flushed == self.written and not self.sending_file:
            self._flushed_at = 0.0
            return 0.0
        if flushed != self._flushed or not self._flushed_at:
            self._flushed = flushed
            self._flushed_at = now
        return max(now - self._flushed_at, 1e-9)
