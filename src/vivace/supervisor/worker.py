"""What runs in a process that serves: import, start, serve, stop; the only process or one of several.

Rules of this file:

- One code path. A worker of a supervisor differs in three things: it has a channel, on which it tells its
  state and hears that another takes its place; it ignores SIGINT (Ctrl-C reaches the whole terminal, the
  supervisor decides); and it ends with its supervisor.
- SIGTERM (and SIGINT in a single process) stops gracefully, SIGQUIT and in a single process a second signal
  force the stop. A signal that comes while the app is being imported or started ends it with exit code 0.
- Exit codes: 0 stopped, 2 configuration, 3 the app failed to start, 1 anything else.
"""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from vivace.config import SETTINGS, Config
from vivace.errors import ConfigError
from vivace.interfaces.choose import make_interface
from vivace.interfaces.hosted import explicit, unlimit
from vivace.interfaces.mounts import MountedInterface, Mounts, describe_mounts
from vivace.server import Interface, Server
from vivace.supervisor.banner import describe_build
from vivace.supervisor.budgets import budget_lines, place_process, watched_budgets
from vivace.supervisor.failure import describe_failure
from vivace.supervisor.job import Job
from vivace.supervisor.logs import attach_logging, detach_logging
from vivace.supervisor.messages import Channel, Order, Report, Wish, failed
from vivace.supervisor.quota import watch_requests
from vivace.supervisor.sockets import Listeners
from vivace.supervisor.stop import Interrupted, StopRequest
from vivace.supervisor.target import Loaded
from vivace.supervisor.template import run_main_listeners

__all__ = ["choose_loop", "run_worker", "serve_until_stopped"]

logger = logging.getLogger("vivace")

LONGEST_PATIENCE: Final = 30.0
"""Seconds for which a worker that is replaced serves connections that may idle for ever."""


async def serve_until_stopped(
    server: Server,
    stop: StopRequest,
    graceful: float,
    *,
    ready: Callable[[], None],
    leave: Callable[[], None],
    patience: float = 0.0,
) -> None:
    """Start, serve and stop a server.

    Args:
        server: Not started.
        stop: Says when.
        graceful: GRACEFUL_SHUTDOWN_TIMEOUT in seconds.
        ready: Called once it serves.
        leave: Closes the listening sockets of this process.
        patience: KEEP_ALIVE_TIMEOUT in seconds, for a worker that retires.
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
        await server.stop(patience if stop.retiring else 0.0)


def _say_what_is_waited_for(requests: int, graceful: float) -> None:
    if requests:
        what = "1 request" if requests == 1 else f"{requests} requests"
        logger.info("stopping: waiting for %s, at most %g s", what, graceful)


def run_worker(
    job: Job,
    listeners: Listeners,
    tell: Callable[[Report], object],
    channel: Channel | None = None,
    slot: int = 0,
) -> int:
    """Serve until a signal comes; the exit code.

    Args:
        job: What to serve.
        listeners: Closed in this process when the stop begins.
        tell: Called when it serves, and when it failed to start.
        channel: To the supervisor; None if there is none.
        slot: The place of this worker; no two that live at the same time have the same.
    """
    alone = channel is None
    stop = StopRequest((signal.SIGTERM, signal.SIGINT) if alone else (signal.SIGTERM,), repeat_forces=alone)
    try:
        if job.signals:
            stop.install(() if alone else (signal.SIGINT,))
        if not alone:
            place_process(job.config, slot)
        return _Worker(job, listeners, tell, channel, stop).run()
    except Interrupted:
        return 0
    finally:
        stop.end()
        if alone:
            stop.restore()


class _Worker:
    """One life of a serving process."""

    def __init__(
        self,
        job: Job,
        listeners: Listeners,
        tell: Callable[[Report], object],
        channel: Channel | None,
        stop: StopRequest,
    ) -> None:
        self._job = job
        self._listeners = listeners
        self._tell = tell
        self._channel = channel
        self._stop = stop
        self._served = False
        self._app: Any = None

    def run(self) -> int:
        try:
            self._serve()
        except Exception as error:
            if self._served:
                logger.exception("the server ended with an error")
                return 1
            text, code = describe_failure(error)
            self._tell(failed(text, code))
            return code
        return 0

    def _serve(self) -> None:
        detach_logging()
        if explicit(self._job.config, "THREADS"):
            # An app that makes threads itself reads how many, wherever it was said.
            os.environ["VIVACE_THREADS"] = str(self._job.config.THREADS)
        loaded = self._job.load()
        self._app = loaded.app if loaded.kind == "native" else None
        config = _app_config(self._job, loaded)
        attach_logging(config)
        interface = _make_interface(loaded, config)
        main = self._app if self._job.main else None
        run_main_listeners(main, "main_process_start", "main_process_ready")
        try:
            with asyncio.Runner(loop_factory=choose_loop(config.LOOP)[1]) as runner:
                runner.run(self._run_server(loaded, config, interface))
        finally:
            if self._app is not None:
                self._app.stopper = self._app.restarter = None
            run_main_listeners(main, "main_process_stop")

    async def _run_server(self, loaded: Loaded, config: Config, interface: Interface) -> None:
        self._connect_app()
        listeners, tls = self._listeners, self._job.tls
        server = Server(interface, config, listeners.sockets, tls=tls, plain=listeners.plain)
        quota = None
        if self._channel is not None:
            ask = partial(self._channel.send, Wish("recycle", "enough requests"))
            quota = watch_requests(server, config, ask)
            threading.Thread(target=self._obey, name="vivace-orders", daemon=True).start()
        try:
            await serve_until_stopped(
                server,
                self._stop,
                config.GRACEFUL_SHUTDOWN_TIMEOUT,
                ready=partial(self._tell_ready, loaded, config),
                leave=self._listeners.close,
                patience=config.KEEP_ALIVE_TIMEOUT or LONGEST_PATIENCE,
            )
        finally:
            if quota is not None:
                quota.cancel()

    def _connect_app(self) -> None:
        """Let the app stop and restart the server that it runs in."""
        if self._app is None:
            return
        if self._channel is None:
            stop = self._stop.request
            self._app.stopper = partial(asyncio.get_running_loop().call_soon_threadsafe, stop)
        else:  # app.stop() means the server, not this worker
            self._app.stopper = partial(os.kill, os.getppid(), signal.SIGTERM)
            self._app.restarter = self._ask_restart

    def _ask_restart(self, settings: dict[str, Any]) -> None:
        assert self._channel is not None, "it is set with a channel only"
        self._channel.send(Wish("restart", f"{self._app.name} asked for it", settings))

    def _tell_ready(self, loaded: Loaded, config: Config) -> None:
        self._served = True
        mounts = loaded.app.mounts if loaded.kind == "native" else loaded.mounts
        report = Report(
            True,
            _describe_app(loaded, config),
            describe_build(),
            choose_loop(config.LOOP)[0],
            config.THREADS,
            config.GRACEFUL_SHUTDOWN_TIMEOUT,
            tuple(dict.fromkeys(config.warnings)),
            tuple(describe_mounts(mounts)),
            config.KEEP_ALIVE_TIMEOUT or LONGEST_PATIENCE,
            budgets=tuple(budget_lines(config)),
            name=str(getattr(self._app, "name", loaded.target)),
            watched=watched_budgets(config) if self._channel is not None else (),
        )
        self._tell(report)

    def _obey(self) -> None:
        """Hear the supervisor; in a thread, for a handler may be blocking the loop."""
        assert self._channel is not None, "a worker without a supervisor hears nobody"
        while (orders := self._channel.receive()) is not None:
            if any(isinstance(order, Order) and order.what == "retire" for order in orders):
                self._stop.retire()
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
