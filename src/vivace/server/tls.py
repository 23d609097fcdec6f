"""The TLS of a server: which certificate a connection gets, and how certificates are renewed while it serves.

Rules of this file:

- Contexts are made in the process that starts the workers: forked workers then share the keys of session
  tickets, so that a client may resume at any of them.
- New files are tried as a whole: what does not load leaves the old ones in use.
- A connection keeps the rules (clients' certificates, ciphers, versions) of the first certificate, whichever
  it gets: OpenSSL exchanges nothing else. So they have to be the same for all.
"""

import logging
import os
import ssl
import time
from collections.abc import Sequence
from typing import Any, Final

from vivace.config import Config
from vivace.errors import ConfigError
from vivace.server.certificates import (
    EXPIRES_SOON,
    TlsContext,
    TlsError,
    TlsFiles,
    TlsObject,
    check_files,
    make_context,
    read_certificate,
    read_source,
)
from vivace.server.local_certificate import local_certificate

__all__ = ["Tls", "make_tls", "matches", "read_ssl", "select"]

logger = logging.getLogger("vivace.server")

ENDS_TOLD: Final = 86_400.0
"""Seconds between two lines about a certificate that expires soon."""
LOCAL_PORT: Final = 8443
"""PORT of AUTO_TLS if nothing else says one."""


class Tls:
    """The certificates of a server.

    Args:
        sources: In the order of preference; the first is for clients that name no host, or none that fits.
        strict: There is no such default: an unknown name ends the handshake.

    Attributes:
        context: For the next connection.
        warnings: What should be said at the start.

    Raises:
        ConfigError: One of them cannot be used.
    """

    def __init__(self, sources: Sequence[TlsFiles | ssl.SSLContext], *, strict: bool = False) -> None:
        self._sources = tuple(sources)
        self._strict = strict
        _check_rules(self._sources)
        self._stamps = self._look()
        self._ends_due = 0.0
        self.warnings: list[str] = []
        self._names: list[tuple[str, ...]] = []
        self.context = self._load()

    def _look(self) -> dict[str, tuple[int, int, int] | None]:
        files = [path for one in self._sources if isinstance(one, TlsFiles) for path in one.paths()]
        return {path: _stamp(path) for path in files}

    def _load(self) -> ssl.SSLContext:
        self.warnings = []
        contexts = [self._make(source) for source in self._sources]
        self._names = [names_of(context) for context in contexts]
        if contexts[0].sni_callback is None or len(contexts) > 1 or self._strict:
            select(contexts[0], contexts, self._strict)
        return contexts[0]

    def _make(self, source: TlsFiles | ssl.SSLContext) -> ssl.SSLContext:
        if isinstance(source, ssl.SSLContext):
            return source
        self.warnings += check_files(source)
        return make_context(source)

    def serves(self, name: str) -> bool:
        """Whether a certificate is for the host `name`, or it is not known for which ones they are."""
        return not all(self._names) or any(matches(names, name) for names in self._names)

    def refresh(self) -> bool:
        """Take over files that were replaced; whether there were any that can be used."""
        found = self._look()
        if found == self._stamps:
            self._tell_ends()
            return False
        self._stamps = found
        try:
            self.context = self._load()
        except ConfigError as error:
            logger.error("the new certificate is not used, the old one stays: %s", error)  # noqa: TRY400
            return False
        for warning in self.warnings:
            logger.warning("%s", warning)
        logger.info("the certificate was replaced: %s", ", ".join(found))
        return True

    def _tell_ends(self) -> None:
        """Once a day, which certificates expire soon."""
        now = time.monotonic()
        if now < self._ends_due:
            return
        self._ends_due = now + ENDS_TOLD
        for source in self._sources:
            if not isinstance(source, TlsFiles):
                continue
            try:
                ends = read_certificate(source.cert)["ends"]
            except (OSError, ValueError):
                continue
            if ends < time.time() + EXPIRES_SOON:
                when = time.strftime("%Y-%m-%d", time.gmtime(ends))
                event = {"event": "tls.expiring", "subject": source.cert}
                logger.warning("the certificate %s ends on %s: renew it", source.cert, when, extra=event)


def _check_rules(sources: Sequence[TlsFiles | ssl.SSLContext]) -> None:
    files = [one for one in sources if isinstance(one, TlsFiles)]
    for name in ("ca_certs", "ciphers", "versions"):
        if len({getattr(one, name) for one in files}) > 1:
            called = "ssl_version" if name == "versions" else name
            raise ConfigError(f"TLS: {called} has to be the same for all certificates of a list", key=called)


def select(
    main: ssl.SSLContext,
    contexts: Sequence[ssl.SSLContext],
    strict: bool,
    default: ssl.SSLContext | None = None,
) -> None:
    """Let `main` choose among `contexts` by the name that a client asks for (RFC 6066 section 3).

    Args:
        main: The context of every connection at first.
        contexts: What to choose from.
        strict: A client without a name, or with another one, is refused.
        default: What it gets if not; `main` itself if None.
    """
    named = [(context, names_of(context)) for context in contexts]

    def choose(connection: ssl.SSLObject, asked: str | None, _: ssl.SSLContext) -> int | None:
        name = (asked or "").lower()
        if isinstance(connection, TlsObject):
            connection.server_name = name
        chosen = next((context for context, names in named if matches(names, name)), default)
        if chosen is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME if strict else None
        if chosen is not main:
            connection.context = chosen
        return None

    main.sslobject_class = TlsObject
    main.sni_callback = choose


def names_of(context: ssl.SSLContext) -> tuple[str, ...]:
    """The hosts that a context is for; none is known of a program's own."""
    return context.names if isinstance(context, TlsContext) else ()


def matches(names: Sequence[str], name: str) -> bool:
    """Whether a host is among `names`; ``*`` stands for one label (RFC 9525 section 6.3)."""
    return name in names or (bool(name) and f"*.{name.partition('.')[2]}" in names)


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def read_ssl(value: Any) -> Tls:
    """Understand the argument ``ssl=`` of `app.run`: one certificate, or a list of them.

    Raises:
        ConfigError: It cannot be used.
    """
    if not isinstance(value, (list, tuple)) or isinstance(value, TlsFiles):
        return Tls([read_source(value)])
    strict = bool(value) and value[0] is None
    sources = [read_source(one) for one in value if one is not None]
    if not sources:
        raise TlsError("No certificates with SubjectAlternativeNames found.", key="ssl")
    return Tls(sources, strict=strict)


def make_tls(config: Config, given: Any = None) -> Tls | None:
    """The certificates that a server is to use; None: it speaks plain HTTP.

    Args:
        config: Of the process.
        given: The argument ``ssl=``, if there was one; it beats the settings.

    Raises:
        ConfigError: They cannot be used.
    """
    tls = read_ssl(given) if given is not None else _configured(config)
    if tls is not None:
        config.warnings.extend(tls.warnings)
    elif config.TLS_REDIRECT_PORT:
        raise ConfigError("TLS_REDIRECT_PORT: there is no certificate to serve HTTPS with", key="TLS_CERT")
    return tls


def _configured(config: Config) -> Tls | None:
    """What the settings ask for."""
    sources: list[Any] = []
    if config.TLS_CERT or config.TLS_KEY:
        if not (config.TLS_CERT and config.TLS_KEY):
            raise ConfigError("TLS_CERT and TLS_KEY belong together: one of them is missing", key="TLS_CERT")
        sources.append(TlsFiles(config.TLS_CERT, config.TLS_KEY))
    sources += [read_source(folder) for folder in config.TLS_FOLDERS.split(os.pathsep) if folder]
    common = {
        "password": config.TLS_CERT_PASSWORD,
        "ca_certs": config.TLS_CLIENT_CA,
        "ciphers": config.TLS_CIPHERS,
    }
    found: list[TlsFiles | ssl.SSLContext] = [one._replace(**common) for one in sources]
    if not found and config.AUTO_TLS:
        found.append(local_certificate(config))
        if "PORT" not in config.sources and not config.BIND:
            config.override({"PORT": LOCAL_PORT}, "AUTO_TLS")
    return Tls(found, strict=config.TLS_STRICT_HOST) if found else None
