"""Messages that many WebSockets get: each becomes octets once, not once for each of them.

Rules of this file:

- A variant is what a connection needs: the plain frame, or a compressed one of some window. Connections that
  take a context over from one message to the next share nothing: they encode for themselves.
- What was made is kept with the message, and goes when the last one who waits for it has it.
- Follows RFC 6455 section 5 and RFC 7692 section 7.2.1.
"""

from collections.abc import Sequence
from typing import Any, Final

from vivace.protocols.deflate import Deflate
from vivace.wire.frame import BINARY, FIN, RSV1, TEXT, build_frame

__all__ = ["OWN", "PLAIN", "Broadcast", "Encoded", "variant_of"]

PLAIN: Final = 0
"""The variant of connections without compression."""
OWN: Final = -1
"""That of connections that share nothing."""
BARE: Final = -2
"""The contents without any frame."""


def variant_of(deflate: Deflate | None) -> int:
    """What a connection with this compression needs: `PLAIN`, `OWN`, or the bits of its window."""
    if deflate is None:
        return PLAIN
    return deflate.shared_bits or OWN


class Encoded:
    """A message, and its content as it was compressed: what is cheap to make again is not kept.

    Args:
        content: The octets; UTF-8 if it is text.
        text: The kind of the message.
    """

    __slots__ = ("_packed", "_shown", "content", "text")

    def __init__(self, content: bytes, text: bool) -> None:
        self.content = content
        self.text = text
        self._packed: dict[int, bytes] | None = None
        self._shown: Any = None

    @classmethod
    def of(cls, message: str | bytes) -> "Encoded":
        """A message as programs know it."""
        return cls(message.encode(), True) if isinstance(message, str) else cls(bytes(message), False)

    @property
    def message(self) -> Any:
        """The message as programs know it: text or octets."""
        if self._shown is None:
            self._shown = self.content.decode() if self.text else self.content
        return self._shown

    def frame(self, variant: int, deflate: Deflate | None) -> bytes:
        """The frame for a variant; `deflate` is that of any connection of the variant."""
        opcode = TEXT if self.text else BINARY
        if deflate is not None and len(self.content) >= deflate.threshold:
            packed = self._pack(variant, deflate)
            if packed:
                return build_frame(FIN | RSV1 | opcode, packed, b"")
        return build_frame(FIN | opcode, self.content, b"")

    def _pack(self, variant: int, deflate: Deflate) -> bytes:
        """The content, compressed once for a variant; empty if that made it larger."""
        if self._packed is None:
            self._packed = {}
        packed = self._packed.get(variant)
        if packed is None:
            packed = self._packed[variant] = deflate.compress(self.content) or b""
        return packed


class Broadcast:
    """Messages that go to many WebSockets together.

    Args:
        messages: In order.
        items: What each of them was made of.

    Attributes:
        size: Octets of their contents.
    """

    __slots__ = ("_octets", "items", "messages", "size")

    def __init__(self, messages: Sequence[Encoded], items: Sequence[Any] = ()) -> None:
        self.messages = messages
        self.items = items
        self.size = sum(len(message.content) for message in messages)
        self._octets: dict[int, bytes] = {}

    def contents(self) -> bytes:
        """The contents of all messages, one behind the other: what a stream of octets sends."""
        found = self._octets.get(BARE)
        if found is None:
            found = self._octets[BARE] = b"".join([message.content for message in self.messages])
        return found

    def octets(self, variant: int, deflate: Deflate | None) -> bytes:
        """The frames of all messages for a variant that is shared, one behind the other."""
        found = self._octets.get(variant)
        if found is None:
            frames = [message.frame(variant, deflate) for message in self.messages]
            found = self._octets[variant] = frames[0] if len(frames) == 1 else b"".join(frames)
        return found
