"""The seam between a WebSocket and an app: what is left of an exchange when it was accepted.

`server.websocket.WebSocket` implements it, as `server.stream.Stream` does the seam of requests.

Rules of this file:

- Types only: nothing is executed per message.
- Whatever an interface needs of a WebSocket is here; nothing else of it may be touched.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

__all__ = ["Listener", "Socket"]

Listener = Callable[[Any], object]
"""Is called with each message, on the loop; it must not block."""


class Socket(Protocol):
    """An open WebSocket.

    Attributes:
        close_code: Why it is closed (RFC 6455 section 7.4.1); 1005: not said; 1006: lost; 0: not closed.
        close_reason: The same in words.
        subprotocol: What was chosen; None: nothing.
    """

    close_code: int
    close_reason: str
    subprotocol: str | None

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        ...

    async def recv(self, timeout: float | None = None) -> str | bytes | None:
        """The next message; None if none came within `timeout` seconds.

        Raises:
            WebsocketClosed: It is closed, and all that came before was taken.
            RuntimeError: Another task waits for the next message.
        """
        ...

    def take(self, most: int) -> list[Any]:
        """Messages that have come and were not taken, at most so many; it does not wait."""
        ...

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """The messages; ends when it is closed."""
        ...

    def send(self, message: str | bytes | bytearray | memoryview) -> Awaitable[None]:
        """Send a message. It is on its way when this returns; what is awaited is that the client keeps up.

        Raises:
            WebsocketClosed: It is closed, or closing.
        """
        ...

    def listen(self, listener: Listener) -> None:
        """Hand every message to a function instead of `recv`, those that have come already at once."""
        ...

    async def ping(self, data: bytes = b"") -> Awaitable[float]:
        """Ask for a sign of life; what is returned gives the seconds until it came."""
        ...

    async def pong(self, data: bytes = b"") -> None:
        """Give one unasked."""
        ...

    def start_close(self, code: int = 1000, reason: str = "") -> None:
        """Begin to close; the rest goes by itself. Nothing happens if that was done before."""
        ...

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close, and wait until it is."""
        ...

    async def wait_closed(self) -> None:
        """Return when it is closed."""
        ...

    def abort(self) -> None:
        """Drop the connection at once."""
        ...
