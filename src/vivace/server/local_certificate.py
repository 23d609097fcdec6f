"""A certificate for development: made on the spot by mkcert, whose authority browsers may know, or trustme.

Rules of this file:

- Only while DEBUG is on: what is made here protects nobody.
- It is made anew at each start and its key lies nowhere, unless LOCAL_TLS_CERT and LOCAL_TLS_KEY say where.
- What is missing is named with the command that installs it.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from vivace.config import Config
from vivace.errors import ConfigError
from vivace.server.certificates import TlsContext, TlsFiles, make_context

__all__ = ["local_certificate"]

_ALSO: Final = ("localhost", "127.0.0.1", "::1")
"""What the certificate is for beside LOCALHOST."""
_SECONDS: Final = 30
"""How long mkcert may take."""
_PRODUCTION: Final = (
    "AUTO_TLS makes a certificate that no client trusts: it is for development and needs DEBUG."
    " Give a certificate by ssl=, or TLS_CERT and TLS_KEY"
)
_MISSING: Final = "AUTO_TLS needs trustme, or the program mkcert: pip install 'vivace[tls]'"


def local_certificate(config: Config) -> TlsFiles | TlsContext:
    """The certificate of AUTO_TLS: the one that LOCAL_TLS_CERT and LOCAL_TLS_KEY name, else a new one.

    Raises:
        ConfigError: DEBUG is off, or nothing is there that makes one.
    """
    if not config.DEBUG:
        raise ConfigError(_PRODUCTION, key="AUTO_TLS")
    cert, key = config.LOCAL_TLS_CERT, config.LOCAL_TLS_KEY
    if bool(cert) != bool(key):
        raise ConfigError("LOCAL_TLS_CERT and LOCAL_TLS_KEY belong together: one is missing", key="AUTO_TLS")
    if cert:
        if not (os.path.exists(cert) and os.path.exists(key)):
            _make(config, cert, key)
        return TlsFiles(cert, key)
    with tempfile.TemporaryDirectory(prefix="vivace-tls-") as folder:
        files = TlsFiles(os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem"))
        _make(config, files.cert, files.key)
        return make_context(files)


def _make(config: Config, cert: str, key: str) -> None:
    creator, names = config.LOCAL_CERT_CREATOR, list(dict.fromkeys((config.LOCALHOST, *_ALSO)))
    mkcert = shutil.which("mkcert")
    if creator == "mkcert" or (creator == "auto" and mkcert is not None):
        _ask_mkcert(mkcert, names, cert, key)
    else:
        _ask_trustme(names, cert, key)


def _ask_mkcert(program: str | None, names: list[str], cert: str, key: str) -> None:
    if program is None:
        message = (
            "LOCAL_CERT_CREATOR is mkcert, which is not installed: see https://mkcert.dev, or choose trustme"
        )
        raise ConfigError(message, key="LOCAL_CERT_CREATOR")
    command = [program, "-cert-file", cert, "-key-file", key, *names]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", b"") or b""
        why = said.decode(errors="replace").strip() or error
        raise ConfigError(f"mkcert made no certificate: {why}", key="LOCAL_CERT_CREATOR") from error


def _ask_trustme(names: list[str], cert: str, key: str) -> None:
    try:
        import trustme
    except ImportError:
        raise ConfigError(_MISSING, key="AUTO_TLS") from None
    made = trustme.CA().issue_cert(*names)
    with open(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(made.private_key_pem.bytes())
    Path(cert).write_bytes(b"".join(part.bytes() for part in made.cert_chain_pems))
