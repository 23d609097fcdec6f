"""Secrets in what is logged: values are masked before anybody sees the line.

Rules of this file:

- Names count, not values: what stands behind ``password=`` or ``Authorization:`` goes.
- One expression, linear in the length of the text. A secret under a name that nobody gave is not found.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

__all__ = ["MASK", "NAMES", "Redaction"]

MASK: Final = "***"
NAMES: Final = (
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "password",
    "passwd",
    "secret",
    "token",
    "api_key",
    "api-key",
    "apikey",
    "x-api-key",
    "signature",
)
"""Names whose values are masked always; also as the last part of a name, such as ``access_token``."""
_WHOLE: Final = ("authorization", "proxy-authorization", "cookie", "set-cookie")
"""Fields of a message: all of the line is their value."""
_URL: Final = re.compile(r"(://[^\s/:@]{0,256}:)[^\s/@]{1,1024}(?=@)")


class Redaction:
    """Masks the values of secrets.

    Args:
        more: Names on top of `NAMES`, in any case.
    """

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._names = frozenset(name.lower() for name in (*NAMES, *more) if name)
        # The longest first: of two names that begin alike the longer one is meant.
        words = "|".join(re.escape(name) for name in sorted(self._names - set(_WHOLE), key=len, reverse=True))
        fields = "|".join(map(re.escape, sorted(_WHOLE, key=len, reverse=True)))
        between = r"[\"']{0,2}\s{0,3}[:=,]\s{0,3}(?:b(?=[\"']))?[\"']{0,2}"
        self._fields = re.compile(rf"((?:{fields}){between})[^\s\"'][^\"'\r\n]*", re.IGNORECASE)
        self._words = re.compile(
            rf"((?:{words}){between})(?:(?:bearer|basic|digest)\s{{1,3}})?[^\s\"',;&)}}\]]+", re.IGNORECASE
        )

    def text(self, text: str) -> str:
        """`text` with the values behind names of secrets masked, and passwords in URLs."""
        text = self._fields.sub(rf"\1{MASK}", text)
        text = self._words.sub(rf"\1{MASK}", text)
        return _URL.sub(rf"\1{MASK}", text) if "://" in text else text

    def value(self, name: str, value: Any) -> Any:
        """The value of a field called `name`."""
        if self.hides(name):
            return MASK
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {str(key): self.value(str(key), one) for key, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value("", one) for one in value]
        return value

    def hides(self, name: str) -> bool:
        """Whether what is called `name` is a secret."""
        low = name.lower()
        return low in self._names or low.endswith(tuple(f"_{one}" for one in self._names))
