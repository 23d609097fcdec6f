"""sanic.headers: functions that read single fields.

Rules of this file:

- What a proxy says is read by `vivace.framework.forwarded`, here under the names of Sanic.
- What is malformed gives None or nothing, as in Sanic; nothing is repaired.
"""

import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import unquote

from vivace.framework.forwarded import find_forwarded, normalize_told, split_host
from vivace.http.status import PHRASES

__all__ = [
    "format_http1_response",
    "fwd_normalize",
    "fwd_normalize_address",
    "parse_content_header",
    "parse_credentials",
    "parse_forwarded",
    "parse_host",
    "parse_xforwarded",
]

_PARAMETER: Final = re.compile(
    r';\s*([!#$%&\'*+\-.^_`|~\w]+)=(?:([!#$%&\'*+\-.^_`|~\w]+)|"([^"]*)")', re.ASCII
)
_IPV6: Final = re.compile(r"[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*", re.IGNORECASE)


def parse_content_header(value: str) -> tuple[str, dict[str, str]]:
    """The value of a field such as Content-Type or Content-Disposition, in lower case, and its parameters.

    ``%22`` in a parameter is a quotation mark, as browsers write it (WHATWG form encoding).
    """
    head = value.partition(";")[0].strip().lower()
    parameters = {
        name.lower(): (plain or quoted).replace("%22", '"')
        for name, plain, quoted in _PARAMETER.findall(value)
    }
    return head, parameters


def parse_host(host: str) -> tuple[str | None, int | None]:
    """Host name in lower case and port of an authority; twice None if it is malformed."""
    if "_" in host or host.endswith(":"):
        return None, None
    name, port = split_host(host)
    return (name, port) if name else (None, None)


def parse_credentials(
    header: str | None, prefixes: list[str] | tuple[str, ...] | set[str] = ("Basic", "Token", "Bearer")
) -> tuple[str | None, str | None]:
    """The scheme of Authorization and what follows it; no scheme if it is none of `prefixes`."""
    for prefix in prefixes:
        if header and header.startswith(prefix):
            return prefix, header.partition(prefix)[2].strip()
    return None, header


def fwd_normalize(told: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """What a proxy says, in one form: addresses and hosts in lower case, the port as a number."""
    readable = {name: unquote(value) if name == "path" else value for name, value in told if value}
    return {**normalize_told({k: v for k, v in readable.items() if k != "path"}), **_path_of(readable)}


def _path_of(told: dict[str, str]) -> dict[str, str]:
    return {"path": told["path"]} if "path" in told else {}


def fwd_normalize_address(address: str) -> str:
    """An address in one form.

    Raises:
        ValueError: It is ``unknown``.
    """
    if address == "unknown":
        raise ValueError
    if address.startswith("_"):
        return address
    return f"[{address.lower()}]" if _IPV6.fullmatch(address) else address.lower()


def parse_forwarded(headers: Any, config: Any) -> dict[str, Any] | None:
    """What the Forwarded field says that shows our secret; None if none does."""
    given: Any = _Settings(config, forwarded=True)
    return find_forwarded(headers, given) or None


def parse_xforwarded(headers: Any, config: Any) -> dict[str, Any] | None:
    """What the X-Forwarded fields say; None if they cannot be believed."""
    given: Any = _Settings(config, forwarded=False)
    return find_forwarded(headers, given) or None


class _Settings:
    """One half of the settings for proxies."""

    def __init__(self, config: Any, forwarded: bool) -> None:
        self.FORWARDED_SECRET = config.FORWARDED_SECRET if forwarded else ""
        self.REAL_IP_HEADER = "" if forwarded else config.REAL_IP_HEADER
        self.PROXIES_COUNT = 0 if forwarded else config.PROXIES_COUNT
        self.FORWARDED_FOR_HEADER = config.FORWARDED_FOR_HEADER


def format_http1_response(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The head of a response in HTTP/1.1."""
    phrase = PHRASES.get(status, "UNKNOWN").encode("ascii")
    fields = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, phrase, fields)
