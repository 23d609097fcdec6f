"""The Authorization field (RFC 9110 section 11.6.2): Basic (RFC 7617), Bearer (RFC 6750) and Token.

Rules of this file:

- A malformed Basic credential has no user name: nobody is mistaken for somebody.
- Nothing is compared here; compare secrets with `hmac.compare_digest`.
"""

import binascii
from base64 import b64decode
from typing import NamedTuple

__all__ = ["Credentials", "parse_authorization"]


class Credentials(NamedTuple):
    """What a client shows.

    Attributes:
        auth_type: The scheme as written, such as ``Bearer``; empty if the field is a bare token.
        token: The token of a Bearer, Token or unknown scheme; for Basic the encoded pair.
        username: Of Basic; None otherwise or if it is malformed.
        password: Of Basic; None otherwise or if it is malformed.
    """

    auth_type: str
    token: str
    username: str | None = None
    password: str | None = None


def parse_authorization(value: str) -> Credentials:
    """Take the field apart."""
    scheme, blank, token = value.strip().partition(" ")
    if not blank:
        return Credentials("", scheme)
    token = token.strip()
    if scheme.lower() != "basic":
        return Credentials(scheme, token)
    try:
        pair = b64decode(token, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return Credentials(scheme, token)
    username, colon, password = pair.partition(":")
    return Credentials(scheme, token, username, password) if colon else Credentials(scheme, token)
