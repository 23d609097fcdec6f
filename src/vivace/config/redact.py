"""Secrets in what is logged and in settings that are shown: values are masked before anybody sees them.

Rules of this file:

- Names count, not values: what stands behind ``password=`` or ``Authorization:`` goes. A value in quotes goes
  up to its closing quote; one without ends at a space.
- One expression, linear in the length of the text. A secret under a name that nobody gave is not found.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

__all__ = ["MASK", "NAMES", "Redaction", "names_in"]

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
    "secret_key",
    "secret-key",
    "access_key",
    "access-key",
    "private_key",
    "private-key",
    "passphrase",
    "pwd",
    "jwt",
    "signature",
    "log_key",
)
"""Names whose values are masked always; also as the last part of a name, such as ``access_token``."""
_WHOLE: Final = ("authorization", "proxy-authorization", "cookie", "set-cookie")
"""Fields of a message: all of the line is their value."""
_URL: Final = re.compile(r"(://[^\s/:@]{0,256}:)[^\s/?#\"'<>]{1,1024}(?=@)")
_BETWEEN: Final = r"(?:\\{0,3}[\"']){0,2}\s{0,3}[:=,]\s{0,3}(?:b(?=[\"']))?(?:\\{0,3}[\"'])?"
"""A name and its value may each stand in quotes, which are escaped in a text within a text."""
_QUOTED: Final = (
    r"(?<=\\[\"'])[^\"'\\\r\n]*"
    r"|(?<=\")(?:[^\"\\\r\n]|\\.)*"
    r"|(?<=')(?:[^'\\\r\n]|\\.)*"
)
DEEPEST: Final = 16
"""How far into lists and tables of ``extra`` is looked; what is deeper is left out."""
_LEFT_OUT: Final = "..."


class Redaction:
    """Masks the values of secrets.

    Args:
        more: Names on top of `NAMES`, in any case.
    """

    def __init__(self, more: Iterable[str] = ()) -> None:
        names = {name.lower() for name in (*NAMES, *more) if name}
        self._ends = tuple(names)
        # The longest first: of two names that begin alike the longer one is meant.
        words = "|".join(re.escape(name) for name in sorted(names - set(_WHOLE), key=len, reverse=True))
        fields = "|".join(map(re.escape, sorted(_WHOLE, key=len, reverse=True)))
        self._fields = re.compile(rf"((?:{fields}){_BETWEEN})(?:{_QUOTED}|[^\s\"'][^\r\n]*)", re.IGNORECASE)
        self._words = re.compile(
            rf"((?:{words}){_BETWEEN})"
            rf"(?:{_QUOTED}|(?:(?:bearer|basic|digest)\s{{1,3}})?[^\s\"',;&)}}\]]+)",
            re.IGNORECASE,
        )

    def text(self, text: str) -> str:
        """`text` with the values behind names of secrets masked, and passwords in URLs."""
        text = self._fields.sub(rf"\1{MASK}", text)
        text = self._words.sub(rf"\1{MASK}", text)
        return _URL.sub(rf"\1{MASK}", text) if "://" in text else text

    def value(self, name: str, value: Any, deep: int = DEEPEST) -> Any:
        """The value of a field called `name`, made of what JSON has.

        Args:
            name: Of the field.
            value: Anything; of an object its fields count, or what `str` says of it.
            deep: How far into it is looked.
        """
        if self.hides(name):
            return MASK
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, (bytes, bytearray)):
            value = value.decode("utf-8", "backslashreplace")
        if isinstance(value, str):
            return self.text(value)
        if not deep:
            return _LEFT_OUT
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(str(key), one, deep - 1) for key, one in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.value("", one, deep - 1) for one in value]
        return self.value("", _plain(value), deep - 1)

    def hides(self, name: str) -> bool:
        """Whether what is called `name` is a secret: ``x-auth-token`` is one, as ``token`` is."""
        return name.lower().endswith(self._ends)


def names_in(text: str) -> list[str]:
    """The names that LOG_REDACT holds: with spaces or commas between them."""
    return text.replace(",", " ").split()


def _plain(value: Any) -> Any:
    """An object as text, lists and tables."""
    try:
        return msgspec.to_builtins(value, enc_hook=str, str_keys=True)
    except Exception:  # noqa: BLE001 - whatever an object of the app does, its line is written
        return f"<{type(value).__name__}>"
