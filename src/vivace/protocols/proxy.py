"""The PROXY protocol, versions 1 and 2: what a proxy says of its client before the client's first octet.

Sans I/O: octets go in, a `ProxyHeader` comes out. Nothing behind the header is ever taken.

Rules of this file:

- A header is required, never guessed: the first octet that fits neither version is an error.
- Strict: one space, no leading zeros, addresses of the family that was named, a line of at most 107 octets,
  lengths that add up, a checksum that is right if there is one. There is nothing to repair.
- Addresses that are no client's (LOCAL, UNKNOWN, UNSPEC) leave those of the connection in place.
- Follows https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt.
"""

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from struct import Struct
from typing import Final, NamedTuple

from vivace.errors import RemoteProtocolError

__all__ = ["MAX_HEADER", "MAX_LINE", "ProxyHeader", "ProxyReader"]

MAX_LINE: Final = 107
"""Octets of a line of version 1, with its end."""
MAX_HEADER: Final = 16_384
"""Octets of a header of version 2, with what a proxy adds to it, such as a client's certificate."""
SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
"""Begins a header of version 2."""
_LINE: Final = b"PROXY "
_FIXED: Final = 16
_TYPE_CRC: Final = 0x03
_TYPE_TLS: Final = 0x20
_CLIENT_TLS: Final = 0x01
_TCP4: Final = Struct("!4s4sHH")
_TCP6: Final = Struct("!16s16sHH")
_UNIX: Final = Struct("!108s108s")

_Address = tuple[str, int] | None


class ProxyHeader(NamedTuple):
    """What a proxy says of its client.

    Attributes:
        version: 1 or 2.
        known: The addresses are those of the client and of what it connected to; else those of the
            connection count, as with a health check of the proxy itself.
        client: Address and port; None for a client on a Unix socket.
        server: What the client connected to; the same.
        tls: The client came by TLS, which the proxy took off.
    """

    version: int
    known: bool = False
    client: _Address = None
    server: _Address = None
    tls: bool = False


class ProxyReader:
    """Reads one header.

    Attributes:
        header: What was read; None: more octets are needed.
    """

    __slots__ = ("_buffer", "header")

    def __init__(self) -> None:
        self._buffer = b""
        self.header: ProxyHeader | None = None

    @property
    def empty(self) -> bool:
        """Nothing came so far."""
        return not self._buffer

    def feed(self, data: bytes) -> int:
        """Take octets.

        Args:
            data: What came next.

        Returns:
            How many of them belong to the header; the rest is the client's.

        Raises:
            RemoteProtocolError: This is no header of the PROXY protocol.
        """
        before = len(self._buffer)
        buffer = self._buffer + data
        size = self._read_binary(buffer) if buffer[:1] == SIGNATURE[:1] else self._read_line(buffer)
        self._buffer = buffer[:size]
        return size - before

    def _read_line(self, buffer: bytes) -> int:
        if not _LINE.startswith(buffer[: len(_LINE)]):
            raise RemoteProtocolError("the connection does not begin with a header of the PROXY protocol")
        end = buffer.find(b"\r\n", 0, MAX_LINE)
        if end >= 0:
            self.header = _parse_line(buffer[:end])
            return end + 2
        if len(buffer) >= MAX_LINE:
            raise RemoteProtocolError(f"the PROXY line is longer than {MAX_LINE} octets")
        return len(buffer)

    def _read_binary(self, buffer: bytes) -> int:
        if not SIGNATURE.startswith(buffer[: len(SIGNATURE)]):
            raise RemoteProtocolError("the connection does not begin with a header of the PROXY protocol")
        if len(buffer) < _FIXED:
            return len(buffer)
        size = _FIXED + int.from_bytes(buffer[14:_FIXED], "big")
        if size > MAX_HEADER:
            raise RemoteProtocolError(f"the PROXY header is larger than {MAX_HEADER} octets")
        if len(buffer) < size:
            return len(buffer)
        self.header = _parse_binary(buffer[:size])
        return size


def _parse_line(line: bytes) -> ProxyHeader:
    """Version 1, section 2.1."""
    words = line.split(b" ")
    if words[1] == b"UNKNOWN":
        return ProxyHeader(1)
    if len(words) != 6 or words[1] not in (b"TCP4", b"TCP6"):
        raise RemoteProtocolError("the PROXY line is malformed")
    make = _read_ipv4 if words[1] == b"TCP4" else _read_ipv6
    client = make(words[2]), _read_port(words[4])
    server = make(words[3]), _read_port(words[5])
    return ProxyHeader(1, known=True, client=client, server=server)


def _read_ipv4(word: bytes) -> str:
    try:
        return str(IPv4Address(word.decode("ascii")))
    except (AddressValueError, UnicodeDecodeError):
        raise RemoteProtocolError("the PROXY line has no IPv4 address where one belongs") from None


def _read_ipv6(word: bytes) -> str:
    try:
        if b"%" not in word:
            return str(IPv6Address(word.decode("ascii")))
    except (AddressValueError, UnicodeDecodeError):
        pass
    raise RemoteProtocolError("the PROXY line has no IPv6 address where one belongs")


def _read_port(word: bytes) -> int:
    if word.isdigit() and len(word) <= 5 and (word == b"0" or word[:1] != b"0") and int(word) < 65536:
        return int(word)
    raise RemoteProtocolError("the PROXY line has no port where one belongs")


def _parse_binary(header: bytes) -> ProxyHeader:
    """Version 2, section 2.2."""
    command, family = header[12], header[13]
    if command >> 4 != 2:
        raise RemoteProtocolError("the PROXY header is of an unknown version")
    if command & 0x0F > 1:
        raise RemoteProtocolError("the PROXY header has an unknown command")
    if command & 0x0F == 0:
        return ProxyHeader(2)
    if family >> 4 > 3 or family & 0x0F > 2:
        raise RemoteProtocolError("the PROXY header names an unknown family or transport")
    if family >> 4 == 0 or family & 0x0F == 0:
        return ProxyHeader(2)
    if family & 0x0F != 1:
        raise RemoteProtocolError("the PROXY header speaks of datagrams on a stream")
    size, client, server = _read_addresses(family >> 4, header[_FIXED:])
    tls = _read_extras(header, _FIXED + size)
    return ProxyHeader(2, known=True, client=client, server=server, tls=tls)


def _read_addresses(family: int, block: bytes) -> tuple[int, _Address, _Address]:
    """How long the addresses are, and which."""
    layout = (_TCP4, _TCP6, _UNIX)[family - 1]
    if len(block) < layout.size:
        raise RemoteProtocolError("the PROXY header is too short for its addresses")
    found = layout.unpack_from(block)
    if layout is _UNIX:
        return layout.size, None, None
    make = IPv4Address if layout is _TCP4 else IPv6Address
    return layout.size, (str(make(found[0])), found[2]), (str(make(found[1])), found[3])


def _read_extras(header: bytes, start: int) -> bool:
    """Check what follows the addresses; whether the client came by TLS."""
    tls = checked = False
    for kind, begin, end in _split_extras(header, start):
        if kind == _TYPE_TLS:
            if end - begin < 5:
                raise RemoteProtocolError("the PROXY header has a field of the wrong length")
            tls = bool(header[begin] & _CLIENT_TLS)
        elif kind == _TYPE_CRC:
            whole = header[:begin] + bytes(4) + header[end:]
            if checked or end - begin != 4 or _crc32c(whole) != int.from_bytes(header[begin:end], "big"):
                raise RemoteProtocolError("the checksum of the PROXY header is wrong")
            checked = True
    return tls


def _split_extras(header: bytes, start: int) -> Iterator[tuple[int, int, int]]:
    """Kind, begin and end of each field behind the addresses."""
    while start < len(header):
        begin = start + 3
        end = begin + int.from_bytes(header[start + 1 : begin], "big")
        if end > len(header) or begin > len(header):
            raise RemoteProtocolError("the PROXY header ends within a field")
        yield header[start], begin, end
        start = end


def _crc32c(data: bytes) -> int:
    """The checksum of RFC 4960 appendix B."""
    table = _crc_table()
    value = 0xFFFFFFFF
    for octet in data:
        value = value >> 8 ^ table[(value ^ octet) & 0xFF]
    return value ^ 0xFFFFFFFF


@lru_cache(1)
def _crc_table() -> tuple[int, ...]:
    made = []
    for octet in range(256):
        value = octet
        for _ in range(8):
            value = value >> 1 ^ 0x82F63B78 if value & 1 else value >> 1
        made.append(value)
    return tuple(made)
