"""An address at which a supervisor answers one question a connection: for probes, scrapers and the like.

Rules of this file:

- Nothing here blocks: a client has a few seconds in all, and is dropped with what it did not take.
- Clients have a limit; for one more the oldest has to go.
- Where another supervisor still has the address, it is tried again until that one gives it up.
- Follows accept(2), unix(7).
"""

import logging
import os
import selectors
import socket
import time
from abc import ABC, abstractmethod
from functools import partial
from typing import Any, Final

from vivace.config.binds import parse_bind, split_binds
from vivace.errors import StartupError
from vivace.server import bind_tcp, bind_unix
from vivace.supervisor.listening.socketfile import SocketFile
from vivace.supervisor.listening.spare import Spare

__all__ = ["CLIENTS", "LONGEST_HEAD", "PATIENCE", "Client", "Listening"]

logger = logging.getLogger("vivace")

LONGEST_HEAD: Final = 8_192
"""Octets of a request at most; what comes beyond closes the connection."""
CLIENTS: Final = 64
"""Connections at a time; for one more the oldest has to go."""
PATIENCE: Final = 5.0
"""Seconds that a client has from its connection to the end of the answer."""
_AGAIN: Final = 0.1
"""Seconds between two tries to listen where another supervisor still does."""


class Client:
    """A connection, until its answer is out."""

    __slots__ = ("answered", "got", "sock", "unsent", "until")

    def __init__(self, sock: Any, until: float) -> None:
        self.sock = sock
        self.until = until
        self.got = b""
        self.unsent = b""
        self.answered = False


class Listening(ABC):
    """An address of a supervisor.

    Args:
        place: Where; empty: nobody is answered.
        mode: UNIX_MODE, where it is the path of a socket.
        selector: Waits for clients, with everything else.
        setting: The name of the setting that says where.

    Attributes:
        due: See `vivace.supervisor.chores.housekeeping.Chore`.
        address: Where it listens, as one would type it; empty: nowhere.
        scheme: ``http`` or ``https``.
    """

    def __init__(self, place: str, mode: int, selector: selectors.BaseSelector, setting: str) -> None:
        self.due = float("inf")
        self.address = ""
        self.scheme = "http"
        self._place = place
        self._mode = mode
        self._waits = False
        self._selector = selector
        self._setting = setting
        self._listeners: list[socket.socket] = []
        self._files: list[SocketFile] = []
        self._spare = Spare()
        self._clients: dict[int, Client] = {}

    @abstractmethod
    def answer(self, client: Client) -> bytes | None:
        """The answer to what a client has sent so far; None: more has to come.

        A client is asked about as soon as it is there, when nothing has come yet.
        """

    def opened(self) -> None:
        """It listens."""
        return

    def secure(self, connection: socket.socket) -> Any:
        """The connection of a client as it is spoken on, if something goes around it.

        Raises:
            OSError: The client is gone.
        """
        return connection

    def check(self, listener: socket.socket) -> None:
        """Refuse an address that must not be used.

        Raises:
            StartupError: It must not.
        """
        return

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
        self.opened()

    def _bind(self) -> list[socket.socket]:
        made: list[socket.socket] = []
        try:
            for bind in map(parse_bind, split_binds(self._place)):
                if bind.kind == "unix":
                    made.append(bind_unix(bind.name, self._mode, CLIENTS))
                    self._files.append(SocketFile(bind.name))
                elif bind.kind == "tcp":
                    option = "--" + self._setting.lower().replace("_", "-")
                    made += bind_tcp(bind.name, bind.port, CLIENTS, option)
                else:
                    text = f"{self._setting} takes no inherited descriptors"
                    raise StartupError(text, stage="bind", exit_code=4)
            for one in made:
                self.check(one)
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
        shown = f"[{host}]" if first.family == socket.AF_INET6 else host
        return f"{self.scheme}://{shown}:{port}"

    # Clients

    def _accept(self, listener: socket.socket) -> None:
        if (connection := self._spare.accept(listener)) is None:
            return
        connection.setblocking(False)
        try:
            connection = self.secure(connection)
        except OSError:
            connection.close()
            return
        if len(self._clients) >= CLIENTS:
            self._drop(next(iter(self._clients.values())))
        client = Client(connection, time.monotonic() + PATIENCE)
        self._clients[connection.fileno()] = client
        self.due = min(self.due, client.until)
        self._selector.register(connection, selectors.EVENT_READ, partial(self._on_client, client))
        self._ask(client)

    def _on_client(self, client: Client) -> None:
        if client.sock.fileno() < 0:  # dropped a moment ago, in the same turn
            return
        if client.answered:
            self._send(client)
            return
        try:
            data = client.sock.recv(LONGEST_HEAD)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client.got += data
        if not self._ask(client) and (not data or len(client.got) > LONGEST_HEAD):
            self._drop(client)

    def _ask(self, client: Client) -> bool:
        """Whether there is nothing more to hear from the client."""
        try:
            answer = self.answer(client)
        except Exception:  # what looks after the workers must not end by a question
            logger.exception("a question at %s failed", self._setting)
            self._drop(client)
            return True
        if answer is None:
            return False
        client.answered = True
        client.unsent = answer
        self._send(client)
        return True

    def _send(self, client: Client) -> None:
        try:
            client.unsent = client.unsent[client.sock.send(client.unsent) :]
            if not client.unsent:
                client.sock.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:
            client.unsent = b""
        if not client.unsent:
            self._drop(client)
            return
        self._selector.modify(client.sock, selectors.EVENT_WRITE, partial(self._on_client, client))

    def _drop(self, client: Client) -> None:
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
