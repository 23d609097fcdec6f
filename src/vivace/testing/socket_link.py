"""WebSockets of tests over real sockets.

Rules of this file:

- The octets are those of `vivace.protocols.ws`, on the client's side; pings are answered by themselves.
- What the server sends is judged: a frame that breaks a rule ends the session with the code it deserves.
- Follows RFC 6455 and RFC 7692.
"""

import asyncio
import base64
import os
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from vivace.http.headers import Headers
from vivace.protocols.deflate import EXTENSION, Deflate, DeflateOptions, Deflater
from vivace.protocols.ws import Closed, Failed, Ping, Pong, WsConnection, WsLimits
from vivace.testing.outgoing import Outgoing

__all__ = ["SocketLink", "as_handshake"]

_WINDOW: Final = 15
_OFFER: Final = f"{EXTENSION}; server_no_context_takeover; client_no_context_takeover"
_PIECE: Final = 65_536


def as_handshake(request: Outgoing, subprotocols: Sequence[str], compress: bool) -> Outgoing:
    """The request that asks for a WebSocket (RFC 6455 section 4.1)."""
    headers = request.headers.copy()
    headers["upgrade"] = "websocket"
    headers["connection"] = "Upgrade"
    headers["sec-websocket-version"] = "13"
    headers["sec-websocket-key"] = base64.b64encode(os.urandom(16)).decode()
    if subprotocols:
        headers["sec-websocket-protocol"] = ", ".join(subprotocols)
    if compress:
        headers["sec-websocket-extensions"] = _OFFER
    return request._replace(headers=headers)


def _new_key() -> bytes:
    return os.urandom(4)


class SocketLink:
    """See `vivace.testing.websocket.Link`.

    Args:
        reader: Gives what the server sends.
        writer: Takes what we send; has ``send(octets)`` and ``close()``.
        headers: Of the 101.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: Any, headers: Headers) -> None:
        agreed = EXTENSION in (headers.get("sec-websocket-extensions") or "")
        deflate = Deflate(Deflater(DeflateOptions(max_ratio=0)), _WINDOW, False, False) if agreed else None
        self._ws = WsConnection(WsLimits(max_message=0), deflate, _new_key)
        self._reader = reader
        self._writer = writer
        self._events: deque[Any] = deque()
        self._ended: Closed | None = None
        self.headers = headers
        self.subprotocol = headers.get("sec-websocket-protocol")

    async def send(self, message: str | bytes) -> None:
        """Send a message."""
        ws = self._ws
        await self._writer.send(ws.send_text(message) if isinstance(message, str) else ws.send_bytes(message))

    async def receive(self) -> str | bytes | Closed:
        """The next message, or how it ended."""
        while True:
            while self._events:
                event = self._events.popleft()
                if isinstance(event, (str, bytes)):
                    return event
                if not isinstance(event, (Ping, Pong)):
                    return await self._end(event)
            await self._read()

    async def _read(self) -> None:
        if self._ended is not None:
            self._events.append(self._ended)
            return
        try:
            data = await self._reader.read(_PIECE)
        except OSError:
            data = b""
        if not data:
            self._ended = Closed(1006, "")
            return
        self._events += self._ws.receive_data(data)
        answers = self._ws.take_answers()
        if answers:
            await self._writer.send(answers)

    async def _end(self, event: Closed | Failed) -> Closed:
        """Answer a close, or say what was wrong."""
        if self._ended is None:
            answer = self._ws.send_close(event.code)
            if answer:
                await self._writer.send(answer)
            self._ended = Closed(event.code, event.reason)
        return self._ended

    async def close(self, code: int, reason: str) -> None:
        """Begin to close."""
        await self._writer.send(self._ws.send_close(code, reason))

    async def finish(self) -> None:
        """Close the connection."""
        await self._writer.close()
