"""Telling systemd how the service is doing.

Rules of this file:

- Without NOTIFY_SOCKET every call does nothing. A message that cannot be sent is forgotten: no service stops
  for want of somebody who listens.
- The variables are removed once they are read: a child that spoke to systemd would speak for the service.
- The watchdog is for the process WATCHDOG_PID, or for any if that is not said. Whoever runs the loop pings
  each `Notifier.interval` seconds, and only while the service is well.
- Follows sd_notify(3), sd_watchdog_enabled(3).
"""

import array
import logging
import os
import socket
import time
from collections.abc import MutableMapping, Sequence
from typing import Final

from vivace.supervisor.listening.activation import encode_name

__all__ = ["Notifier", "encode_message", "watchdog_interval"]

logger = logging.getLogger("vivace")

TIMEOUT: Final = 0.2
"""Seconds that a message may wait for room in the queue of the other side."""
_INHERITED: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC")
LONGEST: Final = 1024
"""Characters of a value; what is longer is cut."""


def encode_message(**fields: object) -> bytes:
    """A message: a line ``NAME=value`` for each field."""
    lines = []
    for name, value in fields.items():
        text = " ".join(str(value).split())[:LONGEST]
        lines.append(f"{name}={text}\n")
    return "".join(lines).encode("utf-8", "replace")


def watchdog_interval(usec: str, pid: str, own: int) -> float:
    """Seconds between two pings: half of what is allowed; 0.0 if nobody waits for any.

    Args:
        usec: WATCHDOG_USEC.
        pid: WATCHDOG_PID.
        own: The id of this process.
    """
    if not (usec.isascii() and usec.isdecimal()) or (pid and pid != str(own)):
        return 0.0
    return int(usec[:18]) / 2_000_000


class Notifier:
    """The line to systemd.

    Args:
        environ: From which NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are taken, and removed; usually
            `os.environ`.

    Attributes:
        interval: Seconds between two calls of `ping`; 0.0: none is waited for.
        environ: What the next supervisor needs to have the same line.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self.environ = {name: environ[name] for name in _INHERITED if name in environ}
        address = environ.pop("NOTIFY_SOCKET", "")
        usec, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        environ.pop("FDSTORE", None)
        self._socket: socket.socket | None = None
        self._address = "\0" + address[1:] if address.startswith("@") else address
        if address[:1] in ("/", "@") and address != "@":
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(TIMEOUT)
        elif address:
            logger.debug("NOTIFY_SOCKET is %r, which is no path: nobody is told of the state", address)
        self.interval = watchdog_interval(usec, pid, os.getpid()) if self._socket is not None else 0.0

    @property
    def active(self) -> bool:
        """Whether somebody is told."""
        return self._socket is not None

    def ready(self, status: str = "", pid: int = 0) -> None:
        """The service serves; also said at the end of a reload.

        Args:
            status: For people.
            pid: The main process from now on, if it is another one.
        """
        fields: dict[str, object] = {"READY": 1}
        if status:
            fields["STATUS"] = status
        if pid:
            fields["MAINPID"] = pid
        self._send(encode_message(**fields))

    def reloading(self) -> None:
        """A restart of the application begins; `ready` ends it."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(encode_message(RELOADING=1, MONOTONIC_USEC=now))

    def stopping(self, status: str = "") -> None:
        """The stop begins."""
        self._send(encode_message(STOPPING=1, STATUS=status) if status else encode_message(STOPPING=1))

    def status(self, text: str) -> None:
        """Say something for people."""
        self._send(encode_message(STATUS=text))

    def main_pid(self, pid: int) -> None:
        """Another process is the main one from now on."""
        self._send(encode_message(MAINPID=pid))

    def extend(self, seconds: float) -> None:
        """What is under way, a start, reload or stop, takes at most so much longer from now on."""
        self._send(encode_message(EXTEND_TIMEOUT_USEC=int(seconds * 1_000_000)))

    def ping(self) -> None:
        """The service is well."""
        self._send(encode_message(WATCHDOG=1))

    def store(self, named: Sequence[tuple[str, socket.socket]]) -> None:
        """Have sockets kept over a restart of the service (FileDescriptorStoreMax of the unit).

        Args:
            named: Addresses and sockets (`Listeners.storable`).
        """
        for name, one in named:
            text = encode_message(FDSTORE=1, FDNAME=encode_name(name), FDPOLL=0)
            self._send(text, [one.fileno()])

    def forget(self, names: Sequence[str]) -> None:
        """Have sockets kept no longer.

        Args:
            names: As they were handed over (`Listeners.dropped`).
        """
        for name in names:
            self._send(encode_message(FDSTOREREMOVE=1, FDNAME=name))

    def close(self) -> None:
        """Say nothing any more; a child calls it after the fork."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: bytes, descriptors: Sequence[int] = ()) -> None:
        if self._socket is None:
            return
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        try:
            self._socket.sendmsg([message], rights if descriptors else [], 0, self._address)
        except OSError as error:
            logger.debug("systemd could not be told: %s", error)
