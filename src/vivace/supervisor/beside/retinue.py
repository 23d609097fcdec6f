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
import time
from collections.abc import Callable
from typing import Any, Final

from vivace.config import Config
from vivace.config.daemons import Daemon, daemons_of_procfile, parse_daemons
from vivace.config.stages import parse_stages
from vivace.errors import ConfigError, StartupError
from vivace.supervisor.beside.companions import Become, Companions
from vivace.supervisor.beside.daemons import Daemons
from vivace.supervisor.beside.folder import Folder
from vivace.supervisor.beside.hooks import Hooks
from vivace.supervisor.beside.hub import HubProcess
from vivace.supervisor.fleet.fleet import Fleet
from vivace.supervisor.fleet.patience import FORCED, KILL_AFTER
from vivace.supervisor.generations.generation import Generation
from vivace.supervisor.ipc.channels import Channels
from vivace.supervisor.ipc.messages import Made, Order
from vivace.supervisor.system.groups import Groups
from vivace.supervisor.system.reaper import Reaper

__all__ = ["Retinue"]

logger = logging.getLogger("vivace")

_INHERITED: Final = "_VIVACE_BESIDE"
LEAST: Final = 2.0
"""Seconds that companions, and then each daemon, have at least when the workers are gone."""


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
        fatal: Called with a text when what the server cannot do without has ended.
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
        fatal: Callable[[str], object],
    ) -> None:
        self._config = config
        self._fleet = fleet
        self._daemons = Daemons(channels, reaper, groups, fatal)
        self._hooks = Hooks(channels, reaper, groups)
        self._begin: Callable[[str], object] | None = None
        self._ends = False
        self._grace: float | None = None
        self._companions = Companions(channels, reaper, groups, become, generation)
        self._hub = HubProcess(config, channels.selector, reaper, leave)
        self._folder: Folder | None = None
        self._generation = generation
        self._running = 0
        self._awaited = 0
        self._deadline: float | None = None
        self._alone = False
        self._before = 0

    # The start

    def open(self, before: int = 0) -> None:
        """Make what processes find each other by, before there are any.

        Args:
            before: The process id of the supervisor that this one replaces; 0: there is none.

        Raises:
            StartupError: HUB_SOCKET cannot be used: others would look for the hub there in vain; exit code 4.
        """
        self._before = before
        text = os.environ.pop(_INHERITED, "")
        path, descriptor = json.loads(text) if text and before else ("", -1)
        try:
            self._folder = Folder(path)
            self._hub.open(self._folder.path, descriptor, before)
            self._folder.tell(os.environ)
        except (OSError, StartupError) as error:
            if self._config.HUB_SOCKET:
                raise StartupError(f"HUB_SOCKET: {error}", stage="bind", exit_code=4) from error
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

    def begin(self, then: Callable[[str], object]) -> None:
        """Start the daemons, then run the commands before the start.

        Args:
            then: Called when that is done, with why it failed; empty if it did not.

        Raises:
            ConfigError: DAEMON, PROCFILE or HOOKS cannot be used.
        """
        self._begin = then
        folder = self._folder.path if self._folder is not None else "."
        self._daemons.want(_daemons(self._config), folder, time.monotonic())
        self._go_on_beginning()

    def _go_on_beginning(self) -> None:
        if self._begin is not None and self._daemons.started:
            then, self._begin = self._begin, None
            self._run("before_start", then)

    def _run(self, stage: str, then: Callable[[str], object], limit: float | None = None) -> None:
        more = {"VIVACE_SUPERVISOR": str(os.getpid()), "VIVACE_GENERATION": str(self._fleet.newest or 1)}
        self._hooks.run(parse_stages(self._config.HOOKS), stage, then, more, limit)

    def after_ready(self) -> None:
        """The server serves."""
        self._run("after_ready", lambda why: logger.error("%s", why) if why else None)

    def before_restart(self, then: Callable[[str], object]) -> None:
        """Run the commands before a restart; `then` is called with why they failed, empty if not."""
        self._run("before_restart", then)

    def before_stop(self, then: Callable[[], object]) -> bool:
        """Run the commands before a stop, the first time.

        Args:
            then: Called when they are done, whatever came of them.

        Returns:
            Whether the stop has to wait for them.
        """
        self._hooks.give_up(time.monotonic())
        if self._ends:
            return False
        self._ends, self._begin = True, None
        if not parse_stages(self._config.HOOKS).at("before_stop"):
            return False
        self._run("before_stop", lambda why: _say_and(why, then), self._fleet.patience.graceful)
        return True

    # What generations tell

    def declared(self, generation: Generation) -> None:
        """A generation was loaded, or its app has declared more: at the start, and later where it serves."""
        if not self._fleet.booted or generation.number in (self._running, self._awaited):
            self._want(generation)

    def serves(self, number: int) -> None:
        """New code serves."""
        generation = self._generation(number)
        self._config = generation.job.config
        try:
            specs = _daemons(self._config)
        except ConfigError as error:
            logger.error("%s; the daemons stay as they are", error)  # noqa: TRY400
        else:
            folder = self._folder.path if self._folder is not None else "."
            self._daemons.want(specs, folder, time.monotonic())
        self._awaited = number
        # Its app may declare more now, and one that is kept must not be told to go before.
        if generation.channel is None or not generation.channel.send(Order("serves")):
            self._want(generation)

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
        return min(self._companions.due, self._hub.due, self._daemons.due, self._hooks.due)

    def look(self, now: float) -> None:
        """Do what is due, and what the state of the workers asks for."""
        if self._fleet.stopping:
            self._go_on_stopping(now)
        for one in (self._companions, self._hub, self._daemons, self._hooks):
            if one.due <= now:
                one.look(now)
        self._go_on_beginning()

    def reap(self) -> None:
        """Find who has ended."""
        for one in (self._companions, self._hub, self._daemons, self._hooks):
            one.reap()

    @property
    def pids(self) -> list[int]:
        """Of all processes that live."""
        hook = [self._hooks.pid] if self._hooks.pid else []
        return [*self.ours, *self._daemons.pids, *hook]

    @property
    def ours(self) -> list[int]:
        """Of those that run code of this server: they know its signals."""
        return [*self._companions.pids, *self._hub.pids]

    @property
    def lasting(self) -> list[str]:
        """The names of programs that end with this server."""
        return self._daemons.lasting

    def order(self, order: Order) -> None:
        """Tell all companions."""
        self._companions.order(order)

    def signal(self, number: int) -> None:
        """Send a signal to all companions."""
        self._companions.signal(number)

    def rows(self, now: float) -> list[dict[str, Any]]:
        """What `vivace ctl status` shows."""
        return [*self._daemons.rows(now), *self._hub.rows(now), *self._companions.rows(now)]

    # The stop

    @property
    def gone(self) -> bool:
        """Nothing is left of it, after a stop."""
        ended = self._companions.gone and self._hub.gone and self._daemons.gone
        return self._alone and ended and not self._hooks.pid

    def _go_on_stopping(self, now: float) -> None:
        if self._deadline is None:
            self._deadline = now + self._fleet.patience.graceful + KILL_AFTER
            self._companions.stop(now, early=not self._fleet.handed)
        if self._fleet.done and not self._alone:
            self._alone = True
            self._companions.stop(now, grace=max(self._deadline - now, LEAST))
        if self._alone and self._companions.gone:
            self._hub.stop(now)
            if self._hub.gone:
                left = max(self._deadline - now, LEAST)
                self._daemons.stop(now, left if self._grace is None else self._grace)

    def hurry(self, now: float) -> None:
        """The stop is forced."""
        self._grace = FORCED
        self._companions.stop(now, grace=FORCED)
        self._hub.stop(now, FORCED)

    def resume(self, now: float) -> None:
        """The server goes on after all."""
        if self._deadline is not None:
            self._deadline, self._alone, self._ends = None, False, False
            self._companions.resume(now)
            self._hub.resume(now)
            self._daemons.resume(now)

    def leave(self) -> None:
        """In a child: nothing of this is its own."""
        self._hub.close(child=True)
        self._daemons.leave()
        self._hooks.leave()
        if self._folder is not None:
            self._folder.leave()

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


def _daemons(config: Config) -> list[Daemon]:
    """The programs that a configuration names, those of its Procfile too.

    Raises:
        ConfigError: One of them cannot be.
    """
    return [*parse_daemons(config.DAEMON), *daemons_of_procfile(config.PROCFILE)]


def _say_and(why: str, then: Callable[[], object]) -> None:
    if why:
        logger.error("%s; the server stops all the same", why)
    then()
