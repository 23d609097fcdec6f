"""Uploaded files: in memory if small, else a stretch of the spool that all files of a form share.

Rules: nothing here is opened before it is written to; what blocks says so; a file never knows a path.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, Protocol, Self

from vivace.errors import HTTPException

__all__ = ["File", "LazySpool", "Spool", "no_room"]

logger = logging.getLogger("vivace")


def no_room(error: OSError) -> HTTPException:
    """What to answer where an upload cannot be kept on disk; the log says why."""
    logger.error("an upload could not be kept: %s; TMPDIR names the folder for it", error)
    return HTTPException(None, 507, quiet=True)


class Spool(Protocol):
    """What the collector needs of a temporary file, such as ``tempfile.TemporaryFile()``."""

    def write(self, data: bytes, /) -> object:
        """Append octets."""

    def seek(self, offset: int, /) -> object:
        """Go to an offset from the start."""

    def read(self, size: int, /) -> bytes:
        """Read up to `size` octets."""
        ...

    def close(self) -> None:
        """Close and forget the file."""


class File:
    """An uploaded file; unpacks like Sanic's tuple: ``type, body, name = file``.

    A big file lies in a spool on disk. `body` reads all of it into memory; `chunks` does not. Both block
    while the disk does. The spool lives as long as its request.

    Attributes:
        type: The content type that the client gave; empty if none.
        name: The file name that the client gave, without any path; may be empty.
        size: In octets.
    """

    __slots__ = ("_body", "_offset", "_spool", "name", "size", "type")

    def __init__(self, type: str, body: bytes, name: str) -> None:  # noqa: A002  # Sanic's word
        self.type = type
        self.name = name
        self.size = len(body)
        self._body: bytes | None = body
        self._spool: Spool | None = None
        self._offset = 0

    @classmethod
    def spooled(cls, kind: str, name: str, spool: Spool, offset: int, size: int) -> Self:
        """Describe a file that lies in `spool`, from `offset` on."""
        made = cls(kind, b"", name)
        made.size = size
        made._body = None
        made._spool = spool
        made._offset = offset
        return made

    @property
    def in_memory(self) -> bool:
        """Whether `body` costs no disk access."""
        return self._spool is None

    @property
    def body(self) -> bytes:
        """The whole content."""
        return b"".join(self.chunks()) if self._body is None else self._body

    def chunks(self, size: int = 65536) -> Iterator[bytes]:
        """Read the content in pieces of up to `size` octets."""
        if self._spool is None:
            body = self._body or b""
            for at in range(0, len(body), size):
                yield body[at : at + size]
            return
        done = 0
        while done < self.size:
            # Sought each time: other files of the form may be read in between.
            self._spool.seek(self._offset + done)
            data = self._spool.read(min(size, self.size - done))
            if not data:
                raise EOFError(f"the spool of the uploaded file {self.name!r} is truncated")
            done += len(data)
            yield data

    def __iter__(self) -> Iterator[Any]:
        return iter((self.type, self.body, self.name))

    def __getitem__(self, index: int) -> Any:
        return (self.type, self.body, self.name)[index]

    def __len__(self) -> int:
        return 3

    def __eq__(self, other: object) -> bool:
        if isinstance(other, File):
            mine, its = (self.type, self.name, self.size), (other.type, other.name, other.size)
            return mine == its and self.body == other.body
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<File {self.name!r} {self.type} {self.size} octets>"


class LazySpool:
    """A spool that is opened when it is first written to."""

    __slots__ = ("_end", "_file", "_open")

    def __init__(self, open_spool: Callable[[], Spool]) -> None:
        self._open = open_spool
        self._file: Spool | None = None
        self._end = 0

    def append(self, data: bytes) -> None:
        self.seek(self._end)
        self.write(data)
        self._end += len(data)

    def write(self, data: bytes, /) -> object:
        return self._opened().write(data)

    def seek(self, offset: int, /) -> object:
        return self._opened().seek(offset)

    def read(self, size: int, /) -> bytes:
        return self._opened().read(size)

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # what could not be written before cannot be written now
                self._file.close()

    def _opened(self) -> Spool:
        if self._file is None:
            self._file = self._open()
        return self._file
