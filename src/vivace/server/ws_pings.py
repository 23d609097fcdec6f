"""The pings of a program that wait for their pongs.

Rules of this file:

- A pong answers its ping and all that were sent before it (RFC 6455 section 5.5.3).
"""

import asyncio

from vivace.errors import LocalProtocolError

__all__ = ["Pings"]


class Pings:
    """What was asked and not answered yet, of one WebSocket."""

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[bytes, tuple[float, asyncio.Future[float]]] = {}

    def check(self, payload: bytes) -> None:
        """Refuse a second ping with the same data.

        Raises:
            LocalProtocolError: The first one is not answered yet.
        """
        if payload in self._waiting:
            raise LocalProtocolError("a ping with the same data is not answered yet")

    def expect(self, payload: bytes) -> "asyncio.Future[float]":
        """What gives the seconds until the pong came."""
        future: asyncio.Future[float] = self._loop.create_future()
        self._waiting[payload] = self._loop.time(), future
        return future

    def answer(self, data: bytes) -> None:
        """A pong came."""
        if data not in self._waiting:
            return
        for payload in list(self._waiting):
            sent, future = self._waiting.pop(payload)
            if not future.done():
                future.set_result(self._loop.time() - sent)
            if payload == data:
                break

    def give_up(self) -> None:
        """No pong will come any more."""
        for _sent, future in self._waiting.values():
            future.cancel()
        self._waiting.clear()
