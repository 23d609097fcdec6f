"""WebSockets whose messages are values of a type: ``@app.websocket("/game", message=Move)``.

Rules of this file:

- Text is JSON and octets are MessagePack, decoded and checked by msgspec in one step. What is sent is JSON
  in a text message, as browsers like it.
- A message that cannot be decoded closes with 1007, one that is not of the type with 1008 and says what was
  wrong; the handler sees the WebSocket closed. One that breaks rules is not asked a second time.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from vivace.errors import WebsocketClosed
from vivace.framework.response import encode_json
from vivace.framework.websocket import Websocket
from vivace.protocols.socket import Listener, Socket

if TYPE_CHECKING:
    from vivace.framework.groups.encoding import Form
    from vivace.framework.request import Request

__all__ = ["MessageType", "TypedWebsocket"]


class MessageType:
    """A type of messages, and how they are decoded.

    Args:
        kind: Anything that msgspec decodes: a Struct, a union of tagged ones, a dataclass, ``list[int]`` ...
    """

    __slots__ = ("binary", "kind", "text")

    def __init__(self, kind: Any) -> None:
        self.kind: Final = kind
        self.text: Callable[[str], Any] = msgspec.json.Decoder(kind).decode
        self.binary: Callable[[bytes], Any] = msgspec.msgpack.Decoder(kind).decode


class TypedWebsocket(Websocket):
    """An open WebSocket; the methods are those of `Websocket`, their messages are values.

    Args:
        socket: What carries it.
        request: The handshake.
        kind: The type of the messages.
    """

    __slots__ = ("_kind",)

    def __init__(self, socket: Socket, request: "Request", kind: MessageType) -> None:
        super().__init__(socket, request)
        self._kind = kind

    def _value(self, message: str | bytes) -> Any:
        kind = self._kind
        return self._decoded(kind.text if isinstance(message, str) else kind.binary, message)

    def _usual_form(self) -> "Form":
        from vivace.framework.groups.encoding import json_only

        return json_only

    async def recv(self, timeout: float | None = None) -> Any:
        """The next value; None if none came within `timeout` seconds.

        Raises:
            WebsocketClosed: It is closed, or a message was not what it has to be: then it is, with that.
        """
        message = await self._socket.recv(timeout)
        return None if message is None else self._value(message)

    async def recv_burst(self, max_recv: int = 256) -> Sequence[Any]:
        """The values that have come and were not taken, at most `max_recv`; it does not wait."""
        return [self._value(message) for message in self._socket.take(max_recv)]

    async def recv_streaming(self) -> AsyncIterator[Any]:
        """The next value, as an iterator of one."""
        yield await self.recv()

    async def __aiter__(self) -> AsyncIterator[Any]:
        """The values; ends when it is closed."""
        async for message in self._socket:
            try:
                value = self._value(message)
            except WebsocketClosed:
                return
            yield value

    def listen(self, listener: Listener) -> Awaitable[None]:
        """Hand every value to a plain function, until it is closed."""
        return super().listen(lambda message: listener(self._value(message)))

    def send(self, message: Any) -> Awaitable[None]:
        """Send a value as JSON; octets are sent as they are.

        Raises:
            WebsocketClosed: It is closed, or closing.
        """
        if isinstance(message, (bytes, bytearray, memoryview)):
            return self._socket.send(message)
        return self._socket.send(encode_json(message).decode())
