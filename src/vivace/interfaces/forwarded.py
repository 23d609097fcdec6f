"""What trusted proxies tell, given to ASGI and WSGI apps as if their client had come without a proxy.

Rules of this file:

- Only where a setting names a proxy to be believed; without one this stands in nobody's way.
- The client's address and the scheme. The host only as Forwarded tells it (RFC 7239), where one element has
  one author: X-Forwarded-Host is passed through by most proxies as the client wrote it, and frameworks have
  their own settings for it.
- An address that is none (``unknown``, ``_hidden``) leaves the peer's in place.
- The fields stay as they came: an app that reads them itself goes on to do so.
"""

from collections.abc import Coroutine
from ipaddress import ip_address
from typing import Any, Final, cast

from vivace.config import Config
from vivace.framework.proxies import find_trusted, reads_elements
from vivace.http.headers import Headers
from vivace.http.networks import address_of
from vivace.protocols.events import RequestReceived
from vivace.protocols.stream import Stream
from vivace.server import Interface

__all__ = ["ForwardedInterface"]

_PLAIN: Final = {"ws": "http", "wss": "https"}


class ForwardedInterface:
    """An interface whose requests come from where a proxy says.

    Args:
        inner: Of an ASGI or WSGI app.
        config: Whom to believe, and how.
    """

    __slots__ = ("_config", "_inner", "cancels")

    def __init__(self, inner: Interface, config: Config) -> None:
        self._inner = inner
        self._config = config
        self.cancels = inner.cancels

    def __call__(self, stream: Stream) -> Coroutine[Any, Any, None] | None:
        """Answer one request."""
        headers = Headers.from_raw(stream.head.fields())
        told = find_trusted(stream.client, headers, self._config)
        return self._inner(self._adapt(stream, told) if told else stream)

    def _adapt(self, stream: Stream, told: dict[str, Any]) -> Stream:
        own = "secret" in told or "by" in told or reads_elements(self._config)
        return cast("Stream", ForwardedStream(stream, told, host=told.get("host", "") if own else ""))

    async def before_start(self) -> None:
        """As the inner one."""
        await self._inner.before_start()

    async def after_start(self) -> None:
        """As the inner one."""
        await self._inner.after_start()

    async def before_stop(self) -> None:
        """As the inner one."""
        await self._inner.before_stop()

    async def after_stop(self) -> None:
        """As the inner one."""
        await self._inner.after_stop()


class ForwardedStream:
    """A stream of which proxies told something; everything else is that of the stream itself.

    Args:
        stream: As it came.
        told: What is believed, see `find_trusted`.
        host: The authority that the client asked for; empty: the Host field says.

    Attributes:
        memo: Of this request alone: the next one on the connection may be another client's.
    """

    __slots__ = ("_stream", "client", "head", "memo", "scheme")

    def __init__(self, stream: Stream, told: dict[str, Any], host: str = "") -> None:
        self._stream = stream
        self.memo: Any = None
        self.client = _client(told.get("for", "")) or stream.client
        proto: str = told.get("proto") or stream.scheme
        self.scheme: str = _PLAIN.get(proto, proto)
        self.head = ForwardedHead(stream.head, host.encode("ascii")) if host else stream.head

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class ForwardedHead(RequestReceived):
    """A head whose host is what a proxy says."""

    __slots__ = ("_head",)

    def __init__(self, head: RequestReceived, host: bytes) -> None:
        super().__init__(
            head.method,
            head.target,
            head.path,
            head.query,
            head.http_version,
            head.scheme,
            host,
            head.content_length,
            head.has_body,
            head.chunked,
            head.keep_alive,
            head.expect_continue,
            head.upgrade,
            b"",
        )
        self._head = head

    def fields(self) -> list[tuple[bytes, bytes]]:
        """The header fields in order, with that host."""
        others = [pair for pair in self._head.fields() if pair[0] != b"host"]
        return [(b"host", self.host), *others]

    def fill_environ(self, environ: dict[str, object]) -> None:
        """Put the header fields into a WSGI environ, with that host."""
        self._head.fill_environ(environ)
        environ["HTTP_HOST"] = self.host.decode("ascii")


def _client(text: str) -> tuple[str, int] | None:
    """Address and port, 0 if it is not told; None if it is no address."""
    address = address_of(text)
    try:
        found = str(ip_address(address))
    except ValueError:
        return None
    port = text.rpartition(":")[2] if text.endswith(tuple("0123456789")) and address != text else ""
    return found, int(port) if port.isdecimal() and int(port) < 65536 else 0
