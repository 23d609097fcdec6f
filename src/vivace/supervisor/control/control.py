"""The control socket: a line of JSON in, a line of JSON out, served by the supervisor's one selector.

Rules of this file:

- Nothing here blocks, and nothing a client does can: lines and clients have limits, and a client is heard
  again when it has read its answer.
- Only the user who runs the server, and root, are heard: the file's mode says so, and the kernel is asked who
  is there (SO_PEERCRED) also where a socket has no file.
- On Linux the socket has no file unless CONTROL names one: nothing to create, nothing left behind. Where it
  cannot be made the server goes on without, and says so in one line.
- What commands mean is told elsewhere (`vivace.supervisor.control.commands`); they may answer later.
- Follows unix(7).
"""

import contextlib
import logging
import os
import selectors
import socket
import stat
import struct
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from vivace.errors import StartupError
from vivace.server import bind_unix
from vivace.supervisor.listening.socketfile import SocketFile
from vivace.supervisor.listening.spare import Spare

__all__ = ["CLIENTS", "LONGEST_LINE", "Control", "Reply", "control_folder", "control_name", "peer_of"]

logger = logging.getLogger("vivace")

LONGEST_LINE: Final = 65_536
"""Octets of a request at most."""
CLIENTS: Final = 16
"""Clients at most; for one more the longest silent one that waits for nothing has to go."""
_ABSTRACT: Final = sys.platform == "linux"
_CREDENTIALS: Final = struct.Struct("3i")

Reply = Callable[[dict[str, Any]], None]
"""Gives the answer to one request: ``{"ok": true, ...}`` or ``{"ok": false, "error": "why"}``."""


def control_folder() -> str:
    """Where sockets with files are made by default; made if it is not there.

    Raises:
        OSError: It cannot be made, or somebody else made it.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = os.path.join(runtime, "vivace") if runtime else _folder_in_temp()
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder} is not a folder of ours")
    return folder


def _folder_in_temp() -> str:
    return os.path.join(os.environ.get("TMPDIR") or "/tmp", f"vivace-{os.geteuid()}")  # noqa: S108


def control_name(pid: int, user: int) -> str:
    """The name of the socket of a server that has no file."""
    return f"@vivace/{user}/{pid}"


def peer_of(connection: socket.socket) -> tuple[int, int] | None:
    """Process id and user id of the other side; None if the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, user, _group = _CREDENTIALS.unpack(data)
    return pid, user


class _Client:
    """A connection: what it has sent of a line, and what it has not read yet."""

    __slots__ = ("ended", "events", "got", "last", "sock", "unsent", "waits")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.got = b""
        self.unsent = b""
        self.waits = False
        self.ended = False
        self.events = 0
        self.last = 0


class Control:
    """Hears clients.

    Args:
        place: CONTROL: ``auto``, ``off``, the path of a socket, or ``@name`` for one without a file.
        selector: Waits for clients, with everything else.
        answer: Called with the decoded request and what takes the answer, now or later.

    Attributes:
        place: Where the socket is; empty if there is none.
    """

    def __init__(
        self, place: str, selector: selectors.BaseSelector, answer: Callable[[dict[str, Any], Reply], None]
    ) -> None:
        self.place = place
        self._selector = selector
        self._answer = answer
        self._listener: socket.socket | None = None
        self._file: SocketFile | None = None
        self._spare = Spare()
        self._clients: dict[int, _Client] = {}
        self._turn = 0

    def open(self, before: int = 0) -> None:
        """Listen, or say why not, and go on.

        Args:
            before: The process id of a server that gives its place to this one; 0: nobody does.
        """
        if self.place == "off":
            self.place = ""
            return
        try:
            self._listener = self._listen(before)
        except (OSError, StartupError) as error:
            logger.info("no control socket, so `vivace ctl` does not find this server: %s", error)
            self.place = ""
            return
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def reopen(self) -> None:
        """Who took our place is gone: listen again, if that is needed."""
        if self._file is not None and self._listener is not None and not self._file.is_ours:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
            self.open()

    def _listen(self, before: int) -> socket.socket:
        if self.place == "auto":
            if _ABSTRACT:
                self.place = control_name(os.getpid(), os.geteuid())
            else:
                self.place = os.path.join(control_folder(), f"{os.getpid()}.sock")
        if not self.place.startswith("@"):
            self.place = os.path.abspath(self.place)
            if before and _owner(self.place) == before:
                os.unlink(self.place)
            listener = bind_unix(self.place, 0o600, CLIENTS)
            self._file = SocketFile(self.place)
            return listener
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind("\0" + self.place[1:])
            listener.listen(CLIENTS)
        except OSError:
            listener.close()
            raise
        return listener

    # Clients

    def _accept(self) -> None:
        assert self._listener is not None, "only what is open is registered"
        if (connection := self._spare.accept(self._listener)) is None:
            return
        peer = peer_of(connection)
        if peer is not None and peer[1] not in (0, os.geteuid()):
            connection.close()
            return
        connection.setblocking(False)
        client = _Client(connection)
        if len(self._clients) >= CLIENTS and not self._make_room():
            self._reply(client, {"ok": False, "error": f"{CLIENTS} clients wait already: try again later"})
            connection.close()
            return
        self._clients[connection.fileno()] = client
        self._touch(client)
        self._watch_on(client)

    def _touch(self, client: _Client) -> None:
        self._turn += 1
        client.last = self._turn

    def _make_room(self) -> bool:
        silent = [client for client in self._clients.values() if not client.waits]
        if silent:
            self._drop(min(silent, key=lambda client: client.last))
        return bool(silent)

    def _drop(self, client: _Client) -> None:
        if client.sock.fileno() in self._clients:
            del self._clients[client.sock.fileno()]
            self._watch(client, 0)
            client.sock.close()

    def _on_client(self, client: _Client) -> None:
        self._send(client)
        if not client.ended and len(client.got) <= LONGEST_LINE:
            self._read(client)
        self._go_on(client)

    def _read(self, client: _Client) -> None:
        try:
            data = client.sock.recv(LONGEST_LINE)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)
            return
        self._touch(client)
        client.got += data
        client.ended = not data

    def _go_on(self, client: _Client) -> None:
        """Answer one line at most: who sends many has to wait for its turn."""
        if client.sock.fileno() < 0:
            return
        line, end, rest = client.got.partition(b"\n")
        if len(line) > LONGEST_LINE:
            self._reply(client, {"ok": False, "error": f"a request has {LONGEST_LINE} octets at most"})
            self._drop(client)
            return
        if end and not (client.waits or client.unsent):  # who does not read is not heard either
            client.got = rest
            self._take(client, line)
        self._watch_on(client)

    def _watch_on(self, client: _Client) -> None:
        """Wait for what can come next, if anything can."""
        if client.sock.fileno() < 0:
            return
        more = not client.waits and not client.unsent and b"\n" in client.got
        if client.ended and not (client.waits or client.unsent or more):
            self._drop(client)
            return
        reads = not client.ended and len(client.got) <= LONGEST_LINE
        self._watch(
            client,
            (selectors.EVENT_READ if reads else 0) | (selectors.EVENT_WRITE if client.unsent or more else 0),
        )

    def _watch(self, client: _Client, events: int) -> None:
        if events == client.events:
            return
        if not events:
            self._selector.unregister(client.sock)
        elif client.events:
            self._selector.modify(client.sock, events, partial(self._on_client, client))
        else:
            self._selector.register(client.sock, events, partial(self._on_client, client))
        client.events = events

    def _take(self, client: _Client, line: bytes) -> None:
        try:
            request = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            text = f"a request is a JSON object on one line: {error}"
            self._reply(client, {"ok": False, "error": text})
            return
        client.waits = True
        reply = partial(self._reply_to_request, client)
        try:
            self._answer(request, reply)
        except Exception:  # what looks after the workers must not end by a question
            logger.exception("a request on the control socket failed")
            reply({"ok": False, "error": "the server failed at it; its log says how", "code": 1})

    def _reply_to_request(self, client: _Client, answer: dict[str, Any]) -> None:
        """The answer to what a client waits for; a second one is ignored."""
        if client.waits:
            client.waits = False
            self._reply(client, answer)
            self._watch_on(client)

    def _reply(self, client: _Client, answer: dict[str, Any]) -> None:
        client.unsent += _encode(answer) + b"\n"
        self._send(client)

    def _send(self, client: _Client) -> None:
        if client.sock.fileno() < 0 or not client.unsent:
            return
        try:
            sent = client.sock.send(client.unsent)
            client.unsent = client.unsent[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return

    # The end

    def close(self, *, remove: bool = True) -> None:
        """Close everything.

        Args:
            remove: The file of the socket too, if it is still ours; a child leaves it.
        """
        for client in list(self._clients.values()):
            client.sock.close()
        self._clients.clear()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._spare.close()
        if remove and self._file is not None:
            self._file.remove()


def _encode(answer: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(answer)
    except UnicodeEncodeError:  # a name of a file may hold what no UTF-8 can
        return msgspec.json.encode({"ok": False, "error": "the answer is no text", "code": 1})


def _owner(path: str) -> int:
    """The process that listens at a path; 0 if none does."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0.1)
        try:
            probe.connect(path)
            peer = peer_of(probe)
        except OSError:
            return 0
    return peer[0] if peer is not None else 0
