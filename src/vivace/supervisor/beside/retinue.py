"""All processes beside the workers, for the supervisor, in the order of its life.

Rules of this file:

- Order of the start: daemons, hub, template, companions, workers; of the stop: the reverse. Companions that
  want to know early are told when the stop begins.
- What is told to end has an end: a stop takes no longer than GRACEFUL_SHUTDOWN_TIMEOUT for the workers and
  their companions together, and a few seconds more.
"""

import fcntl
import json
import logging
import os
from collections.abc import Callable
from typing import Any, Final

from vivace.config import Config
from vivace.errors import StartupError
from vivace.supervisor.beside.companions import Become, Companions
from vivace.supervisor.beside.folder import Folder
from vivace.supervisor.beside.hub import HubProcess
from vivace.supervisor.channels import Channels
from vivace.supervisor.fleet import FORCED, KILL_AFTER, Fleet
from vivace.supervisor.generation import Generation
from vivace.supervisor.groups import Groups
from vivace.supervisor.messages import Made, Order
from vivace.supervisor.reaper import Reaper

__all__ = ["Retinue"]

logger = logging.getLogger("vivace")

_INHERITED: Final = "_VIVACE_BESIDE"
LEAST: Final = 2.0
"""Seconds that companions have at least when the workers are gone."""


class Retinue:
    """What runs beside the workers.

    Args:
        config: Of the process.
        fleet: The workers.
        channels: Where companions are heard.
        reaper: Tells how processes ended.
        groups: Ends what companions leave.
        become: Runs a companion in a child.
        leave: Called in a child that is none: closes what is the supervisor's.
        generation: Gives a generation by its number.
    """

    def __init__(
        self,
        config: Config,
        fleet: Fleet,
        channels: Channels,
        reaper: Reaper,
        groups: Groups,
        become: Become,
        leave: Callable[[], object],
        generation: Callable[[int], Generation],
    ) -> None:
        self._fleet = fleet
        self._companions = Companions(channels, reaper, groups, become, generation)
        self._hub = HubProcess(config, channels.selector, reaper, leave)
        self._folder: Folder | None = None
        self._generation = generation
        self._running = 0
        self._deadline: float | None = None
        self._alone = False
        self._before = 0

    # The start

    def open(self, before: int = 0) -> None:
        """Make what processes find each other by, before there are any.

        Args:
            before: The process id of the supervisor that this one replaces; 0: there is none.
        """
        self._before = before
        text = os.environ.pop(_INHERITED, "")
        path, descriptor = json.loads(text) if text and before else ("", -1)
        try:
            self._folder = Folder(path)
            self._hub.open(self._folder.path, descriptor, before)
            self._folder.tell(os.environ)
        except (OSError, StartupError) as error:
            logger.warning("groups, services and pools do not reach from process to process: %s", error)

    def hand_on(self, beyond: int) -> dict[str, str]:
        """Leave what it has to the supervisor that replaces this one; called before ``exec``.

        Args:
            beyond: The least number of a descriptor that is not another's.

        Returns:
            The variables that the next supervisor needs.
        """
        if self._folder is None or self._hub.listener is None:
            return {}
        descriptor = fcntl.fcntl(self._hub.listener.fileno(), fcntl.F_DUPFD, beyond)
        return {_INHERITED: json.dumps([self._folder.path, descriptor])}

    def named(self, name: str) -> None:
        """The name of the app is known."""
        self._hub.name = name

    # What generations tell

    def declared(self, generation: Generation) -> None:
        """A generation was loaded, or its app has declared more: at the start, and later where it serves."""
        if not self._fleet.booted or generation.number == self._running:
            self._want(generation)

    def serves(self, number: int) -> None:
        """New code serves."""
        self._want(self._generation(number))

    def _want(self, generation: Generation) -> None:
        self._running = generation.number
        self._companions.want(generation.number, generation.companions)

    def made(self, made: Made) -> None:
        """A template has forked a companion, or could not."""
        self._companions.made(made)

    def orphaned(self, generation: int) -> None:
        """A template is gone."""
        self._companions.orphaned(generation)

    # A chore

    @property
    def due(self) -> float:
        """When `look` has something to do, monotonic seconds."""
        if self._fleet.stopping and (self._deadline is None or (self._fleet.done and not self._alone)):
            return 0.0
        return min(self._companions.due, self._hub.due)

    def look(self, now: float) -> None:
        """Do what is due, and what the state of the workers asks for."""
        if self._fleet.stopping:
            self._go_on_stopping(now)
        for one in (self._companions, self._hub):
            if one.due <= now:
                one.look(now)

    def reap(self) -> None:
        """Find who has ended."""
        self._companions.reap()
        self._hub.reap()

    @property
    def pids(self) -> list[int]:
        """Of all processes that live."""
        return [*self._companions.pids, *self._hub.pids]

    def order(self, order: Order) -> None:
        """Tell all companions."""
        self._companions.order(order)

    def signal(self, number: int) -> None:
        """Send a signal to all companions."""
        self._companions.signal(number)

    def rows(self, now: float) -> list[dict[str, Any]]:
        """What `vivace ctl status` shows."""
        return [*self._hub.rows(now), *self._companions.rows(now)]

    # The stop

    @property
    def gone(self) -> bool:
        """Nothing is left of it, after a stop."""
        return self._alone and self._companions.gone and self._hub.gone

    def _go_on_stopping(self, now: float) -> None:
        if self._deadline is None:
            self._deadline = now + self._fleet.patience.graceful + KILL_AFTER
            self._companions.stop(now, early=not self._fleet.handed)
        if self._fleet.done and not self._alone:
            self._alone = True
            self._companions.stop(now, grace=max(self._deadline - now, LEAST))
        if self._alone and self._companions.gone:
            self._hub.stop(now)

    def hurry(self, now: float) -> None:
        """The stop is forced."""
        self._companions.stop(now, grace=FORCED)
        self._hub.stop(now, FORCED)

    def resume(self, now: float) -> None:
        """The server goes on after all."""
        if self._deadline is not None:
            self._deadline, self._alone = None, False
            self._companions.resume(now)
            self._hub.resume(now)

    def leave(self) -> None:
        """In a child: nothing of this is its own."""
        self._hub.close(child=True)

    def close(self, *, handed: bool = False) -> None:
        """The end.

        Args:
            handed: Another supervisor goes on.
        """
        self._hub.close()
        shared = handed or (self._before > 0 and os.getppid() == self._before)
        if self._folder is not None:
            self._folder.close(os.environ, remove=not shared)
            self._folder = None
