"""A file that keeps the histories of a hub when its process is killed.

Why a file, and not offers of the workers: a worker holds only what it followed, it may die together with the
hub, and nobody follows a topic while its reader is between two connections. One `write` for each ordered
message puts it into the kernel's memory before anybody gets it or is told its position: so a killed process
(kill -9) loses nothing, and the next one goes on with the same epoch and the next offset. The file is not
synced: after a crash of the machine the histories are shown, but under a new epoch, so that nobody takes them
for complete.

A record is its length and its CRC-32 in 4 octets each, then a msgpack array: what it is, then its fields.

Rules of this file:

- A message is written before it is routed. What cannot be written is logged once, and the hub goes on.
- The file is rewritten when most of it is old.
"""

import contextlib
import errno
import fcntl
import logging
import os
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import msgspec

from vivace.hub.broker import Broker
from vivace.hub.records import Position, Rule, Stored
from vivace.hub.rules import Rules

__all__ = ["Journal", "open_file"]

logger = logging.getLogger("vivace.hub")

_HEAD: Final = struct.Struct(">II")
_encoder: Final = msgspec.msgpack.Encoder()
_FLOOR: Final = 4_194_304
"""Octets below which a file is never rewritten."""


class Journal:
    """A `Keeper`.

    Args:
        path: Of the file; it is made if there is none.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._size = 0
        self._limit = _FLOOR
        self._broker: Broker | None = None
        self._rules: Rules | None = None

    def load(self, broker: Broker, rules: Rules) -> None:
        """Put back what was kept, and keep what comes from now on."""
        self._broker, self._rules = broker, rules
        try:
            file = _open_locked(self._path)
        except OSError as error:
            logger.warning(
                "%s cannot be used (%s): histories end with this process", self._path, error.strerror or error
            )
            return
        with file:
            _Loading(broker, rules).replay(file)
            self._rewrite()

    def keep(self, now: float, stored: Stored) -> None:
        """Keep a message."""
        self._write(("m", now, stored))

    def declare(self, rules: list[Rule]) -> None:
        """Keep rules."""
        self._write(("r", rules))

    def close(self) -> None:
        """Close the file; it stays."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, record: tuple[Any, ...]) -> None:
        if self._file is None:
            return
        data = _encode(record)
        try:
            self._file.write(data)
        except OSError as error:
            self._fail(error)
            return
        self._size += len(data)
        if self._size > self._limit:
            self._rewrite()

    def _rewrite(self) -> None:
        """Begin a new file with what is still kept, and put it in the place of the old one."""
        assert self._broker is not None
        fresh, file = f"{self._path}.{os.getpid()}", None
        content = b"".join(map(_encode, self._records()))
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(fresh)  # of a process with this number, which was killed
            file = open(open_file(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb", buffering=0)  # noqa: SIM115
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(content)
            os.replace(fresh, self._path)
        except OSError as error:
            self._fail(error)
            if file is not None:
                file.close()
                os.unlink(fresh)
            return
        self.close()
        self._file, self._size = file, len(content)
        self._limit = max(_FLOOR, 3 * self._size)

    def _fail(self, error: OSError) -> None:
        logger.error("%s: %s: histories end with this process", self._path, error.strerror or error)
        self.close()

    def _records(self) -> Iterator[tuple[Any, ...]]:
        broker, rules = self._broker, self._rules
        assert broker is not None
        assert rules is not None
        yield ("e", broker.epoch, _boot(), broker.offset, broker.forgotten)
        yield ("r", rules.all())
        yield ("t", {name: topic.lost for name, topic in broker.topics.items() if topic.lost})
        yield ("i", broker.known_ids())
        for now, stored in broker.kept():
            yield ("m", now, stored)


class _Loading:
    """Reads a file into a broker."""

    def __init__(self, broker: Broker, rules: Rules) -> None:
        self._broker = broker
        self._rules = rules
        self._epoch = broker.epoch

    def replay(self, file: BinaryIO) -> None:
        """Take every record that is whole."""
        for kind, *fields in _decode(file.read()):
            if kind == "e":
                self._begin(*fields)
            elif kind == "r":
                self._rules.declare(msgspec.convert(fields[0], list[Rule]))
            elif kind == "t":
                self._broker.restore_lost(fields[0])
            elif kind == "i":
                self._broker.restore_ids(fields[0])
            elif kind == "m":
                self._message(fields[0], *fields[1])

    def _begin(self, epoch: str, boot: str, offset: int, forgotten: int) -> None:
        if boot == _boot():
            self._epoch = self._broker.epoch = epoch
        self._broker.begin_after(offset, forgotten)

    def _message(
        self,
        now: float,
        topic: str,
        payload: bytes,
        pos: list[Any],
        message_id: str,
        origin: str,
        exclude: Any,
    ) -> None:
        position = Position(self._epoch, pos[1])
        self._broker.keep(Stored(topic, payload, position, message_id, origin, exclude), now)


def _encode(record: tuple[Any, ...]) -> bytes:
    body = _encoder.encode(record)
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def _decode(data: bytes) -> Iterator[list[Any]]:
    """The records, until the first that is not whole: the process died while it wrote it."""
    start = 0
    while len(data) - start >= _HEAD.size:
        length, check = _HEAD.unpack_from(data, start)
        body = data[start + _HEAD.size : start + _HEAD.size + length]
        if len(body) < length or zlib.crc32(body) != check:
            return
        yield msgspec.msgpack.decode(body, type=list)
        start += _HEAD.size + length


def _open_locked(path: str) -> BinaryIO:
    """The file, which no other hub uses.

    Raises:
        OSError: Another one does, or it cannot be opened.
    """
    while True:
        file = open(open_file(path, os.O_RDWR | os.O_CREAT), "rb+", buffering=0)  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise OSError("another hub uses it") from None
        if os.stat(path).st_ino == os.fstat(file.fileno()).st_ino:
            return file
        file.close()  # it was replaced between the two steps


def open_file(path: str, flags: int) -> int:
    """A file that only its owner reads, and no link to one: the hub's folder may be open to others.

    Raises:
        OSError: It is one, or it cannot be opened.
    """
    try:
        return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError("it is a symbolic link: name the file that it leads to") from None
        raise


def _boot() -> str:
    """Names this run of the machine; empty where that cannot be known."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
