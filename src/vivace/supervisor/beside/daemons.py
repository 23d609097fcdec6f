"""The foreign programs beside the workers: started in order, kept running, ended in the reverse order.

Rules of this file:

- A program is started when those are ready that it starts after; the server begins when all are ready, or
  have had their time.
- What a program has started is in its session and ends with it.
- One that is adopted goes on when the server ends; the next one finds it by its record. Its end is then seen
  by looking, for it is nobody's child here.
"""

import logging
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from vivace.config.daemons import Daemon, in_order
from vivace.supervisor.beside.output import Output
from vivace.supervisor.beside.place import Phase, Place
from vivace.supervisor.beside.probes import EVERY, Probe, make_probe
from vivace.supervisor.beside.program import (
    Record,
    environment_of,
    signal_program,
    start_of,
    start_program,
)
from vivace.supervisor.beside.rows import row_of
from vivace.supervisor.beside.watched import Changes
from vivace.supervisor.fleet.handle import describe_exit
from vivace.supervisor.ipc.channels import Channels
from vivace.supervisor.system.groups import Groups
from vivace.supervisor.system.reaper import Reaper

__all__ = ["Daemons"]

logger = logging.getLogger("vivace")

LOOK_AT_ADOPTED: Final = 1.0
"""Seconds between two looks at a program that is no child."""
_SLOW: Final = 0.05


class _Program(Place):
    """A place of a program."""

    __slots__ = ("adopted", "changes", "fresh", "given_up", "look_at", "output", "patience", "probe", "spec")

    def __init__(self, spec: Daemon, now: float) -> None:
        super().__init__(f"daemon {spec.name}", spec.restart, spec.grace, tells=True, now=now)
        self.spec = spec
        self.output: Output | None = None
        self.probe: Probe | None = None
        self.adopted = False
        self.fresh: Daemon | None = None
        self.patience = float("inf")
        self.given_up = False
        self.look_at = float("inf")
        self.changes = Changes(spec.watch)

    @property
    def settled(self) -> bool:
        """It can be used, or has done its work, or has had its time."""
        return self.given_up or self.phase in (Phase.READY, Phase.ENDED)

    def begin(self, now: float) -> None:
        """It is tried to start it; its time to be ready goes on over tries that fail."""
        self.coming(now)
        if self.patience == float("inf") and not self.given_up:
            self.patience = now + self.spec.ready_timeout

    def arrive(self) -> None:
        """It can be used."""
        self.ready()
        self.patience, self.given_up = float("inf"), False


class Daemons:
    """The programs.

    Args:
        channels: Has the selector that waits for what they write.
        reaper: Tells how they ended.
        groups: Ends what they leave.
        fatal: Called with a text when a critical one has ended.
    """

    def __init__(
        self, channels: Channels, reaper: Reaper, groups: Groups, fatal: Callable[[str], object]
    ) -> None:
        self._selector = channels.selector
        self._reaper = reaper
        self._groups = groups
        self._fatal = fatal
        self._programs: list[_Program] = []
        self._chance = random.SystemRandom()
        self._folder = ""
        self._stopping = False

    # For the supervisor

    def want(self, specs: Sequence[Daemon], folder: str, now: float) -> None:
        """These are to run: at the start, and when new code serves, whose files may say otherwise."""
        self._folder = folder
        wanted = {one.name: one for one in in_order(specs)}
        for program in self._programs:
            new = wanted.pop(program.spec.name, None)
            if new is None:
                program.restart = "never"
                self._end(program, now)
            elif new != program.spec or not new.keep_on_reload:
                program.fresh = new
                self._end(program, now)
        self._programs += [_Program(spec, now) for spec in wanted.values()]
        self.look(now)

    @property
    def started(self) -> bool:
        """All can be used, or have had their time: the server may begin."""
        return all(program.settled for program in self._programs)

    @property
    def gone(self) -> bool:
        """None is left that ends with this server."""
        return not any(program.alive for program in self._programs)

    @property
    def pids(self) -> list[int]:
        """Of the children that live."""
        return [one.pid for one in self._programs if one.pid and not one.adopted]

    @property
    def lasting(self) -> list[str]:
        """The names of those that end with this server."""
        return [one.spec.name for one in self._programs if one.alive and not one.spec.adopt]

    @property
    def due(self) -> float:
        """When `look` has something to do, monotonic seconds."""
        return min((min(self._due_of(one), one.changes.due) for one in self._programs), default=float("inf"))

    def _due_of(self, program: _Program) -> float:
        if program.phase is Phase.EMPTY and (self._stopping or not self._may_start(program)):
            return float("inf")
        return min(program.next, program.look_at, program.patience)

    def look(self, now: float) -> None:
        """Start who is due, find who is ready, kill who did not end."""
        for program in self._programs:
            if program.wants(now) and not self._stopping and self._may_start(program):
                self._start(program, now)
            elif program.late(now) and program.pid:
                logger.warning("%s (pid %d) did not end in time: killed", program.name, program.pid)
                _signal(program, signal.SIGKILL)
            if program.look_at <= now:
                self._look_at(program, now)
            if program.patience <= now and not self._stopping:
                self._give_up(program, now)
            if program.changes.look(now) and program.phase in (Phase.STARTING, Phase.READY):
                logger.info("%s: what it watches has changed: it is started anew", program.name)
                program.fresh = program.spec
                self._end(program, now)

    def reap(self) -> None:
        """Find who has ended."""
        for program in self._programs:
            if program.pid and not program.adopted:
                code = self._reaper.exit_code(program.pid)
                if code is not None:
                    self._bury(program, code, time.monotonic())

    def stop(self, now: float, grace: float) -> None:
        """End them, the last one first; called again until all are gone.

        Args:
            now: The time.
            grace: Seconds that each has at most.
        """
        self._stopping = True
        for program in reversed(self._programs):
            if program.phase is Phase.EMPTY:
                program.phase = Phase.ENDED
            if program.alive and program.spec.adopt:
                self._let_go(program)
            elif program.alive:
                self._end(program, now, min(program.grace, grace))
                return

    def resume(self, now: float) -> None:
        """The server goes on after all."""
        self._stopping = False
        for program in self._programs:
            if program.phase is Phase.ENDED and program.spec.restart == "always":
                program.phase, program.due = Phase.EMPTY, now
        self.look(now)

    def leave(self) -> None:
        """In a child: what they write is not for it."""
        for program in self._programs:
            if program.output is not None:
                program.output.leave()

    def rows(self, now: float) -> list[dict[str, Any]]:
        """What `vivace ctl status` shows of them."""
        return [row_of(one, one.spec.name, "daemon", now) for one in self._programs]

    # One of them

    def _may_start(self, program: _Program) -> bool:
        before = [one for one in self._programs if one.spec.name in program.spec.start_after]
        return all(one.settled for one in before)

    def _start(self, program: _Program, now: float) -> None:
        spec = program.spec
        program.begin(now)
        try:
            if spec.adopt and (pid := Record(spec.name).find(spec.cmd)):
                program.adopted = True
                logger.info("%s goes on as pid %d, which another server has started", program.name, pid)
            else:
                pid = self._launch(program)
            program.probe = program.probe or make_probe(spec.ready, self._folder, spec.name)
        except OSError as error:
            self._close(program)
            wait = program.refused(now, self._chance)
            text = f"{program.name} cannot be started: {error.strerror or error}; next try in {wait:.1f} s"
            logger.error("%s", text)  # noqa: TRY400 - nothing here has gone wrong
            return
        program.made(pid, now)
        self._look_at(program, now)

    def _launch(self, program: _Program) -> int:
        spec = program.spec
        program.probe = make_probe(spec.ready, self._folder, spec.name)
        if spec.adopt:
            writer = Record(spec.name).open_log()
        else:
            said = logging.getLogger(f"vivace.daemon.{spec.name}")
            program.output = Output(self._selector, said, program.probe.line)
            writer = program.output.writer
        try:
            pid = start_program(spec, environment_of(spec, os.environ, program.probe.environ), writer)
        finally:
            if program.output is not None:
                program.output.started()
            else:
                os.close(writer)
        if spec.adopt:
            try:
                Record(spec.name).write(pid, spec.cmd)
            except OSError:
                os.kill(pid, signal.SIGKILL)  # nobody would find it: there would be one more with each try
                raise
        logger.info("%s starts as pid %d", program.name, pid)
        return pid

    def _look_at(self, program: _Program, now: float) -> None:
        """Find whether it is ready by now, or whether one that is no child has ended."""
        program.look_at = float("inf")
        if program.adopted and not start_of(program.pid):
            self._bury(program, 0, now)
            return
        if program.phase is Phase.STARTING and program.probe is not None:
            if not program.probe.look():
                program.look_at = now + EVERY
                return
            program.arrive()
            if program.spec.ready:
                over = {"event": "daemon.down", "subject": program.name, "resolved": True}
                logger.info("%s is ready after %.1f s", program.name, now - program.started, extra=over)
            self.look(now)  # others may have waited for it
        if program.adopted:
            program.look_at = now + LOOK_AT_ADOPTED

    def _give_up(self, program: _Program, now: float) -> None:
        """It has had its time: who waits for it goes on."""
        program.patience, program.given_up = float("inf"), True
        if program.phase is Phase.STARTING:
            program.ready()
            program.look_at = now + LOOK_AT_ADOPTED if program.adopted else float("inf")
        spec = program.spec
        logger.error("%s is not ready (%s) after %g s; the server goes on without waiting for it",
                     program.name, spec.ready or "it does not run", spec.ready_timeout,
                     extra={"event": "daemon.down", "subject": program.name})  # fmt: skip
        self.look(now)  # others may have waited for it

    def _bury(self, program: _Program, code: int, now: float) -> None:
        pid, fresh = program.pid, program.fresh
        asked = program.phase is Phase.STOPPING
        if not program.adopted:
            self._groups.ended(pid, now)
        self._close(program)
        wait = program.exited(code, now, self._chance)
        if fresh is not None and not self._stopping:
            self._renew(program, fresh, now)
        elif asked:
            return
        elif program.spec.critical:
            self._fatal(f"{program.name} (pid {pid}) ended with {describe_exit(code)}, and it is critical")
        elif wait is None:
            logger.info("%s (pid %d) ended with %s", program.name, pid, describe_exit(code))
        else:
            when = f"in {wait:.1f} s" if wait else "now"
            how = describe_exit(code)
            logger.error(
                "%s (pid %d) ended with %s; it is started again %s",
                program.name,
                pid,
                how,
                when,
                extra={"event": "daemon.down", "subject": program.name},
            )

    def _renew(self, program: _Program, spec: Daemon, now: float) -> None:
        program.spec, program.fresh = spec, None
        program.restart, program.grace = spec.restart, spec.grace
        program.changes = Changes(spec.watch)
        program.patience, program.given_up = float("inf"), False
        program.phase, program.due, program.deaths = Phase.EMPTY, now, 0

    def _end(self, program: _Program, now: float, grace: float | None = None) -> None:
        if program.stop(now, grace):
            _signal(program, program.spec.stop_number)
            if program.adopted:
                program.look_at = now + _SLOW
        elif not program.alive and program.fresh is not None:
            self._renew(program, program.fresh, now)

    def _let_go(self, program: _Program) -> None:
        """Leave it to the next server."""
        self._close(program)
        program.phase, program.pid, program.until = Phase.ENDED, 0, None
        program.look_at = float("inf")

    def _close(self, program: _Program) -> None:
        program.adopted = False
        program.look_at = float("inf")
        if program.output is not None:
            program.output.close()
            program.output = None
        if program.probe is not None:
            program.probe.close()
            program.probe = None


def _signal(program: _Program, number: int) -> None:
    """Send a signal to a program and all that it has started."""
    if program.adopted:  # its group is there as long as it is, and its number may be another's
        with suppress(OSError):
            os.killpg(program.pid, number)
    else:
        signal_program(program.pid, number)
