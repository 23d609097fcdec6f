# cython: language_level=3, annotation_typing=False
"""HTTP/1.1 and 1.0, the server's side, without I/O (RFC 9112).

Rules of this file:

- Octets in by `receive_data`, events out by `next_event`; responses in by the ``send_...`` methods, octets
  out of them. Time, sockets and tasks are the caller's.
- One exchange at a time. What a client pipelines waits, unparsed, for `next_cycle`: so answers are in order,
  and an error in a later message cannot spoil the answer of an earlier one.
- Refused, never repaired. After an error in what the peer sent, `next_event` raises it again; a response to
  a head that was refused comes from `send_error`, and the connection ends behind it.
- A response is checked before an octet of it is returned. No content goes out to HEAD, nor with 204 or 304,
  nor more than the announced length, whatever the application gives.
- The common request has no body: that way is short, and nothing is done on it for the sake of the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vivace.errors import LocalProtocolError, RemoteProtocolError
from vivace.http.status import STATUS_LINES
from vivace.protocols.events import (
    CONNECTION_CLOSED,
    NEED_DATA,
    PAUSED,
    DataReceived,
    EndOfMessage,
    Event,
    RequestReceived,
)
from vivace.wire import refusal
from vivace.wire.chunk import FORBIDDEN_TRAILERS, parse_chunk_line, parse_trailer_line
from vivace.wire.field import check_field
from vivace.wire.head import (
    ABSOLUTE,
    CHUNKED,
    EXPECT_CONTINUE,
    KEEP_ALIVE,
    MAX_LENGTH,
    ODD_CODING,
    ODD_HOST,
    RARE,
    UPGRADE,
    parse_head,
    split_fields,
)
from vivace.wire.response import (
    CLOSE,
    WITH_CHUNKS,
    WITH_LENGTH,
    WITH_LENGTH_OF_APP,
    WITH_LENGTH_OF_GET,
    WITH_NO_END,
    WITH_NOTHING,
    render_head,
)
from vivace.wire.target import check_authority, refuse_codings, split_absolute

__all__ = ["H1Connection", "H1Limits"]

Fields = Sequence[tuple[bytes, bytes]]

# What the peer is doing.
IDLE: Final = 0
COUNTED: Final = 1
CHUNK_LINE: Final = 2
CHUNK_DATA: Final = 3
CHUNK_END: Final = 4
TRAILERS: Final = 5
COMPLETE: Final = 6
FAILED: Final = 7

# What we are doing; COMPLETE as above.
AWAITED: Final = 1
SENDING_NOTHING: Final = 2
SENDING_COUNTED: Final = 3
SENDING_CHUNKS: Final = 4
SENDING_TO_END: Final = 5

_ERROR_FIELDS: Final = ((b"content-type", b"text/plain; charset=utf-8"),)


@dataclass(frozen=True, slots=True)
class H1Limits:
    """How much of each thing a client may send.

    Attributes:
        max_line: Octets of the request line (414 beyond) and of each field line (431), without CR LF.
        max_head: Octets of the request line and all fields (431).
        max_fields: Field lines (431).
        max_body: Octets of a body (413); -1: no limit here.
        max_chunk_line: Octets of the line before a chunk (400).
        max_chunk_extensions: Octets of the extensions of all chunks of a body (400).
        max_trailers: Octets of the trailer section (431).
        max_trailer_fields: Trailer fields (431).
    """

    max_line: int = 16_384
    max_head: int = 32_768
    max_fields: int = 100
    max_body: int = -1
    max_chunk_line: int = 4_096
    max_chunk_extensions: int = 65_536
    max_trailers: int = 16_384
    max_trailer_fields: int = 64


class H1Connection:
    """One connection.

    Args:
        limits: How much the client may send.

    Attributes:
        keep_alive: Whether the connection can be used again after the current exchange.
    """

    __slots__ = (
        "_at",
        "_data",
        "_eof",
        "_error",
        "_expecting",
        "_extensions",
        "_head_only",
        "_left",
        "_limits",
        "_old",
        "_ours",
        "_received",
        "_theirs",
        "_to_send",
        "_trailer_size",
        "_trailers",
        "keep_alive",
    )

    def __init__(self, limits: H1Limits) -> None:
        self._limits = limits
        self._data = b""
        self._at = 0
        self._eof = False
        self._theirs = IDLE
        self._ours = IDLE
        self._left = 0
        self._received = 0
        self._extensions = 0
        self._trailer_size = 0
        self._trailers: list[tuple[bytes, bytes]] | None = None
        self._to_send = 0
        self._error: RemoteProtocolError | None = None
        self._expecting = False
        self._head_only = False
        self._old = False
        self.keep_alive = True

    # -- what the peer sends ----------------------------------------------------------------------------

    @property
    def buffered(self) -> int:
        """Octets received and not consumed."""
        return len(self._data) - self._at

    def receive_data(self, data: bytes) -> None:
        """Take over what was received; ``b""``: the peer has shut down its sending side."""
        if not data:
            self._eof = True
        elif self._at == len(self._data):
            self._data = data
            self._at = 0
        else:
            self._data = self._data[self._at :] + data if self._at else self._data + data
            self._at = 0

    def next_event(self) -> Event:
        """Tell what happened next.

        Returns:
            `RequestReceived`, then, if it has a body, `DataReceived` some times and `EndOfMessage`; `PAUSED`
            when the message is complete and `next_cycle` was not called; `NEED_DATA`; `CONNECTION_CLOSED`.

        Raises:
            RemoteProtocolError: The message is malformed, over a limit or broken off; raised again by every
                further call. What came before the fault was told before.
        """
        theirs = self._theirs
        if theirs == IDLE:
            return self._next_request()
        if theirs == COMPLETE:
            return PAUSED
        if theirs == COUNTED:
            return self._next_counted()
        if self._error is not None:
            raise self._error
        try:
            return self._next_chunks()
        except RemoteProtocolError as error:
            raise self._fail(error) from None

    def _next_request(self) -> Event:
        data = self._data
        at = self._at
        size = len(data) - at
        if size == 0:
            return self._await_head()
        limits = self._limits
        try:
            parsed = parse_head(data, at, limits.max_line, limits.max_head, limits.max_fields)
            if parsed is None:
                # Parsed anew with each arrival: no segmentation delays a refusal; max_head bounds the cost.
                return self._await_head()
            return self._begin(parsed)
        except RemoteProtocolError as error:
            self._head_only = self._begins_with_head()
            raise self._fail(error) from None

    def _begin(
        self, parsed: tuple[int, str, bytes, bytes, bytes, int, int, int, bytes, bytes]
    ) -> RequestReceived:
        """Take over a whole head."""
        at, method, target, path, query, minor, flags, length, host, block = parsed
        scheme = None
        if flags & RARE:
            _judge_rare(flags, host, block)
            if flags & ABSOLUTE:
                scheme, host, path, query = split_absolute(target, method)
        has_body = length > 0 or (flags & CHUNKED) != 0
        head = RequestReceived(
            method,
            target,
            path,
            query,
            "1.1" if minor else "1.0",
            scheme,
            host,
            length,
            has_body,
            (flags & CHUNKED) != 0,
            (flags & KEEP_ALIVE) != 0,
            (flags & EXPECT_CONTINUE) != 0,
            (flags & UPGRADE) != 0,
            block,
        )
        if has_body:
            self._begin_body(head)
        else:
            self._theirs = COMPLETE
        if at == len(self._data):
            self._data = b""
            self._at = 0
        else:
            self._at = at
        self._ours = AWAITED
        self._old = minor == 0
        self._head_only = method == "HEAD"
        if not flags & KEEP_ALIVE:
            self.keep_alive = False
        return head

    def _begin_body(self, head: RequestReceived) -> None:
        if head.chunked:
            self._theirs = CHUNK_LINE
            self._received = self._extensions = self._trailer_size = 0
            self._trailers = []
        else:
            if 0 <= self._limits.max_body < head.content_length:
                refusal.refuse(refusal.BODY_LARGE)
            self._theirs = COUNTED
            self._left = head.content_length
        self._expecting = head.expect_continue

    def _await_head(self) -> Event:
        if not self._eof:
            return NEED_DATA
        if self._data[self._at :].strip(b"\r\n"):
            raise self._fail(_broken_off(self.buffered))
        self._data = b""
        self._at = 0
        return CONNECTION_CLOSED

    def _fail(self, error: RemoteProtocolError) -> RemoteProtocolError:
        self._theirs = FAILED
        self._error = error
        self._data = b""
        self._at = 0
        self.keep_alive = False
        if self._ours == IDLE:
            self._ours = AWAITED
        return error

    def _next_counted(self) -> Event:
        """Tell what came of a body of known length."""
        left = self._left
        if left == 0:
            self._theirs = COMPLETE
            return EndOfMessage([])
        data = self._data
        at = self._at
        size = len(data) - at
        if size == 0:
            return self._await_body()
        self._expecting = False
        if size > left:
            self._left = 0
            self._at = at + left
            return DataReceived(data[at : at + left])
        self._left = left - size
        self._data = b""
        self._at = 0
        return DataReceived(data[at:] if at else data)

    def _await_body(self) -> Event:
        if self._eof:
            raise self._fail(_broken_off(self.buffered))
        return NEED_DATA

    def _next_chunks(self) -> Event:
        """Tell what came of a chunked body: the data of all chunks that are here at once."""
        pieces: list[bytes] = []
        try:
            while self._theirs < TRAILERS and self._read_chunk(pieces):
                pass
        except RemoteProtocolError:
            # What stands before the fault is told first; the next call comes upon the fault again.
            if not pieces:
                raise
        if pieces:
            self._expecting = False
            return DataReceived(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if self._theirs == TRAILERS and self._read_trailers():
            self._theirs = COMPLETE
            trailers = self._trailers or []
            self._trailers = None
            return EndOfMessage([field for field in trailers if field[0] not in FORBIDDEN_TRAILERS])
        return self._await_body()

    def _read_chunk(self, pieces: list[bytes]) -> bool:
        """Go one step on in a chunk; False if that needs more data."""
        data = self._data
        at = self._at
        if self._theirs == CHUNK_LINE:
            line = parse_chunk_line(data, at, self._limits.max_chunk_line)
            if line is None:
                return False
            self._left = self._count_chunk(line[0], line[2])
            self._at = line[1]
            self._theirs = CHUNK_DATA if self._left else TRAILERS
        elif self._theirs == CHUNK_DATA:
            piece = data[at : at + self._left]
            if not piece:
                return False
            pieces.append(piece)
            self._at = at + len(piece)
            self._left -= len(piece)
            if not self._left:
                self._theirs = CHUNK_END
        else:
            end = data[at : at + 2]
            if end != b"\r\n":
                if end and end != b"\r":
                    refusal.refuse(refusal.CHUNK_END, data, at)
                return False
            self._at = at + 2
            self._theirs = CHUNK_LINE
        return True

    def _count_chunk(self, size: int, extensions: int) -> int:
        """Hold a chunk against the limits of the body; its size."""
        limits = self._limits
        if extensions:
            self._extensions += extensions
            if self._extensions > limits.max_chunk_extensions:
                refusal.refuse(refusal.CHUNK_LINE_LONG)
        if size > MAX_LENGTH - self._received or 0 <= limits.max_body < self._received + size:
            refusal.refuse(refusal.BODY_LARGE)
        self._received += size
        return size

    def _read_trailers(self) -> bool:
        """Read the lines of the trailer section that are here; True if it is complete."""
        trailers = self._trailers
        assert trailers is not None
        limits = self._limits
        while True:
            line = parse_trailer_line(self._data, self._at, limits.max_trailers - self._trailer_size)
            if line is None:
                return False
            name, value, end = line
            size = end - self._at
            self._at = end
            if not name:
                return True
            self._trailer_size += size
            trailers.append((name, value))
            if len(trailers) > limits.max_trailer_fields or self._trailer_size > limits.max_trailers:
                refusal.refuse(refusal.TRAILERS_LONG, self._data, end)

    def next_cycle(self) -> bool:
        """Get ready for the next request: both sides are done and the connection stays.

        Returns:
            Whether octets of the next message are here already.

        Raises:
            LocalProtocolError: They are not, or it does not.
        """
        if self._theirs != COMPLETE or self._ours != COMPLETE or not self.keep_alive:
            raise LocalProtocolError("the exchange is not complete, or the connection has to close behind it")
        self._theirs = IDLE
        self._ours = IDLE
        self._expecting = False
        if self._at < len(self._data):
            return True
        self._data = b""
        self._at = 0
        return False

    # -- what we send -------------------------------------------------------------------------------------

    def close_after(self) -> None:
        """Close behind the current exchange; the response says so if it has not started."""
        self.keep_alive = False

    def send_response(self, status: int, fields: Fields, body: bytes, date: bytes) -> bytes:
        """Send a whole response.

        Args:
            status: 200 to 999.
            fields: The application's fields; its Content-Length, if any, must be that of `body`.
            body: The content; left out where none may follow: HEAD, 204, 205, 304.
            date: The Date line with CR LF, used unless `fields` has one.

        Raises:
            LocalProtocolError: A field is illegal, or it is not the time for a response. Nothing is sent.
        """
        line = STATUS_LINES.get(status)
        if self._ours != AWAITED or line is None or status < 200:
            line = self._check_start(status)
        if self._expecting and not self.buffered:
            self.keep_alive = False
        connection = (KEEP_ALIVE if self._old else 0) if self.keep_alive else CLOSE
        framing = WITH_LENGTH
        size = len(body)
        if self._head_only or status in _WITHOUT_CONTENT:
            framing = WITH_LENGTH_OF_GET if self._head_only else WITH_LENGTH
            framing, size = _WITHOUT_CONTENT.get(status, (framing, size))
            body = b""
        data, _, closes = render_head(line, fields, date, connection, framing, size, body)
        if closes:
            self.keep_alive = False
        self._expecting = False
        self._ours = COMPLETE
        return data

    def send_head(self, status: int, fields: Fields, date: bytes) -> bytes:
        """Start a response whose content follows by `send_data` and ends by `send_end`.

        It is counted if the application says its length, else goes in chunks, to HTTP/1.0 up to the end of
        the connection. See `send_response` for arguments and errors.
        """
        line = self._check_start(status)
        if self._expecting and not self.buffered:
            self.keep_alive = False
        connection = (KEEP_ALIVE if self._old else 0) if self.keep_alive else CLOSE
        framing, size = WITH_NO_END if self._old else WITH_CHUNKS, 0
        silent = self._head_only or status in _WITHOUT_CONTENT
        if silent:
            framing, size = _WITHOUT_CONTENT.get(status, (WITH_LENGTH_OF_GET, 0))
        data, said, closes = render_head(line, fields, date, connection, framing, size, b"")
        if closes:
            self.keep_alive = False
        self._expecting = False
        self._to_send = said
        if silent:
            self._ours = SENDING_NOTHING
        elif said >= 0:
            self._ours = SENDING_COUNTED
        else:
            self._ours = SENDING_TO_END if self._old else SENDING_CHUNKS
        return data

    def send_data(self, data: bytes) -> bytes:
        """Send a piece of the content; returns ``b""`` where no content may follow.

        Raises:
            LocalProtocolError: It is more than the announced length, or there is no response under way.
        """
        frame = self.frame_data(len(data))
        if frame is None:
            return b""
        return frame[0] + data + frame[1] if frame[0] else data

    def frame_data(self, count: int) -> tuple[bytes, bytes] | None:
        """Account for a piece of the content that the caller writes itself, such as a part of a file.

        Args:
            count: Its octets.

        Returns:
            What to write before and behind it; None: write nothing, no content may follow.

        Raises:
            LocalProtocolError: As `send_data`.
        """
        ours = self._ours
        if ours == SENDING_CHUNKS:
            return (b"%x\r\n" % count, b"\r\n") if count else (b"", b"")
        if ours == SENDING_COUNTED:
            if count > self._to_send:
                raise self._cut(f"the content is longer than its Content-Length, by {count - self._to_send}")
            self._to_send -= count
        elif ours == SENDING_NOTHING:
            return None
        elif ours != SENDING_TO_END:
            raise LocalProtocolError("content without a response that has started and has not ended")
        return b"", b""

    def send_end(self, trailers: Fields = ()) -> bytes:
        """End the content.

        Args:
            trailers: Fields behind it; left out where it does not go in chunks (RFC 9110 section 6.5.1).

        Raises:
            LocalProtocolError: It is less than the announced length (the connection has to be cut), a trailer
                is illegal, or there is no response under way.
        """
        ours = self._ours
        if ours < SENDING_NOTHING or ours == COMPLETE:
            raise LocalProtocolError("the end of a response that has not started, or has ended")
        if ours == SENDING_COUNTED and self._to_send:
            raise self._cut(f"the content is shorter than its Content-Length, by {self._to_send}")
        data = _last_chunk(trailers) if ours == SENDING_CHUNKS else b""
        self._ours = COMPLETE
        return data

    def send_informational(self, status: int, fields: Fields) -> bytes:
        """Send an interim response, 100 to 199 without 101; ``b""`` to HTTP/1.0, which knows none.

        Raises:
            LocalProtocolError: A field is illegal, or it is not the time for it.
        """
        if self._ours != AWAITED or not 100 <= status < 200 or status == 101:
            raise LocalProtocolError(f"no interim response {status} can be sent now")
        if self._old:
            return b""
        if status == 100:
            self._expecting = False
        return render_head(_status_line(status), fields, b"", 0, WITH_NOTHING, 0, b"")[0]

    def send_upgrade(self, fields: Fields, date: bytes) -> bytes:
        """Accept the change of protocol that the request offers: the 101 behind which HTTP ends.

        Args:
            fields: Upgrade, Connection and what else the new protocol says.
            date: The Date line with CR LF.

        Raises:
            LocalProtocolError: A field is illegal, or it is not the time for it.
        """
        if self._ours != AWAITED or self._theirs != COMPLETE:
            raise LocalProtocolError("no change of protocol can be accepted now")
        lines = [_status_line(101), date]
        for name, value in fields:
            check_field(name, value)
            lines.append(b"%b: %b\r\n" % (name, value))
        lines.append(b"\r\n")
        self._ours = COMPLETE
        self.keep_alive = False
        return b"".join(lines)

    def take_rest(self) -> bytes:
        """The octets that were received and are no HTTP, behind a change of protocol."""
        rest = self._data[self._at :]
        self._data = b""
        self._at = 0
        return rest

    def begin_refusal(self) -> None:
        """Let a response follow to what was no request; the connection ends behind it."""
        if self._ours == IDLE:
            self._ours = AWAITED
            self._head_only = self._begins_with_head()
        self.keep_alive = False

    def send_error(self, status: int, message: bytes, date: bytes, retry_after: int = 0) -> bytes:
        """Answer with a line of text and close; for what cannot be answered by an application.

        Args:
            status: Of the response.
            message: The line.
            date: The whole Date line.
            retry_after: Seconds after which the client may try again (RFC 9110 section 10.2.3); 0: not said.

        Raises:
            LocalProtocolError: A response has started.
        """
        self.begin_refusal()
        fields = (*_ERROR_FIELDS, (b"retry-after", b"%d" % retry_after)) if retry_after else _ERROR_FIELDS
        return self.send_response(status, fields, message + b"\n", date)

    def _check_start(self, status: int) -> bytes:
        """The status line, if a response with it can start now."""
        if self._ours != AWAITED:
            raise LocalProtocolError("a response without a request, or a second one to the same request")
        if not 200 <= status <= 999:
            raise LocalProtocolError(f"{status} is not the status of a final response")
        return _status_line(status)

    def _begins_with_head(self) -> bool:
        """Whether what is here of a message says that it is a HEAD request."""
        return self._data[self._at :].lstrip(b"\r\n").startswith(b"HEAD ")

    def _cut(self, message: str) -> LocalProtocolError:
        self.keep_alive = False
        return LocalProtocolError(message)


_WITHOUT_CONTENT: Final[dict[int, tuple[int, int]]] = {
    204: (WITH_NOTHING, 0),
    205: (WITH_LENGTH, 0),
    304: (WITH_LENGTH_OF_APP, 0),
}
"""The framing and the length that each status without content has."""


def _status_line(status: int) -> bytes:
    return STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def _last_chunk(trailers: Fields) -> bytes:
    lines = [b"0\r\n"]
    for name, value in trailers:
        check_field(name, value)
        if name.lower() in FORBIDDEN_TRAILERS:
            raise LocalProtocolError(f"{name.decode('ascii')} may not stand in a trailer section")
        lines.append(b"%b: %b\r\n" % (name, value))
    lines.append(b"\r\n")
    return b"".join(lines)


def _judge_rare(flags: int, host: bytes, block: bytes) -> None:
    """Judge what the head parser left open."""
    if flags & ODD_HOST:
        check_authority(host)
    if flags & ODD_CODING:
        refuse_codings([value for name, value in split_fields(block) if name == b"transfer-encoding"])


def _broken_off(at: int) -> RemoteProtocolError:
    status, sentence = refusal.REASONS[refusal.INCOMPLETE]
    return RemoteProtocolError(f"{sentence}: {at} octets of it came", status)
