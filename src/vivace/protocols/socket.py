"""The seam between a WebSocket and an app: what is left of an exchange when it was accepted.

`server.websocket.WebSocket` implements it, as `server.stream.Stream` does the seam of requests.

Rules of this file:

- Types only: nothing is executed per message.
- Whatever an interface needs of a WebSocket is here; nothing else of it may be touched.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from vivace.protocols.broadcast import Broadcast

__all__ = ["USUAL", "Listener", "Socket", "SocketOptions", "Watcher"]

Listener = Callable[[Any], object]
"""Is called with each message, on the loop; it must not block."""


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """What is special about the WebSockets of a route; None: as the settings say.

    Attributes:
        max_size: See WEBSOCKET_MAX_SIZE; the others are named after their settings too.
        compress: Compress messages if the client offers that and the server is set up for it.
    """

    max_size: int | None = None
    max_frame_size: int | None = None
    max_fragments: int | None = None
    max_queue: int | None = None
    ping_interval: float | None = None
    ping_timeout: float | None = None
    close_timeout: float | None = None
    max_lifetime: float | None = None
    compress: bool = True


USUAL = SocketOptions()


class Watcher(Protocol):
    """Is told what happens to a WebSocket, on the loop; it must not block."""

    def resumed(self) -> None:
        """The client was behind, and takes messages again."""
        ...

    def ended(self) -> None:
        """Nothing can be sent any more; told once."""
        ...


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

    def push(self, broadcast: Broadcast) -> bool:
        """Send messages that many get, unless the client is behind: then nothing is sent, and it is False.

        Never waits and never raises; what is pushed to a closed WebSocket is dropped.
        """
        ...

    def watch(self, watcher: Watcher | None) -> None:
        """Tell `watcher`, instead of the one before, what happens to it."""
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
