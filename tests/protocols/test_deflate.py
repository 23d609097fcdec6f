"""Compressed messages: what is agreed upon, and that limits hold while they are inflated."""

import os
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocols.ws_driver import WS_BUILDS, frames, of_client, told
from vivace.protocols.deflate import TAIL, Deflate, DeflateOptions, Deflater, agree
from vivace.protocols.ws import WsLimits

TEXT = '{"room": "general", "text": "hello, hello, hello, hello"}' * 3


@pytest.fixture(params=WS_BUILDS)
def ws(request: pytest.FixtureRequest) -> Any:
    """One build of `vivace.protocols.ws`."""
    return WS_BUILDS[request.param]


def pack(data: bytes, final: bool = False) -> bytes:
    """A message as a peer compresses it, in one final block or as usual."""
    maker = zlib.compressobj(wbits=-15)
    packed = maker.compress(data)
    return packed + maker.flush() if final else (packed + maker.flush(zlib.Z_SYNC_FLUSH))[:-4]


def unpack(packed: bytes, wbits: int = -15) -> bytes:
    """A message as a peer decompresses it."""
    return zlib.decompressobj(wbits).decompress(packed + TAIL)


def agreed(offer: str = "", **options: Any) -> tuple[Deflate, str] | None:
    parameters = [p.partition("=") for p in offer.split("; ") if p]
    offers = [("permessage-deflate", [(name, value or None) for name, _, value in parameters])]
    return agree(offers, Deflater(DeflateOptions(**options)))


def deflate(offer: str = "", **options: Any) -> Deflate:
    made = agreed(offer, **options)
    assert made is not None
    return made[0]


BASE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits="


@pytest.mark.parametrize(
    ("offer", "options", "answer"),
    [
        ("", {}, BASE + "12"),
        ("client_max_window_bits", {}, BASE + "12; client_max_window_bits=12"),
        ("client_max_window_bits=10", {}, BASE + "12; client_max_window_bits=10"),
        ("client_max_window_bits=15", {}, BASE + "12; client_max_window_bits=12"),
        ("server_max_window_bits=10", {}, BASE + "10"),
        ("server_max_window_bits=15", {}, BASE + "12"),
        ("server_no_context_takeover; client_no_context_takeover", {}, BASE + "12"),
        ("", {"context_takeover": True, "window_bits": 15}, "permessage-deflate"),
        (
            "server_no_context_takeover",
            {"context_takeover": True, "window_bits": 15},
            "permessage-deflate; server_no_context_takeover",
        ),
        (
            "client_no_context_takeover",
            {"context_takeover": True, "window_bits": 15},
            "permessage-deflate; client_no_context_takeover",
        ),
        ("server_max_window_bits=8", {}, None),
        ("server_max_window_bits=7", {}, None),
        ("server_max_window_bits=16", {}, None),
        ("server_max_window_bits=012", {}, None),
        ("server_max_window_bits", {}, None),
        ("client_max_window_bits=7", {}, None),
        ("server_no_context_takeover=1", {}, None),
        ("server_no_context_takeover; server_no_context_takeover", {}, None),
        ("mystery", {}, None),
    ],
)
def test_an_offer_is_agreed_to_by_the_letter_or_declined(
    offer: str, options: dict[str, Any], answer: str | None
) -> None:
    made = agreed(offer, **options)
    assert (made[1] if made else None) == answer


def test_the_first_offer_that_can_be_met_is_taken() -> None:
    shared = Deflater(DeflateOptions())
    offers: list[Any] = [
        ("x-other", []),
        ("permessage-deflate", [("server_max_window_bits", "8")]),
        ("permessage-deflate", [("server_max_window_bits", "9")]),
        ("permessage-deflate", []),
    ]
    made = agree(offers, shared)
    assert made is not None
    assert made[1] == BASE + "9"
    assert agree(offers[:2], shared) is None


def test_messages_go_both_ways(ws: Any) -> None:
    connection = ws.WsConnection(WsLimits(), deflate())
    ((first, payload),) = frames(connection.send_text(TEXT))
    assert first == 0xC1
    assert len(payload) < len(TEXT) / 2
    assert unpack(payload, -15) == TEXT.encode()
    packed = pack(TEXT.encode())
    data = of_client(0xC1, packed) + of_client(0x81, b"plain") + of_client(0xC2, pack(b"")) + of_client(0xC2)
    assert told(connection.receive_data(data)) == [TEXT, "plain", b"", b""]
    ((first, _),) = frames(connection.send_bytes(TEXT.encode()))
    assert first == 0xC2


def test_fragments_of_a_compressed_message(ws: Any) -> None:
    connection = ws.WsConnection(WsLimits(), deflate())
    packed = pack(TEXT.encode())
    data = (
        of_client(0x41, packed[:5])
        + of_client(0x89)
        + of_client(0x00, packed[5:9])
        + of_client(0x80, packed[9:])
    )
    found = []
    for i in range(len(data)):
        found += told(connection.receive_data(data[i : i + 1]))
    assert found == [("Ping", b""), TEXT]


def test_a_continuation_with_the_bit_of_a_compressed_message_fails(ws: Any) -> None:
    connection = ws.WsConnection(WsLimits(), deflate())
    assert told(connection.receive_data(of_client(0x41, b"") + of_client(0xC0, b"")))[-1][:2] == (
        "Failed",
        1002,
    )


def test_a_last_block_may_be_marked_as_such(ws: Any) -> None:
    for packed in (pack(b"Hello", final=True), pack(b"Hello", final=True) + b"\x00"):
        connection = ws.WsConnection(WsLimits(), deflate())
        assert told(connection.receive_data(of_client(0xC1, packed) * 2)) == ["Hello", "Hello"]


def test_a_small_message_and_one_that_does_not_shrink_are_sent_as_they_are(ws: Any) -> None:
    connection = ws.WsConnection(WsLimits(), deflate(threshold=10))
    noise = os.urandom(100)
    assert frames(connection.send_text("a" * 9)) == [(0x81, b"a" * 9)]
    assert frames(connection.send_text("a" * 10))[0][0] == 0xC1
    assert frames(connection.send_bytes(noise)) == [(0x82, noise)]


def test_nothing_of_a_message_helps_the_next_unless_that_is_asked_for() -> None:
    data = os.urandom(200)
    without, with_ = deflate(), deflate(context_takeover=True, window_bits=15)
    assert without.compress(data) is None
    first, second = with_.compress(data), with_.compress(data)
    assert first is not None
    assert second is not None
    assert len(first) > 200
    assert len(second) < 30
    reader = zlib.decompressobj(-15)
    assert reader.decompress(first + TAIL) + reader.decompress(second + TAIL) == data * 2


def test_a_peer_cannot_reach_back_into_a_message_before(ws: Any) -> None:
    maker = zlib.compressobj(wbits=-15)
    one, two = ((maker.compress(TEXT.encode()) + maker.flush(zlib.Z_SYNC_FLUSH))[:-4] for _ in "12")
    forgets = ws.WsConnection(WsLimits(), deflate())
    remembers = ws.WsConnection(WsLimits(), deflate(context_takeover=True, window_bits=15))
    data = of_client(0xC1, one) + of_client(0xC1, two)
    assert told(remembers.receive_data(data)) == [TEXT, TEXT]
    assert told(forgets.receive_data(data))[1][:2] == ("Failed", 1007)


def test_one_compressor_serves_many_connections() -> None:
    shared = Deflater(DeflateOptions())
    made = [agree([("permessage-deflate", [])], shared) for _ in "ab"]
    for one in made * 2:
        assert one is not None
        packed = one[0].compress(TEXT.encode())
        assert packed is not None
        assert unpack(packed, -12) == TEXT.encode()


# -- limits -------------------------------------------------------------------------------------------


def test_the_limit_counts_inflated_octets(ws: Any) -> None:
    limits = WsLimits(max_message=1000)
    fits = ws.WsConnection(limits, deflate())
    assert told(fits.receive_data(of_client(0xC2, pack(bytes(1000))))) == [bytes(1000)]
    over = ws.WsConnection(limits, deflate())
    assert told(over.receive_data(of_client(0xC2, pack(bytes(1001)))))[0][:2] == ("Failed", 1009)
    # An unfinished frame is stopped too, and a fragment before its message is complete.
    early = ws.WsConnection(limits, deflate())
    assert told(early.receive_data(of_client(0xC2, pack(bytes(100_000)))[:-1]))[0][:2] == ("Failed", 1009)
    split = ws.WsConnection(limits, deflate())
    assert told(split.receive_data(of_client(0x42, pack(bytes(1001)) + TAIL)))[0][:2] == ("Failed", 1009)


def test_a_bomb_is_refused(ws: Any) -> None:
    limits = WsLimits(max_message=0)
    bomb = of_client(0xC2, pack(bytes(5_000_000)))
    connection = ws.WsConnection(limits, deflate())
    events = told(connection.receive_data(bomb))
    assert events[0][:2] == ("Failed", 1009)
    assert "100 times" in events[0][2]
    tolerant = ws.WsConnection(limits, deflate(max_ratio=0))
    assert told(tolerant.receive_data(bomb)) == [bytes(5_000_000)]
    small = ws.WsConnection(limits, deflate())
    assert told(small.receive_data(of_client(0xC2, pack(bytes(262_144))))) == [bytes(262_144)]


def test_what_is_not_deflate_and_what_is_not_utf8_is_refused(ws: Any) -> None:
    connection = ws.WsConnection(WsLimits(), deflate())
    assert told(connection.receive_data(of_client(0xC1, b"\xff\xff\xff")))[0][:2] == ("Failed", 1007)
    connection = ws.WsConnection(WsLimits(), deflate())
    assert told(connection.receive_data(of_client(0xC1, pack(b"\xff"))))[0][:2] == ("Failed", 1007)


@given(
    data=st.binary(max_size=300), copies=st.integers(1, 2000), cuts=st.lists(st.integers(0, 500), max_size=3)
)
def test_any_message_survives(data: bytes, copies: int, cuts: list[int]) -> None:
    data *= copies
    packed = pack(data)
    edges = [0, *sorted(min(cut, len(packed)) for cut in cuts), len(packed)]
    connection = WS_BUILDS["used"].WsConnection(WsLimits(), deflate(max_ratio=0))
    last = len(edges) - 2
    found = []
    for i in range(last + 1):
        first = (0x42 if i == 0 else 0) | (0x80 if i == last else 0)
        found += told(connection.receive_data(of_client(first, packed[edges[i] : edges[i + 1]])))
    assert found == [data]
    ours = deflate().compress(data)
    assert ours is None or unpack(ours, -12) == data
