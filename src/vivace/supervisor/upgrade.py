"""A supervisor that is replaced by a new one of the same command line, on the same sockets.

Rules of this file:

- The new one inherits the sockets by the protocol of systemd (`activation.hand_over`), and learns from one
  variable, which it takes away, whom it replaces. It is no different from any other supervisor otherwise.
- Until it says that it serves, and for a trial after that, this one goes on as before. Then its workers
  retire.
- If the new one ends before this one has, whatever the reason, this one goes on with new workers: that is
  also the way back for whoever wants it.
- Follows sd_listen_fds(3), sd_notify(3) MAINPID.
"""

import fcntl
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

from vivace.supervisor.ipc.channels import Channels
from vivace.supervisor.ipc.messages import Channel, Report
from vivace.supervisor.listening.activation import FIRST, hand_over
from vivace.supervisor.listening.sockets import Listeners
from vivace.supervisor.system.children import fork
from vivace.supervisor.system.reaper import Reaper

__all__ = ["TRIAL", "Predecessor", "Upgrade", "predecessor"]

logger = logging.getLogger("vivace")

_VARIABLE: Final = "_VIVACE_REPLACES"
TRIAL: Final = 1.0
"""Seconds for which a new supervisor must serve before the old one's workers retire."""
_BOOT_MARGIN: Final = 10.0
"""Seconds beyond BOOT_TIMEOUT after which a new supervisor that says nothing is killed."""


class Predecessor(NamedTuple):
    """The supervisor that this one replaces.

    Attributes:
        pid: Its process id.
        channel: To it.
    """

    pid: int
    channel: Channel

    def tell(self) -> None:
        """Say that this one serves."""
        self.channel.send(Report(True, ""))
        self.channel.close()


def predecessor() -> Predecessor | None:
    """Whom this process replaces; the answer is given once."""
    text = os.environ.pop(_VARIABLE, "")
    if not text:
        return None
    pid, descriptor = json.loads(text)
    if pid != os.getppid():  # inherited by a program that somebody started from there
        return None
    channel = socket.socket(fileno=descriptor)
    channel.set_inheritable(False)
    return Predecessor(pid, Channel(channel))


class Upgrade:
    """The replacement of a supervisor.

    Args:
        listeners: Handed over.
        environ: Variables that the new supervisor needs beside those of this process.
        channels: Where the new one is heard.
        reaper: Tells how it ended.
        serves: Called when it has served for the trial: this one may leave.
        ended: Called when it is gone, with its exit code, and whether it had served for the trial.

    Attributes:
        due: When `look` has something to do, monotonic seconds; infinity: not by itself.
        more: Hands on what else there is: called in the new process with the least number that a descriptor
            may have; gives variables.
        pid: Of the new supervisor; 0 if there is none.
        ready: It serves.
    """

    def __init__(
        self,
        listeners: Listeners,
        environ: Mapping[str, str],
        channels: Channels,
        reaper: Reaper,
        serves: Callable[[int], None],
        ended: Callable[[int, bool], None],
    ) -> None:
        self._listeners = listeners
        self._environ = environ
        self._channels = channels
        self._reaper = reaper
        self._serves = serves
        self._ended = ended
        self._handed = False
        self.more: Callable[[int], dict[str, str]] = lambda _: {}
        self.due = float("inf")
        self.pid = 0
        self.ready = False

    def begin(self, patience: float) -> None:
        """Start the new supervisor.

        Args:
            patience: BOOT_TIMEOUT in seconds.
        """
        try:
            ours, theirs = Channel.pair()
        except OSError as error:
            logger.warning("SIGUSR2: no new supervisor can be made: %s", error.strerror or error)
            return
        try:
            self.pid = fork(partial(self._become_supervisor, theirs))
        except OSError as error:
            ours.close()
            logger.warning("SIGUSR2: no new supervisor can be forked: %s", error.strerror or error)
            return
        finally:
            theirs.close()
        logger.info("SIGUSR2: a new supervisor starts as pid %d", self.pid)
        self._channels.follow(ours, partial(self._hear, ours))
        self.due = time.monotonic() + patience + _BOOT_MARGIN

    def _become_supervisor(self, channel: Channel) -> int:
        command = [sys.executable, *sys.orig_argv[1:]]
        named = self._listeners.handed_on()
        beyond = FIRST + len(named)
        descriptor = fcntl.fcntl(channel.fileno(), fcntl.F_DUPFD, beyond)
        told = {_VARIABLE: json.dumps([os.getppid(), descriptor])}
        more = self.more(beyond)
        environment = {**os.environ, **self._environ, **told, **more, **hand_over(named)}
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execve(command[0], command, environment)  # noqa: S606

    def _hear(self, channel: Channel) -> None:
        for message in self._channels.receive(channel) or ():
            if isinstance(message, Report) and message.ready and not self.ready:
                self.ready = True
                self._channels.forget(channel)
                self.due = time.monotonic() + TRIAL

    def look(self, now: float) -> None:
        """The trial is over, or the new one took too long."""
        self.due = float("inf")
        if self.ready:
            self.finish()
        elif self.pid:
            logger.error("SIGUSR2: the new supervisor (pid %d) did not serve in time: killed", self.pid)
            self.give_up(signal.SIGKILL)

    def finish(self) -> None:
        """The trial is over, or cut short: the new one takes over."""
        self.due = float("inf")
        self._handed = True
        self._serves(self.pid)

    def give_up(self, number: int = signal.SIGTERM) -> None:
        """End the new supervisor if it does not serve yet."""
        if self.pid and not self.ready:
            os.kill(self.pid, number)

    def reap(self) -> None:
        """Find whether the new supervisor has ended."""
        if not self.pid or (code := self._reaper.exit_code(self.pid)) is None:
            return
        handed, self._handed = self._handed, False
        self.pid, self.ready, self.due = 0, False, float("inf")
        self._ended(code, handed)
