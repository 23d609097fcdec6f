"""The chores of a supervisor, each with the time when it is due next.

Rules of this file:

- A chore never blocks; what it finds it hands on. Nothing is done once a stop has begun.
- How things are found is told elsewhere: `.files`, `.recycling`, `vivace.supervisor.system.usage`.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from vivace.supervisor.chores.files import FileWatch
from vivace.supervisor.chores.recycling import Recycler
from vivace.supervisor.fleet.fleet import Fleet
from vivace.supervisor.fleet.handle import State
from vivace.supervisor.ipc.messages import Order
from vivace.supervisor.ipc.scoreboard import Scoreboard
from vivace.supervisor.system.usage import Usage, UsageWatch, Watched, measure
from vivace.supervisor.telling.service import Service, supervisor_title

__all__ = ["Chore", "Extending", "Looking", "Recycling", "Telling", "UsageCheck", "Watching"]

logger = logging.getLogger("vivace")

USAGE_EVERY: Final = 60.0
"""Seconds between two counts of the connections that workers hold."""
EXTEND_EVERY: Final = 5.0
"""Seconds between two words that a start or restart goes on."""
EXTENSION: Final = 20.0
"""Seconds that it may take from each of them on; a few of them may be late."""
LATE: Final = 1.0
"""Seconds without a turn of its loop after which a worker is looked at."""


class Chore(Protocol):
    """Something to do from time to time.

    Attributes:
        due: When `look` has something to do, monotonic seconds; infinity: not by itself.
    """

    @property
    def due(self) -> float: ...

    def look(self, now: float) -> None:
        """Do what is due, and say when to come again."""


class Extending:
    """Tell the manager of services that a start or restart goes on: how long it may take is ours to judge.

    Args:
        service: Tells it.
        fleet: Knows.

    Attributes:
        due: See `Chore`.
    """

    def __init__(self, service: Service, fleet: Fleet) -> None:
        self.due = 0.0 if service.told else float("inf")
        self._service = service
        self._fleet = fleet

    def look(self, now: float) -> None:
        """See `Chore`."""
        self.due = now + EXTEND_EVERY
        if not self._fleet.booted or self._fleet.restarting:
            self._service.starting(EXTENSION)


class Looking:
    """Ask a thread of a worker whose loop is late what it is doing; the answer is on the scoreboard.

    Args:
        board: Tells who is late.
        fleet: Has the workers.
        send: Sends an order to a process id.

    Attributes:
        due: See `Chore`.
    """

    def __init__(self, board: Scoreboard, fleet: Fleet, send: Callable[[int, Order], object]) -> None:
        self.due = 0.0
        self._board = board
        self._fleet = fleet
        self._send = send
        self._asked: dict[int, float] = {}

    def look(self, now: float) -> None:
        """See `Chore`."""
        self.due = now + LATE
        asked, self._asked = self._asked, {}
        for pid, worker in self._fleet.workers.items():
            reading = self._board.read(worker.slot, pid) if worker.state is State.READY else None
            if reading is None or reading.late(now) < LATE:
                continue
            self._asked[pid] = reading.heartbeat  # once for each standstill: it may not hear us at all
            if asked.get(pid) != reading.heartbeat:
                self._send(pid, Order("look"))


class Recycling:
    """Replace workers that are old or large.

    Args:
        recycler: Finds them.
        fleet: Has them.
        recycle: Called with process id, reason and time.
    """

    def __init__(
        self, recycler: Recycler, fleet: Fleet, recycle: Callable[[int, str, float], object]
    ) -> None:
        self._recycler = recycler
        self._fleet = fleet
        self._recycle = recycle

    @property
    def due(self) -> float:
        """See `Chore`."""
        return self._recycler.due

    def look(self, now: float) -> None:
        """See `Chore`."""
        for pid, reason in self._recycler.look(self._fleet.workers, now):
            self._recycle(pid, reason, now)


class Telling:
    """Keep systemd and the title of the process up to date, once the server serves.

    Args:
        service: The line to them.
        fleet: What there is to say.
        name: Of the app.
        addresses: Where it listens.
    """

    def __init__(self, service: Service, fleet: Fleet, name: str, addresses: Sequence[str]) -> None:
        self._service = service
        self._fleet = fleet
        self._name = name
        self._addresses = addresses

    @property
    def due(self) -> float:
        """See `Chore`."""
        return self._service.due

    def look(self, now: float) -> None:
        """See `Chore`."""
        ready, wanted = self._fleet.ready_count, self._fleet.size
        title = supervisor_title(self._name, ready, wanted, self._addresses)
        self._service.look(now, well=ready > 0, title=title, status=f"{ready} of {wanted} workers serve")


class UsageCheck:
    """Warn of workers that hold more connections than their share, and replace them if a budget wants it.

    Args:
        fleet: Has the workers.
        recycle: Called with process id, reason and time.

    Attributes:
        due: See `Chore`.
        found: What workers held at the last look.
    """

    def __init__(self, fleet: Fleet, recycle: Callable[[int, str, float], object]) -> None:
        self.due = float("inf")
        self._fleet = fleet
        self._recycle = recycle
        self._usage = UsageWatch()
        self.found: list[Usage] = []
        self._watched: tuple[Watched, ...] = ()

    def watch(self, watched: tuple[Watched, ...]) -> None:
        """These budgets from now on."""
        if watched and not self._watched:
            self.due = time.monotonic() + USAGE_EVERY
        self._watched = watched

    def look(self, now: float) -> None:
        """See `Chore`."""
        slots = {worker.slot: pid for pid, worker in self._fleet.workers.items()}
        self.found = [usage for one in self._watched for usage in measure(one.plan, one.place, slots)]
        for line in self._usage.judge(self.found):
            logger.warning("%s", line)
        enforced = {one.plan.name for one in self._watched if one.recycle}
        for usage in self._usage.staying:
            if usage.budget in enforced:
                reason = (
                    f"it holds {usage.open} connections of budget {usage.budget}, its share is {usage.share}"
                )
                self._recycle(usage.pid, reason, now)
        self.due = now + USAGE_EVERY


class Watching:
    """Restart when files change, once the server serves.

    Args:
        watch: Notices them.
        reload: Called with their names.
    """

    def __init__(self, watch: FileWatch, reload: Callable[[Sequence[str]], object]) -> None:
        self._watch = watch
        self._reload = reload

    @property
    def due(self) -> float:
        """See `Chore`."""
        return self._watch.due

    def look(self, now: float) -> None:
        """See `Chore`."""
        if changed := self._watch.look(now):
            self._reload(changed)
