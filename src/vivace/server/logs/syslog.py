"""Syslog over UDP, TCP and TLS.

Rules of this file:

- Follows RFC 5424 (the message), RFC 5426 (UDP: one message a datagram), RFC 6587 section 3.4 (TCP: octet
  counting, or a line feed if the receiver wants it) and RFC 5425 (TLS, whose certificate is verified).
- `logging.handlers.SysLogHandler` knows neither that message nor TLS; its numbers are used.
- Whether a receiver got what TCP took nobody tells: if it ends, what was just under way may be lost. Before
  each batch it is looked whether it has closed.
"""

import logging
import os
import socket
import ssl
from logging.handlers import SysLogHandler
from typing import Final

from vivace.config.places import FACILITIES, LogPlace
from vivace.errors import ConfigError
from vivace.server.logs.schema import stamp
from vivace.server.logs.shipper import Entry
from vivace.server.logs.udp import Datagrams, cut, each

__all__ = ["SyslogStream", "SyslogUdp", "severity_of"]

CONNECT: Final = 5.0
"""Seconds that a connection may take."""
SEND: Final = 10.0
"""Seconds that a receiver may take nothing."""
DATAGRAM: Final = 2048
"""Octets of a datagram if the place does not say; receivers should take so much (RFC 5426 section 3.2)."""
LONGEST: Final = 65_536
"""Octets of a message over TCP; a longer one is cut."""
_LEVELS: Final = (
    (logging.CRITICAL, SysLogHandler.LOG_CRIT),
    (logging.ERROR, SysLogHandler.LOG_ERR),
    (logging.WARNING, SysLogHandler.LOG_WARNING),
    (logging.INFO, SysLogHandler.LOG_INFO),
)


def severity_of(level: int) -> int:
    """The severity (RFC 5424 section 6.2.1) of a level of `logging`."""
    return next((number for least, number in _LEVELS if level >= least), SysLogHandler.LOG_DEBUG)


class _Header:
    """The head of messages (RFC 5424 section 6.2)."""

    def __init__(self, place: LogPlace, app: str) -> None:
        self._facility = FACILITIES.index(place.options.get("facility", "user"))
        self._host = _word(place.options.get("host") or socket.gethostname(), 255)
        self._app = _word(place.options.get("app") or app, 48)

    def message(self, entry: Entry, line: str, most: int) -> bytes:
        severity = severity_of(entry.level)
        priority = self._facility * 8 + severity
        head = f"<{priority}>1 {stamp(entry.created)} {self._host} {self._app} {os.getpid()} - - "
        data = (head + line).encode("utf-8", "backslashreplace")
        return cut(data, most)


def _word(text: str, most: int) -> str:
    """A field of the head: printable ASCII without spaces."""
    return "".join(c for c in text if "!" <= c <= "~")[:most] or "-"


class SyslogUdp:
    """A receiver of datagrams.

    Args:
        place: Where it is.
        app: What the server is called there.

    Attributes:
        name: For messages.
    """

    def __init__(self, place: LogPlace, app: str) -> None:
        self.name = place.text
        self._datagrams = Datagrams(place.host, place.port)
        self._size = int(place.options.get("size", DATAGRAM))
        self._header = _Header(place, app)

    def send(self, entries: list[Entry]) -> None:
        """One datagram a line; one that nobody listens for is lost, as UDP has it."""
        each(entries, self._send)

    def _send(self, entry: Entry) -> None:
        for line in entry.lines():
            self._datagrams.send(self._header.message(entry, line, self._size))

    def reopen(self) -> None:
        """The name may stand for another address now."""
        self._datagrams.close()

    def close(self, *, forked: bool = False) -> None:
        """Let go of the socket."""
        self._datagrams.close()


class SyslogStream:
    """A receiver behind a connection, with TLS or without.

    Args:
        place: Where it is.
        app: What the server is called there.

    Attributes:
        name: For messages.

    Raises:
        ConfigError: A certificate cannot be read.
    """

    def __init__(self, place: LogPlace, app: str) -> None:
        self.name = place.text
        self._place = place
        self._header = _Header(place, app)
        self._feed = place.options.get("framing") == "lf"
        self._context = _tls_context(place) if place.scheme == "syslog+tls" else None
        self._socket: socket.socket | None = None

    def send(self, entries: list[Entry]) -> None:
        """As one piece."""
        made = self._connected()
        frames = [
            self._frame(self._header.message(entry, line, LONGEST))
            for entry in entries
            for line in entry.lines()
        ]
        try:
            view = memoryview(b"".join(frames))
            while view:  # `sendall` has one end for all of it: a slow receiver would get it again and again
                view = view[made.send(view) :]
        except OSError:
            self.close()
            raise

    def _frame(self, message: bytes) -> bytes:
        if self._feed:
            return message.replace(b"\n", b"#012") + b"\n"
        return b"%d %s" % (len(message), message)

    def _connected(self) -> socket.socket:
        if self._socket is not None and not _is_closed(self._socket):
            return self._socket
        self.close()
        raw = socket.create_connection((self._place.host, self._place.port), CONNECT)
        try:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            made = raw
            if self._context is not None:
                made = self._context.wrap_socket(raw, server_hostname=self._place.host)
            made.settimeout(SEND)
        except (OSError, ValueError):
            raw.close()
            raise
        self._socket = made
        return made

    def reopen(self) -> None:
        """The name may stand for another address now."""
        self.close()

    def close(self, *, forked: bool = False) -> None:
        """Let go of the connection."""
        made, self._socket = self._socket, None
        if made is None:
            return
        if isinstance(made, ssl.SSLSocket) and not forked:
            try:
                made.settimeout(0.5)
                made = made.unwrap()  # says goodbye, so that the receiver knows of no truncation
            except (OSError, ValueError):
                pass
        made.close()


def _is_closed(made: socket.socket) -> bool:
    """Whether the receiver has closed; it has nothing else to say."""
    made.settimeout(0.0)
    try:
        return not made.recv(1024)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    finally:
        made.settimeout(SEND)


def _tls_context(place: LogPlace) -> ssl.SSLContext:
    try:
        made = ssl.create_default_context(cafile=place.options.get("ca") or None)
        if place.options.get("cert"):
            made.load_cert_chain(place.options["cert"], place.options.get("key") or None)
    except OSError as error:
        raise ConfigError(f"LOG_TO {place.text}: {error.strerror or error}", key="LOG_TO") from error
    if place.options.get("verify") == "none":
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made
