"""What a worker and a process beside it tell each other: frames of msgpack, on a Unix socket.

Rules of this file:

- Values are what msgpack knows, and what msgspec makes of it: never pickle.
- Each frame but the first word names the call that it is about.
"""

import enum
import os
from typing import Any, Final

import msgspec

from vivace.errors import MessageTooLarge
from vivace.hub.wire import encode_frame

__all__ = ["CREDIT", "LONGEST", "VARIABLE", "Word", "encode", "place_of"]

VARIABLE: Final = "VIVACE_RUN"
"""Where the folder of the sockets is."""
LONGEST: Final = 67_108_864
"""Octets of a message, of the arguments of a call or of a result, encoded."""
CREDIT: Final = 16
"""Items of a stream that may be on their way before one was read."""


class Word(enum.IntEnum):
    """What a frame is; in brackets who says it: the worker (w), the process (p)."""

    PUT = 1  # w: number, message
    CALL = 2  # w: number, seconds, arguments, named arguments
    CANCEL = 3  # w: number
    MORE = 4  # w: number, how many items
    TAKEN = 10  # p: number
    FULL = 11  # p: number
    AWAY = 12  # p: number: not taken, for this process leaves
    STARTED = 13  # p: number
    RESULT = 14  # p: number, value
    FAILED = 15  # p: number, status or 0, text
    ITEM = 16  # p: number, value
    END = 17  # p: number
    LEAVING = 18  # p: 0: say nothing new, and go when all is answered


def encode(word: Word, number: int, *fields: Any) -> bytes:
    """One frame.

    Raises:
        TypeError: A value is of a type that msgspec does not encode.
        MessageTooLarge: It is longer than `LONGEST`.
    """
    try:
        frame = encode_frame(word, number, *fields)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise TypeError(f"{error}; expected values that msgspec encodes as msgpack") from None
    if len(frame) > LONGEST:
        raise MessageTooLarge(f"{len(frame)} octets are more than the {LONGEST} that go to a process at once")
    return frame


def place_of(folder: str, name: str, index: int) -> str:
    """The path of the socket of a process.

    Args:
        folder: See `VARIABLE`.
        name: Of the service or pool.
        index: Of the process.
    """
    return os.path.join(folder, f"{name}.{index}")
