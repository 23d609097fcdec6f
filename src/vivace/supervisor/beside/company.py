"""The companions of a server over generations of the code: who is to run, who takes whose place.

Rules of this file:

- Pure: no processes, no signals, no clock; every event brings `now`, every answer is a list of actions.
- When new code serves, its companions are started; a process of the old code is told to stop when the one
  that takes its place is ready. One whose name is gone is told at once.
- A companion that cannot be started ends no server: its place waits longer and longer.
- At the stop those that want to know early are told at once, the others when the workers are gone.
"""

import logging
import random
import signal
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from vivace.supervisor.beside.place import OFTEN, Phase, Place
from vivace.supervisor.fleet.actions import Say, Send
from vivace.supervisor.fleet.handle import describe_exit
from vivace.supervisor.ipc.spec import CompanionSpec

__all__ = ["BOOT", "Company", "Deed", "Make", "Member"]

BOOT: Final = 60.0
"""Seconds that a template has to make a process; then its place counts as refused."""


class Member(Place):
    """A place of a companion.

    Attributes:
        generation: Of the code that its process runs.
        index: Among the places of its companion, from 0.
        number: No other place of this server has it.
        spec: Of the companion.
    """

    __slots__ = ("generation", "index", "number", "spec")

    def __init__(self, spec: CompanionSpec, index: int, generation: int, number: int, now: float) -> None:
        name = spec.name if spec.instances == 1 else f"{spec.name} {index + 1}"
        super().__init__(f"{spec.kind} {name}", spec.restart, spec.grace, tells=spec.tells, now=now)
        self.spec = spec
        self.index = index
        self.generation = generation
        self.number = number

    @property
    def key(self) -> tuple[str, int]:
        """What it has in common with the place of another generation that takes this one's place."""
        return self.spec.name, self.index


class Make(NamedTuple):
    """Make a process for a place; answer with `made` or `refused`."""

    member: Member


Deed = Make | Send | Say


class Company:
    """The companions.

    Args:
        chance: For the jitter of delays.

    Attributes:
        generation: That is to run.
        members: The places, also those whose process is to leave.
        stopping: The server stops.
    """

    def __init__(self, chance: random.Random | None = None) -> None:
        self.generation = 0
        self.members: list[Member] = []
        self.stopping = False
        self._chance = chance or random.SystemRandom()
        self._numbers = 0
        self._wanted: tuple[CompanionSpec, ...] = ()

    # What is asked

    @property
    def next(self) -> float:
        """When `tick` has something to do, monotonic seconds; infinity: not before another event."""
        return min((member.next for member in self.members), default=float("inf"))

    @property
    def gone(self) -> bool:
        """No process is left."""
        return not any(member.alive for member in self.members)

    def by_pid(self, pid: int) -> Member | None:
        """The place of a process."""
        return next((member for member in self.members if pid and member.pid == pid), None)

    def by_number(self, number: int) -> Member | None:
        """The place of that number."""
        return next((member for member in self.members if member.number == number), None)

    # What happened

    def want(self, generation: int, specs: Sequence[CompanionSpec], now: float) -> list[Deed]:
        """These companions are to run, of that generation's code."""
        if self.stopping:
            return []
        self.generation = generation
        self._wanted = tuple(specs)
        wanted = {(spec.name, index): spec for spec in specs for index in range(spec.instances)}
        actions: list[Deed] = []
        known: set[tuple[str, int]] = set()
        for member in list(self.members):
            if member.key not in wanted:
                actions += self._dismiss(member, now)
            elif member.generation == generation and member.phase is not Phase.STOPPING:
                known.add(member.key)
            elif member.spec.keeps and member.phase in (Phase.STARTING, Phase.READY, Phase.ENDED):
                member.generation = generation
                known.add(member.key)
        for key, spec in wanted.items():
            if key not in known:
                self._numbers += 1
                self.members.append(Member(spec, key[1], generation, self._numbers, now))
        self._forget_empty()
        return [*actions, *self.tick(now)]

    def made(self, number: int, pid: int, now: float) -> list[Deed]:
        """A process was made for a place."""
        member = self.by_number(number)
        if member is None or not member.alive:
            return [Send(pid, signal.SIGKILL)]
        member.made(pid, now)
        if member.phase is Phase.STOPPING:
            return [Send(pid, signal.SIGTERM)]
        return self._arrived(member, now) if member.phase is Phase.READY else []

    def refused(self, number: int, why: str, now: float) -> list[Deed]:
        """There will be no process for a place."""
        member = self.by_number(number)
        if member is None or member.pid or not member.alive:
            return []
        wait = member.refused(now, self._chance)
        text = f"{member.name} cannot be started: {why}; next try in {wait:.1f} s"
        return [] if self.stopping else [Say(logging.ERROR, text)]

    def ready(self, pid: int, now: float) -> list[Deed]:
        """A process says that it is ready."""
        member = self.by_pid(pid)
        return self._arrived(member, now) if member is not None and member.ready() else []

    def exited(self, pid: int, code: int, now: float, cause: str = "") -> list[Deed]:
        """A process is gone."""
        member = self.by_pid(pid)
        if member is None:
            return []
        asked = member.phase is Phase.STOPPING
        if member.generation != self.generation:
            member.phase = Phase.STOPPING  # it is not replaced by its own kind
        wait = member.exited(code, now, self._chance)
        said = list(self._say(member, pid, code, wait, cause, asked=asked))
        if asked:
            self.members.remove(member)
        done = wait is None and not asked
        left = self._arrived(member, now) if done and member.generation == self.generation else []
        self._forget_empty()
        return [*said, *left, *self.tick(now)]

    def _say(
        self, member: Member, pid: int, code: int, wait: float | None, cause: str, *, asked: bool
    ) -> Iterator[Deed]:
        how = f"{member.name} (pid {pid}) ended with {describe_exit(code)}" + (f" ({cause})" if cause else "")
        if asked:
            if code:
                yield Say(logging.WARNING, f"{how} while it stopped")
        elif wait is None:
            event = "companion.down" if code else ""
            yield Say(
                logging.ERROR if code else logging.INFO, f"{how}; it is not started again", event, member.name
            )
        else:
            often = f", the {member.deaths}th time in a row" if member.deaths >= OFTEN else ""
            when = f"in {wait:.1f} s" if wait else "now"
            yield Say(
                logging.ERROR, f"{how}{often}; it is started again {when}", "companion.down", member.name
            )

    def tick(self, now: float) -> list[Deed]:
        """Time passed: make who is due, kill who did not leave in time."""
        actions: list[Deed] = []
        for member in self.members:
            if member.wants(now) and not self.stopping:
                member.coming(now)
                member.until = now + BOOT
                actions.append(Make(member))
            elif member.late(now):
                actions += self._too_late(member, now)
        return actions

    def _too_late(self, member: Member, now: float) -> list[Deed]:
        if member.pid:
            text = f"{member.name} (pid {member.pid}) did not end in time: killed"
            return [Say(logging.WARNING, text), Send(member.pid, signal.SIGKILL)]
        return self.refused(member.number, f"nothing came of it within {BOOT:g} s", now)

    # The end

    def stop(self, now: float, *, early: bool = False, grace: float | None = None) -> list[Deed]:
        """The server stops.

        Args:
            now: The time.
            early: Only those that want to know at once are told; the others later, by a second call.
            grace: Seconds that they have at most; None: each its own.
        """
        self.stopping = True
        actions: list[Deed] = []
        for member in reversed(self.members):
            if member.spec.early or not early:
                limit = member.grace if grace is None else min(member.grace, grace)
                actions += self._tell(member, now, limit)
            elif member.phase is Phase.EMPTY:
                member.phase = Phase.ENDED
        return actions

    def resume(self, now: float) -> list[Deed]:
        """The server goes on after all: whoever has ended meanwhile is started again."""
        self.stopping = False
        self.members = [member for member in self.members if member.alive]
        return self.want(self.generation, self._wanted, now)

    def _dismiss(self, member: Member, now: float) -> list[Deed]:
        return self._tell(member, now, member.grace)

    def _tell(self, member: Member, now: float, grace: float) -> list[Deed]:
        return [Send(member.pid, signal.SIGTERM)] if member.stop(now, grace) else []

    def _arrived(self, member: Member, now: float) -> list[Deed]:
        """A process is ready, or has done its work: whose place it takes may leave."""
        actions: list[Deed] = []
        for other in self.members:
            if other is not member and other.key == member.key and other.generation != self.generation:
                actions += self._dismiss(other, now)
        self._forget_empty()
        return actions

    def _forget_empty(self) -> None:
        """Places of older generations go when their process is gone."""
        self.members = [m for m in self.members if m.alive or m.generation == self.generation]
