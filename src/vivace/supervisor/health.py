"""`/-/live` and `/-/ready` on an address of their own, answered by the supervisor: no worker is asked.

Rules of this file:

- Nothing here blocks: a client has one request, a small one, and a few seconds for it.
- Just enough of HTTP/1.1 for the probes of platforms and for curl: GET and HEAD, one request a connection.
- 200 is yes, 503 is no. Readiness is over as soon as a stop is asked for, before anything else happens.
- A worker counts as ready if the ready checks of its app pass, as far as it has told: nobody is asked.
- The address is for the platform, not for strangers: what is told is a number of workers, and no more.
- Follows RFC 9110, RFC 9112.
"""

import contextlib
import logging
import os
import selectors
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from vivace.config.binds import parse_bind, split_binds
from vivace.errors import StartupError
from vivace.http.status import phrase
from vivace.server import bind_tcp, bind_unix
from vivace.supervisor.fleet import Fleet
from vivace.supervisor.handle import State
from vivace.supervisor.scoreboard import Scoreboard
from vivace.supervisor.socketfile import SocketFile
from vivace.supervisor.spare import Spare

__all__ = ["CLIENTS", "LONGEST_HEAD", "PATIENCE", "Health"]

logger = logging.getLogger("vivace")

LONGEST_HEAD: Final = 8_192
"""Octets of a request at most; what comes beyond closes the connection."""
CLIENTS: Final = 64
"""Connections at a time; for one more the oldest has to go."""
PATIENCE: Final = 5.0
"""Seconds that a client has from its connection to its request."""
_AGAIN: Final = 0.1
"""Seconds between two tries to listen where another supervisor still does."""


class _Client:
    """A connection, until its answer is out."""

    __slots__ = ("got", "sock", "until")

    def __init__(self, sock: socket.socket, until: float) -> None:
        self.sock = sock
        self.until = until
        self.got = b""


class Health:
    """Answers probes.

    Args:
        place: ADMIN_BIND; empty: nobody is answered.
        mode: UNIX_MODE, where it is the path of a socket.
        selector: Waits for clients, with everything else.
        fleet: Says how the workers are.
        board: Says whether their ready checks pass.

    Attributes:
        due: See `vivace.supervisor.housekeeping.Chore`.
        address: Where it listens, as one would type it; empty: nowhere.
    """

    def __init__(
        self, place: str, mode: int, selector: selectors.BaseSelector, fleet: Fleet, board: Scoreboard
    ) -> None:
        self.due = float("inf")
        self.address = ""
        self._place = place
        self._mode = mode
        self._waits = False
        self._selector = selector
        self._fleet = fleet
        self._board = board
        self._listeners: list[socket.socket] = []
        self._files: list[SocketFile] = []
        self._spare = Spare()
        self._clients: dict[int, _Client] = {}
        self._answers: dict[str, Callable[[], bool]] = {"/-/live": self._is_live, "/-/ready": self._is_ready}

    def open(self, *, patient: bool) -> None:
        """Listen.

        Args:
            patient: Another supervisor has the address, and will give it up: try again until it does.

        Raises:
            StartupError: The address cannot be used; exit code 4.
        """
        if not self._place or self._listeners:
            return
        try:
            self._listeners = self._bind()
        except StartupError:
            if not patient:
                raise
            self._waits = True
            self.due = time.monotonic() + _AGAIN
            return
        self._waits = False
        for listener in self._listeners:
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ, partial(self._accept, listener))
        self.address = self._url()
        logger.info("health is told at %s/-/live and %s/-/ready", self.address, self.address)

    def _bind(self) -> list[socket.socket]:
        made: list[socket.socket] = []
        try:
            for bind in map(parse_bind, split_binds(self._place)):
                if bind.kind == "unix":
                    made.append(bind_unix(bind.name, self._mode, CLIENTS))
                    self._files.append(SocketFile(bind.name))
                elif bind.kind == "tcp":
                    made += bind_tcp(bind.name, bind.port, CLIENTS, "--admin-bind")
                else:
                    text = "ADMIN_BIND takes no inherited descriptors"
                    raise StartupError(text, stage="bind", exit_code=4)
        except StartupError:
            for one in made:
                one.close()
            self._remove_files()
            raise
        return made

    def _remove_files(self) -> None:
        for file in self._files:
            file.remove()
        self._files = []

    def _url(self) -> str:
        first = self._listeners[0]
        if first.family == socket.AF_UNIX:
            # Not its own name: it was bound beside its place and moved there.
            return f"unix:{os.path.abspath(parse_bind(split_binds(self._place)[0]).name)}"
        host, port = first.getsockname()[:2]
        return f"http://[{host}]:{port}" if first.family == socket.AF_INET6 else f"http://{host}:{port}"

    # What is told

    def _is_live(self) -> bool:
        return any(worker.ready is not None for worker in self._fleet.workers.values())

    def _is_ready(self) -> bool:
        return self._unfit < self._fleet.ready_count and not self._fleet.leaving

    @property
    def _unfit(self) -> int:
        """Workers that serve and of whose app a check fails."""
        ready = [worker for worker in self._fleet.workers.values() if worker.state is State.READY]
        readings = [self._board.read(worker.slot, worker.pid) for worker in ready]
        return sum(reading is not None and reading.unfit for reading in readings)

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        facts: dict[str, object] = {}
        if path not in self._answers:
            status = 404
            facts = {"paths": sorted(self._answers)}
        elif method not in ("GET", "HEAD"):
            status = 405
        else:
            well = self._answers[path]()
            status = 200 if well else 503
            facts = {path[3:]: well, "workers": self._fleet.ready_count, "wanted": self._fleet.size}
            if unfit := self._unfit:
                facts["unready"] = unfit
        body = msgspec.json.encode(facts)
        lines = [
            f"HTTP/1.1 {status} {phrase(status)}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            "cache-control: no-store",
            "connection: close",
            *(["allow: GET, HEAD"] if status == 405 else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode("ascii") + (b"" if method == "HEAD" else body)

    # Clients

    def _accept(self, listener: socket.socket) -> None:
        if (connection := self._spare.accept(listener)) is None:
            return
        connection.setblocking(False)
        if len(self._clients) >= CLIENTS:
            self._drop(next(iter(self._clients.values())))
        client = _Client(connection, time.monotonic() + PATIENCE)
        self._clients[connection.fileno()] = client
        self.due = min(self.due, client.until)
        self._selector.register(connection, selectors.EVENT_READ, partial(self._on_client, client))

    def _on_client(self, client: _Client) -> None:
        if client.sock.fileno() < 0:  # dropped a moment ago, in the same turn
            return
        try:
            data = client.sock.recv(LONGEST_HEAD)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client.got += data
        if b"\r\n\r\n" in client.got:
            with contextlib.suppress(OSError):  # it fits into the buffer of a new connection
                client.sock.send(self._answer(client.got))
                client.sock.shutdown(socket.SHUT_WR)
            self._drop(client)
        elif not data or len(client.got) > LONGEST_HEAD:
            self._drop(client)

    def _drop(self, client: _Client) -> None:
        if self._clients.pop(client.sock.fileno(), None) is not None:
            self._selector.unregister(client.sock)
            client.sock.close()

    def look(self, now: float) -> None:
        """Drop who says nothing; try again to listen."""
        for client in [client for client in self._clients.values() if client.until <= now]:
            self._drop(client)
        self.due = min((client.until for client in self._clients.values()), default=float("inf"))
        if self._waits:
            self.open(patient=True)

    def stop(self) -> None:
        """Nobody is answered any more: another supervisor takes over; `open` takes back."""
        for one in [*self._listeners, *(client.sock for client in self._clients.values())]:
            self._selector.unregister(one)
        place = self._place
        self.close()
        self._place = place

    def close(self, *, remove: bool = True) -> None:
        """Close everything, at the end or in a child: what the selector waits for stays the parent's.

        Args:
            remove: The files of sockets too; a child leaves them.
        """
        if remove:
            self._remove_files()
        for one in [*self._listeners, *(client.sock for client in self._clients.values())]:
            one.close()
        self._spare.close()
        self._clients.clear()
        self._listeners = []
        self._place = self.address = ""
        self._waits = False
        self.due = float("inf")
