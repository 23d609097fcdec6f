# cython: language_level=3, annotation_typing=False
"""A WebSocket after its handshake, without I/O (RFC 6455 sections 5 to 8): either side of it.

Rules of this file:

- Octets in by `receive_data`, which gives all that they tell as one batch; a message is a plain `str` or
  `bytes`. Octets out of the ``send_...`` methods, and pongs from `take_answers`. Time, sockets and tasks are
  the caller's, and when to answer a close: what came before it may still be answered first.
- Refused, never repaired, at the first wrong octet: text within a frame that is not complete, a length
  before its payload. What was told before stays told; behind the fault nothing is looked at any more.
- A message is held against the limits while it arrives, compressed or not: memory is bounded by them.
- The common message, whole and in one frame, is read in a batch with its neighbours (`read_messages`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from vivace.errors import LocalProtocolError, RemoteProtocolError
from vivace.protocols.deflate import Deflate
from vivace.wire.frame import (
    BINARY,
    CLOSE,
    CONTINUATION,
    CONTINUATION_AWAITED,
    CONTINUES_NOTHING,
    FIN,
    MAX_CONTROL,
    PING,
    PONG,
    RSV1,
    TEXT,
    build_frame,
    build_text,
    decode_text,
    is_sendable,
    mask,
    parse_close,
    parse_frame,
    read_messages,
    refuse_frame,
)

__all__ = ["Closed", "Failed", "Ping", "Pong", "WsConnection", "WsEvent", "WsLimits", "close_payload"]

UNLIMITED: Final = 2**62

PONG_FRAME: Final = FIN | PONG


@dataclass(frozen=True, slots=True)
class WsLimits:
    """How much of each thing a peer may send; 1009 beyond.

    Attributes:
        max_message: Octets of a message, after it was inflated; 0: no limit.
        max_frame: Octets of a frame as sent; 0: only `max_message` holds.
        max_fragments: Frames of a message; 0: no limit.
    """

    max_message: int = 1_048_576
    max_frame: int = 0
    max_fragments: int = 16_384


class Ping:
    """The peer asks for a sign of life; `take_answers` has it."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class Pong:
    """A sign of life, asked for or not."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class Closed:
    """The peer closes, or has answered our close; it sends nothing more. Answer with `send_close`.

    Attributes:
        code: Why; 1005 if it did not say.
        reason: In words.
    """

    __slots__ = ("code", "reason")

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason


class Failed:
    """The peer broke a rule or a limit: tell it with `send_close`, and end the connection.

    Attributes:
        code: What to tell it: 1002, 1007, 1009.
        reason: In words.
    """

    __slots__ = ("code", "reason")

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason


WsEvent = str | bytes | Ping | Pong | Closed | Failed


def close_payload(code: int, reason: str = "") -> bytes:
    """What a close frame carries.

    Args:
        code: See `vivace.wire.frame.is_sendable`; 1005: say nothing.
        reason: At most 123 octets of UTF-8.

    Raises:
        LocalProtocolError: The code may not be sent, or the reason is too long.
    """
    if code == 1005 and not reason:
        return b""
    if not is_sendable(code):
        raise LocalProtocolError(f"a close frame carries 1000-1003, 1007-1014 or 3000-4999, not {code}")
    payload = code.to_bytes(2, "big") + reason.encode()
    if len(payload) > MAX_CONTROL:
        raise LocalProtocolError(f"the reason of a close has at most 123 octets, not {len(payload) - 2}")
    return payload


class WsConnection:
    """One side of a WebSocket.

    Args:
        limits: How much the peer may send.
        deflate: The compression that was agreed upon; None: there is none.
        new_key: Gives four octets to mask a frame with, unpredictable ones: this is the client's side.
            None: it is the server's.

    Attributes:
        close_sent: We have sent a close frame.
        close_received: The peer has.
        failed: The peer broke a rule or a limit.
    """

    __slots__ = (
        "_answers",
        "_compressed",
        "_data",
        "_deflate",
        "_final",
        "_fragments",
        "_key",
        "_kind",
        "_left",
        "_limit",
        "_masked",
        "_max_fragments",
        "_max_frame",
        "_max_whole",
        "_new_key",
        "_pending",
        "_phase",
        "_pieces",
        "_reserved",
        "_size",
        "close_received",
        "close_sent",
        "failed",
    )

    def __init__(
        self,
        limits: WsLimits,
        deflate: Deflate | None = None,
        new_key: Callable[[], bytes] | None = None,
    ) -> None:
        self._limit = limits.max_message or UNLIMITED
        self._max_frame = limits.max_frame or UNLIMITED
        self._max_whole = min(self._limit, self._max_frame)
        self._max_fragments = limits.max_fragments or UNLIMITED
        self._deflate = deflate
        self._reserved = RSV1 if deflate is not None else 0
        self._new_key = new_key
        self._masked = new_key is None
        self._data = b""
        self._answers: list[bytes] | None = None
        self._kind = CONTINUATION
        self._final = False
        self._compressed = False
        self._left = -1
        self._key = b""
        self._phase = 0
        self._pieces: list[Any] | None = None
        self._pending = b""
        self._size = 0
        self._fragments = 0
        self.close_sent = False
        self.close_received = False
        self.failed = False

    # -- what the peer sends --------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> list[Any]:
        """Take over what was received, and tell what it is.

        Returns:
            `WsEvent`s in order; `Closed` and `Failed` are the last ones ever.
        """
        found: list[Any] = []
        if self.close_received or self.failed:
            return found
        if self._data:
            data = self._data + data
            self._data = b""
        at = 0
        try:
            at = self._read(data, found)
        except RemoteProtocolError as error:
            self._fail(error, found)
            return found
        if at < len(data) and not self.close_received:
            self._data = data[at:] if at else data
        return found

    def _read(self, data: bytes, found: list[Any]) -> int:
        """Read frames; where the first octet is that needs others behind it."""
        at = 0
        size = len(data)
        if self._left >= 0:
            at = self._go_on(data, at, found)
        while at < size:
            if self._kind == CONTINUATION:
                at = read_messages(data, at, self._max_whole, self._masked, found)
                if at == size:
                    break
            frame = parse_frame(data, at, self._reserved, self._masked)
            if frame is None:
                break
            first, length, key, start = frame
            if first & 0x08:
                if size - start < length:
                    break
                at = start + length
                payload = data[start:at]
                self._control(first & 0x0F, mask(payload, key) if key else payload, found)
                if self.close_received:
                    return size
            else:
                self._begin(first, length)
                self._key = key
                self._left = length
                self._phase = 0
                at = self._go_on(data, start, found)
        return at

    def _begin(self, first: int, length: int) -> None:
        """A frame of a message begins: see whether it may."""
        opcode = first & 0x0F
        self._final = (first & FIN) != 0
        if opcode != CONTINUATION:
            if self._kind != CONTINUATION:
                refuse_frame(CONTINUATION_AWAITED)
            self._kind = opcode
            self._compressed = (first & RSV1) != 0
            self._size = 0
            self._fragments = 0
            self._pieces = []
        elif self._kind == CONTINUATION:
            refuse_frame(CONTINUES_NOTHING)
        self._fragments += 1
        if self._fragments > self._max_fragments:
            raise RemoteProtocolError(f"a message has more than {self._max_fragments} fragments", 1009)
        if length > self._max_frame:
            raise RemoteProtocolError(f"a frame is longer than {self._max_frame} octets", 1009)
        if not self._compressed and length > self._limit - self._size:
            raise self._too_long()

    def _too_long(self) -> RemoteProtocolError:
        return RemoteProtocolError(f"a message is longer than {self._limit} octets", 1009)

    def _go_on(self, data: bytes, at: int, found: list[Any]) -> int:
        """Take what is here of the payload of a frame; where it ends."""
        end = min(at + self._left, len(data))
        piece = data[at:end]
        size = end - at
        self._left -= size
        if self._key and piece:
            piece = mask(piece, self._key, self._phase)
            self._phase = (self._phase + size) & 3
        complete = self._left == 0
        if self._compressed:
            self._inflate(piece, complete and self._final)
        elif piece or (complete and self._final):
            self._size += size
            self._add(piece, complete and self._final)
        if complete:
            self._left = -1
            if self._final:
                found.append(self._whole())
        return end

    def _inflate(self, piece: bytes, final: bool) -> None:
        deflate = self._deflate
        assert deflate is not None
        deflate.feed(piece, final)
        while True:
            more = deflate.inflate(self._limit - self._size)
            if more is None:
                raise self._too_long()
            if not more:
                break
            self._size += len(more)
            self._add(more, final=False)
        if final:
            self._add(b"", final=True)

    def _add(self, piece: bytes, final: bool) -> None:
        """Add a piece of the message's content."""
        assert self._pieces is not None
        if self._kind == TEXT:
            text, self._pending = decode_text(self._pending, piece, final)
            if text:
                self._pieces.append(text)
        elif piece:
            self._pieces.append(piece)

    def _whole(self) -> str | bytes:
        """The message that is complete now."""
        pieces = self._pieces
        assert pieces is not None
        kind = self._kind
        self._pieces = None
        self._kind = CONTINUATION
        if len(pieces) == 1:
            message: str | bytes = pieces[0]
            return message
        return "".join(pieces) if kind == TEXT else b"".join(pieces)

    def _control(self, opcode: int, payload: bytes, found: list[Any]) -> None:
        if opcode == PING:
            if not self.close_sent:
                if self._answers is None:
                    self._answers = []
                self._answers.append(build_frame(PONG_FRAME, payload, self._next_key()))
            found.append(Ping(payload))
        elif opcode == CLOSE:
            code, reason = parse_close(payload)
            self.close_received = True
            self._pieces = None
            found.append(Closed(code, reason))
        else:
            found.append(Pong(payload))

    def _fail(self, error: RemoteProtocolError, found: list[Any]) -> None:
        """Give the connection up (section 7.1.7)."""
        self.failed = True
        self._pieces = None
        self._pending = b""
        found.append(Failed(error.status_hint, str(error)))

    def is_between_messages(self) -> bool:
        """Whether the peer has begun no message that it has not completed."""
        return self._kind == CONTINUATION and not self._data

    def take_answers(self) -> bytes:
        """The pongs that are due, to be written now; ``b""``: none."""
        answers = self._answers
        if answers is None:
            return b""
        self._answers = None
        return answers[0] if len(answers) == 1 else b"".join(answers)

    # -- what we send ---------------------------------------------------------------------------------

    def _next_key(self) -> bytes:
        return b"" if self._new_key is None else self._new_key()

    def send_text(self, text: str) -> bytes:
        """Send a text message.

        Raises:
            LocalProtocolError: A close frame was sent.
            UnicodeEncodeError: The text has a lone surrogate.
        """
        if self.close_sent:
            raise LocalProtocolError("nothing can be sent: the WebSocket is closed, or closing")
        if self._deflate is not None and len(text) >= self._deflate.threshold:
            return self._compress(TEXT, text.encode())
        return build_text(text, b"" if self._new_key is None else self._new_key())

    def send_bytes(self, data: bytes) -> bytes:
        """Send a binary message; see `send_text`."""
        if self.close_sent:
            raise LocalProtocolError("nothing can be sent: the WebSocket is closed, or closing")
        if self._deflate is not None and len(data) >= self._deflate.threshold:
            return self._compress(BINARY, data)
        return build_frame(FIN | BINARY, data, b"" if self._new_key is None else self._new_key())

    def _compress(self, opcode: int, data: bytes) -> bytes:
        assert self._deflate is not None
        packed = self._deflate.compress(data)
        if packed is None:
            return build_frame(FIN | opcode, data, self._next_key())
        return build_frame(FIN | RSV1 | opcode, packed, self._next_key())

    def send_fragment(self, data: bytes, text: bool, first: bool, final: bool) -> bytes:
        """Send a piece of a message whose end is not known yet, uncompressed; see `send_text`.

        Args:
            data: The piece; of a text it may end within a character.
            text: The kind of the message.
            first: It is the first piece.
            final: It is the last one.
        """
        if self.close_sent:
            raise LocalProtocolError("nothing can be sent: the WebSocket is closed, or closing")
        opcode = (TEXT if text else BINARY) if first else CONTINUATION
        return build_frame((FIN if final else 0) | opcode, data, self._next_key())

    def send_ping(self, payload: bytes) -> bytes:
        """Ask for a sign of life.

        Raises:
            LocalProtocolError: A close frame was sent, or the payload is longer than 125 octets.
        """
        return self._send_control(FIN | PING, payload)

    def send_pong(self, payload: bytes) -> bytes:
        """Give a sign of life unasked; see `send_ping`."""
        return self._send_control(PONG_FRAME, payload)

    def _send_control(self, first: int, payload: bytes) -> bytes:
        if self.close_sent:
            raise LocalProtocolError("nothing can be sent: the WebSocket is closed, or closing")
        if len(payload) > MAX_CONTROL:
            raise LocalProtocolError(f"a control frame carries at most 125 octets, not {len(payload)}")
        return build_frame(first, payload, self._next_key())

    def send_close(self, code: int = 1000, reason: str = "") -> bytes:
        """Close, or answer a close with its own code; ``b""`` if that was done before.

        Raises:
            LocalProtocolError: See `close_payload`.
        """
        payload = close_payload(code, reason)
        if self.close_sent:
            return b""
        self.close_sent = True
        return build_frame(FIN | CLOSE, payload, self._next_key())
