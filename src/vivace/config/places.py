"""Where a log goes: what LOG_TO may name.

    LOG_TO="stdout syslog+tls://logs.example.org:6514?ca=/etc/ssl/logs.pem&app=shop"

Rules of this file:

- Only the form is looked at; whether there is anybody shows when something is sent.
- Follows RFC 3986 for the form of a URL.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from vivace.errors import ConfigError

__all__ = ["LogPlace", "parse_place", "parse_places"]

_PORTS: Final = {
    "syslog+udp": 514,
    "syslog+tcp": 514,
    "syslog+tls": 6514,
    "otlp": 4318,
    "otlps": 4318,
    "udp+aead": 5140,
}
_SYSLOG: Final = frozenset({"facility", "app", "host"})
_OPTIONS: Final[dict[str, frozenset[str]]] = {
    "stdout": frozenset(),
    "stderr": frozenset(),
    "file": frozenset(),
    "syslog+udp": _SYSLOG | {"size"},
    "syslog+tcp": _SYSLOG | {"framing"},
    "syslog+tls": _SYSLOG | {"framing", "ca", "cert", "key", "verify"},
    "otlp": frozenset({"app"}),
    "otlps": frozenset({"app", "ca"}),
    "udp+aead": frozenset({"key", "size"}),
    "journald": frozenset({"app"}),
}
_USER: Final = re.compile(r"[^:/?#]*://[^/?#]*@")
_EXPECTED: Final = (
    "stdout, stderr, file:///path, syslog+udp://host, syslog+tcp://host, syslog+tls://host, otlp://host,"
    " journald:// or udp+aead://host"
)
_LOCAL: Final = ("file", "journald")
FACILITIES: Final = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "security", "console"),
    "solaris-cron",
    *(f"local{number}" for number in range(8)),
)
"""By their numbers (RFC 5424 section 6.2.1)."""
SMALLEST: Final = 480
"""Octets that a receiver of UDP takes at least (RFC 5426 section 3.2)."""
LARGEST: Final = 65_000
"""Octets that a datagram may have."""


class LogPlace(NamedTuple):
    """One place.

    Attributes:
        scheme: ``stdout``, ``stderr``, ``file``, ``syslog+udp``, ``syslog+tcp``, ``syslog+tls``, ``otlp``,
            ``otlps``, ``udp+aead`` or ``journald``.
        host: Of a server.
        port: The same.
        path: Of a file, or of a URL.
        options: What stands behind the question mark.
        text: As it was given.
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""
    options: dict[str, str] = {}  # noqa: RUF012 - of a tuple, nobody changes it
    text: str = ""


def parse_places(items: list[str]) -> list[LogPlace]:
    """Read places.

    Raises:
        ConfigError: One cannot be.
    """
    return [parse_place(item) for item in items]


def parse_place(text: str) -> LogPlace:
    """Read one place.

    Raises:
        ConfigError: It cannot be; says why.
    """
    if text in ("stdout", "stderr"):
        return LogPlace(text, text=text)
    if _USER.match(text):  # neither is sent to anybody, and the text is shown
        raise _refusal(f"{text.partition(':')[0]}://...: a user and a password have no place there")
    try:
        parts = urlsplit(text)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise _refusal(f"{text!r}: {error}") from None
    if scheme not in _OPTIONS or scheme in ("stdout", "stderr"):
        raise _refusal(f"{text!r}; expected {_EXPECTED}")
    if why := _why_not(scheme, host, parts.path, options):
        raise _refusal(f"{text!r}: {why}")
    return LogPlace(scheme, host, _PORTS.get(scheme, 0) if port is None else port, parts.path, options, text)


def _why_not(scheme: str, host: str, path: str, options: dict[str, str]) -> str:
    unknown = sorted(set(options) - _OPTIONS[scheme])
    size = options.get("size", str(SMALLEST))
    checks = (
        (scheme == "file" and (bool(host) or not path.strip("/")), "expected a path, as in file:///path"),
        (
            scheme == "journald" and bool(host),
            "expected no host: journald:// or journald:///path/of/its/socket",
        ),
        (scheme not in _LOCAL and not host, f"expected a host, as in {scheme}://logs.example.org"),
        (bool(unknown), f"{', '.join(unknown)} is no option of {scheme}"),
        (options.get("facility", "user") not in FACILITIES, "facility is one such as user or local0"),
        (options.get("framing", "octets") not in ("octets", "lf"), "framing is octets or lf"),
        (options.get("verify", "full") not in ("full", "none"), "verify is full or none"),
        (
            not (size.isascii() and size.isdigit() and SMALLEST <= int(size) <= LARGEST),
            f"size is octets from {SMALLEST} to {LARGEST}",
        ),
        (scheme == "syslog+tls" and "key" in options and "cert" not in options, "key without cert"),
    )
    return next((why for bad, why in checks if bad), "")


def _refusal(why: str) -> ConfigError:
    return ConfigError(f"LOG_TO: {why}", key="LOG_TO")
