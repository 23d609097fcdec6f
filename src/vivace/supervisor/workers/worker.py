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

from vivace.config import Config
from vivace.errors import ConfigError
from vivace.interfaces.choose import make_interface
from vivace.interfaces.hosted import explicit
from vivace.interfaces.mounts import MountedInterface, Mounts, describe_mounts
from vivace.server import Interface, Server
from vivace.supervisor.ipc.messages import Channel, Order, Report, Told, Wish, failed
from vivace.supervisor.ipc.scoreboard import Entry
from vivace.supervisor.listening.sockets import Listeners
from vivace.supervisor.loading.app_config import app_config
from vivace.supervisor.loading.budgets import budget_lines, place_process, watched_budgets
from vivace.supervisor.loading.declared import NeedsSupervisor, specs_of
from vivace.supervisor.loading.failure import describe_failure
from vivace.supervisor.loading.job import Job
from vivace.supervisor.loading.main_process import run_main_listeners
from vivace.supervisor.loading.target import Loaded
from vivace.supervisor.telling.banner import describe_build
from vivace.supervisor.telling.logs import attach_logging, detach_logging, reopen_files
from vivace.supervisor.telling.service import worker_title
from vivace.supervisor.telling.title import set_title
from vivace.supervisor.workers.pulse import Pulse
from vivace.supervisor.workers.quota import watch_requests
from vivace.supervisor.workers.serve import LONGEST_PATIENCE, abandon_tasks, serve_until_stopped
from vivace.supervisor.workers.stop import Interrupted, StopRequest

__all__ = ["choose_loop", "run_worker", "serve_until_stopped"]

logger = logging.getLogger("vivace")

SHORTEST_LIMIT: Final = 1.0
"""Seconds for which a loop may stand still whatever LOOP_TIMEOUT says."""


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
            ignored = () if alone else (signal.SIGINT,)
            stop.install(ignored, _forcing(job.config) if alone else (signal.SIGQUIT,))
        if not alone:
            place_process(job.config, slot)
        entry = None if alone or job.board is None else job.board.enter(slot, job.generation)
        return _Worker(job, listeners, tell, channel, stop, entry, slot).run()
    except Interrupted:
        return 0
    finally:
        stop.end()
        if alone:
            stop.restore(last=job.again is not None)


class _Worker:
    """One life of a serving process."""

    def __init__(
        self,
        job: Job,
        listeners: Listeners,
        tell: Callable[[Report], object],
        channel: Channel | None,
        stop: StopRequest,
        entry: Entry | None = None,
        slot: int = 0,
    ) -> None:
        self._job = job
        self._listeners = listeners
        self._tell = tell
        self._channel = channel
        self._stop = stop
        self._served = False
        self._entry = entry
        self._slot = slot
        self._title = ""
        self._pulse: Pulse | None = None
        self._app: Any = None

    def run(self) -> int:
        try:
            self._serve()
        except NeedsSupervisor:
            raise
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
        config = app_config(self._job, loaded)
        attach_logging(config, "worker", self._slot + 1)
        interface = _make_interface(loaded, config)
        main = self._app if self._job.main else None
        run_main_listeners(main, "main_process_start", "main_process_ready")
        try:
            self._refuse_companions(loaded)
            with asyncio.Runner(loop_factory=choose_loop(config.LOOP)[1]) as runner:
                runner.run(self._run_server(loaded, config, interface))
        finally:
            if self._app is not None:
                self._app.stopper = self._app.restarter = self._app.scaler = None
            run_main_listeners(main, "main_process_stop")

    def _refuse_companions(self, loaded: Loaded) -> None:
        """One process is not enough for an app that wants others beside it."""
        if self._channel is not None or not any(spec.instances for spec in specs_of(self._job, loaded)):
            return
        if self._job.signals:
            raise NeedsSupervisor
        logger.warning("processes beside the workers are not started: signals are not this server's")

    async def _run_server(self, loaded: Loaded, config: Config, interface: Interface) -> None:
        self._connect_app()
        listeners, tls = self._listeners, self._job.tls
        server = Server(interface, config, listeners.sockets, tls=tls, plain=listeners.plain)
        if self._entry is not None:
            name = str(getattr(self._app, "name", loaded.target))
            title = partial(self._show_title, name)
            self._pulse = Pulse(self._entry, server, asyncio.get_running_loop(), title, self._judge_fitness())
        self._stop.reopen = partial(_reopen_logs, server)
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
                leave=self._leave,
                idle=config.KEEP_ALIVE_TIMEOUT,
                sockets=config.WEBSOCKET_RECYCLE_TIMEOUT,
                delay=(self._job.config.SHUTDOWN_DELAY or 0.0) if self._channel is None else 0.0,
                bar=self._listeners.bar if self._channel is None else None,
            )
        finally:
            if quota is not None:
                quota.cancel()
            if self._pulse is not None:
                self._pulse.stop()
            await abandon_tasks()

    def _show_title(self, name: str, busy: int) -> None:
        title = worker_title(name, self._slot, self._job.generation, busy)
        if title != self._title:
            self._title = title
            set_title(title)

    def _judge_fitness(self) -> Callable[[], bool] | None:
        checks = getattr(self._app, "ready_checks", None)
        return (lambda: checks.passed) if checks else None

    def _leave(self) -> None:
        self._listeners.close()
        if self._pulse is not None:
            self._pulse.drain()

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
            self._app.scaler = self._ask_scale
        for other in self._app.neighbours.values():
            other.stopper, other.restarter, other.scaler = (
                self._app.stopper,
                self._app.restarter,
                self._app.scaler,
            )

    def _ask_restart(self, settings: dict[str, Any]) -> None:
        assert self._channel is not None, "it is set with a channel only"
        self._channel.send(Wish("restart", f"{self._app.name} asked for it", settings))

    def _ask_scale(self, workers: int) -> None:
        assert self._channel is not None, "it is set with a channel only"
        self._channel.send(Wish("scale", f"{self._app.name} asked for it", workers=workers))

    def _tell_ready(self, loaded: Loaded, config: Config) -> None:
        self._served = True
        if self._pulse is not None:
            self._pulse.start()
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
            config.WEBSOCKET_RECYCLE_TIMEOUT,
            budgets=tuple(budget_lines(config)),
            name=str(getattr(self._app, "name", loaded.target)),
            watched=watched_budgets(config) if self._channel is not None else (),
            loop_timeout=loop_timeout(config, reloads=self._job.config.AUTO_RELOAD),
            companions=specs_of(self._job, loaded),
        )
        self._tell(report)

    def _obey(self) -> None:
        """Hear the supervisor; in a thread, for a handler may be blocking the loop."""
        assert self._channel is not None, "a worker without a supervisor hears nobody"
        while (orders := self._channel.receive()) is not None:
            for order in orders:
                if isinstance(order, Order):
                    self._do(order)
        logger.error("the supervisor is gone: this worker stops")
        os.kill(os.getpid(), signal.SIGTERM)

    def _do(self, order: Order) -> None:
        if order.what in ("retire", "recycle"):
            self._stop.retire(patient=order.what == "recycle")
        elif order.what == "force":
            self._stop.force()
        elif order.what == "look" and self._pulse is not None:
            self._pulse.look()
        elif order.what == "dump" and self._pulse is not None and self._channel is not None:
            self._channel.send(Told("dump", self._pulse.describe()))
        elif order.what == "requests" and self._pulse is not None and self._channel is not None:
            self._channel.send(Told("requests", self._pulse.requests()))
        elif order.what == "log-level":
            for name in ("vivace", None):
                logging.getLogger(name).setLevel(order.names[0])


def _forcing(config: Config) -> tuple[int, ...]:
    """The signals that end a single process at once: Ctrl-C while one develops, SIGQUIT unless told else."""
    eager = (signal.SIGINT,) if config.DEBUG else ()
    return eager if config.SIGQUIT == "graceful" else (*eager, signal.SIGQUIT)


def _reopen_logs(server: Server) -> None:
    server.reopen_log()
    reopen_files()


def loop_timeout(config: Config, *, reloads: bool) -> float:
    """For how many seconds a worker's loop may stand still; 0 is for ever.

    Not while developing, for a debugger holds it; nor where handlers run on the loop by THREADS=0, unless
    somebody set it: there a long request is no fault. Less than `SHORTEST_LIMIT` is taken for that, since a
    loop says four times a second that it turns.

    Args:
        config: To serve with.
        reloads: AUTO_RELOAD.
    """
    inline = not config.THREADS and not explicit(config, "LOOP_TIMEOUT")
    seconds = 0.0 if config.DEBUG or reloads or inline else config.LOOP_TIMEOUT
    return max(seconds, SHORTEST_LIMIT) if seconds else 0.0


def _make_interface(loaded: Loaded, config: Config) -> Interface:
    main = make_interface(loaded.app, loaded.kind, config)
    if loaded.kind == "native" and loaded.app.neighbours:
        from vivace.interfaces.ports import PortsInterface

        return PortsInterface(main, loaded.app.neighbours, config)
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
