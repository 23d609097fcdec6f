"""Events on their way to who tells of alarms: records that have a type, as datagrams on a Unix socket.

Rules of this file:

- Whoever logs never waits: what the socket does not take waits here, for the next event or for `flush`.
- Without a server's folder, or without anybody who listens, nothing happens.
"""

import logging
import os
import socket
import time
from collections import deque
from typing import Final

import msgspec

from vivace.config.alarms import PLACE, Alarm

__all__ = ["Notes", "notes"]

FOLDER: Final = "VIVACE_RUN"
"""Where the processes of a server find its folder."""
WAITING: Final = 100
"""Events that wait for somebody who listens; older ones are dropped."""
LONGEST: Final = 4096
"""Characters of a message."""
PATIENCE: Final = 60.0
"""Seconds for which an event waits."""


class Notes(logging.Handler):
    """Hands on records that have an ``event``; the same for a whole process."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[tuple[float, bytes]] = deque(maxlen=WAITING)

    @property
    def waits(self) -> bool:
        """Whether something waits."""
        return bool(self._waiting)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is an event."""
        return "event" in record.__dict__ and FOLDER in os.environ

    def emit(self, record: logging.LogRecord) -> None:
        """Hand on a record."""
        facts = record.__dict__
        alarm = Alarm(
            event=str(facts["event"]),
            subject=str(facts.get("subject", ""))[:LONGEST],
            message=record.getMessage()[:LONGEST],
            level=record.levelname.lower(),
            time=record.created,
            host=socket.gethostname(),
            pid=os.getpid(),
            resolved=bool(facts.get("resolved")),
        )
        try:
            self._waiting.append((time.monotonic(), msgspec.json.encode(alarm)))
        except (ValueError, UnicodeEncodeError):  # a text that no UTF-8 can hold
            return
        self.flush()

    def flush(self) -> None:
        """Hand on what waits, as far as somebody listens."""
        path = os.environ.get(FOLDER)
        if not self._waiting or not path:
            return
        try:
            sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        except OSError:  # no descriptor is left: the next event tries again
            return
        with sender:
            sender.setblocking(False)
            while self._waiting:
                since, data = self._waiting[0]
                try:
                    sender.sendto(data, os.path.join(path, PLACE))
                except OSError:
                    if time.monotonic() - since < PATIENCE:
                        return
                self._waiting.popleft()


notes: Final = Notes()
"""That of this process."""
