"""Sanic's names around TLS: contexts that programs make by hand, and choose from.

Rules of this file:

- What is made here is an `ssl.SSLContext` that `app.run(ssl=...)` takes; the choice of files, versions and
  ciphers is that of `vivace.server.certificates`.
- Names, arguments and texts are Sanic's; a file that cannot be used raises what `ssl` raised.
"""

import ssl
from collections.abc import Iterable, Mapping
from typing import Any

from vivace.errors import ConfigError, SanicException
from vivace.server.certificates import TlsContext, TlsFiles, make_context, read_source
from vivace.server.local_certificate import local_certificate
from vivace.server.tls import matches, select

__all__ = [
    "CIPHERS_TLS12",
    "CertLoader",
    "CertSelector",
    "CertSimple",
    "SanicSSLContext",
    "create_context",
    "find_cert",
    "get_ssl_context",
    "load_cert_dir",
    "match_hostname",
    "process_to_context",
    "shorthand_to_ctx",
]

CIPHERS_TLS12 = [
    f"ECDHE-{key}-{cipher}"
    for key in ("ECDSA", "RSA")
    for cipher in ("CHACHA20-POLY1305", "AES256-GCM-SHA384", "AES128-GCM-SHA256")
]
"""The ciphers of TLS 1.2, in their order."""
_PRODUCTION = (
    "Cannot run Sanic as an HTTPS server in PRODUCTION mode without passing a TLS certificate. If you are"
    " developing locally, please enable DEVELOPMENT mode and Sanic will generate a localhost TLS certificate."
    " For more information please see:"
    " https://sanic.dev/en/guide/deployment/development.html#automatic-tls-certificate."
)


class SanicSSLContext(TlsContext):
    """A context with what is known of its certificate."""

    @property
    def sanic(self) -> dict[str, Any]:
        """Its subject, ``names``, and the paths ``cert`` and ``key``."""
        return dict(self.cert)

    @classmethod
    def create_from_ssl_context(cls, context: ssl.SSLContext) -> ssl.SSLContext:
        """`context`, as an object of this class."""
        context.__class__ = cls
        return context


class CertSimple(SanicSSLContext):
    """The context of one certificate.

    Args:
        cert: Path of the certificate and its chain.
        key: Path of the private key.
        kw: ``password``, ``names``, and anything to be found in `sanic` again.

    Raises:
        ValueError: A path is missing.
        OSError: A file cannot be used.
    """

    def __new__(cls, cert: Any, key: Any, **kw: Any) -> "CertSimple":  # noqa: PYI034  # it is made elsewhere
        files = read_source({**kw, "cert": cert, "key": key})
        assert isinstance(files, TlsFiles)
        return _make(files)

    def __init__(self, cert: Any, key: Any, **kw: Any) -> None:
        """Nothing is left to do."""


def _make(files: TlsFiles) -> CertSimple:
    try:
        made = make_context(files._replace(ciphers=files.ciphers or ":".join(CIPHERS_TLS12)), SanicSSLContext)
    except ConfigError as error:
        raise error.__cause__ or error from None
    select(made, [made], strict=False)
    made.__class__ = CertSimple
    return made  # type: ignore[return-value]


class CertSelector(ssl.SSLContext):
    """A context that chooses among several by the name that a client asks for.

    Args:
        ctxs: They, or what they are made of; the first is for everybody else, unless it is None.

    Attributes:
        sanic_fallback: The first; None: a client with another name is refused.
        sanic_select: All of them.

    Raises:
        ValueError: There is none.
    """

    def __new__(cls, ctxs: Iterable[Any]) -> "CertSelector":  # noqa: ARG004, PYI034
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, ctxs: Iterable[Any]) -> None:
        super().__init__()
        found = [shorthand_to_ctx(one) for one in ctxs]
        self.sanic_select = [one for one in found if one is not None]
        if not any(getattr(one, "names", None) for one in self.sanic_select):
            raise ValueError("No certificates with SubjectAlternativeNames found.")
        self.sanic_fallback = found[0]
        self.minimum_version = ssl.TLSVersion.TLSv1_2
        self.set_ciphers(":".join(CIPHERS_TLS12))
        self.set_alpn_protocols(["http/1.1"])
        if self.sanic_fallback is not None:
            first = self.sanic_select[0]
            select(self, [first, *self.sanic_select], strict=False, default=first)
        else:
            select(self, self.sanic_select, strict=True)


def create_context(
    certfile: str | None = None,
    keyfile: str | None = None,
    password: str | None = None,
    purpose: ssl.Purpose = ssl.Purpose.CLIENT_AUTH,
) -> ssl.SSLContext:
    """A context with safe ciphers, versions and ALPN; with a certificate if one is named."""
    context = ssl.create_default_context(purpose=purpose)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(CIPHERS_TLS12))
    context.set_alpn_protocols(["http/1.1"])
    if certfile and keyfile:
        context.load_cert_chain(certfile, keyfile, password)
    return context


def load_cert_dir(p: str) -> ssl.SSLContext:
    """The context of a folder with ``fullchain.pem`` and ``privkey.pem``.

    Raises:
        ValueError: One of them is missing.
    """
    files = read_source(p)
    if not isinstance(files, TlsFiles):
        raise TypeError(f"expected str, bytes or os.PathLike object, not {type(p).__name__}")
    return _make(files)


def shorthand_to_ctx(ctxdef: ssl.SSLContext | Mapping[str, Any] | str | None) -> ssl.SSLContext | None:
    """A context from a context, a dict or a folder; None stays None.

    Raises:
        ValueError: It is none of these.
    """
    if ctxdef is None or isinstance(ctxdef, ssl.SSLContext):
        return ctxdef
    if isinstance(ctxdef, Mapping):
        return CertSimple(**ctxdef)
    return load_cert_dir(ctxdef)


def process_to_context(ssldef: Any) -> ssl.SSLContext | None:
    """A context from all that `app.run` takes as ``ssl``.

    Raises:
        ValueError: It cannot be understood.
    """
    return CertSelector(ssldef) if isinstance(ssldef, (list, tuple)) else shorthand_to_ctx(ssldef)


def match_hostname(ctx: ssl.SSLContext, hostname: str) -> bool:
    """Whether a context is for a host."""
    return matches(getattr(ctx, "names", ()), hostname.lower())


def find_cert(self: CertSelector, server_name: str) -> ssl.SSLContext:
    """The first context for a host.

    Raises:
        ValueError: There is none, and none for everybody else.
    """
    for context in self.sanic_select:
        if server_name and match_hostname(context, server_name):
            return context
    if self.sanic_fallback is not None:
        return self.sanic_fallback
    if not server_name:
        raise ValueError("The client provided no SNI to match for certificate.")
    raise ValueError(f"No certificate found matching hostname {server_name!r}")


def get_ssl_context(app: Any, ssl: ssl.SSLContext | None) -> ssl.SSLContext:
    """`ssl`, or a certificate made for development.

    Raises:
        SanicException: There is none, and the app is not in debug mode.
    """
    if ssl is not None:
        return ssl
    if not app.debug:
        raise SanicException(_PRODUCTION)
    made = local_certificate(app.config)
    return make_context(made) if isinstance(made, TlsFiles) else made


class CertLoader:
    """Makes the context of a worker.

    Args:
        ssl_data: As `app.run` takes it.
    """

    def __init__(self, ssl_data: Any) -> None:
        self._ssl_data = ssl_data

    def load(self, app: Any) -> ssl.SSLContext | None:
        """The context; None if there is no certificate."""
        data = self._ssl_data
        if isinstance(data, Mapping) and "creator" in data:
            return get_ssl_context(app, None)
        return process_to_context(data)
