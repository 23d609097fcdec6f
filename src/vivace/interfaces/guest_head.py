"""The head of a request as another server's ASGI scope tells it.

Rules of this file:

- The framework routes on the path as the client encoded it, so ``raw_path`` counts where there is one.
- ASGI says that ``path`` begins with ``root_path``; the app is routed on what follows. Servers that leave
  the prefix away are understood too.
- Follows the ASGI specification, HTTP connection scope.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from vivace.protocols.events import RequestReceived

__all__ = ["GuestHead"]

_UNESCAPED: Final = "/:@!$&'()*+,;=~"
"""What may stand in a path beside letters, digits and ``-._`` (RFC 3986 section 3.3)."""
_VISIBLE: Final = bytes(range(0x21, 0x7F))
"""What our own parser lets through in a target."""


class GuestHead(RequestReceived):
    """A head whose fields were taken apart by somebody else."""

    __slots__ = ("_pairs",)

    def __init__(self, scope: Mapping[str, Any]) -> None:
        pairs = [(bytes(name).lower(), bytes(value)) for name, value in scope["headers"]]
        found = dict(pairs)
        length = _length_of(found.get(b"content-length", b""))
        version = scope.get("http_version", "1.1")
        # Only HTTP/1 announces every body in its head; without a length, later versions have to be asked.
        chunked = b"transfer-encoding" in found or (length < 0 and version[:1] not in ("0", "1"))
        path, query = _path_of(scope), bytes(scope.get("query_string", b""))
        super().__init__(
            scope["method"],
            b"%b?%b" % (path, query) if query else path,
            path,
            query,
            version,
            None,
            found.get(b"host", b""),
            length,
            length > 0 or chunked,
            chunked,
            True,
            found.get(b"expect", b"").lower() == b"100-continue",
            False,
            b"",
        )
        self._pairs = pairs

    def fields(self) -> list[tuple[bytes, bytes]]:
        """The header fields in order: (lower-case name, value)."""
        return self._pairs

    def raw_fields(self) -> bytes:
        """The header fields as HTTP/1 has them."""
        return b"".join(b"%b: %b\r\n" % pair for pair in self._pairs)


def _length_of(value: bytes) -> int:
    return int(value) if value.isdigit() and len(value) <= 18 else -1


def _path_of(scope: Mapping[str, Any]) -> bytes:
    """The path below the root path, percent-encoded."""
    path: str = scope["path"]
    raw = bytes(scope.get("raw_path") or b"").partition(b"?")[0] or _encode(path)
    if raw.translate(None, _VISIBLE):
        raw = quote(raw, _UNESCAPED + "%").encode("ascii")
    root = scope.get("root_path", "").rstrip("/")
    if root and (path == root or path.startswith(root + "/")):
        prefix = _encode(root)
        if raw == prefix or raw.startswith(prefix + b"/"):
            raw = raw[len(prefix) :]
        else:  # somebody escaped more of it than has to be
            raw = _encode(path[len(root) :])
    return raw or b"/"


def _encode(path: str) -> bytes:
    return quote(path, _UNESCAPED, errors="surrogateescape").encode("ascii")
