"""The process that owns the listening sockets, forks workers and keeps them at their number.

Rules of this file:

- It does, and the fleet decides: no rule about workers lives here.
- One thread. Signals arrive as octets on a socket (`signal.set_wakeup_fd`), reports of workers on pipes, and
  one selector waits for all; no handler does anything by itself.
- A worker learns that the supervisor is gone by the end of a pipe that only the supervisor writes to.
- After a fork the child closes what is not its own, before it runs anything else.
"""

import atexit
import logging
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

from vivace.server import make_tls
from vivace.supervisor.banner import banner
from vivace.supervisor.fleet import Action, Fleet, Say, Send, Spawn
from vivace.supervisor.logs import attach_logging, wants_json
from vivace.supervisor.report import Report, ReportReader, encode_report
from vivace.supervisor.sockets import Listeners
from vivace.supervisor.worker import Job, run_worker

__all__ = ["Supervisor", "launch"]

logger = logging.getLogger("vivace")

_STOP: Final = frozenset({signal.SIGTERM, signal.SIGINT})
_HEEDED: Final = (*_STOP, signal.SIGCHLD)
_NOTED: Final = (
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
    signal.SIGTTIN,
    signal.SIGTTOU,
)


def launch(job: Job) -> int:
    """Serve in this process or in several, until a signal ends it; the exit code.

    Raises:
        StartupError: The address cannot be used; exit code 4.
    """
    job.config.warnings.extend(job.config.without_effect())
    job = job._replace(tls=make_tls(job.config, job.ssl))
    listeners = Listeners(job.config, job.sock)
    try:
        if job.config.WORKERS > 1:
            return Supervisor(job, listeners).run()
        return run_worker(job, listeners, lambda report: _tell(report, listeners, job))
    finally:
        listeners.close()
        listeners.remove()


def _tell(report: Report, listeners: Listeners, job: Job) -> None:
    for warning in dict.fromkeys([*job.config.warnings, *report.warnings]):
        logger.warning("%s", warning)
    _show(report, listeners, job)


def _show(report: Report, listeners: Listeners, job: Job) -> None:
    """Say that the server serves, or why it does not."""
    if not report.ready:
        _print([f"Error: {report.text}"])
    elif job.config.MOTD:
        lines = banner(report, listeners.addresses(secure=job.tls is not None), job.config)
        if not wants_json(job.config):
            _print(lines)
            return
        attach_logging(job.config)
        for line in lines:
            logger.info("%s", line)


def _print(lines: Sequence[str]) -> None:
    sys.stderr.write("\n".join([*lines, ""]))
    sys.stderr.flush()


class Supervisor:
    """Several workers on shared sockets.

    Args:
        job: What each worker does.
        listeners: Shared with the workers by descriptor.
    """

    def __init__(self, job: Job, listeners: Listeners) -> None:
        self._job = job
        self._listeners = listeners
        self._fleet = Fleet(job.config.WORKERS, job.config.GRACEFUL_SHUTDOWN_TIMEOUT)
        self._selector = selectors.DefaultSelector()
        self._readers: dict[int, tuple[int, ReportReader]] = {}
        self._told: set[str] = set()
        self._greeted = False
        # Nothing is ever written to it: it ends when the supervisor does, however that happens.
        self._alive_end, self._alive = os.pipe()
        self._woken, self._wake = socket.socketpair()

    def run(self) -> int:
        """Start the workers and keep them until a signal ends it; the exit code."""
        attach_logging(self._job.config)
        self._warn(self._job.config.warnings)
        with self._catching_signals():
            try:
                self._do(self._fleet.start(time.monotonic()))
                while not self._fleet.done:
                    self._wait()
                    self._do(self._fleet.tick(time.monotonic()))
            finally:
                self._close()
        return self._fleet.exit_code

    @contextmanager
    def _catching_signals(self) -> Iterator[None]:
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        before = {number: signal.signal(number, _noted) for number in (*_HEEDED, *_NOTED)}
        waker = signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(waker)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _wait(self) -> None:
        due = self._fleet.next_tick()
        timeout = None if due is None else max(due - time.monotonic(), 0.0)
        for key, _ in self._selector.select(timeout):
            if key.fileobj is self._woken:
                self._on_signals()
            else:
                self._on_report(key.fd)

    def _on_signals(self) -> None:
        try:
            numbers = self._woken.recv(4096)
        except BlockingIOError:
            return
        for number in numbers:
            if number in _STOP:
                self._do(self._fleet.stop(time.monotonic()))
            elif number in _NOTED:
                logger.debug("%s does nothing in this version", signal.Signals(number).name)
        self._reap()

    def _reap(self) -> None:
        # Not by waitpid(-1): with app.run() the app's code may have children of its own in this process.
        for pid in list(self._fleet.workers):
            self._reap_worker(pid)
        if os.getpid() == 1:
            self._reap_adopted()

    def _reap_worker(self, pid: int) -> None:
        try:
            found, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # the app's code in this process waited for it
            found, status = pid, 1 << 8
        if found:
            self._drain_reports(pid)
            self._do(self._fleet.exited(pid, os.waitstatus_to_exitcode(status), time.monotonic()))

    def _reap_adopted(self) -> None:
        """As process 1 of a container: end the life of orphans that were handed to us."""
        try:
            # WNOWAIT: a look first, for a worker of ours may have ended since the loop over them.
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                if ended.si_pid in self._fleet.workers:
                    self._reap_worker(ended.si_pid)
                else:
                    os.waitpid(ended.si_pid, 0)
        except ChildProcessError:
            return

    def _drain_reports(self, pid: int) -> None:
        """What a worker said last is read before its end is judged."""
        for fd, (owner, _) in list(self._readers.items()):
            while owner == pid and fd in self._readers and self._on_report(fd):
                pass

    def _on_report(self, fd: int) -> bool:
        """Read what is there; whether there may be more."""
        if fd not in self._readers:  # reaped a moment ago, in the same turn of the selector
            return False
        pid, reader = self._readers[fd]
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return False
        if not data:
            self._selector.unregister(fd)
            del self._readers[fd]
            os.close(fd)
            return False
        for report in reader.feed(data):
            self._take(pid, report)
        return True

    def _take(self, pid: int, report: Report) -> None:
        if not report.ready:
            if self._greeted:
                logger.error("%s", report.text)
            elif report.text not in self._told:  # each worker fails alike: once is enough
                self._told.add(report.text)
                _show(report, self._listeners, self._job)
            return
        self._warn(report.warnings)
        self._fleet.graceful = max(self._fleet.graceful, report.graceful)
        self._do(self._fleet.ready(pid, time.monotonic()))
        if self._fleet.booted and not self._greeted:
            self._greeted = True
            _show(report, self._listeners, self._job)

    def _warn(self, warnings: Sequence[str]) -> None:
        """Say what was not said yet: every worker has the same to say."""
        for warning in warnings:
            if warning not in self._told:
                self._told.add(warning)
                logger.warning("%s", warning)

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Say):
                logger.log(action.level, "%s", action.text)
            elif isinstance(action, Send):
                _send(action)
            else:
                self._spawn(action)
        if self._fleet.stopping:
            self._listeners.close()

    def _spawn(self, action: Spawn) -> None:
        now = time.monotonic()
        report_end, report = os.pipe()
        # A signal between the fork and the child's own handlers would be answered by those of the supervisor.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEEDED)
        try:
            pid = os.fork()
            if pid == 0:
                os.close(report_end)
                self._become_worker(report)
        except OSError as error:
            os.close(report_end)
            self._do(self._fleet.spawn_failed(action.slot, error.strerror or str(error), now))
        else:
            os.set_blocking(report_end, False)
            self._selector.register(report_end, selectors.EVENT_READ)
            self._readers[report_end] = pid, ReportReader()
            self._fleet.spawned(action.slot, pid, now)
        finally:
            os.close(report)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEEDED)

    def _become_worker(self, report: int) -> NoReturn:
        """The rest of a child's life. It never returns: the frames below belong to the supervisor."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (*_HEEDED, *_NOTED):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, _noted)
            self._close_in_child()
            atexit._clear()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEEDED)
            code = run_worker(self._job, self._listeners, lambda r: _write(report, r), self._alive_end)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            logger.exception("a worker failed")
        finally:
            _end(code)

    def _close_in_child(self) -> None:
        self._selector.close()
        self._woken.close()
        self._wake.close()
        os.close(self._alive)
        for fd in self._readers:
            os.close(fd)
        self._readers.clear()

    def _close(self) -> None:
        for fd in self._readers:
            os.close(fd)
        self._readers.clear()
        self._selector.close()
        self._woken.close()
        self._wake.close()
        os.close(self._alive)
        os.close(self._alive_end)


def _noted(_: int, __: FrameType | None) -> None:
    """Do nothing: the number is already on its way through the wake-up descriptor."""


def _send(action: Send) -> None:
    try:
        os.kill(action.pid, action.signal)
    except ProcessLookupError:
        return


def _write(fd: int, report: Report) -> None:
    data = encode_report(report)
    try:
        while data:
            data = data[os.write(fd, data) :]
    except BrokenPipeError:  # the supervisor is gone; the other pipe says so too
        return


def _end(code: int) -> NoReturn:
    """End a child: what the app registered runs, what the supervisor's frames would do does not."""
    try:
        atexit._run_exitfuncs()
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        os._exit(code)
