"""What an app has for alarms.

    @app.on_alarm("worker.crash", "task.*")
    async def tell(alarm: Alarm) -> None: ...

Rules of this file:

- Functions run in a process beside the workers, never in the supervisor, and never in one that serves.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from vivace.config.alarms import Alarm
from vivace.errors import DeclarationError
from vivace.framework.beside import Companion, Context

__all__ = ["NAME", "Alarmed", "companion"]

logger = logging.getLogger("vivace.alarms")

F = TypeVar("F", bound=Callable[[Alarm], Any])
NAME = "alarms"
"""Of the companion."""
GRACE = 5.0
"""Seconds for what a stop itself brings about, however short GRACEFUL_SHUTDOWN_TIMEOUT is."""


class Alarmed:
    """What an app can do about alarms."""

    __slots__ = ()

    if TYPE_CHECKING:
        alarm_functions: list[tuple[tuple[str, ...], Callable[[Alarm], Any]]]

    def on_alarm(self, *events: str) -> Callable[[F], F]:
        """Call a function when something happens to the server.

        Args:
            *events: Such as ``worker.crash`` or ``task.*``; see `vivace.config.alarms.EVENTS`.

        Raises:
            DeclarationError: No event is given, or what is given is no text.
        """
        if not events or not all(isinstance(event, str) for event in events):
            raise DeclarationError("on_alarm: expected events, such as @app.on_alarm('worker.crash')")

        def declare(function: F) -> F:
            self.alarm_functions.append((events, function))
            return function

        return declare

    def alarm(self, event: str, message: str, *, subject: str = "", resolved: bool = False) -> None:
        """Tell of an event of the app's own, from any process of the server; a line of the log is written.

        Args:
            event: Its type, such as ``payment.failed``.
            message: In words.
            subject: Whom it is about: an event and a subject make one alarm.
            resolved: It is over.
        """
        extra = {"event": event, "subject": subject, "resolved": resolved}
        logger.log(logging.INFO if resolved else logging.ERROR, "%s", message, extra=extra)


def companion() -> Companion:
    """The process that tells of alarms."""
    return Companion(NAME, _keep, kind="process", tells=True, grace=GRACE)


async def _keep(context: Context) -> None:
    from vivace.framework.alarms.keeper import keep_alarms

    await keep_alarms(context)
