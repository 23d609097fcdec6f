"""The process that owns the listening sockets and keeps the workers at their number.

Rules of this file:

- It does, and the fleet decides: no rule about workers lives here.
- No user code, unless the program itself called ``app.run()``. One thread. Signals arrive as octets on a
  socket, messages of children on channels, and one selector waits for all; nothing waits for a child.
- A child closes what is not its own before it runs anything else, and is killed when the supervisor ends.
"""

import atexit
import logging
import os
import signal
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from vivace.config import Config
from vivace.config.workers import least_workers
from vivace.supervisor.beside.retinue import Retinue
from vivace.supervisor.chores.adaptive import Scaling
from vivace.supervisor.chores.backlog import BacklogWatch
from vivace.supervisor.chores.files import FileWatch
from vivace.supervisor.chores.housekeeping import (
    EXTENSION,
    Extending,
    Looking,
    Recycling,
    Telling,
    UsageCheck,
    Watching,
)
from vivace.supervisor.chores.limits import BlockGuard, MemoryGuard
from vivace.supervisor.chores.recycling import Recycler
from vivace.supervisor.chores.retelling import Retelling
from vivace.supervisor.chores.rota import Rota
from vivace.supervisor.chores.stuck import StuckThreads
from vivace.supervisor.chores.touched import TouchWatch
from vivace.supervisor.control.desk import Desk
from vivace.supervisor.fleet.actions import (
    START_FAILED,
    Abandon,
    Action,
    Done,
    Force,
    Load,
    Retire,
    Say,
    Send,
    Spawn,
    Unload,
)
from vivace.supervisor.fleet.fleet import Fleet
from vivace.supervisor.fleet.handle import describe_exit
from vivace.supervisor.fleet.patience import Patience
from vivace.supervisor.fleet.scaling import Change, Scaler
from vivace.supervisor.generations.autopsy import Autopsy
from vivace.supervisor.generations.generations import Generations
from vivace.supervisor.generations.workforce import Workforce, send_signal
from vivace.supervisor.ipc.channels import Channels
from vivace.supervisor.ipc.messages import Channel, Order, Report, Told, Wish
from vivace.supervisor.ipc.scoreboard import Scoreboard
from vivace.supervisor.listening.door import Door
from vivace.supervisor.listening.sockets import Listeners
from vivace.supervisor.loading.job import Job
from vivace.supervisor.loading.main_process import imported_files, run_main_listeners, why_unsafe
from vivace.supervisor.system.children import NOTED, STOPS, adopt_orphans, tie_to
from vivace.supervisor.system.queues import describe_queues
from vivace.supervisor.system.reaper import Reaper
from vivace.supervisor.system.signals import Signals
from vivace.supervisor.telling.last_words import tell_what_waits
from vivace.supervisor.telling.logs import attach_logging, reopen_files
from vivace.supervisor.telling.service import Service
from vivace.supervisor.telling.voice import Voice
from vivace.supervisor.upgrade import Upgrade
from vivace.supervisor.workers.work import work

__all__ = ["Supervisor"]

logger = logging.getLogger("vivace")


class Supervisor:
    """Several workers on shared sockets.

    Args:
        job: What each worker does.
        listeners: Shared with the workers by descriptor.
        service: Tells whoever started the server.
    """

    def __init__(self, job: Job, listeners: Listeners, service: Service) -> None:
        config = job.config
        self._job = job
        self._listeners = listeners
        self._addresses = listeners.addresses()
        self._service = service
        self._pid = os.getpid()
        self._dedicated = job.again is not None or self._pid == 1
        self._told_of_stop = False
        self._barred = False
        canary = 0.0 if config.AUTO_RELOAD else 1.0
        delay = config.SHUTDOWN_DELAY or 0.0
        patience = Patience(config.GRACEFUL_SHUTDOWN_TIMEOUT, config.BOOT_TIMEOUT, 0.0, canary, delay)
        self._fleet = Fleet(least_workers(config.WORKERS), patience, surge=max(config.OVERLAP, 1))
        self._voice = Voice(job, listeners)
        self._door = Door(listeners)
        self._channels = Channels()
        self._signals = Signals()
        self._reaper = Reaper()
        self._upgrade = Upgrade(
            listeners,
            service.notifier.environ,
            self._channels,
            self._reaper,
            self._hand_over,
            self._take_back,
        )
        self._board = Scoreboard()
        if (past := Scoreboard.inherited()) is not None:
            self._board.go_on(past)
        self._workforce = Workforce(
            self._fleet,
            self._do,
            self._channels,
            self._reaper,
            self._hear,
            self._become_worker,
            Autopsy(self._board),
        )
        self._generations = Generations(
            job,
            listeners,
            self._fleet,
            self._do,
            self._channels,
            self._reaper,
            self._workforce,
            self._voice,
            self._leave_in_child,
            self._board,
        )
        self._retinue = self._make_retinue(config)
        self._watch = FileWatch(config.RELOAD_DIRS.split()) if config.AUTO_RELOAD else None
        self._usage = UsageCheck(self._fleet, self._recycle)
        self._block_guard = BlockGuard(self._board, self._fleet, self._condemn)
        self._desk = self._make_desk(config)
        self._scaling = self._make_scaling(config)
        self._chores = self._make_chores(config)

    def _make_retinue(self, config: Config) -> Retinue:
        made = Retinue(
            config,
            self._fleet,
            self._channels,
            self._reaper,
            self._workforce.groups,
            self._become_worker,
            self._leave_in_child,
            self._generations.__getitem__,
            self._end_for,
        )
        self._generations.beside = made
        self._upgrade.more = lambda beyond: {**made.hand_on(beyond), **self._board.hand_on(beyond)}
        return made

    def _make_chores(self, config: Config) -> Rota:
        recycler = Recycler(config.WORKER_MAX_LIFETIME, config.WORKER_MAX_MEMORY)
        chores = Rota([Recycling(recycler, self._fleet, self._recycle), self._usage, self._block_guard])
        chores.add(Extending(self._service, self._fleet))
        chores.add(Looking(self._board, self._fleet, self._workforce.send))
        chores.add(MemoryGuard(config.WORKER_MEMORY_LIMIT, self._fleet, self._condemn))
        chores.add(StuckThreads(config.THREADS, self._board, self._fleet, self._recycle))
        chores.add(Retelling(), BacklogWatch(self._listeners.named()))
        chores.add(TouchWatch(config.TOUCH_RELOAD, partial(self.restart, {})))
        if self._scaling is not None:
            chores.add(self._scaling)
        return chores

    def _make_desk(self, config: Config) -> Desk:
        return Desk(
            config,
            self._addresses,
            self._fleet,
            self._board,
            self._workforce,
            self._voice,
            self._channels,
            self._do,
            self.restart,
            lambda force: self._stop(forced=force),
            self._retinue.rows,
            self._retinue.order,
            lambda: self._usage.found,
            self._queues,
        )

    def _queues(self) -> list[dict[str, Any]]:
        sockets = (one for _, one in self._listeners.named())
        return describe_queues(zip(self._addresses, sockets, strict=False))

    def run(self) -> int:
        """Start the workers and keep them until a signal ends it; the exit code."""
        attach_logging(self._job.config, "supervisor")
        self._voice.warn(self._job.config.warnings)
        if self._job.again is None and (why := why_unsafe()):
            self._voice.warn([f"{why}; workers are forked all the same"])
        adopt_orphans()
        main = self._app_of_program()
        run_main_listeners(main, "main_process_start")
        self._follow_files()
        self._open()
        last = self._job.again is not None
        with self._signals.caught(self._channels.selector, self._on_signals, last=last):
            try:
                self._retinue.begin(self._begin)
                while not (self._fleet.done and self._retinue.gone):
                    self._wait()
                    self._do(self._fleet.tick(time.monotonic()))
                self._end()
                tell_what_waits(self._job.config)
            finally:
                self._close()
        stages = ["reload_process_stop"] if self._watch is not None and self._voice.greeted else []
        run_main_listeners(main, *stages, "main_process_stop")
        return self._fleet.exit_code

    def _open(self) -> None:
        """Listen where it is spoken to, and where processes find each other."""
        try:
            self._desk.open(self._listeners.before)
            self._retinue.open(self._listeners.before)
        except BaseException:
            self._close()
            raise

    def _begin(self, why: str) -> None:
        """What has to be there before the workers is there, or not."""
        if self._fleet.stopping:
            return
        if why:
            logger.error("%s; the start is given up", why, extra={"event": START_FAILED})
            self._fleet.exit_code = 3
            self._do(self._fleet.stop(time.monotonic(), forced=True))
        else:
            self._do(self._fleet.start(time.monotonic()))

    def _end_for(self, why: str) -> None:
        """What the server cannot do without has ended."""
        if not self._fleet.leaving:
            extra = None if self._fleet.booted else {"event": START_FAILED}
            logger.error("%s: the server stops", why, extra=extra)
            self._fleet.exit_code = 5 if self._fleet.booted else 3
            self._do(self._fleet.stop(time.monotonic()))

    def _end(self) -> None:
        if self._upgrade.pid:
            self._listeners.leave_files()
        self._door.shut()
        self._workforce.groups.close()
        self._generations.end(self._reap)

    def _app_of_program(self) -> Any:
        """The app if its program is this process; else the template is its main process."""
        if self._job.again is not None or not self._job.main:
            return None
        loaded = self._job.load()
        return loaded.app if loaded.kind == "native" else None

    def _follow_files(self) -> None:
        if self._watch is not None:
            self._generations.follow_files = self._watch.follow
            if self._job.again is None:
                self._watch.follow(imported_files())

    # Waiting

    def _wait(self) -> None:
        dues = [
            due for due in (self._fleet.next_tick(), self._door.due, self._upgrade.due) if due is not None
        ]
        dues += [self._workforce.groups.due, self._desk.due, self._retinue.due]
        if not self._fleet.stopping:
            dues.append(self._chores.due)
        due = min(dues, default=float("inf"))
        self._channels.wait(None if due == float("inf") else max(due - time.monotonic(), 0.0))
        now = time.monotonic()
        for needed in (self._door, self._upgrade, self._workforce.groups, self._desk):
            if needed.due <= now:
                needed.look(now)
        if not self._fleet.stopping:
            self._chores.look(now)
        self._retinue.look(now)

    def _recycle(self, pid: int, reason: str, now: float) -> None:
        self._do(self._fleet.recycle(pid, reason, now))

    def _make_scaling(self, config: Config) -> Scaling | None:
        least, most = least_workers(config.WORKERS), int(config.WORKERS)
        if least == most:
            return None
        scaler = Scaler(least, most, config.WORKERS_IDLE_TIMEOUT)
        return Scaling(scaler, self._fleet, self._board, self._rescale)

    def _rescale(self, change: Change, now: float) -> None:
        if change.leaving:
            self._do(self._fleet.dismiss(change.leaving, change.why, now))
        else:
            self._do(self._fleet.resize(change.size, now, change.why))

    def _condemn(self, pid: int, limit: str, why: str, now: float) -> None:
        self._do(self._fleet.condemn(pid, limit, why, now))

    def _reload(self, changed: Sequence[str]) -> None:
        names = ", ".join(os.path.relpath(name) for name in changed[:3])
        logger.info("%s changed: the app is restarted", names)
        main = self._app_of_program()
        if main is None:
            self._generations.order(Order("changed", names=tuple(changed)))
        run_main_listeners(main, "before_reload_trigger")
        self._do(self._fleet.restart(time.monotonic()))
        run_main_listeners(main, "after_reload_trigger", changed=changed)

    # Signals

    def _on_signals(self) -> None:
        for number in self._signals.numbers():
            self._on_signal(number)
        self._reap()

    def _on_signal(self, number: int) -> None:
        now = time.monotonic()
        config = self._job.config
        if number in STOPS or (number == signal.SIGQUIT and config.SIGQUIT == "graceful"):
            # Who develops wants an end; open pages of a browser would hold it up.
            self._stop(forced=number == signal.SIGINT and (config.DEBUG or config.AUTO_RELOAD))
        elif number == signal.SIGQUIT:
            for pid in self._fleet.workers:
                send_signal(pid, signal.SIGUSR2)
            self._stop(forced=True)
        elif number == signal.SIGUSR1:
            self._reopen()
        elif number == signal.SIGUSR2:
            self._replace()
        elif number == signal.SIGHUP:
            self.restart({})
        elif number in (signal.SIGTTIN, signal.SIGTTOU):
            by = 1 if number == signal.SIGTTIN else -1
            self._do(self._fleet.resize(self._fleet.size + by, now))
        elif number in NOTED:
            logger.debug("%s does nothing in this version", signal.Signals(number).name)

    def _stop(self, *, forced: bool = False) -> None:
        if self._upgrade.ready and not self._fleet.handed:
            self._upgrade.finish()
            return
        if not forced and self._retinue.before_stop(self._stop_now):
            return
        self._stop_now(forced=forced)

    def _stop_now(self, *, forced: bool = False) -> None:
        self._upgrade.give_up()
        if self._fleet.stopping:
            self._retinue.hurry(time.monotonic())
        self._do(self._fleet.stop(time.monotonic(), forced=forced))

    def _reopen(self) -> None:
        """SIGUSR1: the files of logs are opened anew in all processes."""
        reopen_files()
        self._generations.order(Order("reopen"))
        for pid in (*self._fleet.workers, *self._retinue.ours):
            send_signal(pid, signal.SIGUSR1)

    # The next supervisor

    def _replace(self) -> None:
        """SIGUSR2: a new supervisor takes over, if nothing speaks against it."""
        if why := self._why_not_replaced():
            logger.error("SIGUSR2 is ignored: %s", why)
        else:
            self._board.settle()
            self._upgrade.begin(self._job.config.BOOT_TIMEOUT)

    def _why_not_replaced(self) -> str:
        if self._upgrade.pid:
            return f"a new supervisor (pid {self._upgrade.pid}) is on its way already"
        if self._fleet.leaving or not self._voice.greeted:
            return "the server stops" if self._fleet.leaving else "the server has not started yet"
        if self._pid == 1:
            return "this is the first process of a container, which would end with it; replace the container"
        if lasting := self._retinue.lasting:
            names = ", ".join(lasting)
            return f"{names} would end with this server and run twice until then; give it adopt=true"
        if self._job.sock is not None:
            return "the program has made its socket itself"
        if self._fleet.strict:
            return "budgets share connections out among the workers of one server, and there would be two"
        return ""

    def _hand_over(self, pid: int) -> None:
        """The new supervisor serves."""
        logger.info("the new supervisor (pid %d) serves: the workers of this one retire", pid)
        self._service.replaced(pid)
        self._desk.replaced()
        self._do(self._fleet.hand_over(time.monotonic()))

    def _take_back(self, code: int, served: bool) -> None:
        """The new supervisor is gone while this one is there."""
        how = describe_exit(code)
        if self._fleet.done:
            return
        if not served:
            if self._fleet.leaving:
                logger.info("the new supervisor, which did not serve yet, ended with %s", how)
                return
            logger.error("the new supervisor ended with %s: this one goes on serving", how)
            # Within the trial it has the pid file and the control socket already.
            self._service.resume()
            self._desk.taken_back()
            return
        logger.error("the new supervisor ended with %s: this one serves again", how)
        self._service.resume()
        self._desk.taken_back()
        self._retinue.resume(time.monotonic())
        self._do(self._fleet.take_back(time.monotonic()))

    def restart(self, settings: Mapping[str, Any]) -> None:
        """Replace the workers by those of new code.

        Args:
            settings: By name, on top of the files, the environment and the command line.
        """
        self._voice.complaint = ""
        self._service.reloading()
        self._retinue.before_restart(partial(self._restart, settings))

    def _restart(self, settings: Mapping[str, Any], why: str) -> None:
        if why:
            text = f"{why}; the restart is given up, the old code goes on serving"
            logger.error("%s", text)
            self._voice.complaint = why
            self._do([Done(self._fleet.newest + 1, False, text)])
            return
        self._generations.override(settings)
        logger.info("restarting: the app is loaded anew")
        self._do(self._fleet.restart(time.monotonic()))

    # Ends of processes

    def _reap(self) -> None:
        self._workforce.reap()
        self._generations.reap()
        self._retinue.reap()
        self._upgrade.reap()
        if self._dedicated:
            self._reap_adopted()

    def _reap_adopted(self) -> None:
        own = [*self._fleet.workers, *self._generations.pids, *self._retinue.pids, self._upgrade.pid]
        if not self._reaper.reap_adopted(own):
            self._reap()

    # Messages

    def _hear(self, pid: int, message: Report | Wish | Told) -> None:
        if isinstance(message, Report):
            self._take(pid, message)
        elif isinstance(message, Told):
            self._desk.told(pid, message)
        elif message.what == "restart":
            self.restart(message.settings)
        elif message.what == "scale":
            self._do(self._fleet.resize(message.workers, time.monotonic(), message.reason))
        elif message.what == "recycle":
            self._recycle(pid, message.reason, time.monotonic())

    def _take(self, pid: int, report: Report) -> None:
        if not report.ready:
            self._voice.complain(report)
            return
        self._generations.learn(self._fleet.workers[pid].generation, report.companions)
        self._voice.warn(report.warnings)
        patience = self._fleet.patience
        graceful = max(patience.graceful, report.graceful)
        self._fleet.patience = patience._replace(graceful=graceful, idle=report.idle, sockets=report.sockets)
        self._fleet.strict = bool(report.budgets)
        self._usage.watch(report.watched)
        self._block_guard.limit(report.loop_timeout)
        if self._scaling is not None:
            self._scaling.threads = report.threads
        self._desk.welcome(pid)
        self._do(self._fleet.ready(pid, time.monotonic()))
        if self._fleet.booted and not self._voice.greeted:
            self._greet(report)

    def _greet(self, report: Report) -> None:
        self._voice.greet(report)
        self._desk.serving(report)
        self._retinue.named(report.name)
        self._retinue.after_ready()
        self._service.ready(self._listeners, f"{self._fleet.size} workers")
        self._chores.add(Telling(self._service, self._fleet, report.name, self._addresses))
        if self._watch is not None:
            self._chores.add(Watching(self._watch, self._reload))
        stages = ["reload_process_start"] if self._watch is not None else []
        main = self._app_of_program()
        run_main_listeners(main, "main_process_ready", *stages)
        if main is not None:
            self._generations.declare(self._fleet.target)
        self._generations.order(Order("ready"))

    # What the fleet asks

    def _do(self, actions: Sequence[Action]) -> None:
        if self._fleet.leaving and not self._fleet.handed:
            self._leave()
        for action in actions:
            if isinstance(action, Say):
                self._voice.with_reason(action).write(logger)
            elif isinstance(action, Send):
                send_signal(action.pid, action.signal)
            elif isinstance(action, Spawn):
                self._workforce.spawn(self._generations[action.generation], action.slot)
            elif isinstance(action, Retire):
                self._retire(action.pid, patient=action.patient)
            elif isinstance(action, Force):
                self._force(action.pid)
            elif isinstance(action, Load):
                self._generations.load(action.generation)
            elif isinstance(action, Unload):
                self._generations.unload(action.generation)
            elif isinstance(action, Abandon):
                self._generations.abandon(action.generation)
            elif isinstance(action, Done):
                self._service.ready(status=action.text)
                self._desk.restarted(action)
                if action.good:
                    self._retinue.serves(action.generation)

    def _leave(self) -> None:
        """A stop was asked for: readiness is over; once it begins, no client gets in any more."""
        if not self._told_of_stop:
            self._told_of_stop = True
            self._service.stopping()
            patience = self._fleet.patience
            self._service.starting(patience.delay + patience.graceful + EXTENSION)
            self._desk.stopping()
        if self._fleet.stopping and not self._barred:
            self._barred = True
            self._door.bar(time.monotonic())

    def _force(self, pid: int) -> None:
        if not self._workforce.send(pid, Order("force")):
            send_signal(pid, signal.SIGQUIT)

    def _retire(self, pid: int, *, patient: bool) -> None:
        if not self._workforce.send(pid, Order("recycle" if patient else "retire")):
            send_signal(pid, signal.SIGTERM)

    # In children

    def _become_worker(self, job: Job, channel: Channel, slot: int, role: str) -> int:
        tie_to(self._pid)
        self._leave_in_child()
        return work(self._listeners, job, channel, slot, role)

    def _leave_in_child(self) -> None:
        atexit._clear()
        self._service.leave_in_child()
        self._board.leave()
        self._desk.leave()
        self._retinue.leave()
        self._close_channels()

    def _close(self) -> None:
        self._desk.close()
        self._retinue.close(handed=bool(self._upgrade.pid))
        self._close_channels()
        self._board.close()

    def _close_channels(self) -> None:
        self._channels.close()
        self._signals.close()
