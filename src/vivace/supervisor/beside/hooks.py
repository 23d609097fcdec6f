"""Commands at stages of a server's life: run one after the other, each with a bound on its time.

Rules of this file:

- The supervisor goes on while one runs; what waits for a stage is called when its last command has ended.
- The first command that fails ends its stage. What it writes goes into the log.
- A stage that is asked for while it waits already is run once for all who asked.
- What a command leaves running ends with it: it is a step, not a daemon.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Final

from vivace.config.daemons import Daemon
from vivace.config.stages import Stages
from vivace.supervisor.beside.output import Output
from vivace.supervisor.beside.program import environment_of, signal_program, start_program
from vivace.supervisor.fleet.handle import describe_exit
from vivace.supervisor.ipc.channels import Channels
from vivace.supervisor.system.groups import Groups
from vivace.supervisor.system.reaper import Reaper

__all__ = ["Hooks"]

logger = logging.getLogger("vivace")

KILL_AFTER: Final = 2.0
"""Seconds after the time-out when a command that is still there is killed."""

Then = Callable[[str], object]
"""Called when a stage is over, with why it failed; empty if it did not."""


class _Run:
    """A stage that goes on."""

    def __init__(self, stage: str, commands: list[list[str]], environ: Mapping[str, str], then: Then) -> None:
        self.stage = stage
        self.commands = commands
        self.environ = environ
        self.then = [then]


class Hooks:
    """Runs stages.

    Args:
        channels: Has the selector that waits for what commands write.
        reaper: Tells how they ended.
        groups: Ends what they leave.

    Attributes:
        due: When `look` has something to do, monotonic seconds; infinity: not by itself.
        pid: Of the command that runs; 0: none does.
    """

    def __init__(self, channels: Channels, reaper: Reaper, groups: Groups) -> None:
        self._selector = channels.selector
        self._reaper = reaper
        self._groups = groups
        self._waiting: list[_Run] = []
        self._run: _Run | None = None
        self._output: Output | None = None
        self._timeout = 0.0
        self._late = ""
        self.due = float("inf")
        self.pid = 0

    @property
    def busy(self) -> bool:
        """A stage goes on."""
        return self._run is not None

    def run(
        self, stages: Stages, stage: str, then: Then, more: Mapping[str, str], limit: float | None = None
    ) -> None:
        """Run a stage; `then` is called when it is over, at once if it has no commands.

        Args:
            stages: What there is to run.
            stage: Which of it.
            then: See `Then`.
            more: Variables that the commands get.
            limit: Seconds that a command may take if that is less than usual.
        """
        commands = list(stages.at(stage))
        if not commands:
            then("")
            return
        self._timeout = stages.timeout if limit is None else min(limit, stages.timeout)
        run = _Run(stage, commands, {"VIVACE_STAGE": stage, **more}, then)
        for place, one in enumerate(self._waiting):
            if one.stage == stage:
                run.then = [*one.then, then]
                self._waiting[place] = run
                return
        self._waiting.append(run)
        if self._run is None:
            self._next()

    def _next(self) -> None:
        if self._run is None and self._waiting:
            self._run = self._waiting.pop(0)
        if self._run is None:
            return
        command = self._run.commands.pop(0)
        spec = Daemon(name=self._run.stage, cmd=command)
        try:
            said = logging.getLogger(f"vivace.hook.{self._run.stage}")
            self._output = Output(self._selector, said, lambda _: None)
            environ = environment_of(spec, os.environ, self._run.environ)
            self.pid = start_program(spec, environ, self._output.writer)
        except OSError as error:
            self._over(f"{self._run.stage} ({command[0]}) cannot be started: {error.strerror or error}")
            return
        self._output.started()
        self._late = ""
        self.due = time.monotonic() + self._timeout
        logger.info("%s: %s runs as pid %d", self._run.stage, command[0], self.pid)

    def look(self, now: float) -> None:
        """End a command that takes too long."""
        if not self.pid or now < self.due:
            return
        first = not self._late
        self._late = f" after more than {self._timeout:g} s"
        self.due = now + KILL_AFTER
        signal_program(self.pid, signal.SIGTERM if first else signal.SIGKILL)

    def reap(self) -> None:
        """Find whether the command has ended."""
        if not self.pid or self._run is None or (code := self._reaper.exit_code(self.pid)) is None:
            return
        pid, self.pid, self.due = self.pid, 0, float("inf")
        self._groups.ended(pid, time.monotonic())
        if code or self._late:
            why = f"{self._run.stage} (pid {pid}) ended with {describe_exit(code)}{self._late}"
            self._over(why)
        elif self._run.commands:
            self._close()
            self._next()
        else:
            self._over("")

    def _over(self, why: str) -> None:
        run, self._run = self._run, None
        self._close()
        for then in run.then if run is not None else ():
            then(why)
        self._next_if_free()

    def _next_if_free(self) -> None:
        if self._run is None and self._waiting:
            self._next()

    def give_up(self, now: float) -> None:
        """Nobody waits for a stage any more: what runs is asked to end."""
        self._waiting.clear()
        if self._run is None or not self.pid:
            return
        self._run.then.clear()
        self._run.commands.clear()
        self.due = now
        self.look(now)

    def leave(self) -> None:
        """In a child: what a command writes is not for it."""
        if self._output is not None:
            self._output.leave()

    def _close(self) -> None:
        if self._output is not None:
            self._output.close()
            self._output = None
