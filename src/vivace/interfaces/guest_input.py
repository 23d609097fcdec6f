"""What another ASGI server sends of a request: the pieces of its body, and that its client left.

Rules of this file:

- Only one message is ever read ahead, to notice a client that leaves; so the server's own back-pressure
  holds. No ``100 Continue`` is caused by that: a body that the client holds back is not asked for.
- Of a body with a limit no octet over it is given to anybody.
- Follows the ASGI specification, HTTP & WebSocket 2.5: ``http.request``, ``http.disconnect``.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from vivace.errors import BrokenResourceError, ClientDisconnected, PayloadTooLarge, RequestTimeout
from vivace.protocols.events import RequestReceived

__all__ = ["GuestInput", "Message", "Receive"]

Message = MutableMapping[str, Any]
"""An event of ASGI."""
Receive = Callable[[], Awaitable[Message]]
"""Gives the next event of the server."""


class GuestInput:
    """The receiving side of one exchange.

    Args:
        head: Of the request.
        receive: The server's.
        on_disconnect: Called when the client has left.

    Attributes:
        complete: The end of the body was seen.
    """

    __slots__ = (
        "_asked",
        "_asking",
        "_deadline",
        "_error",
        "_head",
        "_limit",
        "_loop",
        "_on_disconnect",
        "_piece",
        "_reading",
        "_receive",
        "_received",
        "complete",
    )

    def __init__(self, head: RequestReceived, receive: Receive, on_disconnect: Callable[[], None]) -> None:
        self._head = head
        self._receive = receive
        self._on_disconnect = on_disconnect
        self._loop = asyncio.get_running_loop()
        self.complete = False
        self._asked = False
        self._asking = False
        self._piece = b""
        self._received = 0
        self._limit = -1
        self._deadline = 0.0
        self._error: Exception | None = None
        self._reading: asyncio.Task[Message] | None = None

    async def receive(self) -> bytes:
        """The next piece of a body that there is; see `vivace.protocols.stream.Stream`."""
        self._asked = True
        while not self._piece:
            if self._error is not None:
                raise self._error
            if self.complete:
                return b""
            self._asking = True
            try:
                await self._next_message()
            finally:
                self._asking = False
        data, self._piece = self._piece, b""
        return data

    def limit_body(self, size: int, seconds: float) -> None:
        """Bound the rest of the body; see `vivace.protocols.stream.Stream`."""
        if seconds > 0:
            self._deadline = self._loop.time() + seconds
        self._limit = size
        if 0 <= size < max(self._head.content_length, self._received):
            self._fail(PayloadTooLarge("Request body exceeds the size limit"))
            assert self._error is not None
            raise self._error

    def look_ahead(self) -> None:
        """Ask for the next message now, so that a client that leaves is noticed; where that is allowed."""
        held_back = self._head.expect_continue and not self._asked
        if self._reading is None and not (self._asking or self._piece or held_back or self._error):
            self._reading = self._loop.create_task(_call(self._receive))
            self._reading.add_done_callback(self._on_read)

    def lose(self) -> None:
        """The client is gone: nothing more will come."""
        if not self.complete:
            self._fail(ClientDisconnected("the client left before its body was complete"))

    def close(self) -> None:
        """Ask for nothing more."""
        if self._reading is not None:
            self._reading.cancel()

    async def _next_message(self) -> None:
        try:
            async with asyncio.timeout_at(self._deadline or None):
                if self._reading is not None:
                    await asyncio.wait((self._reading,))
                else:
                    self._take(await self._receive())
        except TimeoutError:
            self._fail(RequestTimeout("Request Timeout"))

    def _on_read(self, reading: "asyncio.Task[Message]") -> None:
        self._reading = None
        if reading.cancelled():
            return
        error = reading.exception()
        if error is not None:
            self._fail(error if isinstance(error, Exception) else BrokenResourceError(repr(error)))
            return
        before = self.complete
        self._take(reading.result())
        if self.complete and not before:
            self.look_ahead()

    def _take(self, message: Message) -> None:
        """Account for a message of the server."""
        kind = message["type"]
        if kind == "http.disconnect":
            self._on_disconnect()
        elif kind != "http.request":
            self._fail(BrokenResourceError(f"the server sent {kind!r}, expected the body of a request"))
        elif not self.complete:
            data = message.get("body", b"")
            self.complete = not message.get("more_body", False)
            self._received += len(data)
            if 0 <= self._limit < self._received:
                self._fail(PayloadTooLarge("Request body exceeds the size limit"))
            elif self._error is None and self._head.has_body:
                self._piece = bytes(data)

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        self._piece = b""


async def _call(receive: Receive) -> Message:
    return await receive()
