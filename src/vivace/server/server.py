"""A worker's server: one interface behind any number of listening sockets, from start to graceful stop.

Rules of this file:

- The order of a start: the interface is ready, then connections are accepted, then it is told so.
- The order of a stop is that of `vivace.server.stopping`.
"""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable, Sequence

from vivace.config import Config
from vivace.config.redact import names_in
from vivace.server.access import AccessLog
from vivace.server.interface import Interface
from vivace.server.listeners import Acceptor
from vivace.server.logs.handler import current
from vivace.server.logs.shipper import count_dropped
from vivace.server.logs.whose import serving
from vivace.server.redirect import Redirect
from vivace.server.settings import ServerSettings
from vivace.server.state import ServerState, Tally
from vivace.server.stopping import Stopping
from vivace.server.stream import Stream
from vivace.server.tls import Tls

__all__ = ["Server"]


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

    Attributes:
        leaving: It is to stop, or stops: whoever sends it clients should look for another.
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
        self._log_file: str = config.ACCESS_LOG_FILE
        self._log_ids: bool = config.ACCESS_LOG_ID
        self._log_secrets = names_in(config.LOG_REDACT)
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
        self._hastened = asyncio.Event()
        self.leaving = False

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._state.connections) if self._state is not None else 0

    @property
    def active(self) -> int:
        """Requests whose response is not complete."""
        return self._state.active if self._state is not None else 0

    @property
    def errors(self) -> int:
        """Responses with a status of 500 or more."""
        return self._state.errors if self._state is not None else 0

    @property
    def background(self) -> int:
        """Handlers that are at work after their response was complete."""
        return len(self._state.background) if self._state is not None else 0

    @property
    def lost_lines(self) -> int:
        """Lines of the log and of the access log that nobody took."""
        return count_dropped() + (self._access.dropped if self._access is not None else 0)

    def streams(self) -> list[Stream]:
        """The requests in progress; from any thread."""
        if self._state is None:
            return []
        found = [connection.stream for connection in list(self._state.connections)]
        return [stream for stream in found if stream is not None]

    def watch(self, note: Callable[[str, bytes], object]) -> None:
        """Call `note` with method and path of each request that begins, unless they are as before.

        From now on `tally` counts how requests end.
        """
        if self._state is not None:
            self._state.note = note
            self._state.keep_tally()

    @property
    def tally(self) -> Tally | None:
        """How requests ended since `watch`, and how long they took; None before."""
        return self._state.tally if self._state is not None else None

    async def start(self) -> None:
        """Make the interface ready, then accept.

        Raises:
            StartupError: The app could not start.
        """
        await self._interface.before_start()
        if self._access is None and self._log_format is not None:
            own = getattr(self._interface, "access_log", _no_log)()
            self._access = own if own is not None else self._make_log(self._log_format)
        state = ServerState(self._interface, self._settings, asyncio.get_running_loop(), self._access)
        self._state = state
        state.start_clock()
        serving.add(self)
        self._acceptors = [Acceptor(listener, state, self._tls) for listener in self._sockets]
        for acceptor in self._acceptors:
            acceptor.start()
        self._watch_certificates(asyncio.get_running_loop())
        if self._plain is not None:
            await self._plain.start()
        await self._interface.after_start()

    def _make_log(self, log_format: str) -> AccessLog:
        """The access log: to its file, else where LOG_TO says, else to standard output."""
        path, places = self._log_file, current()
        if places is not None and not path:
            return AccessLog(
                json=places.json, into=places.write, ids=self._log_ids, secrets=self._log_secrets
            )
        json = bool(path) or _wants_json(log_format)
        return AccessLog(json=json, path=path, ids=self._log_ids, secrets=self._log_secrets)

    @property
    def state(self) -> ServerState | None:
        """What its connections share, once it has started."""
        return self._state

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

    async def leave_after(self, seconds: float) -> None:
        """Go on for a while, not ready any more; not when the stop is forced."""
        self.leaving = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._forced.wait(), seconds)

    async def stop(
        self,
        window: float = 0.0,
        *,
        replaced: bool = False,
        linger: float = 0.0,
        last_call: bool = False,
        leave: Callable[[], object] | None = None,
    ) -> None:
        """Stop gracefully within GRACEFUL_SHUTDOWN_TIMEOUT, then by force.

        Args:
            window: Seconds after its last request when an idle connection is closed; what comes on it until
                then is answered. 0.0: at once.
            replaced: Another server has taken the place of this one on the same sockets: the graceful time
                begins after the window, and what is queued is left to the other.
            linger: Seconds for which WebSockets may leave by themselves before the graceful time, if it was
                replaced; `hasten_stop` cuts it short.
            last_call: The sockets end with this server: those who are just connecting are let in.
            leave: Closes this process's part of the sockets; called as soon as nothing is accepted any more.
        """
        self.leaving = True
        steps = self._stoppings(window, linger, replaced=replaced, last_call=last_call)
        await asyncio.gather(*(step.refuse() for step in steps))
        if leave is not None:
            leave()
        await asyncio.gather(*(step.finish() for step in steps))
        await self._release()

    def _stoppings(self, window: float, linger: float, *, replaced: bool, last_call: bool) -> list[Stopping]:
        """The stop of this server and of the one that redirects to it; none if it did not start."""
        if self._state is None:
            return []
        window = min(window, self._settings.graceful_timeout) if not replaced else window
        own = Stopping(
            self._state,
            self._interface,
            self._acceptors,
            self._forced,
            self._hastened,
            window,
            linger,
            replaced=replaced,
            last_call=last_call,
        )
        if self._plain is None:
            return [own]
        return [own, *self._plain._stoppings(window, 0.0, replaced=replaced, last_call=last_call)]

    async def _release(self) -> None:
        if self._plain is not None:
            await self._plain._release()
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None
        if self._state is not None:
            self._state.stop_clock()
            self._state = None
        if self._access is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._access.close)

    def reopen_log(self) -> None:
        """Open the file of the access log anew; nothing happens where there is none."""
        if self._access is not None:
            self._access.reopen()

    def hasten_stop(self) -> None:
        """Let a running `stop` wait no longer for those who may leave by themselves."""
        self._hastened.set()

    def force_stop(self) -> None:
        """Let a running `stop` wait no longer for requests in progress."""
        self._forced.set()
        if self._plain is not None:
            self._plain.force_stop()


def _no_log() -> None:
    return None


def _wants_json(log_format: str) -> bool:
    return log_format == "json" or (log_format == "auto" and not sys.stdout.isatty())
