"""A message as it travels through a server that does not look into it.

Rules of this file:

- Which machine sent it, and as which of its messages, is in it: a second copy can be told from a new message.
"""

from typing import Final

import msgspec

from vivace.hub.records import Outgoing, Position, Stored

__all__ = ["Envelope", "Numbers", "seal", "stored_from", "unseal"]

_REMEMBERED: Final = 1000
"""Senders whose last number is remembered."""


class Envelope(msgspec.Struct, array_like=True):
    """A message as it travels.

    Attributes:
        run: Names one life of the engine that sent it.
        number: Of all that this life has sent, rising.
        payload: See `Outgoing`.
        id: The same.
        origin: The same.
        exclude: The same.
    """

    run: str
    number: int
    payload: bytes
    id: str
    origin: str
    exclude: str | None = None


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Envelope)


def seal(outgoing: Outgoing, run: str, number: int) -> bytes:
    """The octets of a message."""
    return _encoder.encode(
        Envelope(run, number, outgoing.payload, outgoing.id, outgoing.origin, outgoing.exclude)
    )


def unseal(octets: bytes) -> Envelope:
    """What `seal` made.

    Raises:
        msgspec.MsgspecError: It is something else.
    """
    return _decoder.decode(octets)


def stored_from(topic: str, position: Position | None, envelope: Envelope) -> Stored:
    """What a hub gets of it."""
    return Stored(topic, envelope.payload, position, envelope.id, envelope.origin, envelope.exclude)


class Numbers:
    """Tells second copies from new messages.

    Each sender's messages come in the order of their numbers, and what was not answered comes again in it.
    """

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def is_new(self, envelope: Envelope) -> bool:
        """Whether a message is no second copy."""
        last = self._last
        if envelope.number <= last.get(envelope.run, 0):
            return False
        if len(last) >= _REMEMBERED and envelope.run not in last:
            del last[next(iter(last))]
        last[envelope.run] = envelope.number
        return True
