# cython: language_level=3, annotation_typing=False
"""TLS between a connection and its socket: a transport to the one, a protocol to the other.

The event loops' own would do the same; this one costs less per request, knows plain HTTP when it sees it,
lets the connection's deadlines and limits hold from the first octet, and can close one direction only.

Rules of this file:

- One `read` per arrival: OpenSSL is not asked again when nothing is left, for its answer is an exception.
- What a client gets wrong is logged at debug level, in one line.
- Closing says so to the peer (close_notify, RFC 8446 section 6.1) before the socket is shut down.
- Follows the `ssl` module's memory BIOs; keys and names are the matter of `vivace.server.tls`.
"""

import logging
import re
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vivace.server.connection import Connection

__all__ = ["TlsTransport"]

logger = logging.getLogger("vivace.server")

HANDSHAKE: Final = 0
OPEN: Final = 1
SHUT: Final = 2
"""Our side is closed: what still comes is not decrypted, only counted."""

RECORD_SIZE: Final = 16_384
"""The most that one record holds (RFC 8446 section 5.1)."""
CLIENT_HELLO: Final = 0x16
_REQUEST: Final = re.compile(rb"[A-Z]+ ")
PLAIN: Final = "this port speaks HTTPS: the request came in plain HTTP"


class TlsTransport:
    """Encrypts what a connection writes and decrypts what its socket receives.

    Args:
        connection: What is served; it sees a transport.
        context: The certificates and rules.
    """

    __slots__ = (
        "__weakref__",
        "_connection",
        "_ended",
        "_incoming",
        "_object",
        "_outgoing",
        "_paused",
        "_raw",
        "_seen",
        "_state",
    )

    def __init__(self, connection: "Connection", context: ssl.SSLContext) -> None:
        self._connection = connection
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._raw: Any = None
        self._state = HANDSHAKE
        self._seen = False
        self._ended = False
        self._paused = False

    # -- what the loop calls --------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """The socket is ready; the connection's deadlines count from here."""
        self._raw = transport
        self._connection.connection_made(self)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """Octets came."""
        if self._state == OPEN:
            self._incoming.write(data)
            self._read()
        elif self._state == SHUT:
            self._connection.data_received(data)
        elif self._seen or data[0] == CLIENT_HELLO:
            self._seen = True
            self._incoming.write(data)
            self._shake_hands()
        else:
            self._turn_away(data)

    def eof_received(self) -> bool:
        """The peer shut its side of the socket down, perhaps without having said so."""
        if self._state == HANDSHAKE:
            return False
        if self._ended:
            return True
        return self._end()

    def _end(self) -> bool:
        """No more will come; whether our side stays open."""
        self._ended = True
        return self._connection.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is gone."""
        self._state = SHUT
        self._connection.connection_lost(error)

    def pause_writing(self) -> None:
        """The socket takes no more."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """The socket has room again."""
        self._connection.resume_writing()

    # -- the handshake and what comes after -------------------------------------------------------------

    def _shake_hands(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._fail("no TLS connection", error)
            return
        self._state = OPEN
        self._flush()
        if self._incoming.pending:
            self._read()

    def _read(self) -> None:
        """Hand on what can be decrypted, unless the connection wants no more."""
        incoming = self._incoming
        while self._state == OPEN and not self._paused:
            try:
                data = self._object.read(RECORD_SIZE)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                self._fail("a TLS connection broke", error)
                return
            if not data:
                if not self._ended and not self._end():
                    self.close()
                break
            self._connection.data_received(data)
            if not (incoming.pending or self._object.pending()):
                break
        if self._outgoing.pending:
            self._flush()

    def _read_on(self) -> None:
        if self._incoming.pending or self._object.pending():
            self._read()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._raw.write(self._outgoing.read())

    def _fail(self, what: str, error: ssl.SSLError) -> None:
        """End it; OpenSSL has put the alert for the peer into what is flushed here."""
        logger.debug("%s with %s: %s", what, self._connection.client, error.reason or error)
        self._state = SHUT
        self._flush()
        self._raw.close()

    def _turn_away(self, data: bytes) -> None:
        """This is no TLS: tell a client that speaks HTTP, and close."""
        self._state = SHUT
        connection = self._connection
        logger.debug("no TLS connection with %s: it begins with %r", connection.client, data[:16])
        if _REQUEST.match(data):
            connection.refuse(400, PLAIN)
        else:
            self._raw.close()

    # -- what the connection calls ----------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        if self._state != OPEN:
            if not self._seen:  # the answer to plain HTTP
                self._raw.write(data)
            return
        try:
            done = self._object.write(data)
            if done < len(data):
                self._write_rest(data, done)
        except ssl.SSLError as error:
            self._fail("a TLS connection broke", error)
            return
        self._raw.write(self._outgoing.read())

    def _write_rest(self, data: bytes, done: int) -> None:
        """OpenSSL takes a record at a time."""
        left = memoryview(data)[done:]
        while left:
            left = left[self._object.write(left) :]

    def writelines(self, parts: Sequence[bytes]) -> None:
        """Encrypt and send several pieces."""
        for part in parts:
            self.write(part)

    def can_write_eof(self) -> bool:
        """Whether our side can be closed alone."""
        return self._state == OPEN or not self._seen

    def write_eof(self) -> None:
        """Say that no more follows, and shut our side of the socket down."""
        self._say_goodbye()
        self._raw.write_eof()

    def close(self) -> None:
        """Close once everything is sent."""
        self._say_goodbye()
        self._raw.close()

    def abort(self) -> None:
        """Close at once."""
        self._state = SHUT
        self._raw.abort()

    def _say_goodbye(self) -> None:
        if self._state == OPEN:
            try:
                self._object.unwrap()
            except ssl.SSLError:
                # It wants the same of the peer, which nobody awaits; or it is broken, which is the end too.
                pass
            self._flush()
        self._state = SHUT

    def set_protocol(self, protocol: Any) -> None:
        """Hand what is received to another one from now on: the connection changes its protocol."""
        self._connection = protocol

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return bool(self._raw.is_closing())

    def pause_reading(self) -> None:
        """Hand on nothing more."""
        self._paused = True
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Go on, with what was received before."""
        self._paused = False
        self._raw.resume_reading()
        if self._state == OPEN:
            self._connection.state.loop.call_soon(self._read_on)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Of the socket's transport."""
        self._raw.set_write_buffer_limits(high=high, low=low)

    def get_write_buffer_size(self) -> int:
        """Octets, encrypted, that wait for the socket."""
        size: int = self._raw.get_write_buffer_size()
        return size

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """``ssl_object``, and what the socket's transport knows."""
        return self._object if name == "ssl_object" else self._raw.get_extra_info(name, default)
