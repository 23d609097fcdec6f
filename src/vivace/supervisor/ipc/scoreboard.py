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
"""

import mmap
import os
import struct
import time
from contextlib import suppress
from enum import IntEnum
from typing import Final, NamedTuple

__all__ = ["PLACES", "TEXT_SIZE", "Entry", "Phase", "Reading", "Scoreboard"]

PLACES: Final = 512
"""Slots that have a place; workers beyond are served as well and not watched."""
TEXT_SIZE: Final = 240
"""Octets of a method and path at most; the rest is cut."""

_SIZE: Final = 1024
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
_PAST_AT: Final = 896
_COUNTS: Final = struct.Struct("=QQ")
_COUNTS_AT: Final = _BEAT_AT + 16
"""Where the requests and errors of a beat are."""
_TRIES: Final = 3


class Phase(IntEnum):
    """Where a worker is, in its own words."""

    BOOTING = 1
    SERVING = 2
    DRAINING = 3


class Reading(NamedTuple):
    """What a worker has said of itself.

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
        delay_p50: How long what arrives waits for its turn of the loop, in the middle, over the last minute.
        delay_p95: The same, for 95 of 100.
        unfit: A ready check of the app fails, or was not asked yet.
        oldest: Method and path of the request that is longest in progress, at the last heartbeat; or empty.
        oldest_since: When that began, as far as a heartbeat saw it.
        newest: Method and path of the request that began last; it may be over.
        blocking: Method and path of the request whose handler blocks the loop, if a thread saw it.
        blocking_since: When it was seen.
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
    delay_p50: float
    delay_p95: float
    unfit: bool
    oldest: str
    oldest_since: float
    newest: str
    blocking: str
    blocking_since: float

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
        self._sequence = 0
        past = _sum_up(memory, offset)
        memory[offset : offset + _SIZE] = bytes(_SIZE)
        _COUNTS.pack_into(memory, offset + _PAST_AT, *past)
        self._note = _NEWEST.pack_into
        self._newest_at = offset + _NEWEST_AT
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
    ) -> None:
        """The loop has turned; see `Reading`."""
        self._begin()
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
        record = b""
        for _ in range(_TRIES):
            record = self._memory[slot * _SIZE : (slot + 1) * _SIZE]
            sequence = _SEQUENCE.unpack_from(record)
            if not sequence[0] & 1 and sequence == _SEQUENCE.unpack_from(self._memory, slot * _SIZE):
                break
        reading = _decode(record)
        return reading if reading is not None and reading.pid == pid else None

    def counts(self) -> dict[int, tuple[int, int]]:
        """Requests and errors of each slot that ever had a worker, with those of the workers before.

        They never become less. What a worker did after its last beat is not counted.
        """
        return {
            slot: _sum_up(self._memory, slot * _SIZE)
            for slot in range(PLACES)
            if _SEQUENCE.unpack_from(self._memory, slot * _SIZE)[0]
        }

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


def _sum_up(memory: mmap.mmap, offset: int) -> tuple[int, int]:
    """Requests and errors of a place: of its worker, and of those before."""
    served, errors = _COUNTS.unpack_from(memory, offset + _COUNTS_AT)
    served_before, errors_before = _COUNTS.unpack_from(memory, offset + _PAST_AT)
    return served + served_before, errors + errors_before


def _decode(record: bytes) -> Reading | None:
    pid, generation, phase, since = _WHO.unpack_from(record, _WHO_AT)
    if phase not in tuple(Phase):
        return None
    beat = _BEAT.unpack_from(record, _BEAT_AT)
    (
        heartbeat,
        lag,
        served,
        errors,
        active,
        connections,
        background,
        busy,
        late,
        began,
        middle,
        most,
        unfit,
    ) = beat
    (oldest,) = _TEXT.unpack_from(record, _OLDEST_AT)
    method, path = _NEWEST.unpack_from(record, _NEWEST_AT)
    seen, blocking = _TIMED.unpack_from(record, _BLOCKING_AT)
    return Reading(
        pid,
        generation,
        Phase(phase),
        since,
        heartbeat,
        lag,
        served,
        errors,
        active,
        connections,
        background,
        busy,
        late,
        middle,
        most,
        unfit,
        _text(oldest),
        began,
        f"{_text(method)} {_text(path)}".strip(),
        _text(blocking),
        seen,
    )


def _octets(text: str) -> bytes:
    return text.encode("latin-1", "replace")


def _text(octets: bytes) -> str:
    """Printable ASCII: it goes to terminals and logs."""
    text = octets.rstrip(b"\0").decode("ascii", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
