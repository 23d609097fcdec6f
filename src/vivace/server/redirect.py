"""Sending clients that come by plain HTTP to where HTTPS is served.

Rules of this file:

- 308 keeps the method and the body (RFC 9110 section 15.4.9); nothing of the request is read but its head.
- The host that a client names goes into the answer only if a certificate is for it; the parser has made sure
  that it is a host at all.
- Follows `vivace.server.interface`: limits, time-outs and the access log are those of the server.
"""

from collections.abc import Coroutine
from typing import Any, Final

from vivace.protocols.stream import Stream
from vivace.server.tls import Tls

__all__ = ["Redirect"]

_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
_UNKNOWN: Final = b"400: nothing is served here under that name"


class Redirect:
    """An interface that answers every request with the way to HTTPS.

    Args:
        tls: Knows the hosts that the certificates are for; if it knows none, every host will do.
        authority: Host, and port if it is not 443, to send everybody to; empty: the host that was asked for.
        port: Where HTTPS is served.
    """

    cancels = False

    def __init__(self, tls: Tls, authority: str, port: int) -> None:
        self._tls = tls
        self._authority = authority.removeprefix("https://").rstrip("/").encode("idna")
        self._port = b"" if port == 443 else b":%d" % port

    def __call__(self, stream: Stream, /) -> Coroutine[Any, Any, None] | None:
        """Answer at once."""
        head = stream.head
        host = self._authority or self._ask_for(head.host)
        if not host:
            stream.respond(400, (_TEXT,), _UNKNOWN)
            return None
        target = head.path if head.path.startswith(b"/") else b"/"
        if head.query:
            target += b"?" + head.query
        stream.respond(308, ((b"location", b"https://" + host + target), _TEXT), b"")
        return None

    def _ask_for(self, host: bytes) -> bytes:
        """The authority under which HTTPS serves `host`; empty if it does not."""
        bare = host.rpartition(b":")[0] if host.rpartition(b":")[2].isdigit() else host
        name = bare.strip(b"[]").decode("latin-1").lower()
        return bare + self._port if bare and self._tls.serves(name) else b""

    async def before_start(self) -> None:
        """Nothing to make ready."""

    async def after_start(self) -> None:
        """Nothing to tell."""

    async def before_stop(self) -> None:
        """Nothing to tell."""

    async def after_stop(self) -> None:
        """Nothing to release."""
