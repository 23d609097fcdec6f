"""Names of certificates as ASGI apps read them."""

from typing import Any

import pytest

from vivace.interfaces.asgi_tls import _name


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        (((("countryName", "DE"),), (("commonName", "me"),)), "CN=me,C=DE"),
        (((("commonName", "a"), ("userId", "b")),), "CN=a+UID=b"),
        (((("organizationName", 'Doe, "Inc" + Co;'),),), r"O=Doe\, \"Inc\" \+ Co\;"),
        (((("commonName", " #x "),),), r"CN=\ #x\ "),
        (((("emailAddress", "me@shop.test"),),), "emailAddress=me@shop.test"),
        ((), ""),
    ],
)
def test_distinguished_names(subject: Any, text: str) -> None:
    assert _name(subject) == text
