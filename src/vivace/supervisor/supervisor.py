"""The process that owns the listening sockets and keeps the workers at their number.

Rules of this file:

- It does, and the fleet decides: no rule about workers lives here.
- No user code, unless the program itself called ``app.run()``. One thread. Signals arrive as octets on a
  socket (`signal.set_wakeup_fd`), messages of children on channels, and one selector waits for all; no
  handler does anything by itself, and nothing waits for a child.
- A child closes what is not its own before it runs anything else, and is killed when the supervisor ends.
"""

import atexit
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from vivace.errors import ConfigError
from vivace.server import make_tls
from vivace.supervisor.actions import Action, Done, Load, Retire, Say, Send, Spawn, Unload
from vivace.supervisor.banner import banner
from vivace.supervisor.children import HEEDED, NOTED, STOPS, adopt_orphans, fork, noted, tie_to
from vivace.supervisor.chores import FileWatch, Recycler
from vivace.supervisor.fleet import Fleet, Patience
from vivace.supervisor.generation import Generation, Summons, run_program_again
from vivace.supervisor.job import Job
from vivace.supervisor.logs import attach_logging, wants_json
from vivace.supervisor.messages import Channel, Made, Message, Order, Report, Wish
from vivace.supervisor.service import Service, supervisor_title
from vivace.supervisor.sockets import Listeners
from vivace.supervisor.template import imported_files, run_main_listeners, run_template
from vivace.supervisor.usage import UsageWatch, Watched, measure
from vivace.supervisor.worker import run_worker

__all__ = ["Supervisor", "launch", "serve_as_template"]

logger = logging.getLogger("vivace")

_REMEMBERED: Final = 256
_USAGE_EVERY: Final = 60.0
"""Seconds between two counts of the connections that workers hold."""
_LAST_WORDS: Final = 2.0
"""Seconds that templates have to end when the workers are gone."""


def launch(job: Job) -> int:
    """Serve in this process or in several, until a signal ends it; the exit code.

    Raises:
        StartupError: The address cannot be used; exit code 4.
    """
    job = _with_tls(job)
    service = Service(job.config.PID_FILE)
    service.check()
    listeners = Listeners(job.config, job.sock)
    try:
        if needs_supervisor(job, told=service.notifier.active):
            return Supervisor(job, listeners, service).run()
        return run_worker(job, listeners, partial(_tell, job, listeners, service))
    finally:
        listeners.close()
        listeners.remove()
        service.close()


def _with_tls(job: Job) -> Job:
    """The job with its certificates read."""
    return job._replace(tls=make_tls(job.config, job.ssl))


def needs_supervisor(job: Job, *, told: bool) -> bool:
    """Whether one process is not enough.

    Args:
        job: What is to be served.
        told: A manager of services waits for news, and expects a reload to be possible.
    """
    config = job.config
    limits = config.WORKER_MAX_REQUESTS or config.WORKER_MAX_LIFETIME or config.WORKER_MAX_MEMORY
    wanted = config.WORKERS > 1 or config.SUPERVISE == "on" or config.AUTO_RELOAD or limits or told
    return bool(wanted) and job.signals


def _tell(job: Job, listeners: Listeners, service: Service, report: Report) -> None:
    for warning in dict.fromkeys([*job.config.warnings, *report.warnings]):
        logger.warning("%s", warning)
    _show(report, listeners, job, supervised=False)
    if report.ready:
        service.ready()


def _show(report: Report, listeners: Listeners, job: Job, *, supervised: bool = True) -> None:
    """Say that the server serves, or why it does not."""
    if not report.ready:
        _print([f"Error: {report.text}"])
    elif job.config.MOTD:
        addresses = listeners.addresses(secure=job.tls is not None)
        lines = banner(report, addresses, job.config, supervised=supervised)
        if not wants_json(job.config):
            _print(lines)
            return
        attach_logging(job.config)
        for line in lines:
            logger.info("%s", line)


def _print(lines: Sequence[str]) -> None:
    sys.stderr.write("\n".join([*lines, ""]))
    sys.stderr.flush()


class _Child:
    """A worker, as the supervisor's selector knows it; its process id is 0 until it is known."""

    __slots__ = ("channel", "generation", "pid", "slot")

    def __init__(self, generation: int, slot: int, channel: Channel) -> None:
        self.generation = generation
        self.slot = slot
        self.channel = channel
        self.pid = 0


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
        self._name = ""
        canary = 0.0 if config.AUTO_RELOAD else 1.0
        patience = Patience(config.GRACEFUL_SHUTDOWN_TIMEOUT, config.BOOT_TIMEOUT, 0.0, canary)
        self._fleet = Fleet(config.WORKERS, patience, surge=max(config.OVERLAP, 1))
        self._selector = selectors.DefaultSelector()
        self._channels: set[Channel] = set()
        self._children: dict[int, _Child] = {}
        self._coming: dict[tuple[int, int], _Child] = {}
        self._generations: dict[int, Generation] = {}
        self._settings: dict[str, Any] = {}
        self._strangers: dict[int, int] = {}
        self._watch = FileWatch(config.RELOAD_DIRS.split()) if config.AUTO_RELOAD else None
        self._usage = UsageWatch()
        self._usage_due = float("inf")
        self._watched: tuple[Watched, ...] = ()
        self._recycler = Recycler(config.WORKER_MAX_LIFETIME, config.WORKER_MAX_MEMORY)
        self._told: set[str] = set()
        self._greeted = False
        self._stopped = False
        self._pid = os.getpid()
        self._dedicated = job.again is not None or self._pid == 1
        self._woken, self._wake = socket.socketpair()

    def run(self) -> int:
        """Start the workers and keep them until a signal ends it; the exit code."""
        attach_logging(self._job.config)
        self._warn(self._job.config.warnings)
        adopt_orphans()
        main = self._app_of_program()
        run_main_listeners(main, "main_process_start")
        if self._watch is not None and self._job.again is None:
            self._watch.follow(imported_files())
        with self._catching_signals():
            try:
                self._do(self._fleet.start(time.monotonic()))
                while not self._fleet.done:
                    self._wait()
                    self._do(self._fleet.tick(time.monotonic()))
                self._end_templates()
            finally:
                self._close()
        run_main_listeners(main, "main_process_stop")
        return self._fleet.exit_code

    def _app_of_program(self) -> Any:
        """The app if its program is this process; else the template is its main process."""
        if self._job.again is not None or not self._job.main:
            return None
        loaded = self._job.load()
        return loaded.app if loaded.kind == "native" else None

    # Waiting

    @contextmanager
    def _catching_signals(self) -> Iterator[None]:
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._on_signals)
        before = {number: signal.signal(number, noted) for number in (*HEEDED, *NOTED)}
        waker = signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(waker)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _wait(self) -> None:
        dues = [self._fleet.next_tick(), self._recycler.due, self._usage_due]
        if self._greeted:
            dues += [self._service.due, *([self._watch.due] if self._watch is not None else [])]
        due = min(due for due in (*dues, float("inf")) if due is not None)
        timeout = None if due == float("inf") else max(due - time.monotonic(), 0.0)
        for key, _ in self._selector.select(timeout):
            key.data()
        self._do_chores(time.monotonic())

    def _do_chores(self, now: float) -> None:
        if self._fleet.stopping:
            return
        if self._recycler.due <= now:
            for pid, reason in self._recycler.look(self._fleet.workers, now):
                self._do(self._fleet.recycle(pid, reason, now))
        if self._greeted and self._service.due <= now:
            self._look_after_service(now)
        if self._usage_due <= now:
            self._look_at_usage(now)
        if self._watch is not None and self._greeted and self._watch.due <= now:
            self._reload(self._watch.look(now))

    def _look_after_service(self, now: float) -> None:
        ready, wanted = self._fleet.ready_count, self._fleet.size
        title = supervisor_title(self._name, ready, wanted, self._addresses)
        self._service.look(now, well=ready > 0, title=title, status=f"{ready} of {wanted} workers serve")

    def _look_at_usage(self, now: float) -> None:
        """Warn of workers that hold more connections than their share."""
        slots = {worker.slot: pid for pid, worker in self._fleet.workers.items()}
        found = [usage for watched in self._watched for usage in measure(*watched, slots)]
        for line in self._usage.judge(found):
            logger.warning("%s", line)
        self._usage_due = now + _USAGE_EVERY

    def _reload(self, changed: Sequence[str]) -> None:
        if changed:
            names = ", ".join(os.path.relpath(name) for name in changed[:3])
            logger.info("%s changed: the app is restarted", names)
            for generation in self._generations.values():
                self._order(generation, Order("changed", names=tuple(changed)))
            self._do(self._fleet.restart(time.monotonic()))

    # Signals

    def _on_signals(self) -> None:
        try:
            numbers = self._woken.recv(4096)
        except BlockingIOError:
            return
        for number in numbers:
            self._on_signal(number)
        self._reap()

    def _on_signal(self, number: int) -> None:
        now = time.monotonic()
        if number in STOPS:
            self._do(self._fleet.stop(now))
        elif number == signal.SIGQUIT:
            for pid in self._fleet.workers:
                _send(pid, signal.SIGUSR2)
            if not self._fleet.stopping:
                self._do(self._fleet.stop(now))
            self._do(self._fleet.stop(now))
        elif number == signal.SIGHUP:
            self.restart({})
        elif number in (signal.SIGTTIN, signal.SIGTTOU):
            by = 1 if number == signal.SIGTTIN else -1
            self._do(self._fleet.resize(self._fleet.size + by, now))
        elif number in NOTED:
            logger.debug("%s does nothing in this version", signal.Signals(number).name)

    def restart(self, settings: Mapping[str, Any]) -> None:
        """Replace the workers by those of new code.

        Args:
            settings: By name, on top of the files, the environment and the command line.
        """
        self._settings |= settings
        self._service.reloading()
        logger.info("restarting: the app is loaded anew")
        self._do(self._fleet.restart(time.monotonic()))

    # Ends of processes

    def _reap(self) -> None:
        # Not by waitpid(-1): with app.run() the app's code may have children of its own in this process.
        for pid in list(self._fleet.workers):
            self._reap_worker(pid)
        for generation in list(self._generations.values()):
            self._reap_template(generation)
        if self._dedicated:
            self._reap_adopted()

    def _reap_worker(self, pid: int) -> None:
        if (code := self._exit_code(pid)) is not None:
            self._drain(self._children[pid])
            self._forget(self._children.pop(pid).channel)
            self._do(self._fleet.exited(pid, code, time.monotonic()))

    def _exit_code(self, pid: int) -> int | None:
        """How a process ended; None if it lives."""
        if pid in self._strangers:
            return self._strangers.pop(pid)
        try:
            found, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # the app's code in this process waited for it
            return 1
        return os.waitstatus_to_exitcode(status) if found else None

    def _reap_template(self, generation: Generation) -> None:
        if not generation.pid or self._exit_code(generation.pid) is None:
            return
        generation.pid = 0
        if generation.channel is not None:
            while self._on_template(generation):
                pass
            self._forget(generation.channel)
            generation.channel = None
        for (number, _slot), child in list(self._coming.items()):
            if number == generation.number:
                self._not_made(child, "its template is gone")
        if not generation.ending:
            self._do(self._fleet.lost(generation.number, time.monotonic()))

    def _reap_adopted(self) -> None:
        """End the life of orphans that were handed to us, and remember those that may prove to be workers."""
        known = {*self._fleet.workers, *(g.pid for g in self._generations.values())}
        try:
            # WNOWAIT: a look first, for a worker of ours may have ended since the loop over them.
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                if ended.si_pid in known:
                    known.discard(ended.si_pid)
                    self._reap()
                    return
                _, status = os.waitpid(ended.si_pid, 0)
                self._strangers[ended.si_pid] = os.waitstatus_to_exitcode(status)
                if len(self._strangers) > _REMEMBERED:
                    del self._strangers[next(iter(self._strangers))]
        except ChildProcessError:
            return

    # Messages

    def _drain(self, child: _Child) -> None:
        """What a worker said last is read before its end is judged."""
        while child.channel in self._channels and self._on_worker(child):
            pass

    def _on_worker(self, child: _Child) -> bool:
        """Read what is there; whether there may be more."""
        messages = self._receive(child.channel)
        for message in messages or ():
            if isinstance(message, Report):
                self._take(child.pid, message)
            elif isinstance(message, Wish):
                self._grant(child.pid, message)
        return bool(messages)

    def _on_template(self, generation: Generation) -> bool:
        if generation.channel is None:  # reaped a moment ago, in the same turn of the selector
            return False
        messages = self._receive(generation.channel)
        for message in messages or ():
            if isinstance(message, Report):
                self._on_loaded(generation, message)
            elif isinstance(message, Made):
                self._on_made(generation, message)
        return bool(messages)

    def _receive(self, channel: Channel) -> list[Message] | None:
        if channel not in self._channels:  # forgotten a moment ago, in the same turn of the selector
            return None
        try:
            messages = channel.receive()
        except BlockingIOError:
            return None
        except OSError:
            messages = None
        if messages is None:
            self._forget(channel)
        return messages

    def _follow(self, channel: Channel, read: Callable[[], object]) -> None:
        channel.sock.setblocking(False)
        self._channels.add(channel)
        self._selector.register(channel, selectors.EVENT_READ, read)

    def _forget(self, channel: Channel) -> None:
        if channel in self._channels:
            self._channels.discard(channel)
            self._selector.unregister(channel)
            channel.close()

    def _take(self, pid: int, report: Report) -> None:
        if not report.ready:
            self._complain(report)
            return
        self._warn(report.warnings)
        patience = self._fleet.patience
        graceful = max(patience.graceful, report.graceful)
        self._fleet.patience = patience._replace(graceful=graceful, idle=report.idle)
        self._fleet.strict = bool(report.budgets)
        if report.watched and not self._watched:
            self._usage_due = time.monotonic() + _USAGE_EVERY
        self._watched = report.watched
        self._do(self._fleet.ready(pid, time.monotonic()))
        if self._fleet.booted and not self._greeted:
            self._greet(report)

    def _greet(self, report: Report) -> None:
        self._greeted = True
        self._name = report.name
        _show(report, self._listeners, self._job)
        self._service.ready(self._listeners, f"{self._fleet.size} workers")
        run_main_listeners(self._app_of_program(), "main_process_ready")
        for generation in self._generations.values():
            self._order(generation, Order("ready"))

    def _complain(self, report: Report) -> None:
        if self._greeted:
            logger.error("%s", report.text)
        elif report.text not in self._told:  # each worker fails alike: once is enough
            self._told.add(report.text)
            _show(report, self._listeners, self._job)

    def _grant(self, pid: int, wish: Wish) -> None:
        if wish.what == "restart":
            self.restart(wish.settings)
        elif wish.what == "recycle":
            self._do(self._fleet.recycle(pid, wish.reason, time.monotonic()))

    def _warn(self, warnings: Sequence[str]) -> None:
        """Say what was not said yet: every worker has the same to say."""
        for warning in warnings:
            if warning not in self._told:
                self._told.add(warning)
                logger.warning("%s", warning)

    # What the fleet asks

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Say):
                logger.log(action.level, "%s", action.text)
            elif isinstance(action, Send):
                _send(action.pid, action.signal)
            elif isinstance(action, Spawn):
                self._spawn(action)
            elif isinstance(action, Retire):
                self._retire(action.pid)
            elif isinstance(action, Load):
                self._load(action.generation)
            elif isinstance(action, Unload):
                self._unload(action.generation)
            elif isinstance(action, Done):
                self._service.ready(status=action.text)
        if self._fleet.stopping and not self._stopped:
            self._stopped = True
            self._service.stopping()
            self._listeners.close()

    def _retire(self, pid: int) -> None:
        if not self._children[pid].channel.send(Order("retire")):
            _send(pid, signal.SIGTERM)

    # Generations

    def _load(self, number: int) -> None:
        try:
            generation = self._begin(number)
        except ConfigError as error:
            self._refuse(number, str(error), 2)
        except OSError as error:
            self._refuse(number, f"a template cannot be started: {error.strerror or error}", 1)
        else:
            if generation.channel is None:
                self._do(self._fleet.loaded(number, time.monotonic()))

    def _refuse(self, number: int, why: str, code: int) -> None:
        logger.error("%s", why)
        self._do(self._fleet.load_failed(number, code, time.monotonic()))

    def _begin(self, number: int) -> Generation:
        old = self._generations.get(number)
        first = self._job.again is None and number == 1
        job = self._job if number == 1 else self._make_job()
        generation = self._generations[number] = Generation(number, job)
        if first or (old is not None and old.unsafe) or self._imports_in_workers(job):
            return generation
        ours, theirs = Channel.pair()
        self._follow(ours, partial(self._on_template, generation))
        try:
            if self._job.again is None:
                generation.pid = run_program_again(
                    theirs, self._listeners.sockets, self._listeners.plain, self._settings
                )
            else:
                generation.pid = fork(partial(self._become_template, job, theirs))
        except OSError:
            self._forget(ours)
            raise
        finally:
            theirs.close()
        generation.channel = ours
        return generation

    def _make_job(self) -> Job:
        again = self._job.again
        return _with_tls(again(self._settings)) if again is not None else self._job

    def _imports_in_workers(self, job: Job) -> bool:
        off = job.config.PRELOAD == "off" or sys.platform != "linux"
        return off and self._job.again is not None

    def _on_loaded(self, generation: Generation, report: Report) -> None:
        now = time.monotonic()
        generation.loaded = report.ready
        if not report.ready:
            self._complain(report)
            self._do(self._fleet.load_failed(generation.number, report.code, now))
            return
        if report.unsafe:
            self._warn([self._what_of_unsafe(generation, report.unsafe)])
        if self._watch is not None:
            self._watch.follow(report.files)
        if generation.number > 1:
            self._do(self._fleet.resize(generation.job.config.WORKERS, now))
        self._do(self._fleet.loaded(generation.number, now))

    def _what_of_unsafe(self, generation: Generation, why: str) -> str:
        if generation.job.config.PRELOAD == "on" or self._job.again is None:
            return f"{why}; workers are forked all the same"
        generation.unsafe = why
        self._end_template(generation)
        return f"{why}; so each worker imports the app for itself (PRELOAD)"

    def _unload(self, number: int) -> None:
        generation = self._generations.get(number)
        if generation is not None:
            self._end_template(generation)

    def _end_template(self, generation: Generation) -> None:
        generation.ending = True
        heard = generation.loaded and self._order(generation, Order("end"))
        if not heard and generation.pid:
            _send(generation.pid, signal.SIGKILL)

    def _order(self, generation: Generation, order: Order) -> bool:
        return generation.channel is not None and generation.channel.send(order)

    def _end_templates(self) -> None:
        """Templates outlive the workers: listeners of main_process_stop run in them."""
        for generation in self._generations.values():
            self._end_template(generation)
        until = time.monotonic() + _LAST_WORDS
        while (left := [g for g in self._generations.values() if g.pid]) and time.monotonic() < until:
            for key, _ in self._selector.select(0.05):
                key.data()
            self._reap()
        for generation in left:
            _send(generation.pid, signal.SIGKILL)

    # Workers

    def _spawn(self, action: Spawn) -> None:
        generation = self._generations[action.generation]
        ours, theirs = Channel.pair()
        child = _Child(action.generation, action.slot, ours)
        self._coming[action.generation, action.slot] = child
        self._follow(ours, partial(self._on_worker, child))
        try:
            if generation.channel is not None and not generation.unsafe:
                generation.channel.send(Order("fork", action.slot), theirs.fileno())
                return
            pid = fork(partial(self._become_worker, generation.job, theirs, action.slot))
        except OSError as error:
            self._not_made(child, error.strerror or str(error))
        else:
            self._on_made(generation, Made(action.slot, pid))
        finally:
            theirs.close()

    def _on_made(self, generation: Generation, made: Made) -> None:
        child = self._coming.get((generation.number, made.slot))
        if child is None:
            return
        if not made.pid:
            self._not_made(child, made.why)
            return
        del self._coming[generation.number, made.slot]
        child.pid = made.pid
        self._children[made.pid] = child
        self._do(self._fleet.spawned(made.slot, made.pid))
        self._reap_worker(made.pid)

    def _not_made(self, child: _Child, why: str) -> None:
        del self._coming[child.generation, child.slot]
        self._forget(child.channel)
        self._do(self._fleet.spawn_failed(child.slot, why, time.monotonic()))

    # In children

    def _become_template(self, job: Job, channel: Channel) -> int:
        self._close_in_child()
        return run_template(job, channel, self._pid, partial(_work, self._listeners))

    def _become_worker(self, job: Job, channel: Channel, slot: int) -> int:
        tie_to(self._pid)
        self._close_in_child()
        return _work(self._listeners, job, channel, slot)

    def _close_in_child(self) -> None:
        atexit._clear()
        self._service.leave_in_child()
        self._close()

    def _close(self) -> None:
        self._selector.close()
        self._woken.close()
        self._wake.close()
        for channel in self._channels:
            channel.close()
        self._channels.clear()


def _work(listeners: Listeners, job: Job, channel: Channel, slot: int) -> int:
    """Be a worker."""
    return run_worker(job._replace(main=False), listeners, channel.send, channel, slot)


def serve_as_template(job: Job, called: Summons) -> int:
    """Be the template of a program that its supervisor has run again; the exit code.

    Args:
        job: What the program wants served.
        called: What the supervisor says.
    """
    listeners = Listeners.adopt(called.sockets, called.plain)
    return run_template(_with_tls(job), called.channel, called.supervisor, partial(_work, listeners))


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
