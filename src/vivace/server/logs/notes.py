"""Events on their way to who tells of alarms: records that have a type, as datagrams on a Unix socket.

Rules of this file:

- Whoever logs never waits: what the socket does not take waits here, and is tried again each second, by a
  thread that ends with it; in the supervisor, which has no threads, by a chore. A fork takes nothing along.
- Without a server's folder, or without anybody who listens, nothing happens.
"""

import logging
import os
import socket
import threading
import time
from collections import deque
from typing import Final

import msgspec

from vivace.config.alarms import PLACE, Alarm
from vivace.server.logs.schema import here

__all__ = ["Notes", "notes"]

FOLDER: Final = "VIVACE_RUN"
"""Where the processes of a server find its folder."""
WAITING: Final = 100
"""Events that wait for somebody who listens; older ones are dropped."""
LONGEST: Final = 4096
"""Characters of a message."""
LONGEST_NAME: Final = 200
"""Characters of an event."""
EVERY: Final = 1.0
"""Seconds between two tries."""
PATIENCE: Final = 60.0
"""Seconds for which an event waits."""
_WITHOUT_THREADS: Final = ("supervisor", "template")


class Notes(logging.Handler):
    """Hands on records that have an ``event``; the same for a whole process."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[tuple[float, bytes]] = deque(maxlen=WAITING)
        self._thread: threading.Thread | None = None

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
            event=_text(facts["event"], LONGEST_NAME),
            subject=_text(facts.get("subject", ""), LONGEST),
            message=_text(record.getMessage(), LONGEST),
            level=record.levelname.lower(),
            time=record.created,
            host=socket.gethostname(),
            pid=os.getpid(),
            resolved=bool(facts.get("resolved")),
        )
        self._waiting.append((time.monotonic(), msgspec.json.encode(alarm)))
        self.flush()
        if self._waiting and self._thread is None and here.get("role") not in (None, *_WITHOUT_THREADS):
            self._start()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._insist, name="vivace-events", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter ends, or there are too many: the next event tries again
            self._thread = None

    def _insist(self) -> None:
        while True:
            time.sleep(EVERY)
            self.acquire()
            try:
                self.flush()
                if not self._waiting:
                    self._thread = None
                    return
            finally:
                self.release()

    def forget(self) -> None:
        """What waits is the parent's: it tells of it."""
        self._waiting.clear()
        self._thread = None

    def take(self) -> list[Alarm]:
        """What waits, for somebody who tells of it; nothing waits any more."""
        found = [msgspec.json.decode(data, type=Alarm) for _, data in self._waiting]
        self._waiting.clear()
        return found

    def flush(self) -> None:
        """Hand on what waits, as far as somebody listens."""
        path = os.environ.get(FOLDER)
        if not self._waiting or not path:
            return
        try:
            sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        except OSError:  # no descriptor is left: the next try may find one
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


def _text(value: object, most: int) -> str:
    """`value` as text that every receiver can read."""
    return str(value)[:most].encode("utf-8", "backslashreplace").decode()


notes: Final = Notes()
"""That of this process."""

os.register_at_fork(after_in_child=notes.forget)
