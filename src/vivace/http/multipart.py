"""``multipart/form-data`` (RFC 7578) as it arrives: events for streaming, a collector for whole forms.

Rules:

- The syntax is the `multipart` library's business, in its strict mode; the limits and names are ours. Work is
  linear in the number of octets, memory is bounded by `FormLimits`.
- Over a limit: `PayloadTooLarge` (413). Malformed: `BadRequest` (400). After either, the object is of no use.
- What follows the last boundary is not looked at.
- A file name is a name, never a path (`forms.clean_file_name`).
- Nothing here opens or writes a file by itself: the collector says when it is time (`pending_size`), the
  caller chooses in which thread `flush` runs. All big files of a form share one spool, one descriptor.
"""

import re
from collections.abc import Callable
from copy import copy
from typing import Any, Final

# python-multipart, which FastAPI wants, has a folder of this name; at run time it hands over to this module.
# pyright: reportAttributeAccessIssue=false
from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
)

from vivace.errors import BadRequest, PayloadTooLarge
from vivace.http.forms import FormLimits, clean_file_name, decode_extended, parse_options_header
from vivace.http.uploads import File, LazySpool, Spool
from vivace.http.url import RequestParameters

__all__ = [
    "FieldData",
    "FieldEnd",
    "FieldStart",
    "File",
    "FormCollector",
    "MultipartEvent",
    "MultipartReader",
    "Spool",
    "boundary_of",
]

# RFC 2046 section 5.1.1: bchars. A space must not be the last of them.
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]*[0-9A-Za-z'()+_,\-./:=?]")
# Only these are tried on a stranger's word: some codecs of Python cost quadratic time, or are no charsets.
_CHARSETS: Final = ("utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "latin1", "windows-1252")


class FieldStart:
    """A part begins.

    Attributes:
        name: Of the form's field.
        filename: The last component of the name that the client gave; None if the part is no file.
        content_type: Lower case, without parameters; empty if the part gives none.
        charset: Of a text field.
        headers: All header fields of the part.
    """

    __slots__ = ("charset", "content_type", "filename", "headers", "name")

    def __init__(
        self, name: str, filename: str | None, content_type: str, charset: str, headers: list[tuple[str, str]]
    ) -> None:
        self.name = name
        self.filename = filename
        self.content_type = content_type
        self.charset = charset
        self.headers = headers

    def __repr__(self) -> str:
        return f"<FieldStart {self.name!r} filename={self.filename!r}>"


class FieldData:
    """A piece of the part's content, never empty."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class FieldEnd:
    """The part is complete."""

    __slots__ = ()


MultipartEvent = FieldStart | FieldData | FieldEnd


def boundary_of(content_type: str | None, limits: FormLimits) -> str | None:
    """Return the boundary that a ``Content-Type`` names.

    Returns:
        None if the type is not ``multipart/form-data``.

    Raises:
        BadRequest: The boundary is missing, too long or has characters that RFC 2046 does not allow.
    """
    kind, parameters = parse_options_header(content_type)
    if kind != "multipart/form-data":
        return None
    boundary = parameters.get("boundary", "")
    _check_boundary(boundary, limits)
    return boundary


def _check_boundary(boundary: str, limits: FormLimits) -> None:
    if len(boundary) > limits.max_boundary or not _BOUNDARY.fullmatch(boundary):
        raise BadRequest(
            f"multipart boundary {boundary[:100]!r}: give 1 to {limits.max_boundary} characters of RFC 2046"
        )


class _Parser(PushMultipartParser):  # type: ignore[misc]  # the library says no types
    """The library's parser, which refuses a bare LF in a header only where its line is cut behind it."""

    def _on_segment_headerline(self, line: bytes) -> None:
        if b"\n" in line:
            raise MultipartError("Invalid line break in segment header")
        super()._on_segment_headerline(line)


class MultipartReader:
    """Turns the octets of a multipart body into events.

    Args:
        boundary: As `boundary_of` gives it.
        limits: ``max_parts``, ``max_part_header_size``, ``max_part_headers``, ``max_boundary`` and
            ``max_preamble`` are enforced here.

    Raises:
        BadRequest: `boundary` is not one.
    """

    def __init__(self, boundary: str, limits: FormLimits = FormLimits()) -> None:  # noqa: B008  # frozen
        _check_boundary(boundary, limits)
        self._limits = limits
        self._delimiter = b"--" + boundary.encode("ascii")
        self._preamble: bytearray | None = bytearray()
        self._open = False
        self._parts = 0
        self.complete = False
        """Whether the last boundary was seen."""
        self._parser = _Parser(
            boundary,
            max_header_size=limits.max_part_header_size,
            max_header_count=limits.max_part_headers,
            strict=True,
        )

    def feed(self, data: bytes) -> list[MultipartEvent]:
        """Take octets of the body, give the events that they complete.

        Raises:
            PayloadTooLarge: A limit is exceeded.
            BadRequest: The body is malformed.
        """
        if self.complete:
            return []
        if self._preamble is not None:
            data = self._skip_preamble(self._preamble, data)
        if not data:
            return []
        events: list[MultipartEvent] = []
        try:
            for item in self._parser.parse(data):
                self._translate(item, events)
        except ParserLimitReached as error:
            raise PayloadTooLarge(f"multipart form: {error}") from None
        except MultipartError as error:
            raise BadRequest(f"multipart form: {error}") from None
        if not self._open:
            self.complete = self._is_complete()
        return events

    def finish(self) -> None:
        """Say that the body has ended.

        Raises:
            BadRequest: Its last boundary is missing.
        """
        if not self.complete:
            raise BadRequest("multipart form: the body ends before its last boundary")

    def _skip_preamble(self, preamble: bytearray, data: bytes) -> bytes:
        """Collect octets until the first boundary, then return from it on."""
        # The parser wants the two octets after the delimiter too before it looks.
        wanted = len(self._delimiter) + 2
        start = max(0, len(preamble) - wanted - 2)
        preamble += data
        if len(preamble) < wanted:
            return b""
        limit = self._limits.max_preamble
        at = 0
        if not preamble.startswith(self._delimiter):
            line_end = preamble.find(b"\r\n" + self._delimiter, start)
            if line_end > limit or (line_end < 0 and len(preamble) >= limit + wanted):
                raise BadRequest(f"multipart form: no boundary after the first {limit} octets")
            if line_end < 0 or len(preamble) < line_end + 2 + wanted:
                return b""
            at = line_end + 2
        self._preamble = None
        return bytes(preamble[at:])

    def _translate(self, item: Any, events: list[MultipartEvent]) -> None:
        if item is None:
            self._open = False
            events.append(FieldEnd())
        elif isinstance(item, MultipartSegment):
            self._parts += 1
            self._open = True
            events.append(self._start(item))
        else:
            events.append(FieldData(bytes(item)))

    def _start(self, segment: MultipartSegment) -> FieldStart:
        if self._parts > self._limits.max_parts:
            raise PayloadTooLarge(f"multipart form: more than {self._limits.max_parts} parts")
        headers = segment.headerlist
        if sum(len(name) + len(value) for name, value in headers) > self._limits.max_part_header_size:
            raise PayloadTooLarge(
                f"multipart form: the headers of a part exceed {self._limits.max_part_header_size} octets"
            )
        disposition, content_type = _single(headers, "Content-Disposition"), _single(headers, "Content-Type")
        kind, parameters = parse_options_header(content_type)
        filename = segment.filename
        extended = parse_options_header(disposition)[1].get("filename*")
        if extended is not None:
            filename = decode_extended(extended) or filename or ""
        return FieldStart(
            segment.name or "",
            None if filename is None else clean_file_name(filename),
            kind,
            _charset(parameters.get("charset", "utf-8")),
            headers,
        )

    def _is_complete(self) -> bool:
        # The parser says it only when it is closed; a copy can be closed without harm.
        try:
            copy(self._parser).close()
        except MultipartError:
            return False
        return True


def _single(headers: list[tuple[str, str]], name: str) -> str:
    values = [value for found, value in headers if found == name]
    if len(values) > 1:
        raise BadRequest(f"multipart form: a part has {len(values)} {name} fields")
    return values[0] if values else ""


def _charset(name: str) -> str:
    if name.lower() not in _CHARSETS:
        raise BadRequest(f"multipart form: the charset {name[:100]!r} is not supported; use UTF-8")
    return name.lower()


class FormCollector:
    """Gathers the fields and files of a multipart body.

    `flush` is the only method that touches the disk. Call it when `pending_size` has grown to what you care
    to hold in memory, and after `finish`.

    Args:
        boundary: As `boundary_of` gives it.
        limits: All of them are enforced.
        open_spool: Opens a temporary file; called by `flush`, at most once.

    Attributes:
        fields: The text fields so far.
        files: The files so far; those on disk can be read after `flush`.
        pending_size: How many octets `flush` will write.
    """

    def __init__(self, boundary: str, limits: FormLimits, open_spool: Callable[[], Spool]) -> None:
        self.fields: RequestParameters[str] = RequestParameters()
        self.files: RequestParameters[File] = RequestParameters()
        self.pending_size = 0
        self._pending: list[bytes] = []
        self._reader = MultipartReader(boundary, limits)
        self._limits = limits
        self._spool = LazySpool(open_spool)
        self._spooled = 0
        self._text_size = 0
        self._file_memory = 0
        self._start: FieldStart | None = None
        self._buffer = bytearray()
        self._size = 0
        self._offset: int | None = None

    def feed(self, data: bytes) -> None:
        """Take octets of the body.

        Raises:
            PayloadTooLarge: A limit is exceeded.
            BadRequest: The body is malformed.
        """
        for event in self._reader.feed(data):
            if isinstance(event, FieldData):
                self._add(event.data)
            elif isinstance(event, FieldStart):
                self._start = event
            else:
                self._end()

    def finish(self) -> None:
        """Say that the body has ended.

        Raises:
            BadRequest: Its last boundary is missing.
        """
        self._reader.finish()

    def flush(self) -> None:
        """Write what is pending into the spool. Blocks: call it from another thread than the loop's."""
        if self._pending:
            data = b"".join(self._pending)
            self._pending, self.pending_size = [], 0
            self._spool.append(data)

    def close(self) -> None:
        """Close the spool: the files on disk are gone after it."""
        self._spool.close()

    def _add(self, data: bytes) -> None:
        self._size += len(data)
        if self._start is None or self._start.filename is None:
            self._check_text(len(data))
            self._buffer += data
        elif self._offset is not None:
            self._to_spool(data)
        else:
            self._buffer += data
            over = self._file_memory + self._size > self._limits.max_memory
            if over or self._size > self._limits.spool_size:
                self._offset = self._spooled
                self._to_spool(bytes(self._buffer))
                self._buffer = bytearray()

    def _check_text(self, size: int) -> None:
        limits = self._limits
        self._text_size += size
        if self._size > limits.max_field_size:
            raise PayloadTooLarge(f"multipart form: a text field exceeds {limits.max_field_size} octets")
        if self._text_size > limits.max_memory:
            raise PayloadTooLarge(f"multipart form: the text fields exceed {limits.max_memory} octets")

    def _to_spool(self, data: bytes) -> None:
        self._pending.append(data)
        self.pending_size += len(data)
        self._spooled += len(data)

    def _end(self) -> None:
        start, body = self._start, bytes(self._buffer)
        assert start is not None
        if start.filename is None:
            self.fields.setdefault(start.name, []).append(body.decode(start.charset, "replace"))
        elif self._offset is None:
            self._file_memory += self._size
            self.files.setdefault(start.name, []).append(File(start.content_type, body, start.filename))
        else:
            file = File.spooled(start.content_type, start.filename, self._spool, self._offset, self._size)
            self.files.setdefault(start.name, []).append(file)
        self._start, self._buffer, self._size, self._offset = None, bytearray(), 0, None
