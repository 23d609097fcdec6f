"""One process that is to run beside the workers: its life, its deaths, and how long its place waits then.

Rules of this file:

- Pure: every call brings `now`; chance comes from a generator that is given.
- What was asked of a process is never a death. A life of 30 s forgives all earlier deaths, as with workers.
- Whoever does not leave in time is killed; nothing waits for ever.
"""

import random
from enum import Enum
from typing import Final

from vivace.supervisor.fleet.handle import describe_exit
from vivace.supervisor.fleet.slots import FORGIVEN, delay_after

__all__ = ["KILLED", "OFTEN", "Phase", "Place"]

KILLED: Final = 3.0
"""Seconds after a kill when a process that is still there is killed again."""
OFTEN: Final = 5
"""Deaths in a row from which on a place is called a crash loop."""


class Phase(Enum):
    """Where a place is; the values are what `vivace ctl status` shows."""

    EMPTY = "backoff"
    COMING = "coming"
    STARTING = "booting"
    READY = "ready"
    STOPPING = "stopping"
    ENDED = "ended"


class Place:
    """A place for one process.

    Args:
        name: Of the process, for messages, such as ``mail`` or ``mail 2``.
        restart: ``always``, ``on-failure`` or ``never``.
        grace: Seconds from the request to stop until the kill.
        tells: The process says when it is ready; else it is as soon as it is there.
        now: The time; it is to be filled at once.

    Attributes:
        name: See above; so `restart`, `grace`, `tells`.
        phase: Where it is.
        pid: Of its process; 0 if there is none.
        started: When its process was made.
        due: When it is to be filled, if it is empty.
        until: When its process is killed; None: nothing was asked of it.
        deaths: In a row, not forgiven.
        exits: Processes that have ended here.
        last_exit: How the last of them did; empty: none has.
        last_exit_at: When.
    """

    __slots__ = (
        "deaths",
        "due",
        "exits",
        "grace",
        "last_exit",
        "last_exit_at",
        "name",
        "phase",
        "pid",
        "restart",
        "started",
        "tells",
        "until",
    )

    def __init__(self, name: str, restart: str, grace: float, *, tells: bool = False, now: float) -> None:
        self.name = name
        self.restart = restart
        self.grace = grace
        self.tells = tells
        self.phase = Phase.EMPTY
        self.pid = 0
        self.started = now
        self.due = now
        self.until: float | None = None
        self.deaths = 0
        self.exits = 0
        self.last_exit = ""
        self.last_exit_at = 0.0

    def __repr__(self) -> str:
        return f"<{self.name}, pid {self.pid}, {self.phase.value}>"

    @property
    def alive(self) -> bool:
        """There is a process, or will be in a moment."""
        return self.phase in (Phase.COMING, Phase.STARTING, Phase.READY, Phase.STOPPING)

    def wants(self, now: float) -> bool:
        """Whether a process is to be made now."""
        return self.phase is Phase.EMPTY and self.due <= now

    @property
    def next(self) -> float:
        """When there is something to do, monotonic seconds; infinity: not before another event."""
        if self.phase is Phase.EMPTY:
            return self.due
        return self.until if self.until is not None else float("inf")

    # What happened

    def coming(self, now: float) -> None:
        """A process was asked for."""
        self.phase = Phase.COMING
        self.started = now

    def made(self, pid: int, now: float) -> None:
        """There is a process."""
        self.pid = pid
        self.started = now
        if self.phase is not Phase.STOPPING:
            self.phase = Phase.STARTING if self.tells else Phase.READY
            self.until = None

    def refused(self, now: float, chance: random.Random) -> float:
        """There will be no process; in how many seconds it is tried again."""
        if self.phase is Phase.STOPPING:
            self.phase = Phase.ENDED
            return 0.0
        self.deaths = max(self.deaths, 1) + 1
        wait = delay_after(self.deaths - 1, chance)
        self.phase, self.due, self.until = Phase.EMPTY, now + wait, None
        return wait

    def ready(self) -> bool:
        """The process says that it is ready; whether that is news."""
        if self.phase is not Phase.STARTING:
            return False
        self.phase = Phase.READY
        return True

    def exited(self, code: int, now: float, chance: random.Random) -> float | None:
        """The process is gone.

        Args:
            code: Negative for a signal.
            now: The time.
            chance: Where the jitter of the delay comes from.

        Returns:
            In how many seconds the next one is made; None: none is.
        """
        asked = self.phase is Phase.STOPPING
        self.exits += 1
        self.last_exit, self.last_exit_at = f"{self.phase.value}: {describe_exit(code)}", now
        self.pid, self.until = 0, None
        again = self.restart == "always" or (self.restart == "on-failure" and code != 0)
        if asked or not again:
            self.phase = Phase.ENDED
            return None
        self.deaths = 1 if now - self.started >= FORGIVEN else self.deaths + 1
        wait = delay_after(self.deaths - 1, chance)
        self.phase, self.due = Phase.EMPTY, now + wait
        return wait

    # What is asked

    def stop(self, now: float, grace: float | None = None) -> bool:
        """It is to end; whether there is a process that has to be told.

        Args:
            now: The time.
            grace: Seconds, if they are others than usual.
        """
        if self.phase is Phase.STOPPING:
            if grace is not None and self.until is not None:
                self.until = min(self.until, now + grace)
            return False
        if not self.alive:
            self.phase = Phase.ENDED
            return False
        self.phase = Phase.STOPPING
        self.until = now + (self.grace if grace is None else grace)
        return self.pid > 0

    def late(self, now: float) -> bool:
        """Whether its process is to be killed now; it is asked again later."""
        if self.until is None or self.until > now:
            return False
        self.until = now + KILLED
        return True
