"""The listening sockets of a supervisor that stops: barred, emptied, shut.

Rules of this file:

- First the sockets are barred, then the workers are told: so no connection comes into a queue that nobody
  empties any more.
- They are shut when their queues are empty, even while a template or a worker that is blocked has them open:
  a client is refused then, and does not wait.
- A chore like the others, for the time of the stop.
"""

from typing import Final

from vivace.server.last_call import LAST_CALL
from vivace.supervisor.listening.sockets import Listeners

__all__ = ["Door"]

_LOOK_EVERY: Final = 0.05


class Door:
    """Closes the sockets of a server that stops.

    Args:
        listeners: Of the supervisor.

    Attributes:
        due: When `look` has something to do, monotonic seconds; infinity: not by itself.
    """

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self.due = float("inf")

    def bar(self, now: float) -> None:
        """The stop begins; the workers are told next."""
        self._listeners.bar()
        # Those who are just connecting, and the workers that accept them, get a moment.
        self.due = now + LAST_CALL + _LOOK_EVERY

    def look(self, now: float) -> None:
        """Shut the sockets if nobody waits there any more."""
        if self._listeners.count_waiting():
            self.due = now + _LOOK_EVERY
        else:
            self.shut()

    def shut(self) -> None:
        """Shut them now."""
        self.due = float("inf")
        self._listeners.shut()
