"""What a server says to people: the start, warnings, and why something could not be started.

Rules of this file:

- Each worker has the same to say: once is enough.
- Before the server serves, a failure is the answer to the command and goes to standard error as it is;
  afterwards it is an event for the log.
"""

import logging
import sys
from collections.abc import Sequence

from vivace.supervisor.fleet.actions import START_FAILED, Say
from vivace.supervisor.ipc.messages import Report
from vivace.supervisor.listening.sockets import Listeners
from vivace.supervisor.loading.job import Job
from vivace.supervisor.telling.banner import banner
from vivace.supervisor.telling.logs import attach_logging, wants_json

__all__ = ["Voice", "announce"]

logger = logging.getLogger("vivace")


class Voice:
    """Speaks for a supervisor.

    Args:
        job: What is served.
        listeners: Where.

    Attributes:
        greeted: The start is over and was announced.
        complaint: Why a process could not be started, since the last restart began.
    """

    def __init__(self, job: Job, listeners: Listeners) -> None:
        self.greeted = False
        self.complaint = ""
        self._job = job
        self._listeners = listeners
        self._told: set[str] = set()

    def greet(self, report: Report) -> None:
        """The server serves."""
        self.greeted = True
        announce(report, self._listeners, self._job)

    def complain(self, report: Report) -> None:
        """A process could not be started."""
        self.complaint = report.text
        if self.greeted:
            logger.error("%s", report.text)
        elif report.text not in self._told:
            self._told.add(report.text)
            announce(report, self._listeners, self._job)

    def with_reason(self, said: Say) -> Say:
        """What is said of a start that failed: why, too, where the reader has not seen the traceback."""
        elsewhere = self._job.config.LOG_TO or self._job.config.ALARM
        if said.event != START_FAILED or not self.complaint or not elsewhere:
            return said
        return said._replace(text=f"{said.text}: {self.complaint.splitlines()[-1]}")

    def warn(self, warnings: Sequence[str]) -> None:
        """Say what was not said yet."""
        for warning in warnings:
            if warning not in self._told:
                self._told.add(warning)
                logger.warning("%s", warning)


def announce(report: Report, listeners: Listeners, job: Job, *, supervised: bool = True) -> None:
    """Say that the server serves, or why it does not."""
    if not report.ready:
        _print([f"Error: {report.text}"])
    elif job.config.MOTD:
        addresses = listeners.addresses(secure=job.tls is not None)
        lines = banner(report, addresses, job.config, supervised=supervised)
        if not wants_json(job.config):
            _print(lines)
            return
        attach_logging(job.config)
        for line in lines:
            logger.info("%s", line)


def _print(lines: Sequence[str]) -> None:
    sys.stderr.write("\n".join([*lines, ""]))
    sys.stderr.flush()
