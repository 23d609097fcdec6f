"""What the system outside is told of a server: systemd, the pid file, the title of the process.

Rules of this file:

- One call for each moment of the supervisor's life; each does what there is somebody for, and else nothing.
- A chore like the others: `due` says when `look` has something to do, and `look` never blocks for long.
- The watchdog is answered only while the server is well: a supervisor that turns round without a worker is no
  service.
"""

import os
from collections.abc import Callable, MutableMapping, Sequence
from typing import Final

from vivace.supervisor.listening.sockets import Listeners
from vivace.supervisor.telling.notify import Notifier
from vivace.supervisor.telling.pidfile import PidFile
from vivace.supervisor.telling.title import set_title

__all__ = ["Service", "supervisor_title", "worker_title"]

STATUS_EVERY: Final = 1.0
"""Seconds between two changes of status and title, if there is anything new to say."""


class Service:
    """The line to whoever started the server.

    Args:
        pid_file: PID_FILE.
        environ: From which the variables of systemd are taken, and removed; that of the process if None.
        before: The process id of the supervisor that this one replaces; 0 if there is none.

    Attributes:
        due: When `look` is to be called, monotonic seconds; infinity: not by itself.
        on_ready: Called once it serves; None: nobody waits.
    """

    def __init__(
        self, pid_file: str = "", environ: MutableMapping[str, str] | None = None, before: int = 0
    ) -> None:
        self.notifier = Notifier(os.environ if environ is None else environ)
        self.pid_file = PidFile(pid_file, before)
        self.due = 0.0
        self._replaces = before
        self._next_ping = 0.0
        self._next_status = 0.0
        self._said = ""
        self._serving = False
        self.on_ready: Callable[[], object] | None = None

    def check(self) -> None:
        """Before anything is opened.

        Raises:
            StartupError: The pid file is another server's; exit code 2.
        """
        self.pid_file.check()

    def starting(self, seconds: float) -> None:
        """A start, reload or stop goes on, and may take so much longer from now on."""
        self.notifier.extend(seconds)

    @property
    def told(self) -> bool:
        """Whether a manager of services listens."""
        return self.notifier.active

    def ready(self, listeners: Listeners | None = None, status: str = "") -> None:
        """The server serves: at first, and again at the end of a reload, good or bad.

        Args:
            listeners: What systemd may keep over a restart, the first time.
            status: For people.

        Raises:
            StartupError: The pid file cannot be written; exit code 2.
        """
        self.pid_file.write()
        if listeners is not None and not self._serving:
            self.notifier.forget(listeners.dropped)
            self.notifier.store(listeners.storable())
            if self.notifier.active:
                listeners.leave_tcp()
        if not self._serving and self.on_ready is not None:
            self.on_ready()
        self._serving = True
        self.notifier.ready(status, os.getpid() if self._replaces else 0)

    def reloading(self) -> None:
        """New code is loaded; `ready` follows, whatever comes of it."""
        if self._serving:
            self.notifier.reloading()

    def stopping(self) -> None:
        """The stop begins: readiness is over, no new connection will be accepted."""
        self.notifier.stopping()
        self.due = float("inf")

    def replaced(self, pid: int) -> None:
        """Another supervisor takes over: it is the main process now, and the pid file is its own."""
        self.notifier.main_pid(pid)

    def resume(self) -> None:
        """The other supervisor is gone before this one: this is the main process again, and its pid file."""
        self.pid_file.write_again()
        self.notifier.ready("", os.getpid())

    def look(self, now: float, *, well: bool, title: str, status: str) -> None:
        """Answer the watchdog, and say what is new; sets `due`.

        Args:
            now: Monotonic seconds.
            well: At least one worker serves.
            title: Of the process, such as ``shop: supervisor [3/4 ready] :8000``.
            status: For people, such as ``4 workers, 12 requests/s``.
        """
        if now >= self._next_status:
            self._next_status = now + STATUS_EVERY
            if f"{title}\n{status}" != self._said:
                self._said = f"{title}\n{status}"
                set_title(title)
                self.notifier.status(status)
        interval = self.notifier.interval
        if interval and well and now >= self._next_ping:
            self._next_ping = now + interval
            self.notifier.ping()
        # Where no worker is well the ping waits for one: the next look at the status finds it.
        self.due = min(self._next_status, self._next_ping) if interval and well else self._next_status

    def leave_in_child(self) -> None:
        """After a fork, in the child: it speaks for nobody and holds no lock."""
        self.notifier.close()
        self.pid_file.close()

    def close(self) -> None:
        """The end: the pid file goes, if it is still ours."""
        self.pid_file.remove()
        self.notifier.close()


def supervisor_title(name: str, ready: int, wanted: int, addresses: Sequence[str]) -> str:
    """What ps shows for a supervisor.

    Args:
        name: Of the app.
        ready: Workers that serve.
        wanted: Workers that there should be.
        addresses: As `Listeners.addresses` gives them.
    """
    where = " ".join(dict.fromkeys(_short(address) for address in addresses))
    return f"{name}: supervisor [{ready}/{wanted} ready] {where}".rstrip()


def worker_title(name: str, slot: int, generation: int, busy: int | None = None) -> str:
    """What ps shows for a worker.

    Args:
        name: Of the app.
        slot: From 0; shown from 1.
        generation: Of the code.
        busy: Requests in progress; None: not said.
    """
    doing = "" if busy is None else f" [busy {busy}]"
    return f"{name}: worker {slot + 1} gen {generation}{doing}"


def _short(address: str) -> str:
    """An address without what one can guess."""
    rest = address.partition("://")[2] or address
    for everywhere in ("0.0.0.0:", "[::]:", "127.0.0.1:"):
        if rest.startswith(everywhere):
            return ":" + rest.removeprefix(everywhere)
    return rest
