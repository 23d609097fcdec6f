"""What the processes of a server tell each other, as JSON lines on a socket pair.

Rules of this file:

- Up, to the supervisor: `Report`, `Wish` of a worker; `Report`, `Made`, `Declared` of a template; `Report` of
  a companion. Down: `Order`.
- A worker runs foreign code: what is no message is dropped, what is too long as well.
- An order may carry one descriptor; they arrive in the order of the lines they belong to.
"""

import array
import os
import socket
import threading
from typing import Annotated, Any, Final

import msgspec

from vivace.config.workers import MOST_WORKERS
from vivace.supervisor.ipc.spec import CompanionSpec
from vivace.supervisor.system.usage import Watched

__all__ = ["Channel", "Declared", "Made", "Message", "Order", "Report", "Told", "Wish", "failed"]

_LONGEST: Final = 1 << 20
_CHUNK: Final = 65536
_DESCRIPTORS: Final = 16


class Report(msgspec.Struct, tag=True, frozen=True):
    """A worker serves, or a template is loaded; or one of them could not be started.

    Attributes:
        ready: It is; else it failed.
        text: What is served, or what went wrong.
        build: Which Python and which build runs.
        loop: The event loop.
        threads: THREADS of the app's configuration.
        graceful: GRACEFUL_SHUTDOWN_TIMEOUT of the app's configuration, in seconds.
        warnings: What the configuration has to say; each worker says the same.
        mounts: What is mounted, and where.
        idle: KEEP_ALIVE_TIMEOUT of the app's configuration, in seconds.
        sockets: WEBSOCKET_RECYCLE_TIMEOUT of the app's configuration, in seconds.
        budgets: What each worker gets of the limits that they share, in words.
        watched: The same, to be watched.
        name: Of the app.
        code: The exit code that goes with a failure.
        unsafe: Why no worker may be forked from this template; empty if it may.
        files: The source files that were imported.
        loop_timeout: LOOP_TIMEOUT as it holds for this app, in seconds; 0 for none.
        companions: What the app wants to have run beside the workers.
    """

    ready: bool
    text: str
    build: str = ""
    loop: str = ""
    threads: int = 0
    graceful: float = 0.0
    warnings: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    idle: float = 0.0
    sockets: float = 0.0
    budgets: tuple[str, ...] = ()
    watched: tuple[Watched, ...] = ()
    name: str = ""
    code: int = 0
    unsafe: str = ""
    files: tuple[str, ...] = ()
    loop_timeout: float = 0.0
    companions: tuple[CompanionSpec, ...] = ()


def failed(text: str, code: int) -> Report:
    """The report of what could not be started; its text may hold what no UTF-8 can."""
    return Report(False, text.encode("utf-8", "replace").decode("utf-8"), code=code)


class Wish(msgspec.Struct, tag=True, frozen=True):
    """What a worker asks for.

    Attributes:
        what: ``restart`` the server, ``scale`` it, or ``recycle`` this worker.
        reason: Why, for the log.
        settings: By name, for a restart.
        workers: How many, for ``scale``.
    """

    what: str
    reason: str = ""
    settings: dict[str, Any] = {}
    workers: Annotated[int, msgspec.Meta(ge=1, le=MOST_WORKERS)] = 1


class Made(msgspec.Struct, tag=True, frozen=True):
    """A template has forked a worker or a companion, or could not.

    Attributes:
        slot: Its place, or the number of a companion.
        pid: Its process id; 0 if there is none.
        why: What the system said.
        role: Of a companion; empty: it is a worker.
    """

    slot: int
    pid: int
    why: str = ""
    role: str = ""


class Declared(msgspec.Struct, tag=True, frozen=True):
    """What the app of a template has declared since it was loaded.

    Attributes:
        companions: All that there are now.
    """

    companions: tuple[CompanionSpec, ...]


class Told(msgspec.Struct, tag=True, frozen=True):
    """What a worker answers to an order.

    Attributes:
        what: The order: ``dump`` or ``requests``.
        text: The answer.
    """

    what: str
    text: str


class Order(msgspec.Struct, tag=True, frozen=True):
    """What the supervisor tells.

    Attributes:
        what: To a worker: ``retire``, ``recycle`` (retire with patience), ``force`` (the stop), ``look`` (at
            what its loop does), ``dump`` (what it does), ``requests`` (in progress), ``log-level``. To a
            template: ``fork`` (with the worker's channel), ``ready`` (all workers serve), ``changed`` (files
            were), ``reopen`` (logs), ``end``.
        slot: For ``fork``.
        names: For ``changed``; the level, for ``log-level``.
        role: For ``fork``, of a companion; empty: a worker is meant.
    """

    what: str
    slot: int = 0
    names: tuple[str, ...] = ()
    role: str = ""


Message = Report | Wish | Made | Declared | Told | Order


class Channel:
    """One end of a socket pair.

    Args:
        sock: Connected; it becomes this object's.

    Attributes:
        takes: Descriptors may be handed over; else the system closes them.
    """

    __slots__ = ("_descriptors", "_rest", "_speaking", "sock", "takes")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._rest = b""
        self._speaking = threading.Lock()  # a worker has two threads that speak
        self._descriptors: list[int] = []
        self.takes = False

    @classmethod
    def pair(cls) -> "tuple[Channel, Channel]":
        """Both ends."""
        one, other = socket.socketpair()
        return cls(one), cls(other)

    def fileno(self) -> int:
        """For selectors."""
        return self.sock.fileno()

    def close(self) -> None:
        """Close this end, and what was handed over and not taken."""
        self.sock.close()
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()

    def send(self, message: Message, descriptor: int = -1) -> bool:
        """Tell the other end; False if it is gone."""
        data = msgspec.json.encode(message) + b"\n"
        handed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        try:
            with self._speaking:
                sent = self.sock.sendmsg([data], handed if descriptor >= 0 else ())
                self.sock.sendall(data[sent:])
        except OSError:
            return False
        return True

    def receive(self) -> list[Message] | None:
        """What has arrived; None if the other end is gone.

        Raises:
            BlockingIOError: Nothing has, and the socket does not block.
        """
        if self.takes:
            data, descriptors, _, _ = socket.recv_fds(self.sock, _CHUNK, _DESCRIPTORS)
            self._descriptors += descriptors
        else:
            data = self.sock.recv(_CHUNK)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST:
            self._rest = b""
        return [message for line in lines if (message := _decode(line)) is not None]

    def take_descriptor(self) -> int:
        """The descriptor of the oldest order that brought one."""
        return self._descriptors.pop(0)


def _decode(line: bytes) -> Message | None:
    try:
        message: Message = msgspec.json.decode(line, type=Message)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return message
