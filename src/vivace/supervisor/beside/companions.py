"""The processes of companions: how they are made, heard and buried.

Rules of this file:

- What is to happen to them the company decides; here it is done, and what happened is told to the company.
- A companion is forked by its generation's template, or from here where there is none.
- What a process said last is read before its end is judged; the programs that it has left end with it.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from vivace.supervisor.beside.company import Company, Deed, Make, Member
from vivace.supervisor.beside.rows import row_of
from vivace.supervisor.fleet.actions import Say, Send
from vivace.supervisor.generations.generation import Generation
from vivace.supervisor.generations.workforce import send_signal
from vivace.supervisor.ipc.channels import Channels
from vivace.supervisor.ipc.messages import Channel, Made, Order, Report
from vivace.supervisor.ipc.spec import CompanionSpec
from vivace.supervisor.loading.job import Job
from vivace.supervisor.system.children import fork
from vivace.supervisor.system.groups import Groups
from vivace.supervisor.system.reaper import Reaper

__all__ = ["Become", "Companions", "role_of"]

logger = logging.getLogger("vivace")

Become = Callable[[Job, Channel, int, str], int]
"""Runs a companion that is forked from here: with its job, its channel, its number and its role."""


def role_of(member: Member) -> str:
    """What a process learns of what it is: its name and its index."""
    return f"{member.spec.name}:{member.index}"


class Companions:
    """The processes of a company.

    Args:
        channels: Where they are heard.
        reaper: Tells how they ended.
        groups: Ends what they leave.
        become: See `Become`.
        generation: Gives a generation by its number.
    """

    def __init__(
        self,
        channels: Channels,
        reaper: Reaper,
        groups: Groups,
        become: Become,
        generation: Callable[[int], Generation],
    ) -> None:
        self._channels = channels
        self._reaper = reaper
        self._groups = groups
        self._become = become
        self._generation = generation
        self._company = Company()
        self._heard: dict[int, Channel] = {}
        self._asked: dict[int, int] = {}
        self._order: Order | None = None

    # For the supervisor

    @property
    def due(self) -> float:
        """When `look` has something to do, monotonic seconds."""
        return self._company.next

    @property
    def gone(self) -> bool:
        """No process is left."""
        return self._company.gone

    @property
    def pids(self) -> list[int]:
        """Of the processes that live."""
        return [member.pid for member in self._company.members if member.pid]

    @property
    def any(self) -> bool:
        """Whether there are some, or will be."""
        return bool(self._company.members)

    def want(self, generation: int, specs: Sequence[CompanionSpec]) -> None:
        """These are to run, of that generation's code."""
        self._do(self._company.want(generation, specs, time.monotonic()))

    def stop(self, now: float, *, early: bool = False, grace: float | None = None) -> None:
        """See `Company.stop`."""
        self._do(self._company.stop(now, early=early, grace=grace))

    def resume(self, now: float) -> None:
        """See `Company.resume`."""
        self._do(self._company.resume(now))

    def look(self, now: float) -> None:
        """Do what is due."""
        self._do(self._company.tick(now))

    def reap(self) -> None:
        """Find who has ended."""
        for pid in self.pids:
            code = self._reaper.exit_code(pid)
            if code is not None:
                self._bury(pid, code)

    def order(self, order: Order) -> None:
        """Tell all, and those that come later."""
        self._order = order
        for channel in self._heard.values():
            channel.send(order)

    def signal(self, number: int) -> None:
        """Send a signal to all."""
        for pid in self.pids:
            send_signal(pid, number)

    def rows(self, now: float) -> list[dict[str, Any]]:
        """What `vivace ctl status` shows of them."""
        return [
            row_of(one, one.spec.name, one.spec.kind, now, one.index, one.generation)
            for one in self._company.members
        ]

    # Making

    def _do(self, deeds: Iterable[Deed]) -> None:
        for deed in deeds:
            if isinstance(deed, Say):
                deed.write(logger)
            elif isinstance(deed, Send):
                send_signal(deed.pid, deed.signal)
            elif isinstance(deed, Make):
                self._make(deed.member)

    def _make(self, member: Member) -> None:
        generation = self._generation(member.generation)
        try:
            ours, theirs = Channel.pair()
        except OSError as error:
            self._refuse(member.number, error.strerror or str(error))
            return
        self._heard[member.number] = ours
        self._channels.follow(ours, partial(self._on_message, member.number, ours))
        role = role_of(member)
        try:
            if generation.channel is not None and not generation.unsafe:
                self._asked[member.number] = generation.number
                if not generation.channel.send(Order("fork", member.number, role=role), theirs.fileno()):
                    self._refuse(member.number, "its template takes no orders")
                return
            pid = fork(partial(self._become, generation.job, theirs, member.number, role))
        except OSError as error:
            self._refuse(member.number, error.strerror or str(error))
        else:
            self.made(Made(member.number, pid, role=role))
        finally:
            theirs.close()

    def made(self, made: Made) -> None:
        """A template has forked one, or could not."""
        self._asked.pop(made.slot, None)
        if made.pid:
            if self._order is not None and made.slot in self._heard:
                self._heard[made.slot].send(self._order)
            self._do(self._company.made(made.slot, made.pid, time.monotonic()))
            self.reap()
        else:
            self._refuse(made.slot, made.why)

    def orphaned(self, generation: int) -> None:
        """A template is gone: what it was to make will not come."""
        for number in [number for number, asked in self._asked.items() if asked == generation]:
            self._refuse(number, "its template is gone")

    def _refuse(self, number: int, why: str) -> None:
        self._asked.pop(number, None)
        self._hear_no_more(number)
        self._do(self._company.refused(number, why, time.monotonic()))

    # Hearing and burying

    def _on_message(self, number: int, channel: Channel) -> bool:
        """Read what is there; whether there may be more."""
        messages = self._channels.receive(channel)
        for message in messages or ():
            member = self._company.by_number(number)
            if isinstance(message, Report) and member is not None:
                if message.ready:
                    self._do(self._company.ready(member.pid, time.monotonic()))
                else:
                    logger.error("%s could not be started: %s", member.name, message.text)
        return bool(messages)

    def _bury(self, pid: int, code: int) -> None:
        member = self._company.by_pid(pid)
        if member is None:
            return
        channel = self._heard.get(member.number)
        while channel is not None and channel in self._channels and self._on_message(member.number, channel):
            pass
        self._hear_no_more(member.number)
        now = time.monotonic()
        self._groups.ended(pid, now)
        self._do(self._company.exited(pid, code, now))

    def _hear_no_more(self, number: int) -> None:
        channel = self._heard.pop(number, None)
        if channel is not None:
            self._channels.forget(channel)
