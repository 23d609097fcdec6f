"""The process of the hub, and the socket on which all processes of the server find it.

Rules of this file:

- The socket is the supervisor's and is never closed while it lives: who connects while no hub runs waits in
  its queue for the next one.
- The process is made at the first connection, or at once where an engine connects machines (HUB_URL). If it
  dies another one is made, after a while that grows.
- A supervisor that replaces another one gets its socket. As long as both live the hub is that of the older
  one: all its followers are in one place.
"""

import logging
import os
import random
import selectors
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from vivace.config import Config
from vivace.server import bind_unix
from vivace.supervisor.beside.place import Phase, Place
from vivace.supervisor.beside.rows import row_of
from vivace.supervisor.fleet.handle import describe_exit
from vivace.supervisor.generations.workforce import send_signal
from vivace.supervisor.system.children import fork, tie_to
from vivace.supervisor.system.reaper import Reaper
from vivace.supervisor.telling.logs import attach_logging
from vivace.supervisor.telling.title import set_title

__all__ = ["VARIABLE", "HubProcess"]

logger = logging.getLogger("vivace")

VARIABLE: Final = "VIVACE_HUB"
"""Where the processes of a server find the path of the socket."""
BACKLOG: Final = 1024
"""Connections that wait for a hub that is not there yet."""
GRACE: Final = 2.0
"""Seconds that a hub has to end."""
_LOOK_AGAIN: Final = 0.2


class HubProcess:
    """The hub, as the supervisor knows it.

    Args:
        config: Of the process; names HUB_URL.
        selector: Waits for the first connection.
        reaper: Tells how processes ended.
        leave: Called in a child: closes what is the supervisor's.

    Attributes:
        name: Of the app, for the title of the process; empty: it is not known yet.
    """

    def __init__(
        self,
        config: Config,
        selector: selectors.BaseSelector,
        reaper: Reaper,
        leave: Callable[[], object],
    ) -> None:
        self._config = config
        self._selector = selector
        self._reaper = reaper
        self._leave = leave
        self._pid = os.getpid()
        self._listener: socket.socket | None = None
        self._watched = False
        self._asked = False
        self._chance = random.SystemRandom()
        self._place = Place("hub", "always", GRACE, now=0.0)
        self._before = 0
        self.name = ""

    @property
    def listener(self) -> socket.socket | None:
        """Where clients connect; None: there is none."""
        return self._listener

    def open(self, folder: str, inherited: int = -1, before: int = 0) -> None:
        """Begin to listen.

        Args:
            folder: Where the socket is to be.
            inherited: The descriptor of the socket, if another supervisor had it; -1: nobody had.
            before: The process id of that supervisor.

        Raises:
            OSError: It cannot be.
            StartupError: The same.
        """
        path = os.path.abspath(self._config.HUB_SOCKET or os.path.join(folder, "hub"))
        if inherited >= 0:
            self._listener = socket.socket(fileno=inherited)
            self._listener.set_inheritable(False)
            self._before = before
        else:
            self._listener = bind_unix(path, 0o600, BACKLOG)
        os.environ[VARIABLE] = path
        self._asked = bool(self._config.get("HUB_URL"))
        self._watch()

    # A chore

    @property
    def due(self) -> float:
        """When `look` has something to do, monotonic seconds."""
        if self._place.phase is Phase.EMPTY and not (self._asked or self._before):
            return float("inf") if self._watched else self._place.due
        return self._place.next

    @property
    def gone(self) -> bool:
        """There is no process."""
        return not self._place.pid

    @property
    def pids(self) -> list[int]:
        """Of the process that lives."""
        return [self._place.pid] if self._place.pid else []

    def look(self, now: float) -> None:
        """Make a process that is asked for, kill one that does not end."""
        if self._listener is None:
            return
        if self._before and os.getppid() == self._before:
            self._place.due = now + _LOOK_AGAIN
            return
        self._before = 0
        if self._asked and self._place.wants(now):
            self._make(now)
        elif self._place.late(now):
            send_signal(self._place.pid, signal.SIGKILL)
        if self._place.phase is Phase.EMPTY and self._place.due <= now:
            self._watch()

    def reap(self) -> None:
        """Find whether it has ended."""
        pid, now = self._place.pid, time.monotonic()
        if not pid or (code := self._reaper.exit_code(pid)) is None:
            return
        wait = self._place.exited(code, now, self._chance)
        if wait is not None:
            when = f"in {wait:.1f} s" if wait else "now"
            extra = {"event": "hub.down"}
            logger.error(
                "hub (pid %d) ended with %s; it is started again %s",
                pid,
                describe_exit(code),
                when,
                extra=extra,
            )

    def stop(self, now: float, grace: float | None = None) -> None:
        """The server stops, and nobody needs it any more.

        Args:
            now: The time.
            grace: Seconds, if they are less than usual.
        """
        self._ignore()
        if self._place.stop(now, grace):
            send_signal(self._place.pid, signal.SIGTERM)

    def resume(self, now: float) -> None:
        """The server goes on after all."""
        if not self._place.pid:
            self._place.phase, self._place.due = Phase.EMPTY, now

    def rows(self, now: float) -> list[dict[str, Any]]:
        """What `vivace ctl status` shows of it: nothing as long as nobody has asked for it."""
        place = self._place
        return [row_of(place, "hub", "hub", now)] if place.pid or place.exits else []

    def close(self, *, child: bool = False) -> None:
        """The end; or in a child, whose this is not.

        Args:
            child: The variable stays: processes of the server need it.
        """
        if child:
            self._watched = False  # a child that took it off the selector would do so for its parent
        else:
            self._ignore()
            os.environ.pop(VARIABLE, None)
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    # The process

    def _watch(self) -> None:
        """Wait for a connection, if there is neither a process nor a reason to make one already."""
        if self._listener is not None and not (self._watched or self._asked or self._before):
            self._watched = True
            self._selector.register(self._listener, selectors.EVENT_READ, self._on_client)

    def _ignore(self) -> None:
        if self._watched and self._listener is not None:
            self._watched = False
            self._selector.unregister(self._listener)

    def _on_client(self) -> None:
        self._ignore()
        self._asked = True
        self.look(time.monotonic())

    def _make(self, now: float) -> None:
        self._ignore()
        self._place.coming(now)
        try:
            self._place.made(fork(self._live), now)
        except OSError as error:
            wait = self._place.refused(now, self._chance)
            text = f"hub cannot be forked: {error.strerror or error}; next try in {wait:.1f} s"
            logger.error("%s", text)  # noqa: TRY400 - nothing here has gone wrong

    def _live(self) -> int:
        tie_to(self._pid)
        listener, self._listener = self._listener, None
        self._watched = False
        self._leave()
        set_title(f"{self.name or 'vivace'}: hub")
        attach_logging(self._config, "hub")
        from vivace.hub.process import main

        assert listener is not None, "a hub is made for those who connect there"
        return main(listener, self._config, self.name)
