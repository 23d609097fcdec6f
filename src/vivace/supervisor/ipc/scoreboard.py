"""Shared memory in which each worker says how it fares, and which is read without its help.

How to use it, as the supervisor: ``board.read(slot, pid)`` gives a `Reading`, or None if that process has not
written yet. `Reading.late` is how long ago the worker's loop last turned: anything above a second or two is a
blocked loop (or a stopped process), whatever the worker itself would say. What blocks it is, in this order:
`blocking` (seen by a thread of the worker, asked by ``Order("look")``; exact, but empty while C code holds
the interpreter), `newest` (the request that began last, noted as it begins), `oldest` (the one that
waited longest at the last beat). `Reading.suspect` chooses.

Rules of this file:

- A place for each slot, of fixed size; one writer, which never waits. The reader looks at a sequence number
  before and after, and once more if they differ; a worker that died in the middle is read as it is.
- Plain memory and plain numbers: a reader believes nothing that could hurt it.
- A request costs nothing but a comparison with the one before, and a copy of its path if that differs; all
  else is written by a timer of the worker's loop (`vivace.supervisor.workers.pulse`).
- Query strings are left out: they carry secrets.
- Times are CLOCK_MONOTONIC, which all processes of a machine share.
- What was done in all is never set back: a worker goes on from what stands there, a server from what the one
  before it has left.
"""

import fcntl
import logging
import mmap
import os
import struct
import time
from contextlib import suppress
from enum import IntEnum
from typing import Final, NamedTuple

from vivace.supervisor.ipc.totals import LAYOUT, NOTHING, SIZE, Totals

__all__ = ["PLACES", "TEXT_SIZE", "Entry", "Phase", "Reading", "Scoreboard"]

logger = logging.getLogger("vivace")

PLACES: Final = 512
"""Slots that have a place; workers beyond are served as well and not watched."""
TEXT_SIZE: Final = 240
"""Octets of a method and path at most; the rest is cut."""

_SIZE: Final = 2048
_SEQUENCE: Final = struct.Struct("=Q")
_WHO: Final = struct.Struct("=IIBxxxd")
_BEAT: Final = struct.Struct("=ddQQIIIHHddd?")
_TEXT: Final = struct.Struct(f"={TEXT_SIZE}s")
_NEWEST: Final = struct.Struct(f"=16s{TEXT_SIZE}s")
_TIMED: Final = struct.Struct(f"=d{TEXT_SIZE}s")
_WHO_AT: Final = 8
_BEAT_AT: Final = 32
_OLDEST_AT: Final = 128
_NEWEST_AT: Final = 384
_BLOCKING_AT: Final = 640
_TOTALS_AT: Final = 1024
"""Of all workers that the place ever had."""
_BEFORE_AT: Final = _TOTALS_AT + SIZE
"""Of those before this one."""
_CARRIED_AT: Final = _BEFORE_AT + SIZE
"""Of the servers that this one has replaced; the supervisor writes it."""
_TRIES: Final = 3
_GAP: Final = 16
"""So many unused places in a row, and those behind are not looked at: what is looked at takes memory."""
_VARIABLE: Final = "_VIVACE_FIGURES"


class Phase(IntEnum):
    """Where a worker is, in its own words."""

    BOOTING = 1
    SERVING = 2
    DRAINING = 3


class Reading(NamedTuple):
    """What a worker has said of itself; from `heartbeat` to `unfit` in the order of a beat.

    Attributes:
        pid: Of the process that wrote it.
        generation: Of its code.
        phase: Where it is.
        since: When that began.
        heartbeat: When its loop turned last; 0.0 before it serves.
        lag: How much later than planned that was, in seconds.
        served: Requests that arrived.
        errors: Responses with a status of 500 or more.
        active: Requests in progress.
        connections: Open connections.
        background: Handlers at work after their response.
        threads_busy: Threads that work for a request.
        threads_late: Those of them whose request was answered in their place, because it took too long.
        oldest_since: When the request began that is longest in progress, as far as a heartbeat saw it.
        delay_p50: How long what arrives waits for its turn of the loop, in the middle, over the last minute.
        delay_p95: The same, for 95 of 100.
        unfit: A ready check of the app fails, or was not asked yet.
        oldest: Method and path of that request, at the last heartbeat; or empty.
        newest: Method and path of the request that began last; it may be over.
        blocking: Method and path of the request whose handler blocks the loop, if a thread saw it.
        blocking_since: When it was seen.
        done: What this process has done, as of its last heartbeat.
    """

    pid: int
    generation: int
    phase: Phase
    since: float
    heartbeat: float
    lag: float
    served: int
    errors: int
    active: int
    connections: int
    background: int
    threads_busy: int
    threads_late: int
    oldest_since: float
    delay_p50: float
    delay_p95: float
    unfit: bool
    oldest: str
    newest: str
    blocking: str
    blocking_since: float
    done: Totals

    def late(self, now: float) -> float:
        """Seconds since the loop turned; 0.0 before it serves, when nothing is promised."""
        return max(now - self.heartbeat, 0.0) if self.heartbeat and self.phase != Phase.BOOTING else 0.0

    @property
    def suspect(self) -> str:
        """Method and path of the request that most likely blocks the loop, if it is blocked; or empty."""
        seen = self.blocking if self.blocking_since > self.heartbeat else ""
        return seen or self.newest or self.oldest


class Entry:
    """A worker's own place.

    Args:
        memory: Of the board.
        offset: Where the place begins.
        generation: Of the worker's code.
    """

    def __init__(self, memory: mmap.mmap, offset: int, generation: int) -> None:
        self._memory = memory
        self._at = offset
        self._generation = generation
        self._before = Totals.read(memory, offset + _TOTALS_AT)
        self._sequence = 1
        _SEQUENCE.pack_into(memory, offset, 1)
        memory[offset + _WHO_AT : offset + _TOTALS_AT] = bytes(_TOTALS_AT - _WHO_AT)
        self._before.write(memory, offset + _BEFORE_AT)
        self._note = _NEWEST.pack_into
        self._newest_at = offset + _NEWEST_AT
        self._end()
        self.enter(Phase.BOOTING)

    def enter(self, phase: Phase) -> None:
        """Say where the worker is from now on."""
        self._begin()
        _WHO.pack_into(
            self._memory, self._at + _WHO_AT, os.getpid(), self._generation, phase, time.monotonic()
        )
        self._end()

    def beat(
        self,
        now: float,
        lag: float,
        served: int,
        errors: int,
        active: int,
        connections: int,
        background: int,
        oldest: str,
        oldest_since: float,
        threads_busy: int = 0,
        threads_late: int = 0,
        delay_p50: float = 0.0,
        delay_p95: float = 0.0,
        unfit: bool = False,
        done: Totals = NOTHING,
    ) -> None:
        """The loop has turned; see `Reading`."""
        self._begin()
        self._before.plus(done).write(self._memory, self._at + _TOTALS_AT)
        _BEAT.pack_into(
            self._memory,
            self._at + _BEAT_AT,
            now,
            lag,
            served,
            errors,
            active,
            connections,
            background,
            threads_busy,
            threads_late,
            oldest_since,
            delay_p50,
            delay_p95,
            unfit,
        )
        _TEXT.pack_into(self._memory, self._at + _OLDEST_AT, _octets(oldest))
        self._end()

    def note(self, method: str, path: bytes) -> None:
        """A request has begun."""
        self._note(self._memory, self._newest_at, method.encode("ascii", "replace"), path)

    def blocked_by(self, text: str) -> None:
        """A thread saw what the loop does."""
        _TIMED.pack_into(self._memory, self._at + _BLOCKING_AT, time.monotonic(), _octets(text))

    def _begin(self) -> None:
        self._sequence += 1
        _SEQUENCE.pack_into(self._memory, self._at, self._sequence)

    _end = _begin


class Scoreboard:
    """The places of all workers.

    Args:
        descriptor: Of the memory, if there is one already; it is closed when the memory is mapped.
    """

    def __init__(self, descriptor: int = -1) -> None:
        size = PLACES * _SIZE
        self._descriptor = descriptor if descriptor >= 0 else _reserve(size)
        self._memory = mmap.mmap(self._descriptor, size)
        self._past: Scoreboard | None = None
        if descriptor >= 0:
            self.leave()

    @property
    def descriptor(self) -> int:
        """For programs that are run, not forked; -1 if the system has none, or after `leave`."""
        return self._descriptor

    def leave(self) -> None:
        """In a child: keep the memory, not the descriptor."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def enter(self, slot: int, generation: int) -> Entry | None:
        """Take the place of a slot, as its worker; None if there are not so many."""
        return Entry(self._memory, slot * _SIZE, generation) if slot < PLACES else None

    def read(self, slot: int, pid: int) -> Reading | None:
        """What a worker has said; None if that process has not said anything yet."""
        if slot >= PLACES:
            return None
        reading = _decode(self._record(slot))
        return reading if reading is not None and reading.pid == pid else None

    def _record(self, slot: int) -> bytes:
        """A place as it was at one moment, if its worker lets us."""
        record = b""
        for _ in range(_TRIES):
            record = self._memory[slot * _SIZE : (slot + 1) * _SIZE]
            sequence = _SEQUENCE.unpack_from(record)
            if not sequence[0] & 1 and sequence == _SEQUENCE.unpack_from(self._memory, slot * _SIZE):
                break
        return record

    def counts(self) -> dict[int, Totals]:
        """What the workers of each place have done that ever had one, with those of the servers before.

        No number becomes less. What a worker did after its last beat, if it was killed, is not counted.
        """
        found = self._past.counts() if self._past is not None else {}
        unused = 0
        for slot in range(PLACES):
            unused = 0 if self._is_used(slot) else unused + 1
            if not unused:
                record = self._record(slot)
                done = Totals.read(record, _TOTALS_AT).plus(Totals.read(record, _CARRIED_AT))
                found[slot] = found.get(slot, NOTHING).plus(done)
            elif unused > _GAP:
                break
        return found

    def _is_used(self, slot: int) -> bool:
        at = slot * _SIZE
        return any(_SEQUENCE.unpack_from(self._memory, at)) or any(
            Totals.read(self._memory, at + _CARRIED_AT).answers
        )

    def go_on(self, past: "Scoreboard") -> None:
        """Count on from what the workers of another server have done, and are doing yet."""
        self._past = past

    def settle(self) -> None:
        """Take over what those have done, so that another server can go on from this one alone."""
        if self._past is None:
            return
        for slot, totals in self._past.counts().items():
            carried = Totals.read(self._memory, slot * _SIZE + _CARRIED_AT)
            carried.plus(totals).write(self._memory, slot * _SIZE + _CARRIED_AT)
        self._past.close()
        self._past = None

    def hand_on(self, beyond: int) -> dict[str, str]:
        """Let the supervisor that replaces this one go on from here; called before ``exec``.

        Args:
            beyond: The least number of a descriptor that is not another's.

        Returns:
            The variables that the next supervisor needs.
        """
        if self._descriptor < 0:
            return {}
        return {_VARIABLE: f"{fcntl.fcntl(self._descriptor, fcntl.F_DUPFD, beyond)} {LAYOUT}"}

    @classmethod
    def inherited(cls) -> "Scoreboard | None":
        """That of the server that this one replaces; the answer is given once.

        None if there is no such server, or another version has made it and its figures mean something else.
        """
        number, _, layout = os.environ.pop(_VARIABLE, "").partition(" ")
        if not number.isdecimal():
            return None
        try:
            if layout == LAYOUT:
                return cls(int(number))
            os.close(int(number))
        except (OSError, ValueError):
            logger.debug("the figures of the server before are not there", exc_info=True)
        return None

    def close(self) -> None:
        """Give the memory back."""
        self.leave()
        with suppress(BufferError):
            self._memory.close()


def _reserve(size: int) -> int:
    """A descriptor of memory; -1 where there is none, and only a fork can share."""
    if not hasattr(os, "memfd_create"):
        return -1
    try:
        descriptor = os.memfd_create("vivace-scoreboard", os.MFD_CLOEXEC)
    except OSError:
        return -1
    os.ftruncate(descriptor, size)
    return descriptor


def _decode(record: bytes) -> Reading | None:
    pid, generation, phase, since = _WHO.unpack_from(record, _WHO_AT)
    if phase not in tuple(Phase):
        return None
    (oldest,) = _TEXT.unpack_from(record, _OLDEST_AT)
    method, path = _NEWEST.unpack_from(record, _NEWEST_AT)
    seen, blocking = _TIMED.unpack_from(record, _BLOCKING_AT)
    return Reading._make(
        (
            pid,
            generation,
            Phase(phase),
            since,
            *_BEAT.unpack_from(record, _BEAT_AT),
            _text(oldest),
            f"{_text(method)} {_text(path)}".strip(),
            _text(blocking),
            seen,
            Totals.read(record, _TOTALS_AT).minus(Totals.read(record, _BEFORE_AT)),
        )
    )


def _octets(text: str) -> bytes:
    return text.encode("latin-1", "replace")


def _text(octets: bytes) -> str:
    """Printable ASCII: it goes to terminals and logs."""
    text = octets.rstrip(b"\0").decode("ascii", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
