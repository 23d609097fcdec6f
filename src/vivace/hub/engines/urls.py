"""Where the server of an engine is: what HUB_URL says, completed by what platforms say.

``redis``, ``postgres`` and ``nats`` alone mean the URL that the platform put into the environment. Options
behind a ``?`` are added to that: ``redis?tls_verify=none``.

Rules of this file:

- A URL is shown without its password.
- TLS is verified unless the URL says otherwise in so many words.
"""

import logging
import os
import re
import ssl
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from vivace.errors import ConfigError

__all__ = ["Address", "check_ports", "hide_password", "parse_address", "resolve_url", "same_server"]

logger = logging.getLogger("vivace")

_PLATFORM: Final = {
    "redis": ("REDIS_TLS_URL", "REDIS_URL"),
    "valkey": ("VALKEY_URL", "REDIS_TLS_URL", "REDIS_URL"),
    "postgres": ("DATABASE_URL",),
    "postgresql": ("DATABASE_URL",),
    "nats": ("NATS_URL",),
}
_TLS: Final = {"rediss", "valkeys"}
_UNIX: Final = {"redis+unix", "valkey+unix"}
_VERIFY: Final = ("full", "ca", "none")
_PORT: Final = 6379
_LAST_PORT: Final = 65535
_TOKEN: Final = {"nats", "tls", "ws", "wss"}
"""Where a name without a password is a secret."""
_between_urls: Final = re.compile(r",(?=[A-Za-z+]+://)")
_port_of: Final = re.compile(r"(?:[^:\[\]]*|\[[^\]]*\]):([^:\]]+)")
_in_options: Final = re.compile(r"(?<=password=)[^&]*")


class Address(NamedTuple):
    """Where a Redis is, and how it is greeted.

    Attributes:
        host: Name or address; empty with a Unix socket.
        port: Of it.
        path: Of a Unix socket; empty otherwise.
        user: For AUTH; empty for the default one.
        password: For AUTH; empty for none.
        database: Its number.
        tls: What TLS is made with; None: it is not used.
        verified: ``full``, ``ca`` or ``none``: what is verified of the certificate.
        shown: The URL, fit for a log.
    """

    host: str
    port: int
    path: str
    user: str
    password: str
    database: int
    tls: ssl.SSLContext | None
    verified: str
    shown: str


def resolve_url(url: str, environ: Mapping[str, str] | None = None) -> str:
    """The whole URL that a value of HUB_URL means.

    Args:
        url: Such as ``redis://host`` or only ``redis``.
        environ: Where platforms put URLs; this process's environment if None.

    Raises:
        ConfigError: It names a platform's URL that is not there.
    """
    if "://" in url:
        return url
    environ = os.environ if environ is None else environ
    name, _, options = url.strip().partition("?")
    variables = _PLATFORM.get(name.lower(), ())
    if not variables:
        raise ConfigError(
            f"HUB_URL={url!r} is no URL: expected redis://host:6379/0, rediss://, postgres://, nats://, or"
            " only redis, postgres or nats to take the URL that the platform gives",
            key="HUB_URL",
        )
    found = next((environ[one] for one in variables if environ.get(one)), None)
    if found is None:
        raise ConfigError(
            f"HUB_URL={url!r} takes its URL from {' or '.join(variables)}, and the environment has none of"
            " them: attach the service, or give the URL itself",
            key="HUB_URL",
        )
    if not options:
        return found
    return f"{found}{'&' if '?' in found else '?'}{options}"


def same_server(hub_url: str, url: str) -> bool:
    """Whether the hub's connections count against what a URL leads to.

    Args:
        hub_url: A value of HUB_URL.
        url: Of a Redis, or of a PostgreSQL and a role of it.
    """
    try:
        return bool(hub_url) and _whereabouts(resolve_url(hub_url)) == _whereabouts(url)
    except (ConfigError, ValueError):
        return False


def _whereabouts(url: str) -> tuple[object, ...]:
    scheme, _, rest = url.partition("://")
    parts = urlsplit(f"//{rest}")
    options = dict(parse_qsl(parts.query))
    host = (parts.hostname or options.get("host", ""), parts.port or options.get("port", ""))
    if scheme.partition("+")[0] in {"postgres", "postgresql"}:
        return "postgres", *host, parts.username or options.get("user", "")
    if scheme.partition("+")[0] in {*_TLS, "redis", "valkey"}:
        return "redis", *host, parts.path if scheme in _UNIX else ""
    return scheme, *host


def hide_password(url: str) -> str:
    """The URL, or the several with a comma between them, fit for a log."""
    return ",".join(_hide(one) for one in _between_urls.split(url))


def _hide(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    # The last one: a password that was not quoted may have any of "/?@".
    login, at, place = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    if at and not colon and scheme.lower() in _TOKEN:
        user = "***"
    return _in_options.sub("***", f"{scheme}{mark}{user}{':***' if colon else ''}{at}{place}")


def check_ports(url: str) -> None:
    """Refuse a URL, or several with a comma between them, with a port that cannot be.

    Raises:
        ConfigError: There is one.
    """
    for one in _between_urls.split(url):
        place = one.partition("://")[2].rpartition("@")[2]
        for host in re.split("[/?#]", place, maxsplit=1)[0].split(","):
            found = _port_of.fullmatch(host)
            if found is not None and not (found[1].isdecimal() and int(found[1]) <= _LAST_PORT):
                raise ConfigError(
                    f"HUB_URL {hide_password(url)} cannot be read: the port is no number up to {_LAST_PORT}",
                    key="HUB_URL",
                )


def parse_address(url: str, *, quiet: bool = False) -> Address:
    """Understand the URL of a Redis or Valkey.

    Args:
        url: Such as ``rediss://:secret@host:6380/0?tls_verify=ca&tls_ca=/etc/ssl/redis.pem`` or
            ``redis+unix:///run/redis.sock?db=1``.
        quiet: Do not warn of what is allowed.

    Raises:
        ConfigError: It says something that cannot be.
    """
    shown = hide_password(url)
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        database = options.pop("db", "") or ("" if parts.scheme in _UNIX else parts.path.strip("/")) or "0"
        port, number = parts.port or _PORT, int(database)
    except ValueError as error:
        # What went wrong may name a part of a password.
        why = (
            "is the port a number, and / ? # of the password written as %2F %3F %23?" if "@" in url else error
        )
        raise ConfigError(f"HUB_URL {shown} cannot be read: {why}", key="HUB_URL") from None
    tls, verified = _make_tls(parts.scheme.lower(), options, shown, quiet=quiet)
    if options:
        raise ConfigError(
            f"HUB_URL {shown} has options that nobody knows: {', '.join(options)}; expected tls_verify,"
            " tls_ca or db",
            key="HUB_URL",
        )
    unix = parts.scheme.lower() in _UNIX
    return Address(
        host="" if unix else parts.hostname or "127.0.0.1",
        port=port,
        path=unquote(parts.path) if unix else "",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=number,
        tls=tls,
        verified=verified,
        shown=shown.partition("?")[0],
    )


def _make_tls(
    scheme: str, options: dict[str, str], shown: str, *, quiet: bool
) -> tuple[ssl.SSLContext | None, str]:
    verified, authority = options.pop("tls_verify", "full"), options.pop("tls_ca", "")
    if verified not in _VERIFY:
        raise ConfigError(
            f"HUB_URL {shown}: tls_verify={verified!r} is none of {', '.join(_VERIFY)}", key="HUB_URL"
        )
    if scheme not in _TLS:
        return None, verified
    try:
        context = ssl.create_default_context(cafile=authority or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"HUB_URL {shown}: tls_ca={authority!r} is no file of certificates: {error}", key="HUB_URL"
        ) from None
    context.check_hostname = verified == "full"
    if verified == "none":
        context.verify_mode = ssl.CERT_NONE
        if not quiet:
            logger.warning(
                "hub: %s is used with tls_verify=none: whoever is in between can read along", shown
            )
    return context, verified
