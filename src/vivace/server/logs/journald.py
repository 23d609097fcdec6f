"""The journal of systemd, in its own protocol: each field of a line is a field of the journal.

Rules of this file:

- Follows "Native Journal Protocol" of systemd and systemd.journal-fields(7): a datagram holds
  ``FIELD=value`` and a line feed; a value with line feeds within stands behind ``FIELD``, a line feed and its
  length, 64 bits, little-endian. What no datagram can hold is passed as a sealed file in memory.
- Our fields are called ``VIVACE_...``; what journalctl shows is MESSAGE, and a traceback belongs to it.
"""

import contextlib
import errno
import fcntl
import os
import socket
import struct
from typing import Any, Final

import msgspec

from vivace.config.places import LogPlace
from vivace.server.logs.shipper import Entry
from vivace.server.logs.syslog import severity_of
from vivace.server.logs.udp import SEND, each

__all__ = ["Journald"]

SOCKET: Final = "/run/systemd/journal/socket"
LONGEST: Final = 1_048_576
"""Octets of a value; a longer one is cut."""
_APART: Final = ("message", "exception", "stack", "level", "pid")


class Journald:
    """The journal of this machine.

    Args:
        place: Its path, if it has one, is that of the socket.
        app: What the server is called there.

    Attributes:
        name: For messages.
    """

    def __init__(self, place: LogPlace, app: str) -> None:
        self.name = place.text
        self._path = place.path.rstrip("/") or SOCKET
        self._app = place.options.get("app") or app
        self._socket: socket.socket | None = None

    def send(self, entries: list[Entry]) -> None:
        """One datagram a line."""
        each(entries, self._send)

    def _send(self, entry: Entry) -> None:
        for line in entry.lines():
            data = b"".join(_field(name, value) for name, value in self._fields(entry, line).items())
            made = self._socket or self._connect()
            try:
                made.send(data)
            except OSError as error:
                if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                    self.close()  # a journal that was started anew has another socket
                    raise
                _send_file(made, data)

    def _connect(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            made.settimeout(SEND)
            made.connect(self._path)
        except OSError:
            made.close()
            raise
        self._socket = made
        return made

    def _fields(self, entry: Entry, line: str) -> dict[str, str]:
        fields = _read(line)
        ours = {_name(key): _text(value) for key, value in fields.items() if key not in _APART}
        return {
            "MESSAGE": _message(fields, line),
            "PRIORITY": str(severity_of(entry.level)),
            "SYSLOG_IDENTIFIER": self._app,
            "SYSLOG_PID": str(os.getpid()),
            **ours,
        }

    def reopen(self) -> None:
        """It may have been started anew."""
        self.close()

    def close(self, *, forked: bool = False) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _read(line: str) -> dict[str, Any]:
    """The fields of a line of JSON; of any other it is the message."""
    with contextlib.suppress(msgspec.DecodeError):
        fields = msgspec.json.decode(line)
        if isinstance(fields, dict):
            return fields
    return {"message": line}


def _message(fields: dict[str, Any], line: str) -> str:
    if fields.get("event") == "request" and "message" not in fields:
        return " ".join(str(fields.get(name, "-")) for name in ("client", "method", "path", "status"))
    said = [fields[name] for name in ("message", "exception", "stack") if fields.get(name)]
    return "\n".join(map(str, said)) or line


def _name(key: str) -> str:
    """As the journal takes them: capital letters, digits and underscores, 64 at most."""
    kept = "".join(c if c.isascii() and c.isalnum() else "_" for c in key)
    return f"VIVACE_{kept.upper()}"[:64]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _field(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "backslashreplace")[:LONGEST]
    if b"\n" in data:
        return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
    return name.encode() + b"=" + data + b"\n"


def _send_file(made: socket.socket, data: bytes) -> None:
    """Pass on what is too long for a datagram: the journal reads it from memory that nobody can change."""
    file = os.memfd_create("vivace-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with os.fdopen(os.dup(file), "wb") as writer:
            writer.write(data)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
        socket.send_fds(made, [], [file])
    finally:
        os.close(file)
