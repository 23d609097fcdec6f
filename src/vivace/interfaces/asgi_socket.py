"""A WebSocket meets an ASGI app.

Rules of this file:

- The app decides before the handshake is answered: ``websocket.accept``, ``websocket.close`` (403) or a
  response of its own (``websocket.http.response``).
- An app that knows no WebSockets refuses the scope by an exception: that is one line in the log and a 403.
- An app is told that its client left, it is not cancelled: `receive` gives ``websocket.disconnect``, and what
  it sends is dropped; one that does not stop sending gets an OSError in the end.
- The sync code of an app that uses asgiref (Django, Channels) runs in THREADS threads, all of one WebSocket
  in the same one; asgiref alone would run that of all WebSockets in one.
- Whatever becomes of the app, the WebSocket is closed behind it: 1011 if it failed, else 1000.
- Follows the ASGI specification, HTTP & WebSocket 2.3.
"""

import logging
import sys
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final, NoReturn

from vivace.errors import ClientDisconnected, LocalProtocolError, WebsocketClosed
from vivace.interfaces.asgi import UNHEARD, AsgiInterface, left_by_client, pairs_of
from vivace.interfaces.hosted import TEXT_FIELDS
from vivace.protocols.socket import Socket
from vivace.protocols.stream import Fields, Stream
from vivace.protocols.ws_handshake import Handshake

__all__ = ["SocketExchange"]

logger = logging.getLogger("vivace.error")

# What an exchange is doing.
ASKED: Final = 0
OPEN: Final = 1
DENYING: Final = 2
"""The app answers with a response of its own, whose head has come."""
DENIED: Final = 3
CLOSED: Final = 4
_WHEN: Final = (
    "before websocket.accept",
    "after websocket.accept",
    "in a denial",
    "after a denial",
    "after the end",
)
_OURS: Final = (b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-protocol")

_DENIED: Final = b"this WebSocket was refused\n"


class SocketExchange:
    """One WebSocket: the app's `receive` and `send`.

    Args:
        stream: The request that asks for it.
        handshake: The same, read.
    """

    __slots__ = ("_fields", "_handshake", "_socket", "_state", "_status", "_stream", "_told", "_unheard")

    def __init__(self, stream: Stream, handshake: Handshake) -> None:
        self._stream = stream
        self._handshake = handshake
        self._socket: Socket | None = None
        self._state = ASKED
        self._told = False
        self._unheard = 0
        self._status = 0
        self._fields: Fields = ()

    async def run(self, interface: AsgiInterface) -> None:
        """Let the app serve it; whatever it does, the WebSocket comes to an end."""
        stream = self._stream
        try:
            async with _seat(interface.socket_threads):
                await interface.begin_socket(self, stream, list(self._handshake.subprotocols))
        except (Exception, SystemExit) as error:  # noqa: BLE001  # logged and answered; one client ends no server
            self._fail(error)
            return
        if self._socket is not None:
            self._socket.start_close()
        elif self._state < DENIED and not stream.disconnected:
            logger.error("the ASGI app left the WebSocket %s without an answer", self._where())
            self._break_off()

    async def receive(self) -> dict[str, Any]:
        """The next message for the app."""
        if not self._told:
            self._told = True
            return {"type": "websocket.connect"}
        if self._socket is None:
            await self._stream.wait_disconnected()
        socket = self._socket
        if socket is None:
            return {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        try:
            message = await socket.recv()
        except WebsocketClosed as closed:
            return {"type": "websocket.disconnect", "code": closed.code, "reason": closed.reason}
        if isinstance(message, str):
            return {"type": "websocket.receive", "text": message}
        return {"type": "websocket.receive", "bytes": message}

    async def send(self, message: dict[str, Any]) -> None:
        """Take a message of the app.

        Raises:
            LocalProtocolError: It is not the time for it, or something in it is not what it must be.
            ClientDisconnected: The app goes on sending though nobody is there; it is an OSError.
        """
        kind = message["type"]
        socket = self._socket
        if socket is not None:
            if kind == "websocket.send":
                await self._send(socket, message)
            elif kind == "websocket.close":
                socket.start_close(message.get("code") or 1000, message.get("reason") or "")
                self._state = CLOSED
            else:
                self._complain(kind)
        elif self._stream.disconnected:
            self._drop()
        elif kind == "websocket.accept" and self._state == ASKED:
            self._accept(message)
        elif kind == "websocket.close" and self._state == ASKED:
            self._state = DENIED
            self._stream.respond(403, TEXT_FIELDS, _DENIED)
        elif kind == "websocket.http.response.start" and self._state == ASKED:
            self._status = message["status"]
            self._fields = pairs_of(message.get("headers", ()))
            self._state = DENYING
        elif kind == "websocket.http.response.body" and self._state == DENYING:
            await self._deny(message)
        else:
            self._complain(kind)

    def _accept(self, message: dict[str, Any]) -> None:
        subprotocol = message.get("subprotocol")
        if subprotocol is not None and subprotocol not in self._handshake.subprotocols:
            offered = ", ".join(self._handshake.subprotocols) or "none"
            raise LocalProtocolError(f"the client offers the sub-protocols {offered}, not {subprotocol!r}")
        fields = pairs_of(message.get("headers", ()))
        for name, _value in fields:
            if name.lower() in _OURS:
                raise LocalProtocolError(f"{name.decode('latin-1')} is said by the server; see subprotocol")
        self._socket = self._stream.open_websocket(self._handshake, subprotocol, fields)
        self._state = OPEN

    async def _send(self, socket: Socket, message: dict[str, Any]) -> None:
        content = message.get("text")
        if content is None:
            content = message.get("bytes")
        if content is None:
            raise LocalProtocolError("websocket.send has a text or bytes: both are missing, or None")
        if self._state == CLOSED:
            self._complain("websocket.send")
        try:
            await socket.send(content)
        except WebsocketClosed:
            self._drop()

    async def _deny(self, message: dict[str, Any]) -> None:
        """A piece of the app's own answer to the handshake."""
        stream = self._stream
        body = bytes(message.get("body", b""))
        more = message.get("more_body", False)
        if not stream.response_started and not more:
            stream.respond(self._status, self._fields, body)
        else:
            if not stream.response_started:
                stream.start(self._status, self._fields)
            if body:
                await stream.send(body)
            if not more:
                await stream.end()
        if not more:
            self._state = DENIED

    def _drop(self) -> None:
        """Take a message that nobody will read; the app learns that by `receive`, or in the end by this."""
        self._unheard += 1
        if self._unheard > UNHEARD:
            raise ClientDisconnected("nobody is there: the WebSocket is closed")

    def _complain(self, kind: Any) -> NoReturn:
        raise LocalProtocolError(f"{kind!r} came {_WHEN[self._state]}")

    def _where(self) -> str:
        return self._stream.head.path.decode("latin-1")

    def _fail(self, error: BaseException) -> None:
        """The app raised an exception: log it, and tell the client that nothing will come."""
        if left_by_client(error):
            logger.debug("the client of the WebSocket %s left", self._where())
        elif not self._told and self._state == ASKED:
            logger.warning("the app refuses the WebSocket %s: %s", self._where(), error)
            if not self._stream.disconnected:
                self._state = DENIED
                self._stream.respond(403, TEXT_FIELDS, b"no WebSockets are served here\n")
        else:
            logger.error("the ASGI app failed on the WebSocket %s", self._where(), exc_info=error)
        if self._socket is not None:
            self._socket.start_close(1011, "the server failed")
        else:
            self._break_off()

    def _break_off(self) -> None:
        """End a handshake that got no whole answer."""
        stream = self._stream
        if stream.disconnected or stream.complete:
            return
        if stream.response_started:
            stream.abort()
        else:
            stream.respond(500, TEXT_FIELDS, b"Internal Server Error\n")


def _seat(count: int) -> AbstractAsyncContextManager[Any]:
    """Where the sync code of a WebSocket runs; asgiref decides if it is one that we do not know."""
    if "asgiref.sync" not in sys.modules:
        return nullcontext()
    from vivace.interfaces.asgiref_threads import SocketSeat, socket_threads, what_is_missing

    return nullcontext() if what_is_missing() else SocketSeat(socket_threads(count))
