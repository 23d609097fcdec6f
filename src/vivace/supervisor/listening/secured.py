"""TLS around the connections of a supervisor's clients, which never blocks.

Rules of this file:

- It is imported where a certificate is set, and nowhere else: OpenSSL would double a supervisor's memory.
- A connection behaves as a plain one that is not ready yet: what has to wait raises BlockingIOError.
- Follows RFC 8446; renewed files are taken over for the next connection.
"""

import contextlib
import logging
import socket
import ssl
from typing import Any

from vivace.errors import ConfigError, StartupError
from vivace.server.certificates import TlsFiles
from vivace.server.tls import Tls

__all__ = ["Secured", "Security"]

logger = logging.getLogger("vivace")

_NOT_YET = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Security:
    """Encrypts connections.

    Args:
        cert: Path of the certificate and its chain, PEM.
        key: Path of its private key, PEM; empty: it is in the same file.

    Raises:
        StartupError: They cannot be used; exit code 4.
    """

    def __init__(self, cert: str, key: str) -> None:
        try:
            self._tls = Tls([TlsFiles(cert, key or cert)])
        except ConfigError as error:
            text = f"ADMIN_CERT {cert}: {error}"
            raise StartupError(text, stage="bind", exit_code=4) from error
        for warning in self._tls.warnings:
            logger.warning("ADMIN_CERT: %s", warning)

    def around(self, connection: socket.socket) -> "Secured":
        """The connection, encrypted; its handshake is made as it is read.

        Raises:
            OSError: The client is gone.
        """
        self._tls.refresh()
        context = self._tls.context
        return Secured(context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False))


class Secured:
    """A connection that is encrypted; what it has no words for is the socket's.

    Args:
        sock: Not blocking.
    """

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv(self, size: int) -> bytes:
        """What has come.

        Raises:
            BlockingIOError: Nothing has.
            OSError: The client is gone, or speaks no TLS that fits.
        """
        try:
            return self._sock.recv(size)
        except _NOT_YET:
            raise BlockingIOError from None

    def send(self, data: bytes) -> int:
        """Send a part; how many octets it was.

        Raises:
            BlockingIOError: Nothing goes out now.
            OSError: The client is gone.
        """
        try:
            return self._sock.send(data)
        except _NOT_YET:
            raise BlockingIOError from None

    def shutdown(self, _how: int) -> None:
        """Say that nothing follows."""
        with contextlib.suppress(OSError, ValueError):
            self._sock.unwrap()
