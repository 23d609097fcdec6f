"""ASGI's extension ``tls``: what an app may know of an encrypted connection.

Rules of this file:

- Made once per connection; requests of it share what is found.
- Follows the ASGI TLS extension 0.2, and RFC 4514 for names.
"""

import re
import ssl
from collections.abc import Iterable
from typing import Any, Final

__all__ = ["describe_tls"]

_VERSIONS: Final = {"TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
_SHORT: Final = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "userId": "UID",
}
"""The short names that RFC 4514 section 3 lists; others are written as they are."""
_SPECIAL: Final = re.compile(r'([,+"\\<>;]|^[ #]| $)')


def describe_tls(connection: ssl.SSLObject) -> dict[str, Any]:
    """The value of ``scope["extensions"]["tls"]``."""
    shown = connection.getpeercert(binary_form=True)
    details = connection.getpeercert() or {}
    return {
        "server_cert": getattr(connection.context, "pem", "") or None,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(shown)] if shown else [],
        "client_cert_name": _name(details["subject"]) if "subject" in details else None,
        "client_cert_error": None,
        "tls_version": _VERSIONS.get(connection.version() or ""),
        "cipher_suite": _suite(connection),
    }


def _name(subject: Any) -> str:
    """A distinguished name as text: the last part comes first (RFC 4514 section 2.1)."""
    return ",".join(_part(pairs) for pairs in reversed(subject))


def _part(pairs: Iterable[tuple[str, str]]) -> str:
    return "+".join(f"{_SHORT.get(key, key)}={_SPECIAL.sub(_escape, value)}" for key, value in pairs)


def _escape(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


def _suite(connection: ssl.SSLObject) -> int | None:
    """The number of the cipher in IANA's registry."""
    chosen = connection.cipher()
    known = {each["name"]: each["id"] & 0xFFFF for each in connection.context.get_ciphers()}
    return known.get(chosen[0]) if chosen is not None else None
