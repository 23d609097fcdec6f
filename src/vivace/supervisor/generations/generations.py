"""The generations of the code that a supervisor has, with their templates.

Rules of this file:

- Which generations there are the fleet decides; here they are brought into being, heard and ended.
- A generation whose template ended without being told to is lost, and the fleet is told.
- How each comes into being is told in `vivace.supervisor.generations.generation`.
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

from vivace.config.platform import fit_platform
from vivace.errors import ConfigError
from vivace.supervisor.fleet.actions import Action
from vivace.supervisor.fleet.fleet import Fleet
from vivace.supervisor.generations.generation import Generation, run_program_again
from vivace.supervisor.generations.template import run_template
from vivace.supervisor.generations.workforce import Workforce, send_signal
from vivace.supervisor.ipc.channels import Channels
from vivace.supervisor.ipc.messages import Channel, Declared, Made, Order, Report
from vivace.supervisor.ipc.scoreboard import Scoreboard
from vivace.supervisor.ipc.spec import CompanionSpec
from vivace.supervisor.listening.sockets import Listeners
from vivace.supervisor.loading.job import Job, with_tls
from vivace.supervisor.system.children import fork
from vivace.supervisor.system.home import Home
from vivace.supervisor.system.reaper import Reaper
from vivace.supervisor.telling.voice import Voice
from vivace.supervisor.workers.work import work

__all__ = ["Generations"]

logger = logging.getLogger("vivace")

_LAST_WORDS: Final = 2.0
"""Seconds that templates have to end when the workers are gone."""


class Beside(Protocol):
    """Who looks after the companions."""

    def declared(self, generation: Generation) -> object:
        """A generation was loaded, or its app has declared more."""

    def made(self, made: Made) -> object:
        """A template has forked a companion, or could not."""

    def orphaned(self, generation: int) -> object:
        """A template is gone."""


class Generations:
    """The generations of a server.

    Args:
        job: Of the first one.
        listeners: Shared with all processes by descriptor.
        fleet: Is told what happens.
        do: Does what it says to that.
        channels: Where templates are heard.
        reaper: Tells how processes ended.
        workforce: Makes workers of them.
        voice: Speaks.
        leave: Called in a child: closes what is the supervisor's.
        board: Where workers say how they fare.

    Attributes:
        follow_files: Called with the source files of a generation that was loaded; None: nobody asks.
        beside: Is told what concerns the companions; None: nobody asks.
    """

    def __init__(
        self,
        job: Job,
        listeners: Listeners,
        fleet: Fleet,
        do: Callable[[Sequence[Action]], None],
        channels: Channels,
        reaper: Reaper,
        workforce: Workforce,
        voice: Voice,
        leave: Callable[[], None],
        board: Scoreboard,
    ) -> None:
        self._job = job
        self._listeners = listeners
        self._fleet = fleet
        self._do = do
        self._channels = channels
        self._reaper = reaper
        self._workforce = workforce
        self._voice = voice
        self._leave = leave
        self._board = board
        self._pid = os.getpid()
        self._generations: dict[int, Generation] = {}
        self._home = Home(os.environ)
        self._workers = job.config.WORKERS
        self._settings: dict[str, Any] = {}
        self._proven: dict[str, Any] = {}
        self.follow_files: Callable[[Iterable[str]], object] | None = None
        self.beside: Beside | None = None

    def __getitem__(self, number: int) -> Generation:
        return self._generations[number]

    @property
    def pids(self) -> list[int]:
        """Of the templates that live."""
        return [generation.pid for generation in self._generations.values() if generation.pid]

    def override(self, settings: Mapping[str, Any]) -> None:
        """Generations to come have these settings, by name, on top of what they have by themselves."""
        self._settings = {**self._settings, **settings}

    # Beginning

    def load(self, number: int) -> None:
        """Bring a generation into being, or say why not."""
        try:
            generation = self._begin(number)
        except ConfigError as error:
            self._refuse(number, str(error), 2)
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            self._refuse(number, f"a template cannot be started: {error.strerror or error}{where}", 1)
        else:
            if generation.channel is None:
                self._do(self._fleet.loaded(number, time.monotonic()))

    def _refuse(self, number: int, why: str, code: int) -> None:
        logger.error("%s", why)
        self._voice.complaint = why
        self._forget_settings()
        self._do(self._fleet.load_failed(number, code, time.monotonic()))

    def _begin(self, number: int) -> Generation:
        old = self._generations.get(number)
        if old is None:
            self._home.follow()
        first = self._job.again is None and number == 1
        job = self._job if number == 1 else self._make_job()
        job = job._replace(generation=number, board=self._board)
        generation = self._generations[number] = Generation(number, job, self._settings)
        if first or (old is not None and old.unsafe) or self._imports_in_workers(job):
            return generation
        ours, theirs = Channel.pair()
        self._channels.follow(ours, partial(self._on_template, generation))
        try:
            if self._job.again is None:
                generation.pid = run_program_again(
                    theirs,
                    self._listeners.sockets,
                    self._listeners.plain,
                    self._settings,
                    number,
                    self._board.descriptor,
                )
            else:
                generation.pid = fork(partial(self._become_template, job, theirs))
        except OSError:
            self._channels.forget(ours)
            raise
        finally:
            theirs.close()
        generation.channel = ours
        return generation

    def _make_job(self) -> Job:
        again = self._job.again
        if again is None:
            return self._job
        job = again(self._settings)
        fit_platform(job.config, os.environ, self._pid)
        return with_tls(job)

    def _imports_in_workers(self, job: Job) -> bool:
        off = job.config.PRELOAD == "off" or sys.platform != "linux"
        return off and self._job.again is not None

    def _become_template(self, job: Job, channel: Channel) -> int:
        self._leave()
        return run_template(job, channel, self._pid, partial(work, self._listeners))

    # Hearing

    def _on_template(self, generation: Generation) -> bool:
        """Read what is there; whether there may be more."""
        if generation.channel is None:  # reaped a moment ago, in the same turn of the selector
            return False
        messages = self._channels.receive(generation.channel)
        for message in messages or ():
            if isinstance(message, Report):
                self._on_loaded(generation, message)
            elif isinstance(message, Made):
                self._on_made(generation, message)
            elif isinstance(message, Declared):
                generation.companions = message.companions
                self._tell_beside(generation)
        return bool(messages)

    def _on_made(self, generation: Generation, made: Made) -> None:
        if not made.role:
            self._workforce.made(generation.number, made)
        elif self.beside is not None:
            self.beside.made(made)

    def _tell_beside(self, generation: Generation) -> None:
        if self.beside is not None:
            self.beside.declared(generation)

    def learn(self, number: int, companions: tuple[CompanionSpec, ...]) -> None:
        """A worker tells what the template of its generation would, if there were one."""
        generation = self._generations[number]
        if not generation.loaded and companions != generation.companions:
            generation.companions = companions
            self._tell_beside(generation)

    def declare(self, number: int) -> None:
        """The app is in this process, and may have declared more."""
        from vivace.supervisor.loading.declared import specs_of  # it imports what serves

        job = self._generations[number].job
        self.learn(number, specs_of(job, job.load()))

    def _on_loaded(self, generation: Generation, report: Report) -> None:
        now = time.monotonic()
        generation.loaded = report.ready
        if not report.ready:
            self._voice.complain(report)
            if generation.settings is self._settings:
                self._forget_settings()
            self._do(self._fleet.load_failed(generation.number, report.code, now))
            return
        if report.unsafe:
            self._voice.warn([self._what_of_unsafe(generation, report.unsafe)])
        if self.follow_files is not None:
            self.follow_files(report.files)
        if (workers := generation.job.config.WORKERS) != self._workers:
            # Only if it was changed: by signals there may have become more or fewer.
            self._workers = workers
            self._do(self._fleet.resize(workers, now))
        self._proven = generation.settings
        generation.companions = report.companions
        self._tell_beside(generation)
        self._do(self._fleet.loaded(generation.number, now))

    def _what_of_unsafe(self, generation: Generation, why: str) -> str:
        if generation.job.config.PRELOAD == "on" or self._job.again is None:
            return f"{why}; workers are forked all the same"
        generation.unsafe = why
        self._end(generation)
        return f"{why}; so each worker imports the app for itself (PRELOAD)"

    def _forget_settings(self) -> None:
        """Those of a restart that failed do not count for the next one."""
        self._settings = self._proven

    # Telling

    def order(self, order: Order) -> None:
        """Tell all templates."""
        for generation in self._generations.values():
            self._order(generation, order)

    def _order(self, generation: Generation, order: Order) -> bool:
        return generation.channel is not None and generation.channel.send(order)

    # Ending

    def unload(self, number: int) -> None:
        """End the template of a generation."""
        generation = self._generations.get(number)
        if generation is not None:
            self._end(generation)

    def abandon(self, number: int) -> None:
        """Kill the template of a generation, which does not answer."""
        generation = self._generations.get(number)
        if generation is not None and generation.pid:
            send_signal(generation.pid, signal.SIGKILL)

    def _end(self, generation: Generation) -> None:
        generation.ending = True
        heard = generation.loaded and self._order(generation, Order("end"))
        if not heard and generation.pid:
            send_signal(generation.pid, signal.SIGKILL)

    def end(self, reap: Callable[[], object]) -> None:
        """End all templates: they outlive the workers, listeners of main_process_stop run in them.

        Args:
            reap: Looks who has ended.
        """
        for generation in self._generations.values():
            self._end(generation)
        until = time.monotonic() + _LAST_WORDS
        while self.pids and time.monotonic() < until:
            self._channels.wait(0.05)
            reap()
        for pid in self.pids:
            send_signal(pid, signal.SIGKILL)

    def reap(self) -> None:
        """Find the templates that have ended."""
        for generation in list(self._generations.values()):
            if generation.pid and self._reaper.exit_code(generation.pid) is not None:
                self._bury(generation)

    def _bury(self, generation: Generation) -> None:
        generation.pid = 0
        if generation.channel is not None:
            while self._on_template(generation):
                pass
            self._channels.forget(generation.channel)
            generation.channel = None
        self._workforce.orphaned(generation.number)
        if self.beside is not None:
            self.beside.orphaned(generation.number)
        if not generation.ending:
            if not generation.loaded and not self._voice.complaint:
                self._voice.complaint = "its program ended before it served; the log says why"
            self._do(self._fleet.lost(generation.number, time.monotonic()))
