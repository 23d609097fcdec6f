"""Sends frames: all of one turn of the loop in one write, and knows how much waits.

Rules of this file:

- Whoever sends asks `waiting` first: nothing here refuses or drops.
"""

import asyncio

__all__ = ["Outlet"]


class Outlet:
    """The sending half of a connection.

    Args:
        transport: Of the connection.
    """

    __slots__ = ("_frames", "_loop", "_size", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._frames: list[bytes] = []
        self._size = 0

    def put(self, frame: bytes) -> None:
        """Send a frame when this turn of the loop ends."""
        if not self._frames:
            self._loop.call_soon(self.flush)
        self._frames.append(frame)
        self._size += len(frame)

    def flush(self) -> None:
        """Send what is there now."""
        frames, self._frames, self._size = self._frames, [], 0
        if frames and not self._transport.is_closing():
            self._transport.write(frames[0] if len(frames) == 1 else b"".join(frames))

    @property
    def waiting(self) -> int:
        """Octets that the other side has not taken yet."""
        return self._size + self._transport.get_write_buffer_size()
