"""Our server as a worker of gunicorn: ``gunicorn -k vivace.compat.gunicorn.GunicornWorker module:app``.

gunicorn's arbiter owns the sockets and the processes; this serves what they accept: a Vivace app, or any
ASGI or WSGI app, as `vivace run` would.

Rules of this file:

- The only one that imports gunicorn. Signals, heartbeat, hooks, exit codes and logs are gunicorn's; how a
  server starts, serves and stops is the supervisor's `serve_until_stopped`.
- SIGTERM stops gracefully, SIGQUIT and SIGINT at once; HUP and USR2 are the arbiter's, whose old workers
  get SIGTERM. A worker whose loop is blocked gets SIGABRT, says where it stands, and ends.
- An app that cannot start ends the worker with the code by which gunicorn stops as a whole, as it does for
  one that cannot be imported.
- Follows gunicorn's documentation of its settings, signals and server hooks.
"""

import asyncio
import faulthandler
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from functools import partial
from types import FrameType
from typing import Any, Final, cast

from vivace.compat.gunicorn_access import GunicornAccessLog
from vivace.compat.gunicorn_settings import (
    graceful_seconds,
    ignored_options,
    settings_of,
    tls_of,
    wants_access_log,
)
from vivace.config import Config
from vivace.interfaces.choose import make_interface
from vivace.interfaces.hosted import unlimit
from vivace.interfaces.kind import classify
from vivace.protocols.stream import Stream
from vivace.server import Interface, Server
from vivace.supervisor.loading.failure import describe_failure
from vivace.supervisor.workers.stop import Interrupted, StopRequest
from vivace.supervisor.workers.worker import choose_loop, serve_until_stopped

try:
    from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
    from gunicorn.workers.base import Worker  # type: ignore[import-untyped]
except ImportError as error:
    raise ImportError(
        "vivace.compat.gunicorn is a worker for gunicorn, which is not installed: pip install gunicorn"
    ) from error

__all__ = ["GunicornWorker"]

HEARTBEAT: Final = 1.0
"""Seconds between two signs of life, at most; gunicorn's `timeout` is never shorter."""


class GunicornWorker(Worker):  # type: ignore[misc]
    """Serves with Vivace's server under gunicorn's arbiter.

    Raises:
        SystemExit: With gunicorn's code for a worker that cannot boot: the app failed to start, or an option
            cannot be honoured.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._quitting = False
        self._stop = StopRequest((signal.SIGTERM,), repeat_forces=False)

    # -- what gunicorn calls --------------------------------------------------------------------------

    def init_process(self) -> None:
        """Import the app and serve it until a signal comes."""
        try:
            super().init_process()
        except Interrupted:  # by a signal, while the app was imported
            return
        finally:
            self._stop.end()

    def init_signals(self) -> None:
        """Take the signals over from the arbiter, whose handlers the fork has brought along."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self._stop.install()
        self._force = cast("Any", signal.getsignal(signal.SIGQUIT))
        for number in (signal.SIGQUIT, signal.SIGINT):
            signal.signal(number, self.handle_quit)
        signal.signal(signal.SIGABRT, self.handle_abort)
        for number, inherited in ((signal.SIGWINCH, self.handle_winch), (signal.SIGUSR1, self.handle_usr1)):
            signal.signal(number, cast("Any", inherited))

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """SIGQUIT and SIGINT: stop without waiting for requests.

        Ctrl-C brings both, SIGINT by the terminal and SIGQUIT by the arbiter: the second says nothing new.
        """
        self.alive = False
        if not self._quitting:
            self._quitting = True
            self.cfg.worker_int(self)
            self._force(sig, frame)

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """SIGABRT: the arbiter has seen no sign of life for `timeout` seconds. Say what blocks, and end."""
        self.alive = False
        self.cfg.worker_abort(self)
        self.log.error("Worker (pid:%s) was blocked; its stack follows", self.pid)
        if sys.__stderr__ is not None:
            faulthandler.dump_traceback(sys.__stderr__)
        os._exit(1)  # SystemExit would be raised in the handler that blocks, which may catch it

    def run(self) -> None:
        """Serve until a signal comes."""
        try:
            server, graceful, factory = self._prepare()
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(self._serve(server, graceful))
        except Exception as error:  # noqa: BLE001  # told with the user's part of the traceback only
            text, _ = describe_failure(error)
            self.log.critical("%s", text)
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    # -- serving --------------------------------------------------------------------------------------

    def _prepare(self) -> tuple[Server, float, Any]:
        """The server, the seconds that its graceful stop may take, and what makes its loop."""
        kind, why = classify(self.wsgi)
        config = self._configure(kind)
        self._attach_logging()
        for name in ignored_options(self.cfg):
            self.log.warning("the option %s has no effect with this worker", name)
        interface = make_interface(self.wsgi, kind, config)
        if self.max_requests < sys.maxsize:
            interface = _Counted(interface, self.max_requests, self._retire)
        sockets = [getattr(one, "sock", one) for one in self.sockets]
        access = GunicornAccessLog(self.log) if wants_access_log(self.cfg) else None
        name, factory = choose_loop(config.LOOP)
        self.log.info("Vivace serves an app of kind %s (%s) on %s", kind, why, name)
        server = Server(interface, config, sockets, access=access, tls=tls_of(self.cfg))
        return server, config.GRACEFUL_SHUTDOWN_TIMEOUT, factory

    def _configure(self, kind: str) -> Config:
        app: Any = self.wsgi
        own = app.config if kind == "native" else None
        config = own if isinstance(own, Config) else Config.load()
        config.override(settings_of(self.cfg, kind, config), "gunicorn")
        config.override(
            {"ACCESS_LOG": False, "GRACEFUL_SHUTDOWN_TIMEOUT": graceful_seconds(self.cfg, config)}, "gunicorn"
        )
        if kind == "native":  # app.stop() means the server, not this worker
            app.stopper = partial(os.kill, self.ppid, signal.SIGTERM)
        else:
            unlimit(config)
        return config

    def _attach_logging(self) -> None:
        """Let our log go where gunicorn's goes, unless the app has arranged that itself."""
        ours = logging.getLogger("vivace")
        theirs = getattr(self.log, "error_log", None)
        if theirs is None or logging.getLogger().handlers or ours.handlers:
            return
        ours.handlers = list(theirs.handlers)
        ours.propagate = False
        ours.setLevel(theirs.level)

    async def _serve(self, server: Server, graceful: float) -> None:
        beating = asyncio.create_task(self._beat())
        try:
            await serve_until_stopped(
                server,
                self._stop,
                graceful,
                ready=lambda: None,
                leave=self._close_sockets,
                last_call=False,  # the arbiter has the sockets, and other workers
            )
        finally:
            beating.cancel()

    async def _beat(self) -> None:
        """Tell the arbiter that the loop turns; leave when it is gone or somebody ended this worker."""
        pause = min(HEARTBEAT, self.timeout or HEARTBEAT)
        while True:
            self.notify()
            if self.ppid != os.getppid():
                self.log.error("the arbiter is gone: this worker stops")
                self.alive = False
            if not self.alive:
                self._stop.request()
            await asyncio.sleep(pause)

    def _retire(self) -> None:
        if self.alive:
            self.log.info("Worker (pid:%s) retires after %d requests", self.pid, self.max_requests)
            self.alive = False
            self._stop.request()

    def _close_sockets(self) -> None:
        for one in self.sockets:
            one.close()


class _Counted:
    """An interface that says when it has been called often enough (max_requests).

    Args:
        interface: Does the work.
        most: Requests.
        retire: Called with the last of them, and with those that come later.
    """

    __slots__ = ("_count", "_interface", "_most", "_retire", "after_start", "after_stop", "before_start",
                 "before_stop", "cancels")  # fmt: skip

    def __init__(self, interface: Interface, most: int, retire: Any) -> None:
        self._interface = interface
        self._most = most
        self._retire = retire
        self._count = 0
        self.cancels = interface.cancels
        self.before_start = interface.before_start
        self.after_start = interface.after_start
        self.before_stop = interface.before_stop
        self.after_stop = interface.after_stop

    def __call__(self, stream: Stream) -> Coroutine[Any, Any, None] | None:
        """Answer one request."""
        self._count += 1
        if self._count >= self._most:
            self._retire()
        return self._interface(stream)
