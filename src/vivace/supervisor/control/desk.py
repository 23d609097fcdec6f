"""Where a supervisor is spoken to: the control socket with its commands, and the address for probes.

Rules of this file:

- One place for the moments of a supervisor's life that concern who asks from outside.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

import msgspec

from vivace.config import Config
from vivace.supervisor.control.commands import Commands
from vivace.supervisor.control.control import Control
from vivace.supervisor.fleet.actions import Action, Done
from vivace.supervisor.fleet.fleet import Fleet
from vivace.supervisor.generations.workforce import Workforce
from vivace.supervisor.ipc.channels import Channels
from vivace.supervisor.ipc.messages import Order, Report, Told
from vivace.supervisor.ipc.scoreboard import Scoreboard
from vivace.supervisor.stats.health import Health
from vivace.supervisor.stats.memory import MemoryReport
from vivace.supervisor.stats.metrics import CONTENT_TYPE, render_metrics
from vivace.supervisor.stats.status import Status
from vivace.supervisor.stats.uwsgi_stats import StatsSocket
from vivace.supervisor.system.usage import Usage
from vivace.supervisor.telling.voice import Voice

__all__ = ["Desk"]


class Desk:
    """Answers whoever asks a supervisor.

    Args:
        config: Names CONTROL, ADMIN_BIND and STATS_BIND.
        addresses: Where the server listens.
        fleet: Its workers.
        board: What they say.
        workforce: Their processes.
        voice: Remembers the last complaint.
        channels: Has the selector that waits for clients too.
        do: Does what the fleet says.
        restart: Restarts with settings by name.
        stop: Stops, by force if it is called with True.
        beside: Gives what there is to show of processes beside the workers.
        tell_others: Sends them an order.
        usages: Gives the connections that workers hold of budgets, as of the last look.
        queues: Gives what there is to show of listening sockets.
    """

    def __init__(
        self,
        config: Config,
        addresses: Sequence[str],
        fleet: Fleet,
        board: Scoreboard,
        workforce: Workforce,
        voice: Voice,
        channels: Channels,
        do: Callable[[Sequence[Action]], None],
        restart: Callable[[Mapping[str, Any]], None],
        stop: Callable[[bool], None],
        beside: Callable[[float], list[dict[str, Any]]] = lambda _: [],
        tell_others: Callable[[Order], object] = lambda _: None,
        usages: Callable[[], Iterable[Usage]] = tuple,
        queues: Callable[[], list[dict[str, Any]]] = list,
    ) -> None:
        self._before = 0
        self._status = Status(fleet, board, workforce.exits, addresses, beside, queues)
        self._commands = Commands(
            fleet, do, workforce.send, restart, stop, self._status, lambda: voice.complaint, tell_others
        )
        self._control = Control(config.CONTROL, channels.selector, self._commands.answer)
        self._board = board
        self._usages = usages
        self._health = Health(
            config.ADMIN_BIND,
            config.UNIX_MODE,
            channels.selector,
            fleet,
            board,
            {"/metrics": self._metrics, "/stats": self._figures},
            config.ADMIN_TOKEN,
            config.ADMIN_CERT,
            config.ADMIN_KEY,
        )
        self._stats = StatsSocket(
            config.STATS_BIND,
            config.UNIX_MODE,
            channels.selector,
            lambda: self._commands.document("uwsgi"),
        )
        self._memory = MemoryReport(config.MEMORY_REPORT, self._commands.memory)

    def _metrics(self, _query: str) -> tuple[str, bytes]:
        now = time.monotonic()
        status = self._status
        body = render_metrics(
            status.server(now), status.workers(now), status.beside(now), self._board.counts(), self._usages()
        )
        return CONTENT_TYPE, body

    def _figures(self, query: str) -> tuple[str, bytes]:
        form = parse_qs(query).get("format", [""])[-1]
        return "application/json", msgspec.json.encode(self._commands.document(form))

    def open(self, before: int = 0) -> None:
        """Begin to listen.

        Args:
            before: The supervisor that this one replaces, which has both addresses until this one serves.

        Raises:
            StartupError: ADMIN_BIND or STATS_BIND cannot be used; exit code 4.
        """
        self._before = before
        if not before:
            self._control.open()
        self._health.open(patient=bool(before))
        self._stats.open(patient=bool(before))

    def serving(self, report: Report) -> None:
        """The server serves, as its first worker told."""
        self._status.name = report.name
        self._status.threads = report.threads
        if self._before:
            self._control.open(self._before)

    @property
    def due(self) -> float:
        """See `vivace.supervisor.chores.housekeeping.Chore`."""
        return min(one.due for one in (self._commands, self._health, self._stats, self._memory))

    def look(self, now: float) -> None:
        """See `vivace.supervisor.chores.housekeeping.Chore`."""
        for one in (self._commands, self._health, self._stats, self._memory):
            if one.due <= now:
                one.look(now)

    def told(self, pid: int, told: Told) -> None:
        """A worker answers."""
        self._commands.told(pid, told)

    def welcome(self, pid: int) -> None:
        """A worker serves: it learns what was said to the others."""
        self._commands.welcome(pid)

    def restarted(self, done: Done) -> None:
        """A restart is over."""
        self._commands.done(done)

    def stopping(self) -> None:
        """A stop was asked for."""
        self._commands.stopping()

    def replaced(self) -> None:
        """Another supervisor takes over, and answers probes."""
        self._health.stop()
        self._stats.stop()

    def taken_back(self) -> None:
        """The other supervisor is gone again."""
        self._health.open(patient=True)
        self._stats.open(patient=True)
        self._control.reopen()

    def leave(self) -> None:
        """In a child: nothing of this is its own."""
        self._control.close(remove=False)
        self._health.close(remove=False)
        self._stats.close(remove=False)

    def close(self) -> None:
        """The end."""
        self._control.close()
        self._health.close()
        self._stats.close()
