"""A WebSocket that another ASGI server carries, for a Vivace app that is its guest.

Rules of this file:

- What our own server does, as far as ASGI can say it: messages, closes, denials; pings are the
  other server's.
- One task reads and one writes, so that no message is lost when a handler gives up waiting, and a send is on
  its way when it returns.
- The other server has judged the handshake: what a handler sees of it is its sub-protocols and its origin.
- Follows the ASGI specification, HTTP & WebSocket 2.5, and `vivace.protocols.socket`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from vivace.errors import ClientDisconnected, LocalProtocolError, WebsocketClosed
from vivace.interfaces.guest_head import GuestHead
from vivace.interfaces.guest_input import Receive
from vivace.interfaces.guest_stream import Send
from vivace.protocols.broadcast import Broadcast
from vivace.protocols.completed import COMPLETED
from vivace.protocols.events import RequestReceived
from vivace.protocols.socket import USUAL, Listener, Socket, SocketOptions, Watcher
from vivace.protocols.stream import Fields
from vivace.protocols.ws import close_payload
from vivace.protocols.ws_handshake import Handshake
from vivace.server.interface import Interface

__all__ = ["GuestSocket", "GuestSocketStream"]

logger = logging.getLogger("vivace.error")

MAX_QUEUE: Final = 32
"""Messages that wait, in either direction, before somebody else does."""
_DENIAL: Final = "websocket.http.response"
_JUDGED: Final = (
    (b"upgrade", b"websocket"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
)
_REPLACED: Final = frozenset(
    (*(name for name, _ in _JUDGED), b"sec-websocket-protocol", b"sec-websocket-extensions")
)


def make_head(scope: Mapping[str, Any]) -> GuestHead:
    """The head of a handshake that the server has judged."""
    offered = ", ".join(scope.get("subprotocols") or ()).encode("latin-1")
    fields = [pair for pair in scope["headers"] if pair[0].lower() not in _REPLACED]
    fields += [*_JUDGED, (b"sec-websocket-protocol", offered)]
    head = GuestHead({**scope, "method": "GET", "headers": fields})
    head.upgrade = True
    return head


class GuestSocketStream:
    """A request for a WebSocket as a stream; see `vivace.protocols.stream.Stream`.

    Args:
        scope: Of the type ``websocket``.
        receive: Gives the next event.
        send: Takes an event.

    Attributes:
        status: Of the answer: 101, or that of a denial; 0 before it was chosen.
    """

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._outbox = Outbox(send)
        self._body: list[bytes] = []
        self.status = 0
        self._fields: Fields = ()
        self._socket: GuestSocket | None = None
        self.head: RequestReceived = make_head(scope)
        self.complete = False
        self.disconnected = False
        self.memo: Any = None
        self.response_started = False
        self.timed_out = False

    @property
    def scheme(self) -> str:
        """``http`` or ``https``, as the connection is."""
        return "https" if self._scope.get("scheme") == "wss" else "http"

    @property
    def tls(self) -> None:
        """Another server's."""
        return None

    @property
    def client(self) -> Any:
        """The peer's address."""
        return _address(self._scope.get("client"))

    @property
    def server(self) -> Any:
        """The server's address."""
        return _address(self._scope.get("server"))

    async def run(self, interface: Interface) -> None:
        """Let `interface` answer, and see it to its end."""
        await self._receive()
        try:
            answer = interface(self)
            if answer is not None:
                await answer
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or self._socket is None or not self._socket.cancelled:
                raise
            task.uncancel()
        finally:
            if self._socket is not None:
                self._socket.start_close()
                await self._socket.finish()
            elif not self.complete:
                self.respond(500, (), b"")
            await self._outbox.flushed()

    async def receive(self) -> bytes:
        """The end of a body that is not there."""
        return b""

    def limit_body(self, size: int, seconds: float) -> None:
        """Nothing: there is no body."""

    def limit_time(self, seconds: float) -> None:
        """Nothing: the handshake is the other server's to watch."""

    async def wait_draining(self) -> None:
        """Never return: other servers do not say when they stop."""
        await asyncio.get_running_loop().create_future()

    def inform(self, status: int, fields: Fields) -> None:
        """Nothing: ASGI has no informational response here."""

    def respond(self, status: int, fields: Fields, body: bytes) -> None:
        """Deny the WebSocket, in our own words where the server can."""
        self.start(status, fields)
        self._body.append(body)
        self._deny()

    def start(self, status: int, fields: Fields) -> None:
        """Begin a denial."""
        if self.response_started:
            raise LocalProtocolError("the response was started before: a request has one response")
        self.response_started = True
        self.status, self._fields = status, fields

    async def send(self, data: bytes) -> None:
        """Collect a piece of a denial."""
        self._body.append(data)

    async def send_file(self, file: int, offset: int, count: int) -> None:
        """Refuse: a denial is no file."""
        raise LocalProtocolError("a WebSocket is not denied with a file under another server")

    async def end(self, trailers: Fields = ()) -> None:
        """Complete a denial."""
        if not self.complete:
            self._deny()

    def _deny(self) -> None:
        self.complete = True
        if _DENIAL not in (self._scope.get("extensions") or {}):
            self._outbox.put({"type": "websocket.close", "code": 1000})  # becomes a 403
            return
        body = b"".join(self._body)
        fields = [(name.lower(), value) for name, value in self._fields]
        if not any(name == b"content-length" for name, _ in fields):
            fields.append((b"content-length", b"%d" % len(body)))
        self._outbox.put({"type": _DENIAL + ".start", "status": self.status, "headers": fields})
        self._outbox.put({"type": _DENIAL + ".body", "body": body})

    async def wait_disconnected(self) -> None:
        """Return when the exchange is over."""
        if self._socket is not None:
            await self._socket.wait_closed()

    def abort(self) -> None:
        """Nothing better than the end of the scope is there."""

    def open_websocket(
        self,
        handshake: Handshake,
        subprotocol: str | None = None,
        fields: Fields = (),
        *,
        options: SocketOptions = USUAL,
    ) -> Socket:
        """Accept the WebSocket."""
        if self.response_started:
            raise LocalProtocolError("the response was started before: a WebSocket is opened in its place")
        self.response_started = self.complete = True
        self.status = 101
        accept = {"type": "websocket.accept", "subprotocol": subprotocol, "headers": list(fields)}
        self._outbox.put(accept)
        self._socket = GuestSocket(self._receive, self._outbox, subprotocol)
        return self._socket


class Outbox:
    """Sends events in their order, by a task of its own.

    Args:
        send: Takes an event.

    Attributes:
        broken: The server takes no more.
        on_empty: Is called once when everything was taken.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: deque[dict[str, Any]] = deque()
        self._task: asyncio.Task[None] | None = None
        self.broken = False
        self.on_empty: Callable[[], None] | None = None

    def put(self, event: dict[str, Any]) -> Awaitable[None]:
        """Send an event; what is returned waits if the server is behind."""
        self.add(event)
        return COMPLETED if len(self._waiting) <= MAX_QUEUE else self.flushed()

    def add(self, event: dict[str, Any]) -> None:
        """Send an event, wherever the server is."""
        self._waiting.append(event)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="vivace-websocket-out")

    async def _run(self) -> None:
        try:
            while self._waiting:
                event = self._waiting.popleft()
                if not self.broken:
                    await self._send(event)
        except OSError:
            self.broken = True
            self._waiting.clear()
        finally:
            self._task = None
            waiting, self.on_empty = self.on_empty, None
            if waiting is not None:
                waiting()

    def is_behind(self) -> bool:
        """Whether more waits than may."""
        return len(self._waiting) > MAX_QUEUE

    async def flushed(self) -> None:
        """Wait until everything was taken."""
        while self._task is not None:
            await asyncio.wait([self._task])


class GuestSocket:
    """An open WebSocket of another server; see `vivace.protocols.socket.Socket`.

    Args:
        receive: Gives the next event.
        outbox: Takes events.
        subprotocol: What was chosen.

    Attributes:
        cancelled: The handler was cancelled, for its client is lost.
    """

    def __init__(self, receive: Receive, outbox: Outbox, subprotocol: str | None) -> None:
        self._receive = receive
        self._outbox = outbox
        self.subprotocol = subprotocol
        self.cancelled = False
        self.close_code = 0
        self.close_reason = ""
        self._queue: deque[Any] = deque()
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()
        self._waits = False
        self._listener: Listener | None = None
        self._watcher: Watcher | None = None
        self._task = asyncio.current_task()
        self._reader = asyncio.get_running_loop().create_task(self._read(), name="vivace-websocket-in")

    async def _read(self) -> None:
        """Take what the server gives, until it says that it is over."""
        while (event := await self._receive())["type"] == "websocket.receive":
            text = event.get("text")
            message = text if text is not None else event["bytes"]
            if self._listener is not None:
                self._call(self._listener, message)
                continue
            self._queue.append(message)
            self._changed.set()
            while len(self._queue) >= MAX_QUEUE:
                self._taken.clear()
                await self._taken.wait()
        self._end(event.get("code") or 1005, event.get("reason") or "")
        lost = self.close_code == 1006 and not (self._waits or self._queue or self._listener)
        if lost and self._task is not None:
            self.cancelled = True
            self._task.cancel()

    def _call(self, listener: Listener, message: str | bytes) -> None:
        try:
            listener(message)
        except WebsocketClosed:
            pass
        except Exception:
            logger.exception("the listener of a WebSocket failed")
            self.start_close(1011, "the server failed")

    def _end(self, code: int, reason: str) -> None:
        if not self.close_code:
            self.close_code, self.close_reason = code, reason
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.ended()
        self._changed.set()

    def _error(self) -> WebsocketClosed:
        return WebsocketClosed(
            f"the WebSocket is closed ({self.close_code})", self.close_code, self.close_reason
        )

    async def finish(self) -> None:
        """End the task that reads: the handler is done."""
        self._reader.cancel()
        await asyncio.wait([self._reader])

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.close_code != 0

    async def recv(self, timeout: float | None = None) -> str | bytes | None:
        """The next message; None if none came within `timeout` seconds."""
        if self._waits:
            raise RuntimeError("another task waits for the next message of this WebSocket already")
        self._waits = True
        try:
            async with asyncio.timeout(timeout):
                while not self._queue:
                    if self.close_code:
                        raise self._error()
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return None
        finally:
            self._waits = False
        return self.take(1)[0]  # type: ignore[no-any-return]

    def take(self, most: int) -> list[Any]:
        """Messages that have come."""
        taken = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
        self._taken.set()
        return taken

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """The messages; ends when it is closed."""
        while True:
            try:
                message = await self.recv()
            except WebsocketClosed:
                return
            if message is not None:
                yield message

    def send(self, message: str | bytes | bytearray | memoryview) -> Awaitable[None]:
        """Send a message."""
        if self.close_code:
            raise self._error()
        if self._outbox.broken:
            raise ClientDisconnected("the client is gone")
        if isinstance(message, str):
            return self._outbox.put({"type": "websocket.send", "text": message})
        if isinstance(message, (bytes, bytearray, memoryview)):
            return self._outbox.put({"type": "websocket.send", "bytes": bytes(message)})
        raise TypeError(f"a message is str (text) or bytes (binary), not {type(message).__name__}")

    def push(self, broadcast: Broadcast) -> bool:
        """Send messages that many get, unless the server is behind."""
        if self.close_code or self._outbox.broken:
            return True
        if self._outbox.is_behind():
            self._outbox.on_empty = self._resume
            return False
        for message in broadcast.messages:
            self._outbox.add({"type": "websocket.send", "text" if message.text else "bytes": message.message})
        return True

    def _resume(self) -> None:
        if self._watcher is not None:
            self._watcher.resumed()

    def watch(self, watcher: Watcher | None) -> None:
        """Tell what happens to it."""
        self._watcher = watcher

    def listen(self, listener: Listener) -> None:
        """Hand every message to a function."""
        while self._queue:
            self._call(listener, self.take(1)[0])
        self._listener = listener

    async def ping(self, data: bytes = b"") -> "asyncio.Future[float]":
        """Refuse: pings are the other server's."""
        raise NotImplementedError("ASGI has no pings: the server sends them by itself")

    async def pong(self, data: bytes = b"") -> None:
        """Refuse: so are pongs."""
        raise NotImplementedError("ASGI has no pongs: the server sends them by itself")

    def start_close(self, code: int = 1000, reason: str = "") -> None:
        """Begin to close."""
        if not self.close_code:
            close_payload(code, reason)
            self._outbox.put({"type": "websocket.close", "code": code, "reason": reason})
            self._end(code, reason)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close; the other server sees to the rest."""
        self.start_close(code, reason)
        await self._outbox.flushed()

    async def wait_closed(self) -> None:
        """Return when it is closed."""
        while not self.close_code:
            self._changed.clear()
            await self._changed.wait()

    def abort(self) -> None:
        """End at once, as far as ASGI can say it."""
        self.start_close(1011)


def _address(pair: Any) -> tuple[str, int] | None:
    return (str(pair[0]), int(pair[1] or 0)) if pair else None
