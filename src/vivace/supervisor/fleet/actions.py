"""What the fleet can ask the supervisor to do."""

import logging
from typing import Final, NamedTuple

__all__ = [
    "START_FAILED",
    "Abandon",
    "Action",
    "Done",
    "Force",
    "Load",
    "Retire",
    "Say",
    "Send",
    "Spawn",
    "Unload",
]


START_FAILED: Final = "start.failed"
"""What alarms call a server that could not be started."""


class Load(NamedTuple):
    """Bring a generation of the code into being; answer with `loaded` or `load_failed`."""

    generation: int


class Unload(NamedTuple):
    """A generation is not needed any more: no worker will be made of it."""

    generation: int


class Abandon(NamedTuple):
    """What makes the workers of a generation does not answer: kill it; `lost` follows."""

    generation: int


class Spawn(NamedTuple):
    """Make a worker of a generation; answer with `spawned` or `spawn_failed`."""

    generation: int
    slot: int


class Retire(NamedTuple):
    """Tell a worker that another has taken its place: it drains and leaves.

    Attributes:
        pid: Its process id.
        patient: Nothing hurries: its WebSockets have a while to leave by themselves.
    """

    pid: int
    patient: bool = False


class Send(NamedTuple):
    """Send a signal to a worker."""

    pid: int
    signal: int


class Force(NamedTuple):
    """Tell a worker that stops already to do so at once."""

    pid: int


class Say(NamedTuple):
    """Write a line to the log.

    Attributes:
        level: Of `logging`.
        text: The line.
        event: What alarms call it (`vivace.config.alarms.EVENTS`); empty: it is none.
        subject: Whom it is about.
        resolved: It is over.
    """

    level: int
    text: str
    event: str = ""
    subject: str = ""
    resolved: bool = False

    def write(self, logger: logging.Logger) -> None:
        """Do so."""
        extra = {"event": self.event, "subject": self.subject, "resolved": self.resolved}
        logger.log(self.level, "%s", self.text, extra=extra if self.event else None)


class Done(NamedTuple):
    """A restart is over: whoever waits for it can be told."""

    generation: int
    good: bool
    text: str


Action = Load | Unload | Abandon | Spawn | Retire | Force | Send | Say | Done
