"""Content types by file name: the same on every machine, with a charset for text.

Rules of this file:

- The tables of the operating system are not read; what they lack is listed here.
- A compressed file is what the client gets: its type is that of the compression, not of what is inside.
"""

import functools
import mimetypes
import os

__all__ = ["guess_content_type"]

_MORE = {
    ".avif": "image/avif",
    ".js": "text/javascript",
    ".jsonld": "application/ld+json",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".otf": "font/otf",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}


@functools.cache
def _table() -> mimetypes.MimeTypes:
    table = mimetypes.MimeTypes()
    for ending, kind in _MORE.items():
        table.add_type(kind, ending)
    return table


def guess_content_type(name: "str | os.PathLike[str]", fallback: str = "application/octet-stream") -> str:
    """The value of ``Content-Type`` for a file of this name.

    Args:
        name: The name, with or without a path.
        fallback: For endings that are not known.
    """
    kind, encoding = _table().guess_type("/" + os.fspath(name).replace("\\", "/").rpartition("/")[2])
    if encoding is not None:
        return _COMPRESSED.get(encoding, "application/octet-stream")
    if kind is None:
        return fallback
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
