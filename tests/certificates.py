"""Certificates for tests: an authority of its own, and what it issues, as files.

Rules of this file:

- Made by trustme for each run of the tests; nothing of it is worth protecting.
"""

import datetime as dt
import ssl
from pathlib import Path
from typing import NamedTuple

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

__all__ = ["Authority", "Pair"]


class Pair(NamedTuple):
    """The files of one certificate."""

    cert: str
    key: str


class Authority:
    """Issues certificates into a folder.

    Attributes:
        path: The file with the authority's own certificate.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = trustme.CA()
        self.path = str(folder / "authority.pem")
        self._made.cert_pem.write_to_path(self.path)

    def issue(self, *names: str, expires: dt.datetime | None = None, folder: str = "") -> Pair:
        """Files with a certificate for `names` and its key; in `folder` under the names of certbot."""
        made = self._made.issue_cert(*names, not_after=expires)
        where = self._folder / (folder or names[0].replace("*", "any"))
        where.mkdir(exist_ok=True)
        pair = Pair(str(where / "fullchain.pem"), str(where / "privkey.pem"))
        Path(pair.cert).write_bytes(b"".join(part.bytes() for part in made.cert_chain_pems))
        Path(pair.key).write_bytes(made.private_key_pem.bytes())
        Path(pair.key).chmod(0o600)
        return pair

    def client(self, *shown: str, least: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> ssl.SSLContext:
        """A client that trusts the authority, and shows a certificate for `shown` if any are given."""
        context = ssl.create_default_context(cafile=self.path)
        context.minimum_version = least
        if shown:
            context.load_cert_chain(*self.issue(*shown))
        return context


def encrypt_key(pair: Pair, password: str) -> Pair:
    """The same with an encrypted key."""
    key = load_pem_private_key(Path(pair.key).read_bytes(), None)
    path = Path(pair.key).with_name("encrypted.pem")
    kind = BestAvailableEncryption(password.encode())
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, kind))
    path.chmod(0o600)
    return Pair(pair.cert, str(path))
