"""The frames between the hub's process and those that use it.

A frame is the length of what follows in 4 octets, then a msgpack array: what it is, then its fields. Both
sides are of one version of Vivace on one machine, or nearly: the first frame of each side names the version
of the wire, and nothing is spoken with another one.

Rules of this file:

- No I/O.
- A frame is encoded once, whoever gets it.
"""

import enum
import struct
from typing import Any, Final

import msgspec

__all__ = ["FRAME_MAX", "VERSION", "Frames", "Op", "encode_frame"]

VERSION: Final = 1
FRAME_MAX: Final = 268_435_456
"""Octets of a frame; more is a peer that speaks something else."""

_length: Final = struct.Struct(">I")
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list)


class Op(enum.IntEnum):
    """What a frame is; in brackets who says it: the process (p), the hub (h)."""

    HELLO = 1  # both: version; from a process also its name
    RULES = 2  # both: rules
    SUBSCRIBE = 3  # p: topic, position or None
    UNSUBSCRIBE = 4  # p: topic
    SEND = 5  # p: topic, payload, id, exclude
    PUBLISH = 6  # p: number, topic, payload, id, exclude
    PAST = 7  # p: number, topic, position or None, limit
    CONTROL = 8  # both: payload
    TRACK = 9  # p: topic, key, ref, meta
    UNTRACK = 10  # p: topic, key, ref
    PRESENCE = 11  # p: number, topic
    STATS = 12  # p: number
    MESSAGE = 20  # h: stored
    GAP = 21  # h: topic, reason
    FOLLOWED = 22  # h: topic, past
    ANSWER = 23  # h: number, value
    FAILED = 24  # h: number, text
    STATE = 25  # h: up, why


def encode_frame(op: int, *fields: Any) -> bytes:
    """One frame."""
    frame = bytearray(4)
    _encoder.encode_into((op, *fields), frame, 4)
    _length.pack_into(frame, 0, len(frame) - 4)
    return bytes(frame)


class Frames:
    """Takes octets as they come, and gives whole frames.

    Attributes:
        most: Octets that a frame may have.
    """

    __slots__ = ("_buffer", "most")

    def __init__(self, most: int = FRAME_MAX) -> None:
        self.most = most
        self._buffer = bytearray()

    @property
    def waiting(self) -> int:
        """Octets of a frame whose rest has not come."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[list[Any]]:
        """The frames that are complete now.

        Raises:
            ValueError: What comes is no frame.
        """
        buffer = self._buffer
        buffer += data
        frames: list[list[Any]] = []
        start, end = 0, len(buffer)
        with memoryview(buffer) as view:
            while end - start >= 4:
                (length,) = _length.unpack_from(view, start)
                if length > self.most:
                    raise ValueError(f"a frame of {length} octets: this is no hub, or no process of one")
                if end - start - 4 < length:
                    break
                frames.append(_decoder.decode(view[start + 4 : start + 4 + length]))
                start += 4 + length
        del buffer[:start]
        return frames
