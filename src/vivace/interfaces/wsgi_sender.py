"""A streamed response on its way from the thread of a WSGI app to the client.

Rules of this file:

- What the client has not taken waits here, up to WSGI_BUFFER_SIZE; then the thread waits as well.
- The thread is free as soon as it has given its last piece; the loop sends the rest alone.
- A thread never waits for a client that is gone.
"""

import asyncio
import threading
from collections import deque
from typing import Any, Final

from vivace.errors import ClientDisconnected
from vivace.interfaces.pool import ThreadPool
from vivace.interfaces.wsgi_reply import send_pieces

__all__ = ["Sender"]

JOIN_SIZE: Final = 16_384
"""Small pieces that wait together are joined up to this size; a larger piece leaves alone, uncopied."""


class Sender:
    """The pieces of one response.

    Args:
        call: The `WsgiCall` that makes them.
        pool: Its threads.
        limit: Octets that may wait before the thread does.
    """

    __slots__ = (
        "_call",
        "_ended",
        "_failed",
        "_given",
        "_gone",
        "_limit",
        "_pieces",
        "_pool",
        "_room",
        "_started",
        "_taken",
        "_wake",
    )

    def __init__(self, call: Any, pool: ThreadPool, limit: int) -> None:
        self._call = call
        self._limit = limit
        self._pool = pool
        self._pieces: deque[bytes] = deque()
        self._given = 0
        self._taken = 0
        self._room = threading.Condition()
        self._gone = False
        self._ended = False
        self._failed = False
        self._started = False
        self._wake: asyncio.Future[None] | None = None

    # -- in the app's thread ----------------------------------------------------------------------------

    def put(self, piece: bytes) -> None:
        """Give a piece; waits while the client is too far behind.

        Raises:
            ClientDisconnected: The client is gone.
        """
        if self._given - self._taken >= self._limit:
            with self._room:
                # Once it waits it waits for half of it: to wake for every piece costs more than the pieces.
                while not self._gone and self._given - self._taken > self._limit // 2:
                    self._room.wait()
        if self._gone:
            raise ClientDisconnected("the client is gone")
        self._pieces.append(piece)
        self._given += len(piece)
        self._pool.post(self)

    def end(self, *, failed: bool) -> None:
        """There are no more pieces; a response of an app that failed is cut."""
        self._failed = failed
        self._ended = True
        self._pool.post(self)

    # -- on the loop ------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Something was given."""
        if not self._started:
            self._started = True
            self._pool.spawn(self._send())
        elif self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _send(self) -> None:
        try:
            await send_pieces(self._call, self)
        finally:
            with self._room:
                self._gone = True
                self._room.notify()
            self._call.release()

    async def next_data(self) -> bytes | None:
        """What was given and not sent, a part of it; None at the end.

        Raises:
            ClientDisconnected: The app failed, so that there is nothing to go on with.
        """
        while True:
            # Read first: what is given before the end is seen is in the queue then.
            ended = self._ended
            if self._pieces:
                return self._take()
            if ended and self._failed:
                raise ClientDisconnected("the app failed")
            if ended:
                return None
            self._wake = self._pool.loop.create_future()
            await self._wake
            self._wake = None

    def _take(self) -> bytes:
        pieces = [self._pieces.popleft()]
        size = len(pieces[0])
        while self._pieces and size + len(self._pieces[0]) <= JOIN_SIZE:
            pieces.append(self._pieces.popleft())
            size += len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def sent(self, count: int) -> None:
        """The client is close enough behind: the thread may go on."""
        with self._room:
            self._taken += count
            if self._given - self._taken <= self._limit // 2:
                self._room.notify()
