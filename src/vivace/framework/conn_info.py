"""What is known of the connection that carries a request.

Rules of this file:

- Made when it is asked for: a request that does not ask pays nothing.
- `ctx` lives as long as the connection; everything else is read from its two ends.
"""

from types import SimpleNamespace
from typing import Any

from vivace.protocols.stream import Stream

__all__ = ["ConnectionInfo"]


class ConnectionInfo:
    """Both ends of a connection.

    Attributes:
        client: The peer's address as text; empty on a Unix socket.
        client_ip: Its host.
        client_port: Its port; 0 on a Unix socket.
        server: Our own host, with the port unless the scheme implies it; empty on a Unix socket.
        server_port: Our own port; 0 on a Unix socket.
        ssl: Whether the connection is encrypted.
        peername: The peer as a pair (host, port); None on a Unix socket.
        sockname: Our own end, the same way.
        server_name: The name that the client asked for when the encryption began; empty if it named none.
        cert: Of our certificate: its subject, ``names``, the paths ``cert`` and ``key``; empty without TLS,
            and with an `ssl.SSLContext` of the program's own.
    """

    __slots__ = (
        "_stream",
        "cert",
        "client",
        "client_ip",
        "client_port",
        "peername",
        "server",
        "server_name",
        "server_port",
        "sockname",
        "ssl",
    )

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.peername: tuple[str, int] | None = stream.client
        self.sockname: tuple[str, int] | None = stream.server
        self.client_ip: str
        self.client_port: int
        self.server_port: int
        self.client_ip, self.client_port = self.peername or ("", 0)
        host, self.server_port = self.sockname or ("", 0)
        self.client: str = _bracket(self.client_ip)
        self.ssl: bool = stream.scheme == "https"
        implied = self.server_port == (443 if self.ssl else 80) or not host
        self.server: str = _bracket(host) + ("" if implied else f":{self.server_port}")
        tls = stream.tls
        self.server_name: str = getattr(tls, "server_name", "")
        self.cert: dict[str, Any] = dict(getattr(tls.context, "cert", ())) if tls is not None else {}

    @property
    def client_cert(self) -> dict[str, Any]:
        """The client's certificate as `ssl.SSLObject.getpeercert` gives it; empty if it was not asked for."""
        tls = self._stream.tls
        return (tls.getpeercert() or {}) if tls is not None else {}

    @property
    def network_paths(self) -> None:
        """Nothing so far: the paths of a QUIC connection."""
        return

    @property
    def lost(self) -> bool:
        """Whether the client is gone."""
        return self._stream.disconnected

    @property
    def ctx(self) -> Any:
        """Anything that belongs to the connection: the next request on it finds it again."""
        if self._stream.memo is None:
            self._stream.memo = SimpleNamespace()
        return self._stream.memo


def _bracket(host: str) -> str:
    return f"[{host}]" if ":" in host else host
