"""The seam between a connection and an app: one request/response exchange.

`server.stream.Stream` implements it. Versions of HTTP lie below it, today HTTP/1.1; kinds of apps above,
today native ones; neither side knows the other.

Rules of this file:

- Types only: nothing is executed per request.
- Whatever an interface needs of a connection is here; nothing else of it may be touched.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from vivace.protocols.events import RequestReceived
from vivace.protocols.socket import USUAL, Socket, SocketOptions
from vivace.protocols.ws_handshake import Handshake

__all__ = ["Fields", "Stream"]

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields in the order of the wire: lower-case name, value."""


class Stream(Protocol):
    """One request and its response, whatever carried them.

    Attributes:
        complete: The response was handed over whole.
        head: The request's head.
        memo: What an interface wants to find again with the next request of the connection; None at first.
        disconnected: The client is gone.
        timed_out: The task was cancelled because its time ran out: answer 503.
        response_started: A status was chosen and can no longer be changed.
    """

    complete: bool
    head: RequestReceived
    memo: Any
    disconnected: bool
    timed_out: bool
    response_started: bool

    @property
    def scheme(self) -> str:
        """``http`` or ``https``, as the connection is, not as a proxy says."""
        ...

    @property
    def tls(self) -> Any:
        """The `ssl.SSLObject` of the connection; None if it is not encrypted, or another server's."""
        ...

    @property
    def client(self) -> tuple[str, int] | None:
        """The peer's address; None on a Unix socket."""
        ...

    @property
    def server(self) -> tuple[str, int] | None:
        """Our own address; None on a Unix socket."""
        ...

    async def receive(self) -> bytes:
        """The next piece of the body; ``b""`` at its end. The first call sends ``100 Continue`` if asked for.

        Raises:
            ClientDisconnected: The client left before its body was complete.
            RequestTimeout: The body stalled or was too slow.
            PayloadTooLarge: The body is over the limit.
            RemoteProtocolError: The framing of the body is broken.
        """
        ...

    def limit_body(self, size: int, seconds: float) -> None:
        """Bound the rest of the body: `size` octets (-1: no bound), complete within `seconds` (0: no bound).

        Raises:
            PayloadTooLarge: The announced length is already over `size`.
        """
        ...

    def limit_time(self, seconds: float) -> None:
        """Let the response begin within `seconds` from now (0: no bound) instead of RESPONSE_TIMEOUT.

        While the client is waited for, the time stands. Nothing happens when the response has begun.
        """
        ...

    def respond(self, status: int, fields: Fields, body: bytes) -> None:
        """Send a whole response in one write.

        Raises:
            LocalProtocolError: A field is illegal or the response was started before; nothing was sent.
        """
        ...

    def inform(self, status: int, fields: Fields) -> None:
        """Send an informational response (RFC 9110 section 15.2); nothing to an HTTP/1.0 client."""
        ...

    def start(self, status: int, fields: Fields) -> None:
        """Begin a response whose body follows by `send` and `end`; its head leaves with the first data.

        Raises:
            LocalProtocolError: A field is illegal or the response was started before; nothing was sent.
        """
        ...

    async def send(self, data: bytes) -> None:
        """Send a piece of the body; waits while the client reads slowly.

        The first piece of an answer to HEAD completes it; none is sent.

        Raises:
            ClientDisconnected: The client is gone, or wants no more (HEAD).
            LocalProtocolError: More than the announced content length.
        """
        ...

    async def send_file(self, file: int, offset: int, count: int) -> None:
        """Send `count` octets of the open descriptor `file` from `offset`, without copying where possible."""
        ...

    async def end(self, trailers: Fields = ()) -> None:
        """Complete the response; waits until the client has taken what is over the high-water mark."""
        ...

    async def wait_disconnected(self) -> None:
        """Return when the client is gone or the response is complete."""
        ...

    async def wait_draining(self) -> None:
        """Return when the server stops, or another worker has taken the place of this one; else never."""

    def open_websocket(
        self,
        handshake: Handshake,
        subprotocol: str | None = None,
        fields: Fields = (),
        *,
        options: SocketOptions = USUAL,
    ) -> Socket:
        """Accept a WebSocket: the response is the 101, and the exchange is complete.

        Args:
            handshake: What the client asked for.
            subprotocol: One of those that it speaks.
            fields: More fields of the 101.
            options: What is special about it.

        Raises:
            LocalProtocolError: A field is illegal or the response was started before; nothing was sent.
            ClientDisconnected: The client is gone.
        """
        ...

    def abort(self) -> None:
        """Drop the connection at once, unless the response is complete; what was not sent is lost."""
        ...
