"""Messages for many: each becomes octets once per variant, and each variant is read as the message."""

from typing import Any

import pytest

from vivace.protocols.broadcast import OWN, PLAIN, Broadcast, Encoded, variant_of
from vivace.protocols.deflate import Deflate, DeflateOptions, Deflater
from vivace.protocols.ws import WsConnection, WsLimits

LONG = "a long message, a long message, " * 10


def deflate(bits: int = 12, takeover: bool = False) -> Deflate:
    return Deflate(Deflater(DeflateOptions()), bits, takeover, False)


def read(octets: bytes, compressed: bool) -> list[Any]:
    client = WsConnection(WsLimits(), deflate(15) if compressed else None, lambda: b"abcd")
    return client.receive_data(octets)


def test_the_variants() -> None:
    assert variant_of(None) == PLAIN
    assert variant_of(deflate(10)) == 10
    assert variant_of(deflate(takeover=True)) == OWN


@pytest.mark.parametrize("messages", [["a"], ["ä", b"\x00\xff", "", b"", LONG, LONG.encode()]])
@pytest.mark.parametrize("bits", [0, 9, 15])
def test_each_variant_is_read_as_the_messages(messages: list[str | bytes], bits: int) -> None:
    broadcast = Broadcast([Encoded.of(message) for message in messages])
    octets = broadcast.octets(bits, deflate(bits) if bits else None)
    assert read(octets, bits > 0) == messages
    assert [encoded.message for encoded in broadcast.messages] == messages
    assert broadcast.size == sum(len(m.encode() if isinstance(m, str) else m) for m in messages)


def test_a_variant_is_made_once() -> None:
    broadcast = Broadcast([Encoded.of(LONG), Encoded.of("x")])
    packing = deflate(12)
    first = broadcast.octets(12, packing)
    assert broadcast.octets(12, deflate(12)) is first
    assert len(first) < len(broadcast.octets(PLAIN, None))
    calls: list[bytes] = []

    class Counting(Deflate):
        def compress(self, data: bytes) -> bytes | None:
            calls.append(data)
            return super().compress(data)

    again = Broadcast(broadcast.messages)
    assert again.octets(12, Counting(Deflater(DeflateOptions()), 12, False, False)) == first
    assert calls == []


def test_what_deflate_makes_larger_is_sent_as_it_is() -> None:
    noise = bytes(range(256))
    assert Encoded.of(noise).frame(12, deflate(12)) == Encoded.of(noise).frame(PLAIN, None)
