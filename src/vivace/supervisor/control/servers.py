"""Which servers run here, and a line to one of them: the other end of the control socket.

Rules of this file:

- A server is found by its socket, its process id, its pid file, or because it is the only one of this user;
  of several, the only one that was started in this folder.
- Who listens is asked of the kernel: a name can be taken by anybody, and only the server's user and root are
  believed.
- Whatever goes wrong is a `NotFound` that says what to do.
"""

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from vivace.supervisor.control.control import control_folder, peer_of

__all__ = ["Line", "NotFound", "find_server", "running_servers"]

_NAME: Final = re.compile(r"@vivace/(\d+)/(\d+)")
_LISTENS: Final = 0x10000  # __SO_ACCEPTCON of the kernel
_WHY_NONE: Final = (
    "a server has a control socket if it has a supervisor (several workers, or --supervise on) and CONTROL is"
    " not off; one with a path of its own is named by --socket; a single process is stopped by SIGTERM and"
    " has nothing else to control"
)


class NotFound(Exception):
    """There is no such server, or it does not answer."""


def running_servers(user: int | None = None) -> dict[int, str]:
    """The places of control sockets by process id.

    Args:
        user: Only those of this user id; None: of all, as far as they can be seen.
    """
    found = {int(pid): name for name, owner, pid in _abstract() if user is None or int(owner) == user}
    try:
        for path in Path(control_folder()).glob("*.sock"):
            if path.stem.isdigit():
                found.setdefault(int(path.stem), str(path))
    except OSError:
        pass
    return found


def _abstract() -> Iterator[tuple[str, str, str]]:
    try:
        lines = Path("/proc/net/unix").read_text("ascii", "replace").splitlines()
    except OSError:
        return
    for line in lines[1:]:
        fields = line.split()
        match = _NAME.fullmatch(fields[-1])
        if match is not None and int(fields[3], 16) & _LISTENS:
            yield match[0], match[1], match[2]


def find_server(place: str = "", pid: int = 0, pid_file: str = "") -> str:
    """The place of the control socket of one server.

    Args:
        place: It itself, if it is known.
        pid: Of the supervisor.
        pid_file: Names that.

    Raises:
        NotFound: There is none, or several and nothing says which.
    """
    if place:
        return place
    if pid_file:
        pid = _pid_in(pid_file)
    if pid:
        found = running_servers().get(pid)
        if found is None:
            raise NotFound(f"the process {pid} has no control socket: {_WHY_NONE}")
        return found
    user = os.geteuid()
    several = running_servers(user) or (running_servers() if user == 0 else {})
    if not several:
        raise NotFound(f"no server of this user was found: {_WHY_NONE}")
    folders = {pid: _folder_of(pid) for pid in sorted(several)}
    nearest = [pid for pid, folder in folders.items() if folder == os.getcwd()]
    pids = nearest if len(nearest) == 1 else list(folders)
    if len(pids) > 1:
        known = ", ".join(f"{pid} ({folders[pid] or 'in an unknown folder'})" for pid in pids)
        raise NotFound(f"several servers run on this machine: say which by --pid, one of {known}")
    return several[pids[0]]


def _folder_of(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def _pid_in(path: str) -> int:
    try:
        text = Path(path).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(
            f"the pid file {path} cannot be read: {getattr(error, 'strerror', '') or error}"
        ) from None
    if not text.isdigit():
        raise NotFound(f"the pid file {path} names no process")
    try:
        os.kill(int(text), 0)
    except ProcessLookupError:
        raise NotFound(f"the pid file {path} names the process {text}, which is gone") from None
    except OSError:
        pass
    return int(text)


class Line:
    """A connection to a control socket.

    Args:
        place: As `find_server` gives it.
        timeout: Seconds that an answer may take; None: for ever.

    Raises:
        NotFound: Nobody answers there, or nobody who may.
    """

    def __init__(self, place: str, timeout: float | None = 10.0) -> None:
        self._place = place
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(timeout)
        try:
            self._sock.connect("\0" + place[1:] if place.startswith("@") else place)
            self._check_peer()
        except OSError as error:
            self._sock.close()
            raise NotFound(f"no server answers at {place}: {error.strerror or error}") from None
        self._file = self._sock.makefile("rb")

    def _check_peer(self) -> None:
        peer = peer_of(self._sock)
        user = os.geteuid()
        if peer is not None and user != 0 and peer[1] not in (0, user):
            raise PermissionError(f"it belongs to the user {peer[1]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._sock.close()

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a request, and wait for its answer.

        Raises:
            NotFound: The server ended, or did not answer in time.
        """
        try:
            self._sock.sendall(msgspec.json.encode({"command": command, **arguments}) + b"\n")
            line = self._file.readline()
        except OSError as error:
            raise NotFound(f"the server at {self._place} does not answer: {error}") from None
        if not line:
            raise NotFound(f"the server at {self._place} closed the connection: it ended, or we may not")
        answer: dict[str, Any] = msgspec.json.decode(line)
        return answer

    def wait_gone(self, pid: int) -> None:
        """Until the server is gone: it closes the connection a moment before.

        Args:
            pid: Of the supervisor.
        """
        with suppress(OSError):
            while self._file.read(4096):
                pass
        while _lives(pid):
            time.sleep(0.01)


def _lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except OSError:  # gone meanwhile, or there is no /proc
        return Path("/proc/self").exists() is False
    return state != "Z"
