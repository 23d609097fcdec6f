"""Files as responses: validators, conditions, ranges, and octets that never pass through Python.

Rules of this file:

- Only regular files are sent; they are opened without waiting, so that a FIFO cannot hang a worker.
- What is sent belongs to the descriptor that was examined: the file may be replaced meanwhile.
- Conditions and ranges follow RFC 9110 sections 13 and 14; a range of a changed file gives the whole file.
- A descriptor is closed exactly once, whatever becomes of the response.
"""

import os
import stat
import time
from os import PathLike
from typing import TYPE_CHECKING, Any

from vivace.errors import ClientDisconnected, FileNotFound
from vivace.framework.mime import guess_content_type
from vivace.framework.response import HeaderSource, HTTPResponse
from vivace.http.conditional import evaluate_conditions, make_etag
from vivace.http.dates import format_date
from vivace.http.forms import content_disposition
from vivace.http.ranges import ByteRange, ByteRangesLayout, if_range_matches, parse_range
from vivace.protocols.stream import Stream

if TYPE_CHECKING:
    from vivace.framework.request import Request

__all__ = ["FileResponse", "file", "file_stream", "open_regular"]

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def open_regular(
    path: str | PathLike[str], folder: int | None = None, flags: int = 0
) -> tuple[int, os.stat_result]:
    """Open a regular file for reading.

    Args:
        path: The file, absolute or below `folder`.
        folder: The descriptor of a folder.
        flags: More flags for `os.open`.

    Returns:
        The descriptor, which the caller closes, and what is known of the file.

    Raises:
        OSError: It cannot be opened, or is no regular file (FileNotFoundError).
    """
    descriptor = os.open(path, _FLAGS | flags, dir_fd=folder)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise FileNotFoundError(f"{path!r} is no regular file")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, found


class FileResponse(HTTPResponse):
    """A file, or a part of it.

    Args:
        descriptor: Open for reading; closed by `close`.
        found: What `os.fstat` told of it.
        status: 200, else conditions and ranges of the request do not count.
        headers: Fields beside those that are made here; ``etag`` and ``last-modified`` given here win.
        content_type: The value of ``Content-Type``.

    Attributes:
        conditional: Conditions of the request count.
        ranged: Ranges count too, as long as conditions do.
        mtime: When it changed last, in whole seconds since 1970.
    """

    __slots__ = ("_descriptor", "_layout", "_method", "_ranges", "_size", "conditional", "mtime", "ranged")

    def __init__(
        self,
        descriptor: int,
        found: os.stat_result,
        status: int = 200,
        headers: HeaderSource | None = None,
        content_type: str | None = None,
    ) -> None:
        self._descriptor = descriptor
        super().__init__(None, status, headers, content_type)
        self._size = found.st_size
        self._method = "GET"
        self.conditional = status == 200
        self.ranged = True
        self._ranges: list[ByteRange] | None = None
        self._layout: ByteRangesLayout | None = None
        self.mtime: float = int(found.st_mtime)
        fields = self.headers
        if "etag" not in fields:
            fields["ETag"] = make_etag(found.st_size, found.st_mtime_ns)
        if "last-modified" not in fields:
            fields["Last-Modified"] = format_date(self.mtime)
        fields["Accept-Ranges"] = "bytes"

    @property
    def size(self) -> int:
        """Octets of the whole file."""
        return self._size

    def prepare(self, request: "Request") -> None:
        """Evaluate conditions and ranges.

        Raises:
            RangeNotSatisfiable: No range lies within the file.
        """
        self._method = request.method
        if self.status != 200 or request.method not in ("GET", "HEAD"):
            return
        etag = self.headers["etag"]
        if self.conditional:
            status = evaluate_conditions(request.method, request.headers, etag, self.mtime)
            if status is not None:
                self.status = status
                if status == 412:
                    self.content_type = None
                return
        asked = self.ranged and request.method == "GET"
        if asked and if_range_matches(request.headers.get("if-range"), etag, self.mtime):
            values = request.headers.get_all("range")
            self._choose(self.read_ranges(values[0]) if len(values) == 1 else None)

    def read_ranges(self, value: str) -> list[ByteRange] | None:
        """What of the file a Range field asks for; None: all of it. For subclasses to override.

        Raises:
            RangeNotSatisfiable: No range lies within the file.
        """
        return parse_range(value, self._size)

    def _choose(self, ranges: list[ByteRange] | None) -> None:
        if not ranges:
            return
        self.status = 206
        self._ranges = ranges
        if len(ranges) == 1:
            self.headers["Content-Range"] = ranges[0].content_range
            return
        self._layout = ByteRangesLayout(
            ranges, self.content_type or "application/octet-stream", os.urandom(16).hex()
        )
        self.content_type = self._layout.content_type

    async def transmit(self, stream: Stream) -> None:
        """Send what `prepare` chose."""
        if self.status in (204, 304, 412):
            await super().transmit(stream)
            return
        ranges = self._ranges
        layout = self._layout
        whole = ranges[0].size if ranges else self._size
        length = whole if layout is None else layout.content_length
        self.headers["Content-Length"] = str(length)
        stream.start(self.status, self.wire_fields())
        if self._method != "HEAD" and length:
            if layout is not None:
                await self._send_parts(stream, layout)
            else:
                await self._send_stretch(stream, ranges[0].start if ranges else 0, length)
        await stream.end()

    async def _send_parts(self, stream: Stream, layout: ByteRangesLayout) -> None:
        for head, part in zip(layout.heads, layout.ranges, strict=True):
            await stream.send(head)
            await self._send_stretch(stream, part.start, part.size)
        await stream.send(layout.tail)

    async def _send_stretch(self, stream: Stream, start: int, size: int) -> None:
        if self._descriptor < 0:
            raise ClientDisconnected("the file was closed")
        await stream.send_file(self._descriptor, start, size)

    def close(self) -> None:
        """Close the file."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


async def file(
    location: str | PathLike[str],
    status: int = 200,
    request_headers: Any = None,  # noqa: ARG001  # Sanic's
    validate_when_requested: bool = True,
    mime_type: str | None = None,
    headers: HeaderSource | None = None,
    filename: str | None = None,
    last_modified: Any = None,
    max_age: float | None = None,
    no_store: bool | None = None,
) -> FileResponse:
    """A file as a response, with ETag and Last-Modified; the request's conditions and ranges are answered.

    Args:
        location: The path. Never let a client choose it: see `Vivace.static`.
        status: 200 to 599.
        request_headers: Accepted and not needed.
        validate_when_requested: False: conditions and ranges of the request do not count.
        mime_type: The content type; default: by the name.
        headers: Fields beside those that are made here.
        filename: Offer it for download under this name.
        last_modified: A date or seconds since 1970 instead of the file's.
        max_age: Seconds for which clients may keep it without asking again.
        no_store: Nobody may keep it.

    Raises:
        FileNotFound: There is no such regular file.
        LocalProtocolError: `filename` has a control character.
    """
    try:
        descriptor, found = open_regular(location)
    except OSError as error:
        raise FileNotFound("File not found", path=location) from error
    try:
        response = FileResponse(
            descriptor,
            found,
            status,
            headers,
            mime_type or guess_content_type(filename or os.fspath(location)),
        )
    except BaseException:
        os.close(descriptor)
        raise
    fields = response.headers
    if filename is not None and "content-disposition" not in fields:
        fields["Content-Disposition"] = content_disposition(filename)
    if last_modified is not None:
        response.mtime = float(
            last_modified.timestamp() if hasattr(last_modified, "timestamp") else last_modified
        )
        fields["Last-Modified"] = format_date(response.mtime)
    if "cache-control" not in fields:
        fields["Cache-Control"] = cache_control(max_age, no_store)
        if max_age and not no_store:
            fields["Expires"] = format_date(time.time() + max_age)
    response.conditional = response.ranged = response.conditional and validate_when_requested
    return response


def cache_control(max_age: float | None, no_store: bool | None = None) -> str:
    """The value of ``Cache-Control`` (RFC 9111 section 5.2.2)."""
    if no_store:
        return "no-store"
    return f"public, max-age={int(max_age)}" if max_age else "no-cache"


async def file_stream(
    location: str | PathLike[str],
    status: int = 200,
    chunk_size: int = 65536,  # noqa: ARG001  # Sanic's; the kernel chooses
    mime_type: str | None = None,
    headers: HeaderSource | None = None,
    filename: str | None = None,
) -> FileResponse:
    """The same as `file`, which does not hold a file in memory either; Sanic's name and arguments."""
    return await file(location, status, mime_type=mime_type, headers=headers, filename=filename)
