"""Lines on their way to one place: they wait here, and a thread takes them there.

Rules of this file:

- Whoever logs never waits. What does not fit drops the oldest that waits; it is counted, and once a minute
  the log says how many, also while the thread hangs in a place that takes nothing.
- A place that fails is tried again, with pauses that grow; a failure and its end are told once, to standard
  error, for the log may not reach anybody.
- A fork meets no thread in between two steps: it is ended before (if it can be within a moment) and made
  again after; in the child nothing of the parent's lines is left.
"""

import logging
import os
import queue
import select
import sys
import threading
import time
from collections import deque
from typing import Final, NamedTuple, Protocol
from weakref import WeakSet

__all__ = ["DROPS_TOLD", "Entry", "Place", "Shipper", "count_dropped"]

logger = logging.getLogger("vivace.logs")

DROPS_TOLD: Final = 60.0
"""Seconds between two lines about what was dropped."""
CHARACTERS: Final = 32 * 1024 * 1024
"""Characters that may wait for a place, however many lines they are."""
BATCH: Final = 256
"""Entries that are handed over at a time."""
FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 15.0
"""Seconds between two tries of a place that fails; each is twice as long as the one before."""
FORK_WAIT: Final = 0.2
"""Seconds that a fork waits for the thread."""


class Entry(NamedTuple):
    """A line, or several of the access log.

    Attributes:
        created: Seconds since the epoch.
        level: Of `logging`.
        text: Lines without the last end.
        many: How many.
    """

    created: float
    level: int
    text: str
    many: int = 1

    def lines(self) -> list[str]:
        """One by one: what the access log has put together; a record stays whole."""
        return self.text.split("\n") if self.many > 1 else [self.text]


class Place(Protocol):
    """Where lines are taken."""

    name: str

    def send(self, entries: list[Entry]) -> None:
        """Take them there.

        Args:
            entries: A place that sends one by one takes off what is on its way.

        Raises:
            OSError: It cannot be done now; what is left in `entries` will be tried again.
        """
        ...

    def reopen(self) -> None:
        """Somebody has moved the file away."""
        ...

    def close(self, *, forked: bool = False) -> None:
        """Let go of what is open; `forked`: it is the parent's, who goes on using it."""
        ...


class Shipper:
    """Takes lines to a place.

    Args:
        place: Where to.
        size: Lines that may wait.

    Attributes:
        place: See above.
        dropped: Lines that were not taken there.
        sent: Lines that were.
    """

    def __init__(self, place: Place, size: int) -> None:
        self.place = place
        self.dropped = 0
        self.sent = 0
        self._size = size
        self._told = 0
        self._told_at = time.monotonic()
        self._fails = False
        self._refuses = False
        self._refresh()
        _all.add(self)

    def _refresh(self) -> None:
        self._lock = threading.RLock()
        self._waiting: deque[Entry] = deque()
        self._lines = 0
        self._characters = 0
        self._under_way = 0
        self._telling = False
        self._bell: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._leave = threading.Event()
        self._thread: threading.Thread | None = None

    def put(self, entry: Entry) -> None:
        """Let `entry` be taken there; never waits."""
        if entry.many > self._size:
            entry = self._newest_of(entry)
        with self._lock:
            self._note(entry, 1)
            self._waiting.append(entry)
            while self._waiting and (self._lines > self._size or self._characters > CHARACTERS):
                lost = self._waiting.popleft()
                self._note(lost, -1)
                self.dropped += lost.many
            if self._thread is None or not self._thread.is_alive():
                self._start()
            overdue = self.dropped != self._told and not self._telling and self._is_time()
            self._telling = self._telling or overdue
        if overdue:
            self._tell_apart()
        if not self._bell.qsize():
            self._bell.put("")

    def _note(self, entry: Entry, sign: int) -> None:
        self._lines += sign * entry.many
        self._characters += sign * len(entry.text)

    def _newest_of(self, entry: Entry) -> Entry:
        """As many of its lines as may wait."""
        self.dropped += entry.many - self._size
        return entry._replace(text="\n".join(entry.lines()[-self._size :]), many=self._size)

    def _start(self) -> None:
        self._leave.clear()
        self._thread = threading.Thread(target=self._run, name="vivace-log", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter ends: `close` does what is left
            self._thread = None

    def reopen(self) -> None:
        """See `Place.reopen`; lines that wait go to the new file."""
        self._bell.put("reopen")

    def close(self, seconds: float = 2.0) -> None:
        """Take there what waits, for `seconds` at most."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            self._bell.put("leave")
            if self._fails:
                self._leave.set()
            thread.join(seconds)
            self._leave.set()
        elif self._waiting:
            self._ship()
        _all.discard(self)
        lost = self._lines + self._under_way
        if lost:
            self.dropped += lost
            self._say(f"{lost} lines of the log are lost: {self.place.name} did not take them before the end")
        if thread is None or not thread.is_alive():
            self.place.close()

    # The thread

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._leave.is_set():
            if self._waiting:
                if self._ship():
                    pause = FIRST_PAUSE
                    continue
                self._leave.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            word = self._hear(0.0 if self._waiting else self._until_told())
            if word == "reopen":
                self._reopen()
            elif word == "leave":
                while self._waiting and self._ship():
                    continue
                return
            self._tell()

    def _hear(self, seconds: float) -> str:
        try:
            return self._bell.get(timeout=seconds) if seconds else self._bell.get_nowait()
        except queue.Empty:
            return ""

    def _until_told(self) -> float:
        if self.dropped == self._told:
            return DROPS_TOLD
        return max(self._told_at + DROPS_TOLD - time.monotonic(), 0.01)

    def _ship(self) -> bool:
        """Hand over what waits; whether that went well."""
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH))]
            for entry in batch:
                self._note(entry, -1)
            self._under_way = count = sum(entry.many for entry in batch)
        try:
            self.place.send(batch)
        except OSError as error:
            self.sent += count - sum(entry.many for entry in batch)
            self._put_back(batch)
            self._complain(error)
            return False
        except Exception as error:  # noqa: BLE001 - what one line holds must not end the thread
            self.dropped += count
            if not self._refuses:
                self._refuses = True
                self._say(f"{self.place.name}: {count} lines cannot be sent: {error!r}; such are counted")
            return True
        finally:
            self._under_way = 0
        self.sent += count
        self._refuses = False
        if self._fails:
            self._fails = False
            self._say(f"{self.place.name} takes the log again")
        return True

    def _put_back(self, batch: list[Entry]) -> None:
        with self._lock:
            for entry in reversed(batch):
                full = self._characters + len(entry.text) > CHARACTERS
                if full or self._lines + entry.many > self._size:
                    self.dropped += entry.many
                else:
                    self._waiting.appendleft(entry)
                    self._note(entry, 1)

    def _reopen(self) -> None:
        try:
            self.place.reopen()
        except OSError as error:
            self._say(f"{self.place.name} cannot be opened anew, the old one goes on: {error}")

    def _complain(self, error: OSError) -> None:
        if not self._fails:
            self._fails = True
            why = error.strerror or str(error) or type(error).__name__
            self._say(f"{self.place.name} does not take the log ({why}); it is tried again")

    def _say(self, text: str) -> None:
        stream = sys.__stderr__
        if stream is not None:
            try:
                file = stream.fileno()
                if select.select([], [file], [], 0)[1]:  # a full pipe would hold up the stop of the process
                    os.write(file, f"WARNING vivace.logs: {text}\n".encode(errors="replace"))
            except (OSError, ValueError):
                return

    def _is_time(self) -> bool:
        return time.monotonic() >= self._told_at + DROPS_TOLD

    def _tell_apart(self) -> None:
        """Tell from a thread of its own: ours may hang in the place, and whoever logs has to go on."""
        try:
            threading.Thread(target=self._say_dropped, name="vivace-log-drops", daemon=True).start()
        except RuntimeError:  # the interpreter ends, or there are too many
            self._telling = False

    def _tell(self) -> None:
        """Once a minute, how many lines were dropped."""
        with self._lock:
            if self.dropped == self._told or self._telling or not self._is_time():
                return
            self._telling = True
        self._say_dropped()

    def _say_dropped(self) -> None:
        with self._lock:
            lost, self._told, self._told_at = self.dropped - self._told, self.dropped, time.monotonic()
        name = self.place.name
        text = f"{lost} lines of the log were dropped: {name} does not take them as fast as they come"
        # What may hang comes last.
        logger.warning("%s", text, extra={"event": "log.dropped", "subject": name})
        if name != "stderr":  # the line of the log is there already
            self._say(text)
        self._telling = False

    # Forks

    def _pause(self) -> None:
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            self._leave.set()
            self._bell.put("")
            thread.join(FORK_WAIT)

    def _resume(self) -> None:
        with self._lock:
            if self._thread is None:
                return
            if self._thread.is_alive():  # it hangs in the place: a second one would get before it
                self._leave = threading.Event()
                return
            self._thread = None
            if self._waiting:
                self._start()

    def _forget(self) -> None:
        self.place.close(forked=True)
        self.dropped = self._told = self.sent = 0
        self._refresh()


_all: Final[WeakSet[Shipper]] = WeakSet()


def count_dropped() -> int:
    """Lines that no place of this process took, since it began to log."""
    return sum(one.dropped for one in list(_all))


def _before() -> None:
    for one in list(_all):
        one._pause()


def _in_parent() -> None:
    for one in list(_all):
        one._resume()


def _in_child() -> None:
    for one in list(_all):
        one._forget()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
