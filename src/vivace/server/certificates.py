"""Certificates: files that a program or the configuration names, and the contexts that are made of them.

Rules of this file:

- TLS 1.2 and 1.3 only, ciphers with forward secrecy and authenticated encryption (RFC 9325), no compression,
  no renegotiation.
- What cannot be used ends the start with a sentence that names the file; nothing asks for a password on a
  terminal. What can be used but should not (expired, readable by everybody) is a warning.
- Which of several certificates a connection gets is the matter of `vivace.server.tls`.
"""

import os
import ssl
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from vivace.errors import ConfigError

__all__ = ["TlsContext", "TlsError", "TlsFiles", "TlsObject", "check_files", "make_context", "read_source"]

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!MD5:!DSS"
"""For TLS 1.2; those of TLS 1.3 are all good."""
PROTOCOLS: Final = ("http/1.1",)
"""What ALPN offers (RFC 7301)."""
EXPIRES_SOON: Final = 14 * 86_400
"""Seconds before the end of a certificate from which on it is said."""
CHAIN: Final = "fullchain.pem"
KEY: Final = "privkey.pem"

_NAMES: Final = {
    "certificate": "cert",
    "certfile": "cert",
    "keyfile": "key",
}
_WITHOUT_EFFECT: Final = frozenset({"do_handshake_on_connect", "check_hostname"})
"""Arguments of `ssl.wrap_socket` that mean nothing to a server that does not block."""


class TlsError(ConfigError, ValueError):
    """What names a certificate cannot be understood."""


class TlsFiles(NamedTuple):
    """One certificate: where its parts lie, and how it is used.

    Attributes:
        cert: Path of the certificate and its chain, PEM.
        key: Path of the private key, PEM.
        password: Of the key.
        names: Hosts that it is for; those of the certificate if None.
        ca_certs: Path of the authorities, file or folder: clients have to show a certificate of theirs.
        ciphers: For TLS 1.2, in OpenSSL's words.
        versions: The least and the greatest version of TLS.
        more: Anything else that the program keeps with it.
    """

    cert: str
    key: str
    password: str = ""
    names: tuple[str, ...] | None = None
    ca_certs: str = ""
    ciphers: str = ""
    versions: tuple[ssl.TLSVersion, ssl.TLSVersion] = (
        ssl.TLSVersion.TLSv1_2,
        ssl.TLSVersion.MAXIMUM_SUPPORTED,
    )
    more: Mapping[str, Any] = MappingProxyType({})

    def __repr__(self) -> str:
        return f"TlsFiles(cert={self.cert!r}, key={self.key!r})"  # not the password

    def paths(self) -> list[str]:
        """The files it is made of."""
        return [self.cert, self.key, *([self.ca_certs] if self.ca_certs else [])]


class TlsObject(ssl.SSLObject):
    """One encrypted connection.

    Attributes:
        server_name: The name that the client asked for; empty if it named none.
    """

    server_name = ""


class TlsContext(ssl.SSLContext):
    """A context that knows its certificate.

    Attributes:
        cert: Of the certificate: the fields of its subject, ``names``, and the paths ``cert`` and ``key``.
        names: Hosts that it is for, in lower case; with ``*`` as the first label.
        pem: The certificate itself, without its chain.
    """

    cert: Mapping[str, Any] = MappingProxyType({})
    names: tuple[str, ...] = ()
    pem: str = ""


def make_context(files: TlsFiles, kind: type[TlsContext] = TlsContext) -> TlsContext:
    """A context for one certificate.

    Args:
        files: The certificate.
        kind: What to make.

    Raises:
        ConfigError: A file cannot be used; the message names it.
    """
    context = kind(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = files.versions
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(list(PROTOCOLS))
    try:
        context.set_ciphers(files.ciphers or CIPHERS)
    except ssl.SSLError:
        raise ConfigError(f"TLS: no cipher is known by {files.ciphers!r}", key="TLS_CIPHERS") from None
    _load_pair(context, files)
    if files.ca_certs:
        _verify_clients(context, files.ca_certs)
    found = read_certificate(files.cert)
    names = list(files.names) if files.names is not None else found["names"]
    subject = {} if files.names is not None else found["subject"]
    context.cert = {**subject, **files.more, "cert": files.cert, "key": files.key, "names": names}
    context.names = tuple(name.lower() for name in names)
    context.pem = _first_of(files.cert)
    return context


def _load_pair(context: ssl.SSLContext, files: TlsFiles) -> None:
    asked = False

    def password() -> str:
        nonlocal asked
        asked = True
        return files.password

    for path in (files.cert, files.key):
        _check_readable(path)
    try:
        context.load_cert_chain(files.cert, files.key, password)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigError(_why_not(files, error, asked), key="TLS_KEY" if asked else "TLS_CERT") from error


def _why_not(files: TlsFiles, error: Exception, asked: bool) -> str:
    if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
        return f"TLS: the key {files.key} does not fit the certificate {files.cert}"
    if asked and files.password:
        return f"TLS: the password of the key {files.key} is wrong"
    if asked:
        return f"TLS: the key {files.key} is encrypted: give its password, by TLS_CERT_PASSWORD for one"
    reason = getattr(error, "reason", None) or error
    if "CERTIFICATE" not in _read_text(files.cert):
        return f"TLS: {files.cert} holds no certificate in PEM form"
    return f"TLS: {files.cert} and {files.key} cannot be used as certificate and key ({reason})"


def _first_of(chain: str) -> str:
    """The certificate that stands first in a file."""
    end = "-----END CERTIFICATE-----"
    before, found, _ = _read_text(chain).partition(end)
    return before[before.find("-----BEGIN") :] + found + "\n"


def _read_text(path: str) -> str:
    return Path(path).read_bytes().decode("latin-1")


def _check_readable(path: str) -> None:
    try:
        with open(path, "rb"):
            return
    except OSError as error:
        raise ConfigError(f"TLS: {path} cannot be read: {error.strerror or error}", key="TLS_CERT") from error


def _verify_clients(context: ssl.SSLContext, authorities: str) -> None:
    folder = os.path.isdir(authorities)
    if not folder:
        _check_readable(authorities)
    try:
        context.load_verify_locations(*(None, authorities) if folder else (authorities,))
    except ssl.SSLError as error:
        message = f"TLS: {authorities} holds no certificates of authorities in PEM form"
        raise ConfigError(message, key="TLS_CLIENT_CA") from error
    context.verify_mode = ssl.CERT_REQUIRED


def read_certificate(path: str) -> dict[str, Any]:
    """What a certificate says: ``subject`` (a dict), ``names``, ``begins`` and ``ends`` (Unix time)."""
    import _ssl  # the one parser of certificates that Python brings along

    decode: Any = vars(_ssl)["_test_decode_cert"]
    found: dict[str, Any] = decode(path)
    begins, ends = (ssl.cert_time_to_seconds(str(found[key])) for key in ("notBefore", "notAfter"))
    subject: Any = found.get("subject", ())
    names: Any = found.get("subjectAltName", ())
    return {
        "subject": {key: value for part in subject for key, value in part},
        "names": [name for kind, name in names if kind in ("DNS", "IP Address")],
        "begins": begins,
        "ends": ends,
    }


def check_files(files: TlsFiles) -> list[str]:
    """What should be said of a certificate that can be used."""
    said = []
    for path in (files.cert, files.key):
        _check_readable(path)
    try:
        found = read_certificate(files.cert)
    except (ssl.SSLError, ValueError):
        return []  # loading it says why
    now = time.time()
    if found["ends"] < now:
        said.append(f"the certificate {files.cert} expired on {_day(found['ends'])}: clients refuse it")
    elif found["ends"] < now + EXPIRES_SOON:
        said.append(f"the certificate {files.cert} expires on {_day(found['ends'])}")
    if found["begins"] > now:
        said.append(f"the certificate {files.cert} is not valid before {_day(found['begins'])}")
    if os.stat(files.key).st_mode & stat.S_IROTH:
        said.append(f"the private key {files.key} can be read by every user of this machine: chmod o-r it")
    return said


def _day(when: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(when))


def read_source(value: Any) -> TlsFiles | ssl.SSLContext:
    """Understand one certificate as programs name it: a context, a dict, or a folder.

    Raises:
        TlsError: It is none of these, or a part is missing.
    """
    if isinstance(value, (ssl.SSLContext, TlsFiles)):
        return value
    if isinstance(value, Mapping):
        return _read_dict(value)
    if isinstance(value, (str, os.PathLike)):
        return _read_folder(os.fspath(value))
    raise TlsError(
        f"Invalid ssl argument {type(value)}. Expecting a list of certdirs, a dict or an SSLContext.",
        key="ssl",
    )


def _read_folder(folder: str) -> TlsFiles:
    files = TlsFiles(os.path.join(folder, CHAIN), os.path.join(folder, KEY))
    for path in (files.key, files.cert):
        if not os.access(path, os.R_OK):
            raise TlsError(f"Certificate not found or permission denied {path}", key="ssl")
    return files


def _read_dict(value: Mapping[Any, Any]) -> TlsFiles:
    given = {_NAMES.get(key, key): found for key, found in value.items() if found is not None}
    if not given.get("cert") or not given.get("key"):
        raise TlsError("SSL dict needs filenames for cert and key.", key="ssl")
    names = given.pop("names", None)
    files = TlsFiles(
        cert=os.fspath(given.pop("cert")),
        key=os.fspath(given.pop("key")),
        password=_text(given.pop("password", "")),
        names=None if names is None else tuple(names),
        ca_certs=os.fspath(given.pop("ca_certs", "")),
        ciphers=given.pop("ciphers", ""),
        versions=_versions(given.pop("ssl_version", None)),
    )
    return files._replace(more={key: found for key, found in given.items() if key not in _WITHOUT_EFFECT})


def _text(password: Any) -> str:
    if callable(password):
        password = password()
    return password.decode() if isinstance(password, (bytes, bytearray)) else str(password)


def _versions(given: Any) -> tuple[ssl.TLSVersion, ssl.TLSVersion]:
    """The range that ``ssl_version`` asks for: Python's old constants mean "negotiate"."""
    if given in (None, ssl.PROTOCOL_TLS, ssl.PROTOCOL_TLS_SERVER, ssl.TLSVersion.TLSv1_2):
        return ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.MAXIMUM_SUPPORTED
    if given == ssl.PROTOCOL_TLSv1_2:
        return ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2
    if given == ssl.TLSVersion.TLSv1_3:
        return ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.MAXIMUM_SUPPORTED
    raise ConfigError(
        f"ssl_version={given!r} is no longer safe, or unknown; leave it out: TLS 1.2 and 1.3 are negotiated",
        key="ssl_version",
    )
