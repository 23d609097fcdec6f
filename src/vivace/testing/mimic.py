"""WebSockets in the tests that were written for sanic_testing: ``client.websocket(uri, mimic=...)``.

Rules of this file:

- What the test's coroutine sends and receives is noted; that is the response.
- Without a coroutine the WebSocket is opened and closed: that alone runs a handler.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from vivace.testing.client import Client
from vivace.testing.websocket import WebSocketSession

__all__ = ["Mimic", "WebsocketProxy", "websocket_proxy"]


class WebsocketProxy:
    """An open WebSocket that notes what passes.

    Args:
        session: The WebSocket.

    Attributes:
        client_sent: What the client sent.
        client_received: What it received.
        opened: The handshake was accepted.
        subprotocol: What the server chose; None: nothing.
        close_code: Why it is closed; 0: it is not.
    """

    def __init__(self, session: WebSocketSession) -> None:
        self._session = session
        self.client_sent: list[str | bytes] = []
        self.client_received: list[str | bytes] = []
        self.opened = True
        self.subprotocol = session.subprotocol

    @property
    def close_code(self) -> int:
        """Why it is closed (RFC 6455 section 7.4.1); 0: it is not."""
        return self._session.close_code

    async def send(self, message: str | bytes) -> None:
        """Send a message."""
        await self._session.send(message)
        self.client_sent.append(message)

    async def recv(self) -> str | bytes:
        """The next message; see `WebSocketSession.recv`."""
        message = await self._session.recv()
        self.client_received.append(message)
        return message

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """The messages; ends when it is closed."""
        async for message in self._session:
            self.client_received.append(message)
            yield message

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close, and wait for the end."""
        await self._session.close(code, reason)


Mimic = Callable[[WebsocketProxy], Awaitable[Any]]
"""A coroutine function of a test: does with the WebSocket what a client would."""


async def websocket_proxy(
    client: Client, url: str, mimic: Mimic | None = None, **options: Any
) -> WebsocketProxy:
    """Open a WebSocket, let `mimic` use it, close it.

    Args:
        client: Opens it.
        url: A path, or an absolute URL.
        mimic: Is called with the WebSocket.
        options: Those of `Client.websocket`.

    Raises:
        WebSocketRefused: The answer was another one.
    """
    async with client.websocket(url, **options) as session:
        proxy = WebsocketProxy(session)
        if mimic is not None:
            await mimic(proxy)
    return proxy
