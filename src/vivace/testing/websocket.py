"""The client's side of a WebSocket in tests: ``async with client.websocket("/chat") as ws``.

Rules of this file:

- A time-out fails the test instead of hanging it, and what a handler raised is raised in the test.
- A close is no failure: the messages end, and `close_code` says why.
- What refuses the handshake is an answer like any other, in `WebSocketRefused.response`.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final, Protocol, Self

import msgspec

from vivace.errors import VivaceError, WebsocketClosed
from vivace.http.headers import Headers
from vivace.protocols.ws import Closed
from vivace.testing.response import Response

__all__ = ["Link", "WebSocketRefused", "WebSocketSession"]

LEAVE_CODE: Final = 1000
"""What the end of the block closes with."""


class WebSocketRefused(VivaceError):
    """The handshake was answered with something else.

    Attributes:
        response: The answer.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(f"no WebSocket: {response.status} {response.reason}: {response.text:.200}")
        self.response = response


class Link(Protocol):
    """What carries a session: a socket, or an app that is called directly."""

    headers: Headers
    subprotocol: str | None

    async def send(self, message: str | bytes) -> None:
        """Send a message."""
        ...

    async def receive(self) -> str | bytes | Closed:
        """The next message, or how it ended."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Begin to close."""
        ...

    async def finish(self) -> None:
        """Give back what it holds.

        Raises:
            Exception: What the app raised.
        """
        ...


class WebSocketSession:
    """An open WebSocket, seen from the client.

    Args:
        link: Carries it.
        timeout: Seconds that each message may take; None for ever.

    Attributes:
        close_code: Why it is closed (RFC 6455 section 7.4.1); 0: it is not.
        close_reason: The same in words.
    """

    def __init__(self, link: Link, timeout: float | None) -> None:
        self._link = link
        self._timeout = timeout
        self.close_code = 0
        self.close_reason = ""

    @property
    def subprotocol(self) -> str | None:
        """What the server chose; None: nothing."""
        return self._link.subprotocol

    @property
    def headers(self) -> Headers:
        """The fields of the answer that opened it."""
        return self._link.headers

    @property
    def closed(self) -> bool:
        """Whether its end was seen."""
        return self.close_code != 0

    async def send(self, message: str | bytes) -> None:
        """Send text or octets.

        Raises:
            WebsocketClosed: Its end was seen.
        """
        if self.closed:
            raise self._error()
        await self._link.send(message)

    async def send_json(self, value: Any) -> None:
        """Send a value as JSON, in a text message."""
        await self.send(msgspec.json.encode(value).decode())

    async def recv(self, timeout: float | None = None) -> str | bytes:
        """The next message.

        Args:
            timeout: Seconds, instead of the client's.

        Raises:
            WebsocketClosed: It is closed.
            TimeoutError: None came in time.
            Exception: What the handler raised, unless the client was told to leave it.
        """
        if self.closed:
            raise self._error()
        async with asyncio.timeout(self._timeout if timeout is None else timeout):
            message = await self._link.receive()
        if isinstance(message, Closed):
            self.close_code, self.close_reason = message.code, message.reason
            raise self._error()
        return message

    async def recv_json(self, timeout: float | None = None) -> Any:
        """The value that the next message holds as JSON; see `recv`."""
        return msgspec.json.decode(await self.recv(timeout))

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """The messages; ends when it is closed."""
        while True:
            try:
                yield await self.recv()
            except WebsocketClosed:
                return

    async def close(self, code: int = LEAVE_CODE, reason: str = "") -> None:
        """Close, and wait for the end; messages that come meanwhile are dropped."""
        if not self.closed:
            await self._link.close(code, reason)
            async for _ in self:
                pass

    def _error(self) -> WebsocketClosed:
        said = f" {self.close_reason}" if self.close_reason else ""
        message = f"the WebSocket is closed ({self.close_code}{said})"
        return WebsocketClosed(message, self.close_code, self.close_reason)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                await self.close()
        finally:
            await self._link.finish()
