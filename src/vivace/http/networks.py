"""Addresses and networks that are trusted: written as text, asked with the address of a peer.

Rules of this file:

- Addresses and networks only, no names: what a name stands for can change, and others may change it.
- An IPv4 address within IPv6 (``::ffff:10.0.0.1``) is that IPv4 address.
- What is no address is in no network.
"""

import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

__all__ = ["Networks", "address_of"]

ANY: Final = "*"
"""Everybody."""
UNIX: Final = "unix"
"""Whoever came by a Unix socket, and has no address."""
_APART: Final = re.compile(r"[\s,]+")
_WITH_PORT: Final = re.compile(r"([0-9.]+):[0-9]{1,5}|\[([0-9A-Fa-f:.%a-z]+)\](?::[0-9]{1,5})?")


class Networks:
    """A set of addresses.

    Args:
        text: Addresses (``10.0.0.7``), networks (``10.0.0.0/8``, ``fd00::/8``), ``unix`` for peers on Unix
            sockets, ``*`` for everybody; spaces or commas between them.

    Raises:
        ValueError: Something else stands there, or an address has bits beyond its network's prefix.
    """

    __slots__ = ("_networks", "_text", "_unix", "any")

    def __init__(self, text: str) -> None:
        items = [item for item in _APART.split(text) if item]
        self.any = ANY in items
        self._unix = self.any or UNIX in items
        self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(
            ip_network(item) for item in items if item not in (ANY, UNIX)
        )
        self._text = " ".join(items)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __str__(self) -> str:
        return self._text

    def __contains__(self, address: str | None) -> bool:
        """Whether the address of a peer is among them.

        Args:
            address: Without a port; None for a peer on a Unix socket.
        """
        if address is None:
            return self._unix
        if self.any:
            return True
        try:
            found = ip_address(address)
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self._networks)


def address_of(text: str) -> str:
    """The address in what a proxy wrote, without port and brackets; the text itself if it is no address."""
    found = _WITH_PORT.fullmatch(text)
    return found[1] or found[2] if found is not None else text
