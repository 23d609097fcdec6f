"""Standard output and error, and files; and the place that LOG_TO means.

Rules of this file:

- A line is appended whole, whatever other processes write; see `vivace.server.logs.whole`.
"""

import errno
import os
import select
from typing import Final

from vivace.config.places import LogPlace
from vivace.errors import ConfigError
from vivace.server.logs.shipper import Entry, Place
from vivace.server.logs.whole import most_at_once, pieces_of

__all__ = ["FilePlace", "make_place"]

PATIENCE: Final = 10.0
"""Seconds that a full pipe is waited for; then it has failed."""


class FilePlace:
    """A file, or a descriptor that is open already.

    Args:
        path: Of the file; empty: the descriptor is used.
        descriptor: If there is no path.

    Attributes:
        name: For messages.

    Raises:
        ConfigError: The file cannot be opened.
    """

    def __init__(self, path: str = "", descriptor: int = -1) -> None:
        # In full: the app may go to another folder.
        self._path = os.path.abspath(path) if path else ""
        self.name = f"file://{self._path}" if path else ("stdout" if descriptor == 1 else "stderr")
        self._file = descriptor
        self._torn = False
        if self._path:
            try:
                self._file = self._open()
            except OSError as error:
                text = f"LOG_TO {self.name} cannot be opened: {error.strerror}"
                raise ConfigError(text, key="LOG_TO") from error

    def _open(self) -> int:
        # Without waiting: the open of a FIFO that nobody reads would never come back.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            return os.open(self._path, flags, 0o640)
        except OSError as error:
            if error.errno == errno.ENXIO:
                raise OSError(errno.ENXIO, "nobody reads this FIFO") from None
            raise

    def send(self, entries: list[Entry]) -> None:
        """Append them; what is written whole is taken off."""
        if self._file < 0:
            self._file = self._open()
        pieces = [f"{entry.text}\n".encode("utf-8", "backslashreplace") for entry in entries]
        if self._torn:
            pieces[0] = b"\n" + pieces[0]
        data = b"".join(pieces)
        view = memoryview(data)
        done = 0
        try:
            for _, end in pieces_of(data, most_at_once(self._file)):
                while done < end:
                    done += self._write(view[done:end])
        except OSError:
            if done:
                self._take_off(entries, pieces, done)
            raise
        self._torn = False

    def _write(self, data: memoryview) -> int:
        while True:
            try:
                return os.write(self._file, data)
            except BlockingIOError:
                if not select.select([], [self._file], [], PATIENCE)[1]:
                    raise OSError(errno.EAGAIN, f"nobody has read for {PATIENCE:g} seconds") from None

    def _take_off(self, entries: list[Entry], pieces: list[bytes], done: int) -> None:
        """Of `done` octets: what is there must not be written again, and a line that was cut stays alone."""
        whole = 0
        while done >= len(pieces[whole]):
            done -= len(pieces[whole])
            whole += 1
        del entries[:whole]
        written = pieces[whole][:done]
        self._torn = bool(written) and not written.endswith(b"\n")
        first = entries[0]
        ended = written.lstrip(b"\n").count(b"\n") if first.many > 1 else 0
        if ended:
            entries[0] = first._replace(text="\n".join(first.lines()[ended:]), many=first.many - ended)

    def reopen(self) -> None:
        """Open the file anew."""
        if self._path:
            old, self._file = self._file, self._open()
            if old >= 0:
                os.close(old)

    def close(self, *, forked: bool = False) -> None:
        """Close the file; a child opens it again when it writes."""
        if self._path and self._file >= 0:
            os.close(self._file)
            self._file = -1


def make_place(place: LogPlace, app: str, keys: str = "") -> Place:
    """The place that an item of LOG_TO means.

    Args:
        place: The item.
        app: What the server is called there if the item does not say.
        keys: The value of LOG_KEY.

    Raises:
        ConfigError: It cannot be used.
    """
    if place.scheme in ("stdout", "stderr"):
        return FilePlace(descriptor=1 if place.scheme == "stdout" else 2)
    if place.scheme == "file":
        return FilePlace(place.path)
    return _make_remote(place, app, keys)


def _make_remote(place: LogPlace, app: str, keys: str) -> Place:
    """What takes its time and memory to import, and few need."""
    if place.scheme == "journald":
        from vivace.server.logs.journald import Journald

        return Journald(place, app)
    if place.scheme == "udp+aead":
        return _make_sealed(place, keys)
    if place.scheme.startswith("syslog"):
        from vivace.server.logs.syslog import SyslogStream, SyslogUdp

        return SyslogUdp(place, app) if place.scheme == "syslog+udp" else SyslogStream(place, app)
    from vivace.server.logs.otlp import Otlp

    return Otlp(place, app)


def _make_sealed(place: LogPlace, keys: str) -> Place:
    try:
        from vivace.server.logs.sealed import SealedUdp
    except ImportError:
        text = f"LOG_TO {place.text} needs cryptography: pip install 'vivace[logs]'"
        raise ConfigError(text, key="LOG_TO") from None
    return SealedUdp(place, keys)
