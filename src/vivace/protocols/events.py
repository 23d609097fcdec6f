# cython: language_level=3, annotation_typing=False
"""What a protocol tells the server about its peer: one class an event.

Rules of this file:

- An event is a value: whoever gets it may keep it; nothing in it points into a buffer.
- Header fields stay one raw block until somebody asks; most requests end without that.
- Follows RFC 9110 (semantics); the protocols fill in what their version of HTTP says.
"""

from typing import Final

from vivace.wire.environ import add_fields
from vivace.wire.head import split_fields

__all__ = [
    "CONNECTION_CLOSED",
    "NEED_DATA",
    "PAUSED",
    "DataReceived",
    "EndOfMessage",
    "Event",
    "RequestReceived",
]


class RequestReceived:
    """The head of a request.

    Attributes:
        method: The method, as received; known ones are interned.
        target: The request target as received (RFC 9112 section 3.2).
        path: The path, still percent-encoded; ``b"*"`` for ``OPTIONS *``.
        query: What follows the first ``?``, raw; empty if there is none.
        http_version: ``1.1``, ``1.0``.
        scheme: The scheme of an absolute-form target, else None.
        host: The authority: the Host field, or the one of an absolute-form target, which replaces it.
        content_length: Octets of the body; -1 if not announced.
        has_body: False: the message ends with its head, and no further event comes for it.
        chunked: The body comes in chunks.
        keep_alive: The client is willing to send another request on this connection.
        expect_continue: The client waits for ``100 Continue`` before it sends the body.
        upgrade: The client offers to change the protocol (RFC 9110 section 7.8).
    """

    __slots__ = (
        "_block",
        "_fields",
        "chunked",
        "content_length",
        "expect_continue",
        "has_body",
        "host",
        "http_version",
        "keep_alive",
        "method",
        "path",
        "query",
        "scheme",
        "target",
        "upgrade",
    )

    def __init__(
        self,
        method: str,
        target: bytes,
        path: bytes,
        query: bytes,
        http_version: str,
        scheme: bytes | None,
        host: bytes,
        content_length: int,
        has_body: bool,
        chunked: bool,
        keep_alive: bool,
        expect_continue: bool,
        upgrade: bool,
        block: bytes,
    ) -> None:
        self.method = method
        self.target = target
        self.path = path
        self.query = query
        self.http_version = http_version
        self.scheme = scheme
        self.host = host
        self.content_length = content_length
        self.has_body = has_body
        self.chunked = chunked
        self.keep_alive = keep_alive
        self.expect_continue = expect_continue
        self.upgrade = upgrade
        self._block = block
        self._fields: list[tuple[bytes, bytes]] | None = None

    @classmethod
    def refused(cls) -> "RequestReceived":
        """In the place of a head that was refused: the method NONE, the path ``*``, no fields."""
        return cls("NONE", b"*", b"*", b"", "1.1", None, b"", -1, False, False, False, False, False, b"")

    def describe(self) -> str:
        """The method and the path, for logs; without the query, which may carry secrets."""
        if self.path == b"*" and self.method == "NONE":
            return "a message that is no request"
        return f"{self.method} {self.path.decode('latin-1')}"

    def fields(self) -> list[tuple[bytes, bytes]]:
        """The header fields in order: (lower-case name, value). Parsed once, when first asked for.

        With an absolute-form target the value of Host is its authority (RFC 9112 section 3.2.2).
        """
        found = self._fields
        if found is None:
            found = split_fields(self._block)
            if self.scheme is not None:
                found = [(name, self.host if name == b"host" else value) for name, value in found]
            self._fields = found
        return found

    def raw_fields(self) -> bytes:
        """The field lines as received, each with its CR LF."""
        return self._block

    def fill_environ(self, environ: dict[str, object]) -> None:
        """Put the header fields into a WSGI environ, which holds none yet; see `wire.environ.add_fields`.

        With an absolute-form target HTTP_HOST is its authority, as in `fields`.
        """
        add_fields(environ, self._block)
        if self.scheme is not None:
            environ["HTTP_HOST"] = self.host.decode("latin-1")


class DataReceived:
    """A piece of the body, never empty."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class EndOfMessage:
    """The body is complete; `trailers` are the fields behind it, without those that may not stand there."""

    __slots__ = ("trailers",)

    def __init__(self, trailers: list[tuple[bytes, bytes]]) -> None:
        self.trailers = trailers


class _Signal:
    """A state that is told like an event; compared by identity."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


NEED_DATA: Final = _Signal("NEED_DATA")
"""Nothing to tell before more octets come."""
PAUSED: Final = _Signal("PAUSED")
"""The message is complete; the next one waits for `next_cycle`."""
CONNECTION_CLOSED: Final = _Signal("CONNECTION_CLOSED")
"""The peer has shut down its side between two messages."""

Event = RequestReceived | DataReceived | EndOfMessage | _Signal
