"""Lines of the log as sealed datagrams: whoever has no key can neither read, nor change, nor repeat them.

Rules of this file:

- ChaCha20-Poly1305 (RFC 8439) of `cryptography`; nothing here makes up a cipher. Each process has a session
  of its own, whose key is the HMAC-SHA256 (RFC 2104) of the shared one, and counts its datagrams: no nonce is
  used twice, however many processes share a key, and who receives knows what is missing.
- A datagram is a head of 44 octets, which is authenticated, the sealed line and a tag; see docs/logs.md.
- Keys are never shown, nor anything that was read where a key was expected.
"""

import hashlib
import hmac
import os
import stat
import struct
import time
from collections import Counter
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from vivace.config.places import LogPlace
from vivace.errors import ConfigError
from vivace.server.logs.shipper import Entry
from vivace.server.logs.udp import Datagrams, cut, each

__all__ = ["Key", "Opener", "SealedUdp", "Sealer", "read_keys"]

DATAGRAM: Final = 1200
"""Octets of a datagram if the place does not say: no way of the Internet cuts those in pieces."""
SESSIONS: Final = 10_000
"""Senders that are remembered; a further one is refused until one was silent for twice the window."""
WIDTH: Final = 1024
"""Datagrams of a sender that may come late, counted from the newest."""
LONGEST_FILE: Final = 65_536
"""Octets of a file with keys."""
_HEAD: Final = struct.Struct(">4s8s16sQQ")
_MAGIC: Final = b"VLG1"
_TAG: Final = 16
_PURPOSE: Final = b"vivace log 1"
_LEAST: Final = _HEAD.size + _TAG


class Key(NamedTuple):
    """A shared key.

    Attributes:
        name: By which datagrams name it: the first 8 octets of its SHA-256.
        secret: 32 octets.
    """

    name: bytes
    secret: bytes

    def box(self, session: bytes) -> ChaCha20Poly1305:
        """The cipher of a session."""
        return ChaCha20Poly1305(hmac.digest(self.secret, _PURPOSE + session, "sha256"))


def read_keys(path: str, text: str = "") -> list[Key]:
    """The keys of a file, or of the value of LOG_KEY if no file is named; the first one seals.

    Args:
        path: Of the file; lines, with comments behind ``#``.
        text: The value.

    Raises:
        ConfigError: There is none, one is none, or others may read the file.
    """
    where = path or "LOG_KEY"
    if path:
        text = _read_file(path)
    words = " ".join(line.partition("#")[0] for line in text.splitlines()).replace(",", " ").split()
    keys = [_key(word, number, where) for number, word in enumerate(words, 1)]
    if not keys:
        raise ConfigError(f"{where}: no key; expected one or more of 64 hexadecimal digits", key="LOG_KEY")
    return keys


def _key(word: str, number: int, where: str) -> Key:
    try:
        secret = bytes.fromhex(word)
    except ValueError:
        secret = b""
    if len(secret) != 32:
        text = f"{where}: key {number} is none; expected 64 hexadecimal digits, as of `openssl rand -hex 32`"
        raise ConfigError(text, key="LOG_KEY")
    return Key(hashlib.sha256(secret).digest()[:8], secret)


def _read_file(path: str) -> str:
    try:
        with open(path, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(LONGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"the key {path} cannot be read: {error.strerror}", key="LOG_KEY") from error
    if len(data) > LONGEST_FILE:
        raise ConfigError(f"{path} has more than {LONGEST_FILE} octets: no file with keys", key="LOG_KEY")
    if mode & 0o027:
        text = f"{path} has the mode {mode:o}: others may read or write it; do `chmod 600 {path}`"
        raise ConfigError(text, key="LOG_KEY")
    return data.decode("ascii", "replace")


class Sealer:
    """Seals the lines of a process.

    Args:
        key: The shared one.
    """

    def __init__(self, key: Key) -> None:
        self._key = key
        self._session = os.urandom(16)
        self._box = key.box(self._session)
        self._count = 0

    def seal(self, line: bytes, now: float) -> bytes:
        """A datagram.

        Args:
            line: The text.
            now: Seconds since the epoch.
        """
        self._count += 1
        head = _HEAD.pack(_MAGIC, self._key.name, self._session, self._count, int(now * 1000))
        return head + self._box.encrypt(_nonce(self._count), line, head)


def _nonce(count: int) -> bytes:
    return bytes(4) + count.to_bytes(8, "big")


class SealedUdp:
    """A receiver of sealed datagrams.

    Args:
        place: Where it is.
        text: The value of LOG_KEY, for a place that names no file.

    Attributes:
        name: For messages.

    Raises:
        ConfigError: There is no key.
    """

    def __init__(self, place: LogPlace, text: str) -> None:
        self.name = place.text
        path = place.options.get("key", "")
        self._path = os.path.abspath(path) if path else ""  # in full: the app may go to another folder
        self._text = text
        self._size = int(place.options.get("size", DATAGRAM))
        self._datagrams = Datagrams(place.host, place.port)
        self._key = read_keys(self._path, text)[0]
        self._sealer: Sealer | None = None

    def send(self, entries: list[Entry]) -> None:
        """One datagram a line."""
        each(entries, self._send)

    def _send(self, entry: Entry) -> None:
        if self._sealer is None:
            self._sealer = Sealer(self._key)
        for line in entry.lines():
            data = cut(line.encode("utf-8", "backslashreplace"), self._size - _LEAST)
            self._datagrams.send(self._sealer.seal(data, time.time()))

    def reopen(self) -> None:
        """The name may stand for another address now, and the file hold another key."""
        self.close()
        try:
            self._key = read_keys(self._path, self._text)[0]
        except ConfigError as error:
            raise OSError(str(error)) from error

    def close(self, *, forked: bool = False) -> None:
        """Let go of the socket; whoever sends next has a session of its own."""
        self._datagrams.close()
        self._sealer = None


class _Session:
    """What is known of a sender."""

    __slots__ = ("box", "first", "heard", "highest", "seen", "taken")

    def __init__(self, box: ChaCha20Poly1305, count: int) -> None:
        self.box = box
        self.first = self.highest = count
        self.seen = self.taken = 0
        self.heard = 0.0

    def is_new(self, count: int) -> bool:
        back = self.highest - count
        return back < 0 or (back < WIDTH and not self.seen >> back & 1)

    def note(self, count: int, now: float) -> None:
        ahead = count - self.highest
        if ahead > 0:
            self.seen = (self.seen << ahead) & ((1 << WIDTH) - 1) if ahead < WIDTH else 0
            self.highest = count
        self.seen |= 1 << (self.highest - count)
        self.first = min(self.first, count)
        self.taken += 1
        self.heard = now

    @property
    def lost(self) -> int:
        return self.highest - self.first + 1 - self.taken


class Opener:
    """Opens datagrams of any number of senders.

    Args:
        keys: All that are accepted.
        window: Seconds by which the clock of a sender, and the way, may be off.

    Attributes:
        keys: By their names; may be exchanged.
        taken: Datagrams that were opened.
        refused: Why others were not, and how many: ``no datagram of this kind``, ``unknown key``, ``forged``,
            ``too old``, ``repeated`` and ``too many senders``.
    """

    def __init__(self, keys: list[Key], window: float) -> None:
        self.keys = {key.name: key for key in keys}
        self.taken = 0
        self.refused: Counter[str] = Counter()
        self._window = window
        self._sessions: dict[bytes, _Session] = {}
        self._lost = 0

    @property
    def lost(self) -> int:
        """Datagrams that never came, as far as later ones show."""
        return self._lost + sum(one.lost for one in self._sessions.values())

    def open(self, data: bytes, now: float) -> bytes | None:
        """The line of a datagram; None: it is refused, and counted.

        Args:
            data: The datagram.
            now: Seconds since the epoch.
        """
        line = self._open(data, now)
        if isinstance(line, str):
            self.refused[line] += 1
            return None
        self.taken += 1
        return line

    def _open(self, data: bytes, now: float) -> bytes | str:
        if len(data) < _LEAST or not data.startswith(_MAGIC):
            return "no datagram of this kind"
        head = data[: _HEAD.size]
        _, name, number, count, milliseconds = _HEAD.unpack(head)
        if name not in self.keys:
            return "unknown key"
        session = self._sessions.get(name + number) or _Session(self.keys[name].box(number), count)
        try:
            line = session.box.decrypt(_nonce(count), data[_HEAD.size :], head)
        except InvalidTag:
            return "forged"
        if abs(now - milliseconds / 1000) > self._window:
            return "too old"
        if not session.is_new(count):
            return "repeated"
        if not self._keep(name + number, session, now):
            return "too many senders"
        session.note(count, now)
        return line

    def _keep(self, name: bytes, session: _Session, now: float) -> bool:
        if name not in self._sessions:
            if len(self._sessions) >= SESSIONS:
                self._forget(now)
            if len(self._sessions) >= SESSIONS:
                return False
            self._sessions[name] = session
        return True

    def _forget(self, now: float) -> None:
        """Whoever is silent so long that what it sent is too old by now."""
        for name, one in list(self._sessions.items()):
            if now - one.heard > 2 * self._window:
                self._lost += one.lost
                del self._sessions[name]
