"""Which proxy is believed, and which of the addresses that it tells is the client's.

Rules of this file:

- TRUSTED_PROXIES says whose fields count at all. The others say how the client is found among them: by a
  secret, by a field that the proxy overwrites, by the number of proxies; else by address: of the list that
  proxies append to, the client is the last that is no trusted proxy itself.
- ``*`` trusts whoever connects, and nobody whom that one tells of: else any client could put an address
  before the others.
- One list is read, the one that FORWARDED_FOR_HEADER names: a proxy that writes the one lets the other pass.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from vivace.framework.forwarded import find_forwarded, normalize_told, read_elements, single_value
from vivace.http.networks import Networks, address_of

if TYPE_CHECKING:
    from vivace.config import Config
    from vivace.http.headers import Headers

__all__ = ["find_trusted", "reads_elements"]

_FIELDS: Final = {
    "proto": "x-forwarded-proto",
    "host": "x-forwarded-host",
    "port": "x-forwarded-port",
    "path": "x-forwarded-path",
}


def find_trusted(client: tuple[str, int] | None, headers: "Headers", config: "Config") -> dict[str, Any]:
    """What proxies tell, if the peer is one that is believed; as `find_forwarded` gives it.

    Args:
        client: The peer of the connection; None on a Unix socket.
        headers: Of the request.
        config: TRUSTED_PROXIES, and what `find_forwarded` reads.

    Returns:
        Empty if nothing can be believed.
    """
    networks = _networks(config.TRUSTED_PROXIES)
    if networks and (client[0] if client else None) not in networks:
        return {}
    if reads_elements(config):
        return _find_element(headers, config.PROXIES_COUNT or 0, networks)
    if config.FORWARDED_SECRET or config.REAL_IP_HEADER or config.PROXIES_COUNT:
        return find_forwarded(headers, config)
    return _find_by_address(headers, config.FORWARDED_FOR_HEADER, networks)


def reads_elements(config: "Config") -> bool:
    """Whether the client is found in Forwarded by count or address, not by a secret in it."""
    return (
        config.FORWARDED_FOR_HEADER.lower() == "forwarded"
        and not config.FORWARDED_SECRET
        and not config.REAL_IP_HEADER
    )


@lru_cache(16)
def _networks(text: str) -> Networks:
    return Networks(text)


def _find_element(headers: "Headers", count: int, networks: Networks) -> dict[str, Any]:
    """The element of Forwarded (RFC 7239) that tells of the client, by count or by address."""
    found: dict[str, str] = {}
    for number, element in enumerate(read_elements(headers), 1):
        found = element
        if number == count or (not count and not _goes_on(element.get("for", ""), networks)):
            return normalize_told(element)
    return {} if count else normalize_told(found)


def _find_by_address(headers: "Headers", field: str, networks: Networks) -> dict[str, Any]:
    told = {name: single_value(headers, line) for name, line in _FIELDS.items()}
    told["for"] = ""
    for part in reversed(",".join(headers.get_all(field)).split(",")):
        item = part.strip(" \t")
        if item:
            told["for"] = item
            if not _goes_on(item, networks):
                break
    return normalize_told({name: value for name, value in told.items() if value})


def _goes_on(address: str, networks: Networks) -> bool:
    """Whether an address is that of a further proxy of ours, who tells where it had the request from."""
    return not networks.any and address_of(address) in networks
