# cython: language_level=3, annotation_typing=False
"""A stream meets an ASGI app.

Rules of this file:

- A response that is complete with its first message leaves in one write; one that was begun and not yet
  sent is still replaced by a 500 when the app fails.
- An app is told that its client left, it is not cancelled: `receive` gives ``http.disconnect``, and what it
  sends is dropped; one that does not stop sending gets an OSError in the end.
- An app that breaks the protocol gets a LocalProtocolError that says what it did; the client gets a 500, or a
  response that is seen to be cut. Nothing of the reason reaches the client.
- Follows the ASGI specification 3.0, HTTP & WebSocket 2.3 (from 2.4 on frameworks no longer watch for a
  client that leaves a stream which has nothing to send), and its extensions.
"""

import logging
import os
from collections.abc import Coroutine
from typing import Any, Final, NoReturn

from vivace.config import Config
from vivace.config.binds import binds_of
from vivace.errors import ClientDisconnected, HTTPException, LocalProtocolError
from vivace.http.url import quote_path, unquote_path
from vivace.interfaces.asgi_tls import describe_tls
from vivace.interfaces.django_advice import advise
from vivace.interfaces.hosted import TEXT_FIELDS, bound_threads, outer_path, serving, threads_of
from vivace.interfaces.lifespan import Lifespan
from vivace.protocols.completed import COMPLETED
from vivace.protocols.events import RequestReceived
from vivace.protocols.stream import Fields, Stream
from vivace.protocols.ws_handshake import is_handshake, read_handshake
from vivace.wire.field import with_length

__all__ = ["UNHEARD", "AsgiInterface", "Exchange", "left_by_client", "pairs_of"]

logger = logging.getLogger("vivace.error")

_START: Final = "http.response.start"
_BODY: Final = "http.response.body"
_DISCONNECT: Final = "http.disconnect"

_KEYS: Final = (
    "type",
    "asgi",
    "http_version",
    "server",
    "client",
    "scheme",
    "method",
    "root_path",
    "path",
    "raw_path",
    "query_string",
    "headers",
    "state",
    "extensions",
)
"""The keys of the scope of a request."""

# What an exchange is doing with its response.
AWAITED: Final = 0
STARTED: Final = 1
SENDING: Final = 2
TRAILERS: Final = 3
DONE: Final = 4
REFUSED: Final = 5
_UNFINISHED: Final = (
    "it returned without a response",
    "it returned after http.response.start without a body",
    "it returned in the middle of the body: the last http.response.body said more_body",
    "it returned without the trailers that it had announced",
)

# What it is doing with the body of the request.
READING: Final = 0
EMPTY: Final = 1
READ: Final = 2

UNHEARD: Final = 100
"""Messages that an app may send to nobody, the client being gone or having had a HEAD; then `send` raises."""


class AsgiInterface:
    """The interface of an ASGI app.

    Args:
        app: An ASGI callable.
        config: The settings to serve with.
        root_path: The path under which the app is mounted.
        version: 3, or 2 for an app that is called with the scope first.

    Attributes:
        cancels: False: an app is told that its client left.
        socket_threads: In how many threads the sync code of its WebSockets runs, if it uses asgiref: THREADS.

    Raises:
        ConfigError: ROOT_PATH cannot be used.
    """

    __slots__ = (
        "_address",
        "_app",
        "_extensions",
        "_lifespan",
        "_max_size",
        "_prefix",
        "_raw_prefix",
        "_request_seconds",
        "_scope",
        "_state",
        "_threads",
        "cancels",
        "socket_threads",
    )

    def __init__(self, app: Any, config: Config, root_path: str = "", version: int = 3) -> None:
        self._app = app if version == 3 else _Double(app)
        self.cancels = False
        prefix = outer_path(config)
        self._prefix = prefix
        self._raw_prefix = quote_path(prefix).encode()
        paths = [bind.name for bind in binds_of(config) if bind.kind == "unix"]
        self._address = (paths[0], None) if paths else None
        self._threads = threads_of(config)
        self.socket_threads = max(config.THREADS, 1)
        config.warnings.extend(advise(app))
        self._max_size = config.REQUEST_MAX_SIZE or -1
        self._request_seconds = config.REQUEST_TIMEOUT
        spoken = "3.0" if version == 3 else "2.0"
        self._lifespan = Lifespan(self._app, config.LIFESPAN, spoken)
        self._state = self._lifespan.state
        # Every key is here, so that a copy never has to grow.
        self._scope: dict[str, Any] = dict.fromkeys(_KEYS)
        self._scope["type"] = "http"
        self._scope["asgi"] = {"version": spoken, "spec_version": "2.3"}
        self._scope["root_path"] = prefix + root_path
        self._extensions: dict[str, dict[str, Any]] = {
            "http.response.pathsend": {},
            "http.response.trailers": {},
            "http.response.zerocopysend": {},
        }
        if config.EARLY_HINTS:
            self._extensions["http.response.early_hint"] = {}
        if config.DEBUG:
            self._extensions["http.response.debug"] = {}

    def __call__(self, stream: Stream) -> Coroutine[Any, Any, None] | None:
        """Answer one request."""
        exchange = Exchange(self, stream, stream.head)
        if exchange.head.upgrade and is_handshake(exchange.head):
            return self._open_socket(stream)
        return exchange.run()

    def _open_socket(self, stream: Stream) -> Coroutine[Any, Any, None] | None:
        """Let the app answer the handshake of a WebSocket, if that is what it should be."""
        from vivace.interfaces.asgi_socket import SocketExchange  # many apps never have one

        try:
            handshake = read_handshake(stream.head)
        except HTTPException as error:
            fields = [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
            stream.respond(error.status_code, [*TEXT_FIELDS, *fields], f"{error}\n".encode())
            return None
        return SocketExchange(stream, handshake).run(self)

    async def before_start(self) -> None:
        """Bound the app's threads and tell it that the server starts."""
        bound_threads(self._threads)
        serving.begin()
        await self._lifespan.start()

    async def after_start(self) -> None:
        """Nothing: ASGI knows no such moment."""

    async def before_stop(self) -> None:
        """Nothing: ASGI knows no such moment."""

    async def after_stop(self) -> None:
        """Tell the app that the server has stopped."""
        await self._lifespan.stop()
        await serving.end()

    def begin(self, exchange: "Exchange", stream: Stream) -> Coroutine[Any, Any, None]:
        """Call the app for an exchange."""
        head = exchange.head
        scope = self._describe(stream, head)
        if head.has_body:
            stream.limit_body(self._max_size, self._request_seconds)
        return self._app(scope, exchange.receive, exchange.send)

    def begin_socket(
        self, exchange: Any, stream: Stream, subprotocols: list[str]
    ) -> Coroutine[Any, Any, None]:
        """Call the app for a WebSocket; `exchange` has the `receive` and `send` of it."""
        scope = self._describe(stream, stream.head)
        del scope["method"]
        scope["type"] = "websocket"
        scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
        scope["subprotocols"] = subprotocols
        extensions: dict[str, Any] = {"websocket.http.response": {}}
        if "tls" in scope["extensions"]:
            extensions["tls"] = scope["extensions"]["tls"]
        scope["extensions"] = extensions
        return self._app(scope, exchange.receive, exchange.send)

    def _describe(self, stream: Stream, head: RequestReceived) -> dict[str, Any]:
        """The scope of a request."""
        path = head.path
        # The parser lets ASCII through only, so a path without escapes is its own text.
        text = unquote_path(path) if b"%" in path else path.decode("ascii")
        if self._prefix:
            text = self._prefix + text
            path = self._raw_prefix + path
        memo = stream.memo
        if memo is None or memo[0] is not self:
            memo = self._remember(stream)
        scope: dict[str, Any] = memo[1].copy()
        extensions = memo[2]
        scope["http_version"] = head.http_version
        scope["method"] = head.method
        scope["path"] = text
        scope["raw_path"] = path
        scope["query_string"] = head.query
        scope["headers"] = head.fields()
        scope["state"] = self._state.copy()
        scope["extensions"] = extensions.copy()
        return scope

    def _remember(self, stream: Stream) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """What is the same for all requests of a connection: the scope, and the extensions."""
        scope = self._scope.copy()
        scope["asgi"] = self._scope["asgi"].copy()
        scope["server"] = stream.server or self._address
        scope["client"] = stream.client
        scope["scheme"] = stream.scheme
        extensions = self._extensions.copy()
        if stream.tls is not None:
            extensions["tls"] = describe_tls(stream.tls)
        stream.memo = memo = self, scope, extensions
        return memo

    def offers(self, extension: str) -> bool:
        """Whether the app may use an extension."""
        return extension in self._extensions


class Exchange:
    """One request and its response: the app's `receive` and `send`.

    Args:
        interface: Whose app answers.
        stream: The request.
        head: Its head.
    """

    __slots__ = (
        "_body",
        "_fields",
        "_interface",
        "_left",
        "_state",
        "_status",
        "_stream",
        "_trailers",
        "_unheard",
        "head",
    )

    def __init__(self, interface: AsgiInterface, stream: Stream, head: RequestReceived) -> None:
        self._interface = interface
        self._stream = stream
        self.head = head
        self._state = AWAITED
        self._body = READING if head.has_body else EMPTY
        self._left = head.content_length
        self._status = 0
        self._unheard = 0
        self._fields: Fields = ()
        self._trailers: list[tuple[bytes, bytes]] | None = None

    async def run(self) -> None:
        """Let the app answer; whatever it does, the exchange comes to an end."""
        try:
            await self._interface.begin(self, self._stream)
        except HTTPException as error:
            if self._state == AWAITED:
                self._refuse(error)
            else:
                self._fail("it raised an exception", error)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # logged and answered; one request ends no server
            self._fail("it raised an exception", error)
        else:
            if self._state < DONE and not (self._stream.complete or self._stream.disconnected):
                self._fail(_UNFINISHED[self._state], None)

    async def receive(self) -> dict[str, Any]:
        """The next message for the app: a piece of the body, then the end of the client."""
        if self._body == READING:
            return await self._receive_piece()
        if self._body == EMPTY:
            self._body = READ
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._stream.wait_disconnected()
        return {"type": _DISCONNECT}

    async def _receive_piece(self) -> dict[str, Any]:
        try:
            data = await self._stream.receive()
        except ClientDisconnected:
            self._body = READ
            return {"type": _DISCONNECT}
        except HTTPException as error:
            self._body = READ
            self._refuse(error)
            return {"type": _DISCONNECT}
        self._left -= len(data)
        if not data or self._left == 0:
            self._body = READ
        return {"type": "http.request", "body": data, "more_body": self._body == READING}

    def send(self, message: dict[str, Any]) -> Coroutine[Any, Any, None]:
        """Take a message of the app; what waits for nothing is done when this returns.

        Raises:
            LocalProtocolError: It is not the time for it, or something in it is not what it must be.
            ClientDisconnected: The app goes on sending though nobody is there; it is an OSError.
        """
        stream = self._stream
        if stream.disconnected or self._state == REFUSED:
            self._drop()
            return COMPLETED
        kind = message["type"]
        if kind == _START:
            self._start(message)
            return COMPLETED
        if (
            kind == _BODY
            and self._state == STARTED
            and self._trailers is None
            and not message.get("more_body", False)
        ):
            body = message.get("body", b"")
            stream.respond(self._status, self._fields, body if isinstance(body, bytes) else _octets(body))
            self._state = DONE
            return COMPLETED
        return self._send_rest(kind, message)

    def _start(self, message: dict[str, Any]) -> None:
        if self._state != AWAITED:
            self._complain(_START)
        status = message["status"]
        if not isinstance(status, int) or not 200 <= status <= 999:
            raise LocalProtocolError(f"the status of a response is an int from 200 to 999, not {status!r}")
        self._status = status
        self._fields = pairs_of(message.get("headers", ()))
        if message.get("trailers", False):
            self._trailers = []
        self._state = STARTED

    async def _send_rest(self, kind: Any, message: dict[str, Any]) -> None:
        """Whatever is not the short way."""
        if self._stream.complete and self._state == SENDING:  # it was a HEAD request
            self._drop()
            return
        try:
            if kind == _BODY:
                await self._send_piece(message)
            else:
                await self._send_other(kind, message)
        except ClientDisconnected:
            self._drop()

    async def _send_piece(self, message: dict[str, Any]) -> None:
        """A piece of a response that is streamed."""
        if self._state == STARTED:
            self._stream.start(self._status, self._fields)
            self._state = SENDING
        elif self._state != SENDING:
            self._complain(_BODY)
        body = message.get("body", b"")
        more = message.get("more_body", False)
        if body or more:
            await self._stream.send(body if isinstance(body, bytes) else _octets(body))
        if not more:
            await self._end()

    def _drop(self) -> None:
        """Take a message that nobody will read; the app learns that by `receive`, or in the end by this.

        It never waits: a cancelled app is to notice that in its own code, where it can clean up.
        """
        self._unheard += 1
        if self._unheard > UNHEARD:
            raise ClientDisconnected("nobody is there: the client is gone or has all it asked for")

    async def _end(self) -> None:
        """The body is complete; trailers may follow."""
        if self._trailers is not None:
            self._state = TRAILERS
        else:
            self._state = DONE
            await self._stream.end()

    async def _send_other(self, kind: Any, message: dict[str, Any]) -> None:
        """A message of an extension."""
        if kind == "http.response.pathsend":
            await self._send_path(message)
        elif kind == "http.response.zerocopysend":
            await self._send_file(message)
        elif kind == "http.response.trailers":
            await self._send_trailers(message)
        elif kind == "http.response.early_hint" and self._interface.offers(kind):
            self._hint(message)
        elif kind == "http.response.debug" and self._interface.offers(kind):
            logger.debug("http.response.debug: %r", message.get("info"))
        else:
            raise LocalProtocolError(f"{kind!r} is no message of an HTTP response that this server offers")

    async def _send_path(self, message: dict[str, Any]) -> None:
        """A whole body that is a file: ``http.response.pathsend``."""
        if self._state != STARTED:
            self._complain("http.response.pathsend")
        path = message["path"]
        if not os.path.isabs(path):
            raise LocalProtocolError(f"http.response.pathsend takes an absolute path, not {path!r}")
        from vivace.framework.files import open_regular  # a hosted app does without the framework until then

        file, found = open_regular(path)
        try:
            self._stream.start(self._status, with_length(self._fields, found.st_size))
            self._state = SENDING
            await self._stream.send_file(file, 0, found.st_size)
        finally:
            os.close(file)
        await self._end()

    async def _send_file(self, message: dict[str, Any]) -> None:
        """A piece of the body that is a part of an open file: ``http.response.zerocopysend``."""
        if self._state == STARTED:
            self._stream.start(self._status, self._fields)
            self._state = SENDING
        elif self._state != SENDING:
            self._complain("http.response.zerocopysend")
        file = message["file"]
        descriptor = file if isinstance(file, int) else file.fileno()
        offset = message.get("offset")
        if offset is None:
            offset = os.lseek(descriptor, 0, os.SEEK_CUR)
        count = message.get("count")
        if count is None:
            count = max(os.fstat(descriptor).st_size - offset, 0)
        await self._stream.send_file(descriptor, offset, count)
        if not message.get("more_body", False):
            await self._end()

    async def _send_trailers(self, message: dict[str, Any]) -> None:
        """Trailers, left out unless the client said that it takes them (RFC 9110 section 6.5.1)."""
        if self._state != TRAILERS or self._trailers is None:
            self._complain("http.response.trailers")
        self._trailers.extend(pairs_of(message.get("headers", ())))
        if not message.get("more_trailers", False):
            self._state = DONE
            wanted = _takes_trailers(self.head.fields())
            await self._stream.end(self._trailers if wanted else ())

    def _hint(self, message: dict[str, Any]) -> None:
        if self._state != AWAITED:
            self._complain("http.response.early_hint")
        self._stream.inform(103, [(b"link", link) for link in message["links"]])

    def _complain(self, kind: str) -> NoReturn:
        """A message came at the wrong time."""
        raise LocalProtocolError(f"{kind} came {_WHEN[self._state]}")

    def _refuse(self, error: HTTPException) -> None:
        """The body of the request breaks a limit: answer in place of the app."""
        stream = self._stream
        if stream.response_started:
            stream.abort()
        elif not stream.disconnected:
            stream.respond(error.status_code, TEXT_FIELDS, f"{error}\n".encode())
        self._state = REFUSED

    def _fail(self, what: str, error: BaseException | None) -> None:
        """The app did not do its part: log what it was, and leave no answer that looks complete."""
        stream = self._stream
        if error is not None and left_by_client(error):
            logger.debug("the client of %s %r left", self.head.method, self.head.path)
        else:
            logger.error("the ASGI app failed on %s: %s", self.head.describe(), what, exc_info=error)
        if stream.disconnected or stream.complete:
            return
        if stream.response_started:
            stream.abort()
        else:
            stream.respond(500, TEXT_FIELDS, b"Internal Server Error\n")


class _Double:
    """An ASGI 2 app, called as one of ASGI 3."""

    __slots__ = ("_app",)

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        await self._app(scope)(receive, send)


_WHEN: Final = (
    "before http.response.start",
    "after http.response.start",
    "in the middle of the body",
    "after the body, whose trailers are awaited",
    "after the end of the response",
)


def pairs_of(headers: Any) -> Fields:
    """The fields as pairs; what is in them is checked where they are written."""
    try:
        pairs = headers if headers.__class__ is list or headers.__class__ is tuple else list(headers)
        for _name, _value in pairs:
            pass
    except (TypeError, ValueError):
        raise LocalProtocolError(f"headers are an iterable of pairs of bytes, not {headers!r}") from None
    return pairs


def _octets(body: Any) -> bytes:
    if isinstance(body, (bytearray, memoryview)):
        return bytes(body)
    raise LocalProtocolError(f"the body of a response is bytes, not {type(body).__name__}")


def _takes_trailers(fields: list[tuple[bytes, bytes]]) -> bool:
    return b"trailers" in _tokens(fields, b"te")


def _tokens(fields: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """The members of a list field, in lower case."""
    values = b",".join(value for found, value in fields if found == name).lower()
    return [token.strip(b" \t") for token in values.split(b",")]


def left_by_client(error: BaseException) -> bool:
    """Whether an exception is what became of a ClientDisconnected within the app."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        one = pending.pop()
        if one is None or id(one) in seen:
            continue
        if isinstance(one, ClientDisconnected):
            return True
        seen.add(id(one))
        pending += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            pending += one.exceptions
    return False
