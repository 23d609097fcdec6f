"""Accepting from listening sockets without ever spinning; `server.bind` makes them.

Rules of this file:

- A listening socket is shared by descriptor; nobody who leaves closes it for the others.
- A bounded number of connections a turn, so that open requests go on, and one only where workers share
  the socket, so that a burst is spread over them; they take turns then (`vivace.server.turns`).
- At the limit on connections one without a request makes room; if all have one, the new one gets a 503.
  Out of descriptors: connections without a request make room; if there are none, accepting pauses
  for `ACCEPT_PAUSE` seconds. It is said once a minute.
- Follows accept(2).
"""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Sequence
from typing import Any

from vivace.protocols.proxy import ProxyHeader
from vivace.server.connection import Connection
from vivace.server.preface import Preface
from vivace.server.state import ServerState
from vivace.server.tls import Tls
from vivace.server.tls_transport import TlsTransport
from vivace.server.turns import Turns

__all__ = ["ACCEPT_PAUSE", "Acceptor"]

logger = logging.getLogger("vivace.server")

MAX_LAST_TURNS = 4_096
"""Turns in which a stopping server empties the queue of a socket."""
ACCEPT_PAUSE = 0.1
"""Seconds without accepting when neither descriptors nor idle connections are left."""
SHED_AT_ONCE = 8
"""Idle connections closed at once to make room."""
COMPLAIN_EVERY = 60.0
"""Seconds between two log lines about exhaustion."""

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)
_MAPPED = "::ffff:"
_Address = tuple[str, int] | None
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Acceptor:
    """Accepts connections from one listening socket for one worker.

    Args:
        listener: Non-blocking and listening; stays the caller's.
        state: Shared by the worker's connections.
        tls: What encrypts them; None: nothing does.
    """

    def __init__(self, listener: socket.socket, state: ServerState, tls: Tls | None = None) -> None:
        self._listener = listener
        self._state = state
        self._tls = tls
        self._tcp = listener.family in (socket.AF_INET, socket.AF_INET6)
        self._server = _address(listener.getsockname()) if self._tcp else None
        proxied = getattr(listener, "proxied", None)
        self._proxied: bool = state.settings.proxy_protocol if proxied is None else proxied
        self._opening: set[asyncio.Task[None]] = set()
        self._resume: asyncio.TimerHandle | None = None
        self._complained = state.now - COMPLAIN_EVERY
        self._running = False
        self._turns: Turns | None = None

    def start(self) -> None:
        """Begin to accept."""
        self._running = True
        self._state.loop.add_reader(self._listener, self._accept)
        if self._state.settings.accepts_per_turn == 1:
            self._turns = Turns(self._state.loop, self._listener, self._accept)

    def stop(self, *, empty: bool = True) -> None:
        """Accept what is queued, unless that is left to others (`empty`), and then no more.

        The socket stays open.
        """
        turns = 0
        while empty and self._running and self._resume is None and turns < MAX_LAST_TURNS and self._accept():
            turns += 1
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        elif self._running:
            self._pause()
        self._running = False

    def _pause(self) -> None:
        if self._turns is not None:
            self._turns.close()
            self._turns = None
        self._state.loop.remove_reader(self._listener)

    def _accept(self) -> bool:
        """Accept what waits, up to a turn's worth; whether more may be waiting."""
        for _ in range(self._state.settings.accepts_per_turn):
            try:
                accepted, address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return False
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno == errno.EINVAL:  # the supervisor that stops has shut it
                    self._pause()
                    self._running = False
                    return False
                if error.errno not in _EXHAUSTED:
                    raise
                self._make_room(f"no more connections can be opened: {error.strerror}")
                return False
            if self._turns is not None:
                self._turns.pass_on()
            if self._full() and not self._state.shed(1):
                self._turn_away(accepted)
            else:
                self._open(accepted, address)
        return True

    def _full(self) -> bool:
        return len(self._state.connections) >= self._state.settings.max_connections

    def _turn_away(self, accepted: socket.socket) -> None:
        """Refuse a connection that no other can make room for."""
        with accepted:
            accepted.setblocking(False)
            if self._tls is None:
                with contextlib.suppress(OSError):
                    accepted.send(_FULL)
        self._complain("the limit on connections is reached and all are busy: one was refused")

    def _open(self, accepted: socket.socket, address: object) -> None:
        accepted.setblocking(False)
        if self._tcp:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = _address(address) if self._tcp else None
        if self._proxied:
            self._await_header(accepted, client)
        else:
            self._serve(accepted, client, self._server, "https" if self._tls else "http")

    def _await_header(self, accepted: socket.socket, peer: _Address) -> None:
        """Let the proxy say who its client is."""
        host = peer[0] if peer else None
        if host not in self._state.settings.proxies:
            accepted.close()
            self._complain(f"{host or 'a Unix socket'} was turned away: not in PROXY_PROTOCOL_FROM")
            return

        def serve(accepted: socket.socket, header: ProxyHeader) -> None:
            client, server = (header.client, header.server) if header.known else (peer, self._server)
            self._serve(accepted, client, server, "https" if self._tls or header.tls else "http")

        def complain(why: str) -> None:
            self._complain(f"a connection of {host or 'a Unix socket'} was closed: {why}")

        Preface(self._state, accepted, serve, complain).start()

    def _serve(self, accepted: socket.socket, client: _Address, server: _Address, scheme: str) -> None:
        connection = Connection(self._state, client, server, scheme)
        self._state.connections.add(connection)
        protocol = TlsTransport(connection, self._tls.context) if self._tls else connection
        task = self._state.loop.create_task(self._attach(accepted, connection, protocol))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _attach(self, accepted: socket.socket, connection: Connection, protocol: Any) -> None:
        try:
            await self._state.loop.connect_accepted_socket(lambda: protocol, accepted)
        except OSError as error:
            accepted.close()
            self._state.connections.discard(connection)
            logger.debug("a connection was gone before it was served: %s", error)

    def _make_room(self, reason: str) -> None:
        """Close idle connections, or pause; the listener wakes us again."""
        state = self._state
        shed = state.shed(SHED_AT_ONCE)
        if not shed:
            self._pause()
            self._resume = state.loop.call_later(ACCEPT_PAUSE, self._go_on)
        what = f"closed {shed} without a request" if shed else "accepting pauses"
        self._complain(f"{reason}: {what}")

    def _complain(self, message: str) -> None:
        if self._state.now - self._complained >= COMPLAIN_EVERY:
            self._complained = self._state.now
            logger.warning("%s (%d open)", message, len(self._state.connections))

    def _go_on(self) -> None:
        self._resume = None
        self.start()


def _address(address: object) -> _Address:
    if isinstance(address, Sequence) and len(address) >= 2 and isinstance(address[0], str):
        # A socket for both families, as systemd makes them, has IPv4 peers within IPv6.
        return address[0].removeprefix(_MAPPED) if "." in address[0] else address[0], int(address[1])
    return None
