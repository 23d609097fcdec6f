"""WebSockets of the framework: what a handler gets, and the handshake before it.

Rules of this file:

- A WebSocket is a request first: it has a route, its middleware runs, and what goes wrong before the
  handshake is answered is an ordinary error page: 426, 400, 403 for a page of another site.
- The handler's end closes it: 1000, or 1011 if it failed; an exception with a status below 500 closes with
  1008 and says its message. That a client left is no failure.
- The names are Sanic's; what `recv` and `send` raise when it is over is `WebsocketClosed`.
"""

import asyncio
import functools
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from vivace.errors import BadRequest, ClientDisconnected, SanicException, WebsocketClosed
from vivace.framework.joins import Joins
from vivace.framework.response import encode_json
from vivace.framework.signals import Event
from vivace.framework.websocket_options import WebsocketOptions
from vivace.protocols.socket import Listener, Socket
from vivace.protocols.ws_handshake import Handshake, check_origin, choose_subprotocol, read_handshake

if TYPE_CHECKING:
    from vivace.framework.groups.encoding import Form
    from vivace.framework.groups.outlet import Client, Outlet
    from vivace.framework.request import Request

__all__ = ["Websocket", "websocket_handler"]

logger = logging.getLogger("vivace.error")

MAX_REASON = 120
"""Octets of a message that fit the reason of a close."""


class Websocket(Joins):
    """An open WebSocket.

    Args:
        socket: What carries it.
        request: The handshake.
    """

    __slots__ = ("__weakref__", "_socket")

    def __init__(self, socket: Socket, request: "Request") -> None:
        self._socket = socket
        self._request = request
        self._outlet: Outlet | None = None
        self._user: Any = None

    @property
    def subprotocol(self) -> str | None:
        """What was chosen of the sub-protocols of the client; None: nothing."""
        return self._socket.subprotocol

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._socket.closed

    @property
    def close_code(self) -> int:
        """Why it is closed (RFC 6455 section 7.4.1); 1005: not said; 1006: lost; 0: it is not closed."""
        return self._socket.close_code

    @property
    def close_reason(self) -> str:
        """The same in words."""
        return self._socket.close_reason

    def recv(self, timeout: float | None = None) -> Awaitable[Any]:
        """The next message, `str` or `bytes`; None if none came within `timeout` seconds.

        Raises:
            WebsocketClosed: It is closed, and all that came before was taken.
        """
        return self._socket.recv(timeout)

    async def recv_burst(self, max_recv: int = 256) -> Sequence[str | bytes]:
        """The messages that have come and were not taken, at most `max_recv`; it does not wait."""
        return self._socket.take(max_recv)

    async def recv_streaming(self) -> AsyncIterator[str | bytes]:
        """The next message, as an iterator of its pieces: it is one piece."""
        message = await self._socket.recv()
        if message is not None:
            yield message

    def __aiter__(self) -> AsyncIterator[Any]:
        """The messages; ends when it is closed."""
        return self._socket.__aiter__()

    def listen(self, listener: Listener) -> Awaitable[None]:
        """Hand every message to a plain function, until it is closed: the quickest way to take many.

        The function must not block. What it sends need not be awaited: while the client does not read, it is
        not read either.
        """
        self._socket.listen(listener)
        return self._socket.wait_closed()

    def send(self, message: str | bytes | bytearray | memoryview) -> Awaitable[None]:
        """Send a message: text from `str`, binary from octets; awaiting it waits for a client that is slow.

        Raises:
            WebsocketClosed: It is closed, or closing.
            TypeError: It is neither.
        """
        return self._socket.send(message)

    def send_json(self, value: Any) -> Awaitable[None]:
        """Send a value as JSON, in a text message; see `send`.

        Raises:
            TypeError: It cannot be written as JSON.
        """
        return self._socket.send(encode_json(value).decode())

    async def recv_json(self, timeout: float | None = None, *, type: Any = Any) -> Any:  # noqa: A002
        """The value that the next message holds as JSON; None if none came within `timeout` seconds.

        Args:
            timeout: Seconds.
            type: What it has to be, as msgspec checks it. A message that is no JSON closes with 1007, one of
                another type with 1008.

        Raises:
            WebsocketClosed: It is closed, also because of that.
        """
        message = await self._socket.recv(timeout)
        if message is None:
            return None
        return self._decoded(functools.partial(msgspec.json.decode, type=type), message)

    def _decoded(self, decode: Callable[[Any], Any], message: Any) -> Any:
        """Decode a message, or close and say why."""
        try:
            return decode(message)
        except msgspec.ValidationError as error:
            code, reason = 1008, _cut(str(error))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            code, reason = 1007, _cut(f"a message cannot be decoded: {error}")
        self._socket.start_close(code, reason)
        raise WebsocketClosed(f"the WebSocket was closed ({code} {reason})", code, reason)

    async def ping(self, data: str | bytes | None = None) -> Awaitable[float]:
        """Ask for a sign of life; what is returned gives the seconds until it came."""
        return await self._socket.ping(_octets(data))

    async def pong(self, data: str | bytes | None = None) -> None:
        """Give a sign of life unasked."""
        await self._socket.pong(_octets(data))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close, and wait until it is."""
        await self._socket.close(code, reason)

    def fail_connection(self, code: int = 1006, reason: str = "") -> bool:
        """Give the connection up: say so with `code`, or drop it at once with 1006; False: it is closed."""
        if self._socket.closed:
            return False
        if code == 1006:
            self._socket.abort()
        else:
            self._socket.start_close(code, reason)
        return True

    def end_connection(self, code: int = 1000, reason: str = "") -> bool:
        """Begin to close; False: it is closed."""
        if self._socket.closed:
            return False
        self._socket.start_close(code, reason)
        return True

    async def wait_for_connection_lost(self, timeout: float | None = None) -> bool:
        """Wait until the connection is gone; whether it is after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._socket.wait_closed()
        except TimeoutError:
            return False
        return True

    def _client(self) -> "Client":
        return _SocketClient(self._socket)

    def _watch(self, outlet: "Outlet") -> None:
        if self._socket.closed:
            outlet.closed = True
        else:
            self._socket.watch(outlet)

    def _form(self, given: dict[str, Any]) -> "Form":
        return self._choose_form(**given)

    def _choose_form(
        self, *, encode: Callable[[Any], str | bytes | None] | None = None, positions: bool = False
    ) -> "Form":
        """What a message of a group becomes.

        Args:
            encode: Gives the message to send, or None for none; once for all clients with this function.
            positions: Send JSON with ``topic``, ``data`` and ``pos``, and word of gaps as ``topic``, ``gap``.
        """
        from vivace.framework.groups import encoding

        if encode is not None:
            return encoding.Custom(encode)
        return encoding.envelope if positions else self._usual_form()

    def _usual_form(self) -> "Form":
        from vivace.framework.groups.encoding import plain

        return plain

    def __repr__(self) -> str:
        state = f"closed {self.close_code}" if self.closed else "open"
        return f"<Websocket {state}>"


class _SocketClient:
    """A WebSocket as the client of an outlet."""

    __slots__ = ("_socket", "push")

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self.push = socket.push

    def end(self, code: int, reason: str) -> None:
        """Close it; of a long reason the beginning is told."""
        self._socket.start_close(code, _cut(reason))


def _octets(data: str | bytes | None) -> bytes:
    return data.encode() if isinstance(data, str) else data or b""


def websocket_handler(handler: Callable[..., Any], options: WebsocketOptions) -> Callable[..., Any]:
    """What a route calls for a WebSocket: the handshake, `handler` with the request and the socket, the end.

    Args:
        handler: Of the program.
        options: What is special about the route.
    """
    make = _maker(options.message)

    @functools.wraps(handler)
    async def serve(request: "Request", *args: Any, **values: Any) -> None:
        handshake = read_handshake(request.head)
        allowed = options.origins
        if allowed is None:
            allowed = request.app.config.WEBSOCKET_ORIGINS.replace(",", " ").split()
        check_origin(handshake, request.host.encode("latin-1", "replace"), allowed)
        chosen = _choose(handshake, options.subprotocols)
        socket = request.transport.open_websocket(handshake, chosen, options=options.socket)
        ws = make(socket, request)
        await _tell(Event.WEBSOCKET_HANDLER_BEFORE, request, websocket=ws)
        try:
            result = handler(request, ws, *args, **values)
            if inspect.isawaitable(result):
                await result
        except asyncio.CancelledError:
            socket.start_close(1001, "the server stops")
            raise
        except Exception as error:  # noqa: BLE001  # it becomes a close
            await _fail(request, ws, socket, error)
        else:
            socket.start_close()
            await _tell(Event.WEBSOCKET_HANDLER_AFTER, request, websocket=ws)
        finally:
            ws._leave_groups()

    return serve


def _maker(message: Any) -> "Callable[[Socket, Request], Websocket]":
    """What makes the object that the handler gets."""
    if message is None:
        return Websocket
    from vivace.framework.typed_socket import MessageType, TypedWebsocket

    kind = MessageType(message)
    return lambda socket, request: TypedWebsocket(socket, request, kind)


def _choose(handshake: Handshake, spoken: tuple[str, ...]) -> str | None:
    """The sub-protocol to speak.

    Raises:
        BadRequest: The client speaks none of ours.
    """
    chosen = choose_subprotocol(handshake.subprotocols, spoken)
    if chosen is None and spoken:
        offered = ", ".join(handshake.subprotocols) or "none"
        raise BadRequest(f"this WebSocket speaks {', '.join(spoken)}; the client offers {offered}")
    return chosen


async def _tell(event: Event, request: "Request", **context: Any) -> None:
    """Dispatch a signal if somebody listens to it."""
    app = request.app
    if app.signal_router.is_heard(event.value):
        await app.dispatch(event, context={"request": request, **context}, inline=True, fail_not_found=False)


async def _fail(request: "Request", ws: Websocket, socket: Socket, error: Exception) -> None:
    """The handler ended with an exception."""
    if not (isinstance(error, ClientDisconnected) and socket.closed):
        await _tell(Event.WEBSOCKET_HANDLER_EXCEPTION, request, websocket=ws, exception=error)
    if isinstance(error, SanicException) and error.status_code < 500:
        socket.start_close(1008, _cut(str(error)))
    elif not (isinstance(error, ClientDisconnected) and socket.closed):
        request.app.error_handler.late(request, error)
        socket.start_close(1011, "the server failed")


def _cut(message: str) -> str:
    return message.encode()[:MAX_REASON].decode("utf-8", "ignore")
