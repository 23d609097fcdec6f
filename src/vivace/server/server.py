"""A worker's server: one interface behind any number of listening sockets, from start to graceful stop.

Rules of this file:

- The order of a start: the interface is ready, then connections are accepted, then it is told so.
- The order of a stop: what is queued is accepted and then no more, the interface is told, idle connections
  are closed, requests in progress get the rest of GRACEFUL_SHUTDOWN_TIMEOUT, what is left is cancelled,
  the interface releases. The whole is bounded; nothing waits for a second signal.
"""

import asyncio
import logging
import socket
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from vivace.config import Config
from vivace.server.access import AccessLog
from vivace.server.interface import Interface
from vivace.server.listeners import Acceptor
from vivace.server.redirect import Redirect
from vivace.server.settings import ServerSettings
from vivace.server.state import ServerState
from vivace.server.tls import Tls

__all__ = ["Server"]

logger = logging.getLogger("vivace.server")

FORCED_STOP = 2.0
"""Seconds for cancelled handlers and for the interface's release after the graceful time is over."""


class Server:
    """Serves an interface on listening sockets within a running event loop.

    Args:
        interface: What answers.
        config: Read once, here.
        sockets: Listening and non-blocking (see `bind_tcp`, `bind_unix`); they stay the caller's.
        access: Where requests are logged; default, if ACCESS_LOG is on: what the interface's ``access_log()``
            gives, if it has one, else standard output.
        tls: What encrypts the connections; None: nothing does.
        plain: More sockets, on which clients are sent to HTTPS; only with `tls`.
    """

    def __init__(
        self,
        interface: Interface,
        config: Config,
        sockets: Sequence[socket.socket],
        *,
        access: AccessLog | None = None,
        tls: Tls | None = None,
        plain: Sequence[socket.socket] = (),
    ) -> None:
        self._interface = interface
        self._settings = ServerSettings.from_config(config)
        self._sockets = tuple(sockets)
        self._access = access
        self._log_format: str | None = config.LOG_FORMAT if config.ACCESS_LOG else None
        self._tls = tls
        self._tls_reload = config.TLS_RELOAD
        self._renewal: asyncio.TimerHandle | None = None
        self._plain: Server | None = None
        if tls is not None and plain:
            port = self._sockets[0].getsockname()[1]
            self._plain = Server(Redirect(tls, config.SERVER_NAME, port), config, plain)
        self._state: ServerState | None = None
        self._acceptors: list[Acceptor] = []
        self._forced = asyncio.Event()

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._state.connections) if self._state is not None else 0

    @property
    def active(self) -> int:
        """Requests whose response is not complete."""
        return self._state.active if self._state is not None else 0

    async def start(self) -> None:
        """Make the interface ready, then accept.

        Raises:
            StartupError: The app could not start.
        """
        await self._interface.before_start()
        if self._access is None and self._log_format is not None:
            own = getattr(self._interface, "access_log", _no_log)()
            self._access = own if own is not None else AccessLog(json=_wants_json(self._log_format))
        state = ServerState(self._interface, self._settings, asyncio.get_running_loop(), self._access)
        self._state = state
        state.start_clock()
        self._acceptors = [Acceptor(listener, state, self._tls) for listener in self._sockets]
        for acceptor in self._acceptors:
            acceptor.start()
        self._watch_certificates(asyncio.get_running_loop())
        if self._plain is not None:
            await self._plain.start()
        await self._interface.after_start()

    @property
    def served(self) -> int:
        """Requests that arrived."""
        return self._state.served if self._state is not None else 0

    def _watch_certificates(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look for renewed certificates every TLS_RELOAD seconds, from now on."""
        if self._tls is None or not self._tls_reload:
            return
        if self._renewal is not None:
            self._tls.refresh()
        self._renewal = loop.call_later(self._tls_reload, self._watch_certificates, loop)

    async def stop(self, patience: float = 0.0) -> None:
        """Stop gracefully within GRACEFUL_SHUTDOWN_TIMEOUT, then by force.

        Args:
            patience: Seconds for which connections without a request stay open, and what comes on them is
                answered: for a server whose place another has taken. New connections are not accepted.
        """
        state = self._state
        if state is None:
            return
        established = list(state.connections)
        state.draining = True
        state.closing = not patience
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None
        for acceptor in self._acceptors:
            acceptor.stop()
        if patience:
            for connection in established:
                connection.announce_close()
            await self._wait_drained(state, asyncio.get_running_loop().time() + patience, cut=False)
            state.closing = True
            established = list(state.connections)
        deadline = asyncio.get_running_loop().time() + self._settings.graceful_timeout
        if self._plain is not None:
            await self._plain.stop()
        await self._bounded(self._interface.before_stop(), deadline)
        for connection in established:
            connection.drain()
        await self._wait_drained(state, deadline)
        await self._cut_off(state)
        await self._bounded(self._interface.after_stop(), deadline + FORCED_STOP)
        state.stop_clock()
        if self._access is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._access.close)
        self._state = None

    def force_stop(self) -> None:
        """Let a running `stop` wait no longer for requests in progress."""
        self._forced.set()

    async def _wait_drained(self, state: ServerState, deadline: float, *, cut: bool = True) -> None:
        loop = asyncio.get_running_loop()
        while (state.connections or state.background) and not self._forced.is_set():
            left = deadline - loop.time()
            if left <= 0:
                if cut:
                    logger.warning("requests cut by the end of the graceful stop: %d", state.active)
                return
            try:
                await asyncio.wait_for(self._forced.wait(), min(left, 0.02))
            except TimeoutError:
                continue

    async def _cut_off(self, state: ServerState) -> None:
        tasks = [t for t in asyncio.all_tasks() if t.get_name() == "vivace-request"]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=FORCED_STOP)
        for connection in list(state.connections):
            stream = connection.stream
            if stream is not None and not stream.response_started:  # a WSGI app's: it has no task
                connection.answer_for(stream, 503, "the server is stopping")
                connection.lose(stream)
                connection.close()
            else:
                connection.abort()

    async def _bounded(self, step: Coroutine[Any, Any, None], deadline: float) -> None:
        """Run a step of the interface; what it raises is logged, what it takes is bounded."""
        loop = asyncio.get_running_loop()
        try:
            await asyncio.wait_for(step, max(deadline - loop.time(), 0.1))
        except TimeoutError:
            logger.warning("a stop listener did not end in time and was cancelled")
        except Exception:
            logger.exception("a stop listener failed")


def _no_log() -> None:
    return None


def _wants_json(log_format: str) -> bool:
    return log_format == "json" or (log_format == "auto" and not sys.stdout.isatty())
