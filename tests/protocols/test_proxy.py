"""The PROXY protocol: headers as a proxy makes them, in any pieces, and everything that is none."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vivace.errors import RemoteProtocolError
from vivace.protocols.proxy import MAX_HEADER, MAX_LINE, SIGNATURE, ProxyHeader, ProxyReader

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PORTS = st.integers(0, 65535)
IPV4 = st.ip_addresses(v=4)
IPV6 = st.ip_addresses(v=6)


def read(data: bytes) -> tuple[ProxyHeader | None, int]:
    reader = ProxyReader()
    used = reader.feed(data)
    return reader.header, used


def refuse(data: bytes) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        read(data)
    return str(caught.value)


def line(text: str) -> bytes:
    return text.encode("latin-1") + b"\r\n"


def binary(command: int = 0x21, family: int = 0x11, block: bytes = b"", size: int | None = None) -> bytes:
    length = len(block) if size is None else size
    return SIGNATURE + bytes([command, family]) + length.to_bytes(2, "big") + block


def extra(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


TCP4 = IPv4Address("1.2.3.4").packed + IPv4Address("5.6.7.8").packed + b"\x00\x50\x01\xbb"
TCP6 = IPv6Address("2001:db8::1").packed + IPv6Address("::2").packed + b"\x00\x50\x01\xbb"


# Against a generator


@st.composite
def headers(draw: st.DrawFn) -> tuple[bytes, ProxyHeader]:
    """A header as a proxy writes it, and what it says."""
    kind = draw(st.sampled_from([4, 6]))
    client, server = draw(IPV4 if kind == 4 else IPV6), draw(IPV4 if kind == 4 else IPV6)
    ports = draw(PORTS), draw(PORTS)
    said: dict[str, Any] = {
        "known": True,
        "client": (str(client), ports[0]),
        "server": (str(server), ports[1]),
    }
    form = draw(st.sampled_from(["line", "line unknown", "binary", "binary local"]))
    if form == "line":
        text = f"PROXY TCP{kind} {client} {server} {ports[0]} {ports[1]}"
        return line(text), ProxyHeader(1, **said)
    if form == "line unknown":
        return line("PROXY UNKNOWN" + draw(st.sampled_from(["", " anything ::1 at all", " "]))), ProxyHeader(
            1
        )
    block = client.packed + server.packed + ports[0].to_bytes(2, "big") + ports[1].to_bytes(2, "big")
    extras = draw(
        st.lists(st.tuples(st.sampled_from([1, 2, 4, 5, 0x30, 0xEE]), st.binary(max_size=40)), max_size=4)
    )
    tls = draw(st.sampled_from([None, 0, 1, 7]))
    block += b"".join(extra(*one) for one in extras)
    block += b"" if tls is None else extra(0x20, bytes([tls, 0, 0, 0, 0]) + extra(0x21, b"TLSv1.3"))
    if form == "binary local":
        return binary(0x20, draw(st.integers(0, 255)), block), ProxyHeader(2)
    return binary(0x21, 0x11 if kind == 4 else 0x21, block), ProxyHeader(2, **said, tls=bool((tls or 0) & 1))


@given(headers(), st.binary(max_size=60), st.lists(st.integers(1, 30), max_size=30))
@settings(max_examples=400, deadline=None)
def test_a_header_is_read_in_any_pieces_and_nothing_behind_it(
    made: tuple[bytes, ProxyHeader], rest: bytes, cuts: list[int]
) -> None:
    data, said = made
    assert read(data + rest) == (said, len(data))
    reader = ProxyReader()
    at = 0
    for size in [*cuts, len(data) + len(rest)]:
        piece = (data + rest)[at : at + size]
        used = reader.feed(piece)
        at += used
        if reader.header is not None:
            break
        assert used == len(piece)
    assert (reader.header, at) == (said, len(data))


@given(headers(), st.data())
@settings(max_examples=400, deadline=None)
def test_a_damaged_header_is_refused_or_says_something_whole(
    made: tuple[bytes, ProxyHeader], data: st.DataObject
) -> None:
    """Whatever comes, there is an answer: more is needed, a header, or a refusal."""
    header = bytearray(made[0])
    for _ in range(data.draw(st.integers(1, 3))):
        header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    try:
        found, used = read(bytes(header))
    except RemoteProtocolError:
        return
    assert used <= len(header)
    if found is not None and found.known and found.client is not None:
        assert str(ip_address(found.client[0])) == found.client[0]


@given(st.binary(max_size=200))
def test_noise_never_fails_otherwise(noise: bytes) -> None:
    for begin in (b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"):
        try:
            read(begin + noise)
        except RemoteProtocolError:
            continue


# Version 1


@pytest.mark.parametrize(
    ("text", "client", "server"),
    [
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535", ("255.255.255.255", 65535), None),
        ("PROXY TCP4 0.0.0.0 1.1.1.1 0 0", ("0.0.0.0", 0), ("1.1.1.1", 0)),
        ("PROXY TCP6 ::1 FE80::A 1 2", ("::1", 1), ("fe80::a", 2)),
        ("PROXY TCP6 ::ffff:1.2.3.4 ::2 1 2", ("::ffff:1.2.3.4", 1), ("::2", 2)),
        (
            "PROXY TCP6 " + " ".join(["ffff:" * 7 + "ffff"] * 2) + " 65535 65535",
            ("ffff:" * 7 + "ffff", 65535),
            None,
        ),
    ],
)
def test_a_line_names_client_and_server(
    text: str, client: tuple[str, int], server: tuple[str, int] | None
) -> None:
    header, used = read(line(text) + REQUEST)
    assert header is not None
    assert used == len(text) + 2
    assert header.client == (str(IPv6Address(client[0])) if ":" in client[0] else client[0], client[1])
    assert server is None or header.server == server
    assert not header.tls


@pytest.mark.parametrize(
    "text",
    [
        "PROXY",
        "PROXY ",
        "proxy TCP4 1.1.1.1 2.2.2.2 1 2",
        "PROXY  TCP4 1.1.1.1 2.2.2.2 1 2",
        "PROXY TCP4  1.1.1.1 2.2.2.2 1 2",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 ",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1",
        "PROXY tcp4 1.1.1.1 2.2.2.2 1 2",
        "PROXY TCP5 1.1.1.1 2.2.2.2 1 2",
        "PROXY UDP4 1.1.1.1 2.2.2.2 1 2",
        "PROXY UNKNOWNS",
        "PROXY TCP4 1.1.1.1 2.2.2.2 -1 2",
        "PROXY TCP4 1.1.1.1 2.2.2.2 +1 2",
        "PROXY TCP4 1.1.1.1 2.2.2.2 01 2",
        "PROXY TCP4 1.1.1.1 2.2.2.2 00 2",
        "PROXY TCP4 1.1.1.1 2.2.2.2 65536 2",
        "PROXY TCP4 1.1.1.1 2.2.2.2 100000 2",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1\xb2 2",
        "PROXY TCP4 1.1.1.1 2.2.2.2  2",
        "PROXY TCP4 01.1.1.1 2.2.2.2 1 2",
        "PROXY TCP4 1.1.1 2.2.2.2 1 2",
        "PROXY TCP4 1.1.1.256 2.2.2.2 1 2",
        "PROXY TCP4 ::1 ::2 1 2",
        "PROXY TCP4 \xe9 2.2.2.2 1 2",
        "PROXY TCP6 1.1.1.1 2.2.2.2 1 2",
        "PROXY TCP6 fe80::1%eth0 ::2 1 2",
        "PROXY TCP6 ::1::2 ::2 1 2",
        "PROXY TCP6 [::1] ::2 1 2",
        "PROXY TCP4 1.1.1.1\t2.2.2.2 1 2",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r",
        "PROXY TCP4 localhost 2.2.2.2 1 2",
    ],
)
def test_a_line_that_is_malformed_is_refused(text: str) -> None:
    assert "PROXY" in refuse(line(text) + REQUEST)


def test_a_line_has_an_end_in_time() -> None:
    longest = b"PROXY UNKNOWN " + b"x" * (MAX_LINE - 16) + b"\r\n"
    assert len(longest) == MAX_LINE
    assert read(longest) == (ProxyHeader(1), MAX_LINE)
    assert "longer than 107" in refuse(b"PROXY UNKNOWN " + b"x" * (MAX_LINE - 15) + b"\r\n")
    assert read(b"PROXY UNKNOWN " + b"x" * (MAX_LINE - 15)) == (None, MAX_LINE - 1)
    assert "longer than 107" in refuse(b"PROXY UNKNOWN " + b"x" * (MAX_LINE - 14))


@pytest.mark.parametrize(
    "data", [REQUEST, b"P0", b"\x16\x03\x01", b"\r\n\r\n\x00\r\nQUIX", b"\n", b"PROXX", b"PRI * HTTP/2.0"]
)
def test_what_is_no_header_is_refused_at_its_first_wrong_octet(data: bytes) -> None:
    assert "does not begin with a header" in refuse(data)


# Version 2


def test_a_binary_header_names_client_and_server() -> None:
    said = ProxyHeader(2, known=True, client=("1.2.3.4", 80), server=("5.6.7.8", 443))
    assert read(binary(block=TCP4) + REQUEST) == (said, 28)
    said = ProxyHeader(2, known=True, client=("2001:db8::1", 80), server=("::2", 443))
    assert read(binary(0x21, 0x21, TCP6) + REQUEST) == (said, 52)
    assert read(binary(0x21, 0x31, bytes(216))) == (ProxyHeader(2, known=True), 232)


@pytest.mark.parametrize(
    ("command", "family"),
    [(0x20, 0x11), (0x20, 0x00), (0x20, 0xFF), (0x21, 0x00), (0x21, 0x10), (0x21, 0x01)],
)
def test_without_a_client_the_addresses_stay(command: int, family: int) -> None:
    for block in (b"", TCP4):
        assert read(binary(command, family, block))[0] == ProxyHeader(2)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (binary(0x11, block=TCP4), "unknown version"),
        (binary(0x31, block=TCP4), "unknown version"),
        (binary(0x22, block=TCP4), "unknown command"),
        (binary(0x2F, block=TCP4), "unknown command"),
        (binary(0x21, 0x41, TCP4), "unknown family"),
        (binary(0x21, 0x13, TCP4), "unknown family or transport"),
        (binary(0x21, 0x12, TCP4), "datagrams"),
        (binary(0x21, 0x11, TCP4[:-1]), "too short for its addresses"),
        (binary(0x21, 0x21, TCP4), "too short for its addresses"),
        (binary(0x21, 0x31, TCP6), "too short for its addresses"),
        (binary(block=TCP4 + b"\x04"), "ends within a field"),
        (binary(block=TCP4 + b"\x04\x00"), "ends within a field"),
        (binary(block=TCP4 + b"\x04\x00\x01"), "ends within a field"),
        (binary(block=TCP4 + extra(0x20, b"\x01")), "wrong length"),
        (binary(block=TCP4 + extra(0x03, b"1234")), "checksum"),
        (binary(block=TCP4 + extra(0x03, b"123")), "checksum"),
        (binary(size=MAX_HEADER - 15), "larger than"),
    ],
)
def test_a_binary_header_that_is_malformed_is_refused(data: bytes, why: str) -> None:
    assert why in refuse(data + REQUEST)


def test_the_largest_header_is_read() -> None:
    block = TCP4 + extra(0x04, bytes(MAX_HEADER - 16 - len(TCP4) - 3))
    header, used = read(binary(block=block))
    assert used == MAX_HEADER
    assert header is not None


def test_a_checksum_is_checked() -> None:
    # As RFC 3720 appendix B.4 has it for 32 octets of zero.
    from vivace.protocols.proxy import _crc32c

    assert _crc32c(bytes(32)) == 0x8A9136AA
    assert _crc32c(b"123456789") == 0xE3069283
    bare = binary(block=TCP4 + extra(0x03, bytes(4)) + extra(0x04, b"x"))
    at = bare.index(b"\x03\x00\x04") + 3
    right = bare[:at] + _crc32c(bare).to_bytes(4, "big") + bare[at + 4 :]
    assert read(right)[0] == ProxyHeader(2, known=True, client=("1.2.3.4", 80), server=("5.6.7.8", 443))
    assert "checksum" in refuse(right[:-1] + b"y")


@pytest.mark.parametrize(("flags", "tls"), [(0, False), (1, True), (2, False), (7, True)])
def test_a_client_that_came_by_tls_is_known(flags: int, tls: bool) -> None:
    header, _ = read(binary(block=TCP4 + extra(0x20, bytes([flags, 0, 0, 0, 0]))))
    assert header is not None
    assert header.tls is tls
