"""Compression of WebSocket messages: permessage-deflate (RFC 7692), agreed upon and done.

Rules of this file:

- No context is taken over from one message to the next unless that is asked for: an idle connection then
  holds nothing. One compressor serves all connections of a worker: it forgets with each message.
- A decompressor is never shared: what one peer sent could be drawn from the window by another.
- Limits hold while a message is inflated: no more is made of it than there is room for, and one that is
  large and grew by more than `max_ratio` is refused as a bomb.
- What a peer offers is agreed to by the letter or not at all; unknown or repeated parameters decline the
  offer, malformed ones are the caller's matter (section 5.1: fail the handshake).
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from vivace.errors import RemoteProtocolError

__all__ = ["EXTENSION", "Deflate", "DeflateOptions", "Deflater", "Extension", "agree"]

EXTENSION: Final = "permessage-deflate"

Extension = tuple[str, Sequence[tuple[str, str | None]]]
"""The name of an extension and its parameters; None: without a value."""

TAIL: Final = b"\x00\x00\xff\xff"
"""What every message ends with and no peer sends (section 7.2.1)."""
_MEMORY: Final = 5
_PIECE: Final = 65_536
_MAX_WINDOW: Final = 15
_MIN_WINDOW: Final = 9
"""zlib makes no smaller ones; a peer that wants 8 is declined."""


@dataclass(frozen=True, slots=True)
class DeflateOptions:
    """How messages are compressed.

    Attributes:
        window_bits: Of the windows on both sides, 9 to 15: the peer is asked to keep to it too, if it can.
        level: Of zlib, 1 to 9.
        context_takeover: Compress a message with the help of those before it: smaller, and up to 300 KiB held
            by each connection.
        threshold: Octets (characters of a text) below which a message is sent as it is.
        max_ratio: How many times its size a message may have when inflated; 0: any.
        ratio_floor: Inflated octets up to which `max_ratio` does not matter.
    """

    window_bits: int = 12
    level: int = 1
    context_takeover: bool = False
    threshold: int = 64
    max_ratio: int = 100
    ratio_floor: int = 262_144


class Deflater:
    """Compresses for all connections of a worker that take no context over; made when first needed.

    Args:
        options: How.
    """

    __slots__ = ("_compressors", "options")

    def __init__(self, options: DeflateOptions) -> None:
        self.options = options
        self._compressors: dict[int, Any] = {}

    def compress(self, data: bytes, window_bits: int) -> bytes:
        """The octets of a message, compressed without the help of any other."""
        compressor = self._compressors.get(window_bits)
        if compressor is None:
            compressor = self._compressors[window_bits] = new_compressor(self.options.level, window_bits)
        # A full flush makes zlib forget what it saw, as a new compressor would have.
        packed: bytes = compressor.compress(data) + compressor.flush(zlib.Z_FULL_FLUSH)
        return packed[:-4]


def new_compressor(level: int, window_bits: int) -> Any:
    """A compressor for one direction of one connection, or for all that share it."""
    return zlib.compressobj(level, zlib.DEFLATED, -window_bits, _MEMORY)


class Deflate:
    """The compression of one connection, as agreed upon.

    Args:
        shared: Compresses where no context is taken over.
        our_bits: The window of what we send.
        our_takeover: We may use the context of messages before.
        their_takeover: So may the peer.

    Attributes:
        threshold: Octets below which a message is sent as it is.
    """

    __slots__ = (
        "_ended",
        "_final",
        "_full",
        "_inflated",
        "_input",
        "_our_bits",
        "_our_takeover",
        "_ours",
        "_received",
        "_shared",
        "_their_takeover",
        "_theirs",
        "threshold",
    )

    def __init__(self, shared: Deflater, our_bits: int, our_takeover: bool, their_takeover: bool) -> None:
        self._shared = shared
        self._our_bits = our_bits
        self._our_takeover = our_takeover
        self._their_takeover = their_takeover
        self.threshold = shared.options.threshold
        self._ours: Any = None
        self._theirs: Any = None
        self._input = b""
        self._final = False
        self._full = False
        self._ended = True
        self._received = 0
        self._inflated = 0

    @property
    def shared_bits(self) -> int:
        """The window of what we send, if other connections may send the same octets; 0: they may not."""
        return 0 if self._our_takeover else self._our_bits

    def compress(self, data: bytes) -> bytes | None:
        """The content of a message, compressed; None: it is better sent as it is."""
        if not self._our_takeover:
            packed = self._shared.compress(data, self._our_bits)
            return packed if len(packed) < len(data) else None
        if self._ours is None:
            self._ours = new_compressor(self._shared.options.level, self._our_bits)
        made: bytes = self._ours.compress(data) + self._ours.flush(zlib.Z_SYNC_FLUSH)
        return made[:-4]

    def feed(self, piece: bytes, final: bool) -> None:
        """Take over a piece of a compressed message; `inflate` tells what it is until that gives ``b""``."""
        if self._ended:
            self._received = self._inflated = 0
            self._ended = False
        if self._theirs is None:
            self._theirs = zlib.decompressobj(-_MAX_WINDOW)
        self._received += len(piece)
        self._input += piece + TAIL if final else piece
        self._final = final

    def inflate(self, room: int) -> bytes | None:
        """The next piece of the message.

        Args:
            room: How much it may be.

        Returns:
            ``b""``: there is no more now. None: there is more than that.

        Raises:
            RemoteProtocolError: It is not compressed data (1007), or a bomb (1009).
        """
        made = b""
        while (self._input or self._full) and not made:
            made = self._step(min(room + 1, _PIECE))
        if len(made) > room:
            return None
        if not made and self._final:
            self._end()
        return made

    def _step(self, most: int) -> bytes:
        """Feed what waits to zlib."""
        try:
            made: bytes = self._theirs.decompress(self._input, most)
        except zlib.error:
            raise RemoteProtocolError("a compressed message is not what deflate makes", 1007) from None
        self._input = self._theirs.unconsumed_tail
        if self._theirs.eof:
            # A peer may mark a block as the last one (section 7.2.3.5); what follows begins anew.
            self._input = self._theirs.unused_data
            self._theirs = zlib.decompressobj(-_MAX_WINDOW)
        # All that was fed may be taken while some of what it makes still waits for room.
        self._full = len(made) == most
        self._inflated += len(made)
        options = self._shared.options
        if options.max_ratio and self._inflated > max(
            options.ratio_floor, self._received * options.max_ratio
        ):
            raise RemoteProtocolError(f"a message inflates to over {options.max_ratio} times its size", 1009)
        return made

    def _end(self) -> None:
        """The message is complete."""
        self._ended = True
        if not self._their_takeover:
            self._theirs = None


def agree(offers: Sequence[Extension], shared: Deflater) -> tuple[Deflate, str] | None:
    """Agree to the first offer of permessage-deflate that can be met, as a server.

    Args:
        offers: The extensions that the client names, in its order.
        shared: For the worker; its options say what we want.

    Returns:
        The compression, and the member of Sec-WebSocket-Extensions that says so; None: there is none.
    """
    for name, parameters in offers:
        if name == EXTENSION:
            agreed = _agree_to(parameters, shared)
            if agreed is not None:
                return agreed
    return None


def _agree_to(parameters: Sequence[tuple[str, str | None]], shared: Deflater) -> tuple[Deflate, str] | None:
    given = dict(parameters)
    if len(given) != len(parameters) or not given.keys() <= _PARAMETERS.keys():
        return None
    if not all(_PARAMETERS[name](value) for name, value in parameters):
        return None
    options = shared.options
    takes_over = options.context_takeover
    ours = min(int(given.get("server_max_window_bits") or _MAX_WINDOW), options.window_bits)
    if ours < _MIN_WINDOW:
        return None
    our_takeover = takes_over and "server_no_context_takeover" not in given
    their_takeover = takes_over and "client_no_context_takeover" not in given
    said = [EXTENSION]
    if not our_takeover:
        said.append("server_no_context_takeover")
    if not their_takeover:
        said.append("client_no_context_takeover")
    if ours < _MAX_WINDOW:
        said.append(f"server_max_window_bits={ours}")
    if "client_max_window_bits" in given:
        theirs = min(int(given["client_max_window_bits"] or _MAX_WINDOW), options.window_bits)
        said.append(f"client_max_window_bits={theirs}")
    return Deflate(shared, ours, our_takeover, their_takeover), "; ".join(said)


def _is_flag(value: str | None) -> bool:
    return value is None


def _is_window(value: str | None) -> bool:
    return value in _WINDOWS


def _is_window_or_flag(value: str | None) -> bool:
    return value is None or value in _WINDOWS


_WINDOWS: Final = frozenset(map(str, range(8, 16)))
_PARAMETERS: Final = {
    "server_no_context_takeover": _is_flag,
    "client_no_context_takeover": _is_flag,
    "server_max_window_bits": _is_window,
    "client_max_window_bits": _is_window_or_flag,
}
"""What each parameter of an offer may have as its value (section 7.1)."""
