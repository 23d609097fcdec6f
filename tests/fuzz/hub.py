"""Fuzzing of what a process says to its hub: frames that are nearly right, cut, joined, and noise.

Rules of this file:

- A seed makes the same octets again; a failure names it.
- The hub's half is the real one, without a socket: thousands of connections in a second.
"""

import random
import struct
from typing import Any

import msgspec

from vivace.hub.exchange import Exchange
from vivace.hub.limits import Limits
from vivace.hub.process import Session
from vivace.hub.wire import VERSION, Op, encode_frame

__all__ = ["HELLO", "SEEDS", "Wire", "connect", "make_stream"]

HELLO = encode_frame(Op.HELLO, VERSION, "fuzz")
WORD = msgspec.msgpack.encode(["revoke", "7", None, "id"])

SEEDS: tuple[tuple[Any, ...], ...] = (
    (Op.HELLO, VERSION, "name"),
    (Op.RULES, [["room:*", "resume", 10, 300.0, 0], ["b", "latest", 1, 0.0, 5]]),
    (Op.SUBSCRIBE, "room:1", None),
    (Op.SUBSCRIBE, "room:1", ["epoch", 3]),
    (Op.SUBSCRIBE, "$present:room", None),
    (Op.UNSUBSCRIBE, "room:1"),
    (Op.SEND, "fast", b"\xa1x", "id1", None),
    (Op.PUBLISH, 1, "room:1", b"\xa1x", "id2", "ws-1"),
    (Op.PAST, 2, "room:1", ["epoch", 0], 100),
    (Op.CONTROL, WORD),
    (Op.TRACK, "room", "7", "ref", {"name": ["Ann", b"\0", 1.5]}),
    (Op.UNTRACK, "room", "7", "ref"),
    (Op.PRESENCE, 3, "room"),
    (Op.STATS, 4),
)
"""One of each frame, as it should be."""

_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 5, 2**31, 2**63 - 1, 2**64 - 1, -(2**63), 0.5, float("inf"), float("nan"), "", "a",
    "$control", "$presence", "$present:", "a\0b", "x" * 201, "\u20ac" * 70, b"", b"\xff", WORD, b"\x91\xc0",
    [], ["epoch"], ["epoch", -1], ["epoch", 2**64 - 1], [["*", "fast", 0, 0.0, 0]],
    [["*", "resume", -5, -1.0, -1]], [["*", "never", 1, 1.0, 1]], {}, {"a": [1]}, {1: 2}, [[[[]]]],
)  # fmt: skip


class Wire:
    """The transport of a session, which takes what it says."""

    def __init__(self) -> None:
        self.closed = False
        self.written = bytearray()

    def set_write_buffer_limits(self, high: int) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close


def connect(exchange: Exchange, sessions: set[Session]) -> tuple[Session, Wire]:
    """A process at a hub."""
    session, wire = Session(exchange, Limits(), sessions), Wire()
    session.connection_made(wire)  # type: ignore[arg-type]
    return session, wire


def make_stream(source: random.Random) -> bytes:
    """What a process says, most of it nearly right."""
    stream = bytearray(HELLO if source.random() < 0.9 else b"")
    for _ in range(source.randrange(1, 6)):
        stream += _make_frame(source)
    if source.random() < 0.3:
        at = source.randrange(len(stream))
        stream[at : at + source.randrange(3)] = source.randbytes(source.randrange(4))
    if source.random() < 0.2:
        del stream[source.randrange(len(stream)) :]
    return bytes(stream)


def _make_frame(source: random.Random) -> bytes:
    fields = list(source.choice(SEEDS))
    for _ in range(source.randrange(3)):
        at = source.randrange(len(fields))
        kind = source.randrange(6)
        if kind < 4:
            fields[at] = source.choice(_VALUES)
        elif kind == 4:
            del fields[at]
        else:
            fields.insert(at, source.choice(_VALUES))
        if not fields:
            break
    body = msgspec.msgpack.encode(fields)
    if source.random() < 0.02:
        body = b"\x91" * source.randrange(5000) + b"\xc0"
    length = len(body)
    if source.random() < 0.05:
        length = source.choice((0, 1, length - 1, length + 1, 2**16, 2**28, 2**28 + 1, 2**32 - 1))
    return struct.pack(">I", length) + body
