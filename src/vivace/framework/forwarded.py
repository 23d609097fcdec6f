"""What proxies say of the client, as far as the settings make it trustworthy.

Rules of this file:

- Nothing is believed unless a setting names its source: FORWARDED_SECRET (the Forwarded field, RFC 7239),
  REAL_IP_HEADER (a field that the proxy overwrites) or PROXIES_COUNT (how many proxies append an address).
- Lists are read from the right: there stands what our own proxies wrote; what a client put before it cannot
  shift, hide or swallow it.
- A list that is shorter than PROXIES_COUNT, and a field that should stand once and stands twice, were not
  made by our proxies: they count as absent.
- A value that is no scheme, host, port or path is dropped, never repaired.
"""

import re
from collections.abc import Iterator
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final

from vivace.http.url import unquote_path

if TYPE_CHECKING:
    from vivace.config import Config
    from vivace.http.headers import Headers

__all__ = [
    "find_forwarded",
    "normalize_told",
    "read_elements",
    "single_value",
    "split_host",
    "trusts_proxies",
]

_TCHARS: Final = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz:[]/@?="
_NAME: Final = "-_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ESCAPED: Final = re.compile(r"\\(.)")
_IPV6: Final = re.compile(r"[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"[A-Za-z0-9._:\[\]%-]{1,128}")
_HOST: Final = re.compile(r"((?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,255}))(?::([0-9]{1,5}))?")
_PATH: Final = re.compile(r"/[!-~]*")
_SCHEMES: Final = frozenset(("http", "https", "ws", "wss"))
_MAX_PAIRS: Final = 100


def trusts_proxies(config: "Config") -> bool:
    """Whether a setting makes any field of a proxy believable."""
    return bool(
        config.FORWARDED_SECRET or config.REAL_IP_HEADER or config.PROXIES_COUNT or config.TRUSTED_PROXIES
    )


def find_forwarded(headers: "Headers", config: "Config") -> dict[str, Any]:
    """What trusted proxies tell: ``for``, ``proto``, ``host``, ``port``, ``path`` and what else they wrote.

    Args:
        headers: Of the request.
        config: FORWARDED_SECRET, REAL_IP_HEADER, PROXIES_COUNT and FORWARDED_FOR_HEADER are read.

    Returns:
        Empty if nothing can be believed.
    """
    if config.FORWARDED_SECRET:
        found = _find_element(headers, config.FORWARDED_SECRET)
        if found is not None:
            return normalize_told(found)
    return _find_x_forwarded(headers, config)


def split_host(host: str) -> tuple[str, int | None]:
    """Host name and port of an authority; an empty name if it is malformed."""
    found = _HOST.fullmatch(host)
    if found is None:
        return "", None
    return found[1].lower(), int(found[2]) if found[2] else None


def _find_element(headers: "Headers", secret: str) -> dict[str, str] | None:
    """The last element of Forwarded that shows the secret, as ``secret`` or as ``by``."""
    for element in read_elements(headers):
        shown = (element.get("secret", ""), element.get("by", ""))
        if any(compare_digest(word.encode(), secret.encode()) for word in shown):
            return element
    return None


def read_elements(headers: "Headers") -> Iterator[dict[str, str]]:
    """The elements of Forwarded from the right, names in lower case; ends at what is malformed."""
    element: dict[str, str] = {}
    for name, value, ends in _read_backwards(",".join(headers.get_all("forwarded"))):
        if name:
            element[name] = value
        if ends and element:
            yield dict(reversed(element.items()))
            element = {}


def _read_backwards(text: str) -> Iterator[tuple[str, str, bool]]:
    """Triples (name, value, whether the element begins here) from the right; ends at what is malformed."""
    for _ in range(_MAX_PAIRS):
        text = text.rstrip(" \t")
        name = value = ""
        if text and text[-1] not in ",;":
            head, value = _cut_value(text)
            if not head.endswith("="):
                return
            head = head[:-1]
            text = head.rstrip(_NAME)
            name = head[len(text) :].lower()
            text = text.rstrip(" \t")
            if not name or (text and text[-1] not in ",;"):
                return
        yield name, value, not text or text[-1] == ","
        if not text:
            return
        text = text[:-1]


def _cut_value(text: str) -> tuple[str, str]:
    """What stands before the last value, with its ``=``, and the value."""
    if not text.endswith('"'):
        head = text.rstrip(_TCHARS.replace("=", ""))
        return head, text[len(head) :]
    begin = text.rfind('="', 0, len(text) - 1)
    if begin < 0:
        return "", ""
    return text[: begin + 1], _ESCAPED.sub(r"\1", text[begin + 2 : -1])


def _find_x_forwarded(headers: "Headers", config: "Config") -> dict[str, Any]:
    address = single_value(headers, config.REAL_IP_HEADER) if config.REAL_IP_HEADER else ""
    if not address and config.PROXIES_COUNT:
        listed = ",".join(headers.get_all(config.FORWARDED_FOR_HEADER)).split(",")
        chain = [item for part in listed if (item := part.strip(" \t"))]
        if len(chain) >= config.PROXIES_COUNT:
            address = chain[-config.PROXIES_COUNT]
    if not address:
        return {}
    told = {
        "for": address,
        "proto": single_value(headers, "x-forwarded-proto") or single_value(headers, "x-scheme"),
        "host": single_value(headers, "x-forwarded-host"),
        "port": single_value(headers, "x-forwarded-port"),
        "path": single_value(headers, "x-forwarded-path"),
    }
    return normalize_told({name: value for name, value in told.items() if value})


def single_value(headers: "Headers", name: str) -> str:
    """The value of a field that proxies overwrite; empty if it stands twice: then one is the client's."""
    values = headers.get_all(name)
    return values[0].strip(" \t") if len(values) == 1 else ""


def normalize_told(told: dict[str, str]) -> dict[str, Any]:
    """What proxies tell, in one form; what is no address, scheme, host, port or path is left out."""
    found: dict[str, Any] = {}
    for name, value in told.items():
        read = _READERS.get(name)
        kept = read(value) if read is not None else value
        if kept is not None:
            found[name] = kept
    return found


def _read_address(value: str) -> str | None:
    if value == "unknown" or _ADDRESS.fullmatch(value) is None:
        return None
    if value.startswith("_"):
        return value
    return f"[{value.lower()}]" if _IPV6.fullmatch(value) else value.lower()


def _read_scheme(value: str) -> str | None:
    return value.lower() if value.lower() in _SCHEMES else None


def _read_host(value: str) -> str | None:
    return value.lower() if _HOST.fullmatch(value) else None


def _read_port(value: str) -> int | None:
    return (
        int(value)
        if value.isascii() and value.isdigit() and 0 < len(value) < 6 and int(value) < 65536
        else None
    )


def _read_path(value: str) -> str | None:
    return unquote_path(value.encode("latin-1")) if _PATH.fullmatch(value) else None


_READERS: Final = {
    "for": _read_address,
    "by": _read_address,
    "proto": _read_scheme,
    "host": _read_host,
    "port": _read_port,
    "path": _read_path,
}
