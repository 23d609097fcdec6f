"""How a foreign program is started, what it inherits, and how it is found again by another server.

Rules of this file:

- It leads a session of its own, so that all it starts can be signalled, and ends with the supervisor unless
  the next server shall take it over.
- What is meant for the supervisor (LISTEN_*, NOTIFY_SOCKET, WATCHDOG_*) is not in its environment. The way to
  the hub (VIVACE_HUB) is, unless the program may outlive the place of it.
- One that is taken over is known by its process id and the time of its start: ids are used again.
- Follows proc_pid_stat(5), setsid(2).
"""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from vivace.config.daemons import Daemon
from vivace.supervisor.beside.folder import VARIABLE as FOLDER
from vivace.supervisor.beside.hub import VARIABLE as HUB
from vivace.supervisor.system.children import fork, tie_to

__all__ = ["Record", "environment_of", "signal_program", "start_of", "start_program"]

_NOT_OURS: Final = ("LISTEN_", "WATCHDOG_", "_VIVACE_")
_NOT_THESE: Final = frozenset({"NOTIFY_SOCKET", "MAINPID", HUB, FOLDER, "VIVACE_SLOT"})
_NO_PROGRAM: Final = 127
_LINUX: Final = sys.platform.startswith("linux")


def environment_of(
    daemon: Daemon, environ: Mapping[str, str], more: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment of a program.

    Args:
        daemon: The program.
        environ: Of this process.
        more: What it needs besides.
    """
    kept = {k: v for k, v in environ.items() if not k.startswith(_NOT_OURS) and k not in _NOT_THESE}
    hub = environ.get(HUB, "")
    lasts = not hub.startswith(environ.get(FOLDER, "") + "/")
    if hub and (lasts or not daemon.adopt):
        kept[HUB] = hub
    for name, value in daemon.env.items():
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = value
    return {**kept, **(more or {})}


def start_program(daemon: Daemon, environ: Mapping[str, str], output: int) -> int:
    """Start a program; its process id.

    Args:
        daemon: The program.
        environ: Its environment.
        output: A descriptor for what it writes.

    Raises:
        OSError: The system refused a process.
    """
    parent = os.getpid()
    return fork(lambda: _become(daemon, environ, output, parent))


def _become(daemon: Daemon, environ: Mapping[str, str], output: int, parent: int) -> NoReturn:
    os.setsid()
    if not daemon.adopt:
        tie_to(parent)
    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, 0)
    for number in (1, 2):
        os.dup2(output, number)
    command = ["/bin/sh", "-c", daemon.cmd[0]] if daemon.shell else daemon.cmd
    try:
        if daemon.cwd:
            os.chdir(daemon.cwd)
        os.execvpe(command[0], command, dict(environ))  # noqa: S606
    except OSError as error:
        where = f" in {daemon.cwd}" if daemon.cwd else ""
        text = f"{command[0]} cannot be started{where}: {error.strerror or error}\n"
        os.write(2, text.encode("utf-8", "replace"))
    os._exit(_NO_PROGRAM)


def signal_program(pid: int, number: int) -> None:
    """Send a signal to a program that is a child, and to all that it has started."""
    with suppress(OSError):
        try:
            os.killpg(pid, number)
        except ProcessLookupError:  # it was forked a moment ago, and leads no group yet
            os.kill(pid, number)


def start_of(pid: int) -> str:
    """When a process was started, in the units of the system; empty if there is none, or it is dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return _start_elsewhere(pid)
    return "" if fields[0] in ("Z", "X") else fields[19]


def _start_elsewhere(pid: int) -> str:
    if _LINUX:
        return ""
    try:
        os.kill(pid, 0)
    except OSError:
        return ""
    return "?"


class Record:
    """The file in which a program is noted that the next server shall take over, and its log beside it.

    Args:
        name: Of the program.
        folder: Where the server runs.
    """

    def __init__(self, name: str, folder: str = ".") -> None:
        self._path = Path(folder).absolute() / ".vivace" / f"daemon-{name}.json"

    def write(self, pid: int, command: list[str]) -> None:
        """Note a program.

        Raises:
            OSError: It cannot be written.
        """
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.unlink(missing_ok=True)
        noted = json.dumps({"pid": pid, "start": start_of(pid), "cmd": command})
        with open(new, "x", opener=_open_own, encoding="utf-8") as file:
            file.write(noted)
        new.replace(self._path)

    def open_log(self) -> int:
        """A descriptor of the file that it writes to: it outlives the log of the server.

        Raises:
            OSError: It cannot be made.
        """
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        return os.open(self._path.with_suffix(".log"), flags, 0o600)

    def find(self, command: list[str]) -> int:
        """The process id of the program that was noted, if it still runs and is the same; else 0."""
        try:
            noted = json.loads(self._path.read_text())
            pid, start, known = int(noted["pid"]), str(noted["start"]), noted["cmd"]
        except (OSError, ValueError, KeyError, TypeError):
            return 0
        return pid if start and start_of(pid) == start and known == command else 0

    def remove(self) -> None:
        """Forget it."""
        with suppress(OSError):
            self._path.unlink()


def _open_own(path: str, flags: int) -> int:
    """Open a file that is nobody else's business: commands may have passwords in them."""
    return os.open(path, flags, 0o600)
