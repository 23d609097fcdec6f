"""Frames of a WebSocket (RFC 6455 section 5), read and built one after the other.

Rules of this file:

- It is the definition; `_frame.pyx` does the same faster, with the same refusals.
- A frame is refused at its first wrong octet, before the rest of it has come. What a refusal carries as its
  status is the code to close with: 1002 for broken rules, 1007 for text that is not UTF-8.
- `read_messages` is a short cut for whole messages in one frame each, which is what nearly all are; it
  leaves everything else, errors too, to `parse_frame`.
- Whether a frame may come now, and how much of it is wanted, is the matter of `vivace.protocols.ws`.
"""

from codecs import utf_8_decode
from typing import Any, Final, NoReturn

from vivace._build import PURE
from vivace.errors import RemoteProtocolError

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "FIN",
    "PING",
    "PONG",
    "RSV1",
    "TEXT",
    "ParsedFrame",
    "build_frame",
    "build_text",
    "decode_text",
    "is_sendable",
    "mask",
    "parse_close",
    "parse_frame",
    "read_messages",
    "refuse_frame",
]

CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10
_KNOWN: Final = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))

FIN: Final = 0x80
RSV1: Final = 0x40
"""The reserved bit of a compressed message (RFC 7692 section 6)."""
RESERVED: Final = 0x70
MAX_CONTROL: Final = 125
"""Octets that a control frame carries at most (section 5.5)."""
MAX_LENGTH: Final = 2**63 - 1

RESERVED_BIT: Final = 0
OPCODE_UNKNOWN: Final = 1
CONTROL_FRAGMENT: Final = 2
CONTROL_LONG: Final = 3
MASK_MISSING: Final = 4
MASK_UNWANTED: Final = 5
LENGTH_NOT_MINIMAL: Final = 6
LENGTH_HUGE: Final = 7
NOT_UTF8: Final = 8
CLOSE_CODE: Final = 9
CLOSE_SHORT: Final = 10
CONTINUES_NOTHING: Final = 11
CONTINUATION_AWAITED: Final = 12
CONTROL_COMPRESSED: Final = 13

REASONS: Final[dict[int, tuple[int, str]]] = {
    RESERVED_BIT: (1002, "a reserved bit is set that no extension has given a meaning"),
    OPCODE_UNKNOWN: (1002, "the opcode is a reserved one"),
    CONTROL_FRAGMENT: (1002, "a control frame is fragmented"),
    CONTROL_LONG: (1002, "a control frame is longer than 125 octets"),
    MASK_MISSING: (1002, "a frame of a client is not masked"),
    MASK_UNWANTED: (1002, "a frame of a server is masked"),
    LENGTH_NOT_MINIMAL: (1002, "the length is not written in the shortest way"),
    LENGTH_HUGE: (1002, "the length is over 2^63-1"),
    NOT_UTF8: (1007, "text is not UTF-8"),
    CLOSE_CODE: (1002, "the code of a close frame may not be sent"),
    CLOSE_SHORT: (1002, "a close frame carries one octet"),
    CONTINUES_NOTHING: (1002, "a continuation continues no message"),
    CONTINUATION_AWAITED: (1002, "a message begins before the last one is complete"),
    CONTROL_COMPRESSED: (1002, "a control frame or a continuation has the bit of a compressed message"),
}
"""The close code and the sentence of each reason; the sentence fits a close frame."""

ParsedFrame = tuple[int, int, bytes, int]
"""The first octet, the length of the payload, the masking key or ``b""``, where the payload begins."""


def refuse_frame(reason: int) -> NoReturn:
    """Raise the error of `reason`.

    Raises:
        RemoteProtocolError: Always; its `status_hint` is the close code.
    """
    code, sentence = REASONS[reason]
    raise RemoteProtocolError(sentence, code)


def parse_frame(data: bytes, at: int, reserved: int, masked: bool) -> ParsedFrame | None:
    """Parse the head of a frame.

    Args:
        data: Received octets.
        at: Where the frame begins.
        reserved: The reserved bits that an extension has given a meaning: 0 or 0x40.
        masked: Whether the peer has to mask (a client) or may not (a server).

    Returns:
        See `ParsedFrame`; None: more octets are needed.

    Raises:
        RemoteProtocolError: The head breaks a rule of section 5.2 or 5.5.
    """
    size = len(data) - at
    if size < 1:
        return None
    first = data[at]
    _check_first(first, reserved)
    if size < 2:
        return None
    second = data[at + 1]
    if (second >= 0x80) != masked:
        refuse_frame(MASK_MISSING if masked else MASK_UNWANTED)
    length = second & 0x7F
    if first & 0x08 and length > MAX_CONTROL:
        refuse_frame(CONTROL_LONG)
    at += 2
    if length > MAX_CONTROL:
        octets = 2 if length == 126 else 8
        if size < 2 + octets:
            return None
        length = int.from_bytes(data[at : at + octets], "big")
        if length > MAX_LENGTH:
            refuse_frame(LENGTH_HUGE)
        if length < (126 if octets == 2 else 0x10000):
            refuse_frame(LENGTH_NOT_MINIMAL)
        at += octets
    if not masked:
        return first, length, b"", at
    key = data[at : at + 4]
    return (first, length, key, at + 4) if len(key) == 4 else None


def _check_first(first: int, reserved: int) -> None:
    """Check the octet with the flags and the opcode."""
    if first & RESERVED & ~reserved:
        refuse_frame(RESERVED_BIT)
    opcode = first & 0x0F
    if opcode not in _KNOWN:
        refuse_frame(OPCODE_UNKNOWN)
    if first & RESERVED and opcode not in (TEXT, BINARY):
        refuse_frame(CONTROL_COMPRESSED)
    if opcode & 0x08 and not first & FIN:
        refuse_frame(CONTROL_FRAGMENT)


def read_messages(data: bytes, at: int, limit: int, masked: bool, found: list[Any]) -> int:
    """Read messages that lie whole in `data`, uncompressed and in one frame each.

    Args:
        data: Received octets.
        at: Where the first frame begins.
        limit: Octets of a message that are taken at most.
        masked: Whether the peer masks.
        found: Gets the messages, `str` and `bytes`.

    Returns:
        The place of the first octet that is none of such a message: a frame of another kind, an incomplete
        one, one that is wrong or over the limit.
    """
    while True:
        frame = _whole_message(data, at, limit, masked)
        if frame is None:
            return at
        first, length, key, start = frame
        end = start + length
        payload = data[start:end]
        if key:
            payload = py_mask(payload, key)
        if first & 0x0F == TEXT:
            try:
                found.append(payload.decode())
            except UnicodeDecodeError:
                return at
        else:
            found.append(payload)
        at = end


def _whole_message(data: bytes, at: int, limit: int, masked: bool) -> ParsedFrame | None:
    if data[at : at + 1] not in (b"\x81", b"\x82"):
        return None
    try:
        frame = py_parse_frame(data, at, 0, masked)
    except RemoteProtocolError:
        return None
    if frame is None or frame[1] > limit or len(data) - frame[3] < frame[1]:
        return None
    return frame


def mask(data: bytes, key: bytes, phase: int = 0) -> bytes:
    """Mask or unmask octets (section 5.3).

    Args:
        data: The octets.
        key: Four octets.
        phase: How many octets of the payload went before.
    """
    size = len(data)
    phase &= 3
    pad = (key[phase:] + key[:phase]) * (size // 4 + 1)
    return (int.from_bytes(data, "little") ^ int.from_bytes(pad[:size], "little")).to_bytes(size, "little")


def decode_text(pending: bytes, data: bytes, final: bool) -> tuple[str, bytes]:
    """Decode a piece of a text; an octet that cannot be right is refused when it comes.

    Args:
        pending: The beginning of a character that the piece before ended with.
        data: The piece.
        final: Nothing follows.

    Returns:
        The text, and what is the beginning of a character.

    Raises:
        RemoteProtocolError: It is not UTF-8 (RFC 3629); the close code is 1007.
    """
    if pending:
        data = pending + data
    try:
        text, taken = utf_8_decode(data, "strict", final)
    except UnicodeDecodeError:
        refuse_frame(NOT_UTF8)
    pending = data[taken:]
    if pending[:1] == b"\xed" and pending[1:] >= b"\xa0":
        # The beginning of a surrogate, which Python's decoder leaves open until its third octet.
        refuse_frame(NOT_UTF8)
    return text, pending


def build_frame(first: int, payload: bytes, key: bytes) -> bytes:
    """Build a frame.

    Args:
        first: FIN, the reserved bits and the opcode.
        payload: What it carries.
        key: Four octets to mask with; ``b""``: it is not masked.
    """
    size = len(payload)
    masked = FIN if key else 0
    if size <= MAX_CONTROL:
        head = bytes((first, masked | size))
    elif size <= 0xFFFF:
        head = bytes((first, masked | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, masked | 127)) + size.to_bytes(8, "big")
    return head + key + py_mask(payload, key) if key else head + payload


def build_text(text: str, key: bytes) -> bytes:
    """Build the frame of a whole text message; see `build_frame`.

    Raises:
        UnicodeEncodeError: The text has a lone surrogate, which UTF-8 cannot say.
    """
    return py_build_frame(FIN | TEXT, text.encode(), key)


def is_sendable(code: int) -> bool:
    """Whether a close frame may carry the code (section 7.4, and the registry that it set up)."""
    return 3000 <= code <= 4999 or (1000 <= code <= 1014 and code not in (1004, 1005, 1006))


def parse_close(payload: bytes) -> tuple[int, str]:
    """The code and the reason of a close frame; 1005 if it carries none.

    Raises:
        RemoteProtocolError: The code may not be sent, or the reason is not UTF-8.
    """
    if not payload:
        return 1005, ""
    if len(payload) == 1:
        refuse_frame(CLOSE_SHORT)
    code = int.from_bytes(payload[:2], "big")
    if not is_sendable(code):
        refuse_frame(CLOSE_CODE)
    return code, decode_text(b"", payload[2:], final=True)[0]


py_parse_frame = parse_frame
py_read_messages = read_messages
py_mask = mask
py_build_frame = build_frame
py_build_text = build_text
"""The definitions, whatever build runs: for each other, and for the tests that compare the two."""

if not PURE:
    try:
        from vivace.wire._frame import build_frame, build_text, mask, parse_frame, read_messages
    except ImportError:
        pass
