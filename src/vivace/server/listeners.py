"""Listening sockets: making them, and accepting from them without ever spinning.

Rules of this file:

- A socket is bound before any worker exists and is shared by descriptor; nobody who leaves closes it
  for the others, and no SO_REUSEPORT socket per worker is made (those lose queued connections).
- A bounded number of connections a turn, so that open requests go on, and one only where workers share
  the socket, so that a burst is spread over them.
- At the limit on connections one without a request makes room; if all have one, the new one gets a 503.
  Out of descriptors: connections without a request make room; if there are none, accepting pauses
  for `ACCEPT_PAUSE` seconds. It is said once a minute.
- Follows accept(2), unix(7).
"""

import asyncio
import contextlib
import errno
import logging
import os
import socket
import stat
from collections.abc import Sequence

from vivace.errors import StartupError
from vivace.server.connection import Connection
from vivace.server.state import ServerState

__all__ = ["ACCEPT_PAUSE", "Acceptor", "bind_tcp", "bind_unix"]

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
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def bind_tcp(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Listen on every address that `host` stands for; port 0 takes a free one, the same for all.

    Raises:
        StartupError: In use, not permitted or not an address; the message names it. Exit code 4.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise StartupError(f"cannot resolve the host {host!r}: {error}", stage="bind", exit_code=4) from error
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            chosen = sockets[0].getsockname()[1] if sockets else port
            sockets.append(_listen_tcp(family, kind, protocol, (address[0], chosen, *address[2:]), backlog))
    except OSError as error:
        for made in sockets:
            made.close()
        raise StartupError(_why_not(host, port, error), stage="bind", exit_code=4) from error
    return sockets


def _listen_tcp(
    family: int, kind: int, protocol: int, address: tuple[object, ...], backlog: int
) -> socket.socket:
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(backlog)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _why_not(host: str, port: int, error: OSError) -> str:
    where = f"{host or '*'}:{port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"cannot listen on {where}: the port is in use. Stop what uses it, or choose another with --port."
        )
    if error.errno == errno.EACCES:
        return (
            f"cannot listen on {where}: ports below 1024 need the right to bind them"
            " (CAP_NET_BIND_SERVICE). Choose a higher port with --port."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"cannot listen on {where}: this machine has no such address. Choose another with --host."
    return f"cannot listen on {where}: {error.strerror or error}"


def bind_unix(path: str, mode: int, backlog: int) -> socket.socket:
    """Listen on a Unix socket; a stale one is replaced, a live one refused.

    The file has its mode before the first client can connect.

    Raises:
        StartupError: Somebody answers there, it is not a socket, or it cannot be made. Exit code 4.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        before = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(before)
        os.chmod(path, mode)
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        message = f"cannot listen on the Unix socket {path}: {error.strerror or error}"
        raise StartupError(message, stage="bind", exit_code=4) from error
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise StartupError(f"{path} exists and is not a socket", stage="bind", exit_code=4)
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as error:
            raise StartupError(f"cannot tell who owns {path}: {error}", stage="bind", exit_code=4) from error
    raise StartupError(f"another server answers on {path}", stage="bind", exit_code=4)


class Acceptor:
    """Accepts connections from one listening socket for one worker.

    Args:
        listener: Non-blocking and listening; stays the caller's.
        state: Shared by the worker's connections.
    """

    def __init__(self, listener: socket.socket, state: ServerState) -> None:
        self._listener = listener
        self._state = state
        self._tcp = listener.family in (socket.AF_INET, socket.AF_INET6)
        self._server = _address(listener.getsockname()) if self._tcp else None
        self._opening: set[asyncio.Task[None]] = set()
        self._resume: asyncio.TimerHandle | None = None
        self._complained = state.now - COMPLAIN_EVERY
        self._running = False

    def start(self) -> None:
        """Begin to accept."""
        self._running = True
        self._state.loop.add_reader(self._listener, self._accept)

    def stop(self) -> None:
        """Accept what is queued and then no more; the socket stays open."""
        turns = 0
        while self._running and self._resume is None and turns < MAX_LAST_TURNS and self._accept():
            turns += 1
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        elif self._running:
            self._state.loop.remove_reader(self._listener)
        self._running = False

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
                if error.errno not in _EXHAUSTED:
                    raise
                self._make_room(f"no more connections can be opened: {error.strerror}")
                return False
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
            with contextlib.suppress(OSError):
                accepted.send(_FULL)
        self._complain("the limit on connections is reached and all are busy: one was refused")

    def _open(self, accepted: socket.socket, address: object) -> None:
        accepted.setblocking(False)
        if self._tcp:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = _address(address) if self._tcp else None
        connection = Connection(self._state, client, self._server)
        self._state.connections.add(connection)
        task = self._state.loop.create_task(self._attach(accepted, connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _attach(self, accepted: socket.socket, connection: Connection) -> None:
        try:
            await self._state.loop.connect_accepted_socket(lambda: connection, accepted)  # type: ignore[type-var]
        except OSError as error:
            accepted.close()
            self._state.connections.discard(connection)
            logger.debug("a connection was gone before it was served: %s", error)

    def _make_room(self, reason: str) -> None:
        """Close idle connections, or pause; the listener wakes us again."""
        state = self._state
        shed = state.shed(SHED_AT_ONCE)
        if not shed:
            state.loop.remove_reader(self._listener)
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


def _address(address: object) -> tuple[str, int] | None:
    if isinstance(address, Sequence) and len(address) >= 2 and isinstance(address[0], str):
        return address[0], int(address[1])
    return None
