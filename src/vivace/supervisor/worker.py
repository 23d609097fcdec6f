"""What runs in a process that serves: import, start, serve, stop; the only process or one of several.

Rules of this file:

- One code path. A worker of a supervisor differs in three things: it tells its state on a pipe, it ignores
  SIGINT (Ctrl-C reaches the whole terminal, the supervisor decides), and it stops with its supervisor.
- SIGTERM (and SIGINT in a single process) stops gracefully, SIGQUIT and in a single process a second signal
  force the stop. A signal that comes while the app is being imported or started ends it with exit code 0.
- A loop that is blocked cannot stop anything: a watchdog of the interpreter then writes the stack that blocks
  and ends the process shortly after the graceful time.
- Exit codes: 0 stopped, 2 configuration, 3 the app failed to start, 1 anything else.
"""

import asyncio
import faulthandler
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import FrameType
from typing import Any, Final, NamedTuple

from vivace.config import SETTINGS, Config
from vivace.errors import ConfigError
from vivace.interfaces.choose import make_interface
from vivace.interfaces.hosted import explicit, unlimit
from vivace.interfaces.mounts import MountedInterface, Mounts, describe_mounts
from vivace.server import Interface, Server, Tls
from vivace.supervisor.banner import describe_build
from vivace.supervisor.failure import describe_failure
from vivace.supervisor.fleet import FORCED
from vivace.supervisor.logs import attach_logging, detach_logging
from vivace.supervisor.report import Report
from vivace.supervisor.sockets import Listeners
from vivace.supervisor.target import Loaded

__all__ = ["Job", "StopRequest", "choose_loop", "run_worker", "serve_until_stopped"]

logger = logging.getLogger("vivace")

WATCHDOG_AFTER: Final = 2.5
"""Seconds after GRACEFUL_SHUTDOWN_TIMEOUT when a process that did not stop dumps its stack and ends."""
THREADS_END: Final = 0.5
"""Seconds that threads without work get to end."""
HARMLESS: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
"""Signals that would end a process by default and must not end a server."""


class Job(NamedTuple):
    """What a serving process has to do.

    Attributes:
        load: Imports the app, or hands over one that exists.
        config: Of the process: files, environment and command line.
        overrides: What the command line gave; it beats what the app's code sets.
        final: The app's own configuration is already complete, since it ran before the process was set up.
        sock: A bound socket to listen on, instead of HOST and PORT.
        signals: Stop on SIGTERM and SIGINT; only a single process can do without.
        ssl: The argument of `app.run`: the certificates, instead of those of the settings.
        tls: What became of it; made before there are workers.
    """

    load: Callable[[], Loaded]
    config: Config
    overrides: Mapping[str, object]
    final: bool = False
    sock: socket.socket | None = None
    signals: bool = True
    ssl: Any = None
    tls: Tls | None = None


class Interrupted(BaseException):
    """A signal to stop came before anything served."""


class StopRequest:
    """Turns signals into a stop.

    Handlers are Python's, not the loop's: they run between two bytecodes even where a handler of the app
    blocks the loop, so that at least the watchdog is set.

    Args:
        numbers: The signals that stop.
        repeat_forces: A second one forces; else it says nothing new (a platform may send SIGTERM to each
            process, and the supervisor does as well).

    Attributes:
        graceful: Seconds that the stop may take.
    """

    def __init__(self, numbers: Sequence[int], *, repeat_forces: bool) -> None:
        self.graceful = 0.0
        self._repeat_forces = repeat_forces
        self._event: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._force: Callable[[], None] | None = None
        self._starting: asyncio.Task[Any] | None = None
        self._count = 0
        self._over = False
        self._numbers = tuple(numbers)
        self._before: dict[int, Any] = {}
        self._threads = set(threading.enumerate())

    def install(self, ignored: Sequence[int] = ()) -> None:
        """Take over the signals; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in self._numbers:
            self._before[number] = signal.signal(number, self._on_stop)
        self._before[signal.SIGQUIT] = signal.signal(signal.SIGQUIT, self._on_force)
        # A handler rather than SIG_IGN, which programs that the app starts would inherit.
        for number in ignored:
            self._before[number] = signal.signal(number, _ignore)
        for number in HARMLESS:
            if signal.getsignal(number) is signal.SIG_DFL:
                self._before[number] = signal.signal(number, _ignore)

    def end(self) -> None:
        """From now on a signal changes nothing: there is nothing left to stop."""
        self._over = True

    def restore(self) -> None:
        """Give the signals back; take the watchdog away unless a handler still blocks a thread."""
        if self._count and not self._threads_left():
            faulthandler.cancel_dump_traceback_later()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _threads_left(self) -> bool:
        """Whether a thread that began since the start goes on: at its end Python would wait for it."""
        until = time.monotonic() + THREADS_END
        left = []
        for thread in set(threading.enumerate()) - self._threads:
            if not thread.daemon:
                thread.join(max(until - time.monotonic(), 0.0))
                if thread.is_alive():
                    left.append(thread.name)
        if left:
            names = ", ".join(left)
            logger.warning("still at work after the stop: %s; the process ends without them", names)
        return bool(left)

    def bind(self, force: Callable[[], None], graceful: float) -> None:
        """From now on a signal stops the task that calls this: by cancelling it until `started` is called."""
        self.graceful = graceful
        self._force = force
        self._event = asyncio.Event()
        self._starting = asyncio.current_task()
        self._loop = asyncio.get_running_loop()

    def started(self) -> None:
        """The start is over: a signal cancels nothing any more."""
        self._starting = None

    @property
    def requested(self) -> bool:
        """A stop was asked for."""
        return self._count > 0

    async def wait(self) -> None:
        """Until a stop is asked for."""
        assert self._event is not None, "bind() comes first"
        await self._event.wait()

    def request(self) -> None:
        """Ask for a graceful stop from within the loop."""
        if not self._count:
            self._begin()
            self._wake()

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        if self._over:
            return
        if self._loop is None:
            raise Interrupted
        if not self._count:
            self._begin()
            self._tell_loop()
        elif self._repeat_forces:
            self._on_force(number, frame)

    def _on_force(self, _: int, __: FrameType | None) -> None:
        if self._over:
            return
        if self._loop is None:
            raise Interrupted
        if self._count > 1:  # twice forced: at once
            os._exit(1)
        self._count = 2
        self._arm(FORCED + WATCHDOG_AFTER)
        self._tell_loop()

    def _begin(self) -> None:
        self._count = 1
        self._arm(self.graceful + WATCHDOG_AFTER)

    def _tell_loop(self) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:  # closed: the stop is complete already
            return

    def _wake(self) -> None:
        assert self._event is not None
        self._event.set()
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None
        elif self._count > 1 and self._force is not None:
            self._force()

    def _arm(self, seconds: float) -> None:
        if sys.__stderr__ is not None:
            faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__)


def _ignore(_: int, __: FrameType | None) -> None:
    """Do nothing, and do it in this process only."""


async def serve_until_stopped(
    server: Server,
    stop: StopRequest,
    graceful: float,
    *,
    ready: Callable[[], None],
    leave: Callable[[], None],
) -> None:
    """Start, serve and stop a server.

    Args:
        server: Not started.
        stop: Says when.
        graceful: GRACEFUL_SHUTDOWN_TIMEOUT in seconds.
        ready: Called once it serves.
        leave: Closes the listening sockets of this process.
    """
    stop.bind(server.force_stop, graceful)
    try:
        await server.start()
        stop.started()
        ready()
        await stop.wait()
        _say_what_is_waited_for(server.active, graceful)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if not stop.requested or task is None:
            raise
        task.uncancel()
    finally:
        stop.started()
        # After the server's first step, by which it accepts no more: a client that comes during the stop is
        # refused, instead of waiting in a queue that nobody empties.
        asyncio.get_running_loop().call_soon(leave)
        await server.stop()


def _say_what_is_waited_for(requests: int, graceful: float) -> None:
    if requests:
        what = "1 request" if requests == 1 else f"{requests} requests"
        logger.info("stopping: waiting for %s, at most %g s", what, graceful)


def run_worker(
    job: Job, listeners: Listeners, tell: Callable[[Report], None], parent: int | None = None
) -> int:
    """Serve until a signal comes; the exit code.

    Args:
        job: What to serve.
        listeners: Closed in this process when the stop begins.
        tell: Called when it serves, and when it failed to start.
        parent: A pipe's reading end that closes when the supervisor is gone; None if there is none.
    """
    alone = parent is None
    stop = StopRequest((signal.SIGTERM, signal.SIGINT) if alone else (signal.SIGTERM,), repeat_forces=alone)
    try:
        if job.signals:
            stop.install(() if alone else (signal.SIGINT,))
        return _serve_or_tell(job, listeners, tell, parent, stop)
    except Interrupted:
        return 0
    finally:
        stop.end()
        if alone:
            stop.restore()


def _serve_or_tell(
    job: Job, listeners: Listeners, tell: Callable[[Report], None], parent: int | None, stop: StopRequest
) -> int:
    served = False

    def tell_ready(report: Report) -> None:
        nonlocal served
        served = True
        tell(report)

    try:
        _serve(job, listeners, tell_ready, parent, stop)
    except Exception as error:
        if served:
            logger.exception("the server ended with an error")
            return 1
        text, code = describe_failure(error)
        tell(Report(ready=False, text=text))
        return code
    return 0


def _serve(
    job: Job,
    listeners: Listeners,
    tell: Callable[[Report], None],
    parent: int | None,
    stop: StopRequest,
) -> None:
    detach_logging()
    if explicit(
        job.config, "THREADS"
    ):  # an app that makes threads itself reads how many, wherever it was said
        os.environ["VIVACE_THREADS"] = str(job.config.THREADS)
    loaded = job.load()
    config = _app_config(job, loaded)
    attach_logging(config)
    native = loaded.kind == "native"
    if parent is not None and native:  # app.stop() means the server, not this worker
        loaded.app.stopper = partial(os.kill, os.getppid(), signal.SIGTERM)
    interface = _make_interface(loaded, config)
    name, factory = choose_loop(config.LOOP)

    def tell_ready() -> None:
        text = _describe_app(loaded, config)
        graceful = config.GRACEFUL_SHUTDOWN_TIMEOUT
        warnings = tuple(dict.fromkeys(config.warnings))
        mounts = loaded.app.mounts if loaded.kind == "native" else loaded.mounts
        build = describe_build()
        found = tuple(describe_mounts(mounts))
        tell(Report(True, text, build, name, config.THREADS, graceful, warnings, found))

    async def main() -> None:
        if parent is not None:
            threading.Thread(target=_watch_parent, args=(parent,), name="vivace-parent", daemon=True).start()
        elif native:
            loaded.app.stopper = partial(asyncio.get_running_loop().call_soon_threadsafe, stop.request)
        server = Server(interface, config, listeners.sockets, tls=job.tls, plain=listeners.plain)
        graceful = config.GRACEFUL_SHUTDOWN_TIMEOUT
        await serve_until_stopped(server, stop, graceful, ready=tell_ready, leave=listeners.close)

    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())
    finally:
        if native:
            loaded.app.stopper = None


def _watch_parent(parent: int) -> None:
    """Stop this process when its supervisor is gone; a thread, for a handler may be blocking the loop."""
    select.select([parent], [], [])
    logger.error("the supervisor is gone: this worker stops")
    os.kill(os.getpid(), signal.SIGTERM)


def _app_config(job: Job, loaded: Loaded) -> Config:
    """The configuration to serve with: the app's own if it has one, completed by that of the process."""
    own = getattr(loaded.app, "config", None) if loaded.kind == "native" else None
    if not isinstance(own, Config):
        unlimit(job.config)
        return job.config
    if job.final:
        return own
    for setting in SETTINGS:
        name = setting.name
        late = setting.scope == "process" and own.sources.get(name) == "application code"
        if late and own[name] != job.config[name]:
            own.warnings.append(
                f"{name} of application code comes too late: `vivace run` reads it before it imports the app;"
                f" use {setting.option or 'a file'}, {setting.variable} or vivace.toml"
            )
    own.complete(job.config)
    own.override(job.overrides)
    return own


def _make_interface(loaded: Loaded, config: Config) -> Interface:
    main = make_interface(loaded.app, loaded.kind, config)
    return MountedInterface(main, Mounts(loaded.mounts, config)) if loaded.mounts else main


def _describe_app(loaded: Loaded, config: Config) -> str:
    """What the start says of the app."""
    kind = loaded.kind
    if kind == "wsgi":
        kind += f", {config.THREADS} threads" if config.THREADS else ", inline"
    return f"{loaded.target} ({kind}: {loaded.why})"


def choose_loop(wanted: str) -> tuple[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The name of the event loop and what makes it.

    Args:
        wanted: The value of LOOP.

    Raises:
        ConfigError: It is not installed.
    """
    if wanted != "asyncio":
        try:
            import uvloop
        except ImportError:
            if wanted == "uvloop":
                message = (
                    "LOOP is uvloop, which is not installed: install uvloop, or set LOOP to auto or asyncio"
                )
                raise ConfigError(message, key="LOOP", allowed=("auto", "asyncio")) from None
        else:
            return "uvloop", uvloop.new_event_loop
    return "asyncio", asyncio.new_event_loop
