"""``wsgi.file_wrapper``: what lets a WSGI app hand over an open file (PEP 3333).

Rules of this file:

- The kernel sends a file only if its octets are what reading it would give: regular files opened in binary
  mode, and nothing that merely has a descriptor, such as a decompressor.
- Everything else is read in pieces, like any iterable.
"""

import io
import os
import stat
import tempfile
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["FileWrapper", "find_stretch"]

DEFAULT_BLOCK: Final = 65_536


class FileWrapper:
    """An iterable over an open file.

    Args:
        filelike: Has ``read(size)``; its ``close()``, if any, is called at the end of the request.
        block_size: Octets per piece where it has to be read.
    """

    __slots__ = ("block_size", "filelike")

    def __init__(self, filelike: Any, block_size: int = DEFAULT_BLOCK) -> None:
        self.filelike = filelike
        self.block_size = block_size

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.filelike.read(self.block_size):
            yield piece

    def close(self) -> None:
        """Close the file, if it can be closed."""
        close = getattr(self.filelike, "close", None)
        if close is not None:
            close()


def find_stretch(wrapper: FileWrapper) -> tuple[int, int, int] | None:
    """What of a file the kernel can send: descriptor, offset, octets; None: it has to be read."""
    filelike: Any = wrapper.filelike
    if isinstance(filelike, tempfile._TemporaryFileWrapper):  # NamedTemporaryFile() has no other
        filelike = filelike.file
    raw = filelike.raw if type(filelike) in (io.BufferedReader, io.BufferedRandom) else filelike
    if type(raw) is not io.FileIO or filelike.closed or not raw.readable():
        return None
    found = os.fstat(raw.fileno())
    # Files of /proc have content and no size.
    if not stat.S_ISREG(found.st_mode) or not found.st_size:
        return None
    if type(filelike) is io.BufferedRandom:
        filelike.flush()
        found = os.fstat(raw.fileno())
    offset = filelike.tell()
    return raw.fileno(), offset, max(found.st_size - offset, 0)
