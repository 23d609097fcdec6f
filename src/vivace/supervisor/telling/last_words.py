"""Events that nobody heard are told before the server ends: of a start that failed nobody else could tell.

Rules of this file:

- Only those whom ``[[alarm]]`` names are told: there is no app to have functions.
- It runs when nothing is served any more, and what it takes is imported then: a supervisor has no event loop.
- It takes `PATIENCE` at most; whoever cannot be told by then is named in the log.
"""

import logging
import os
import socket
import time
from collections.abc import Sequence
from typing import Final

from vivace.config import Config
from vivace.config.alarms import Alarm, parse_alarms
from vivace.errors import ConfigError
from vivace.server.logs.notes import notes
from vivace.supervisor.fleet.actions import START_FAILED

__all__ = ["failed_start", "tell_what_waits"]

logger = logging.getLogger("vivace.alarms")

PATIENCE: Final = 10.0
"""Seconds that telling may take in all."""


def failed_start(config: Config, why: str) -> None:
    """Tell that a start failed before there was a log to say so.

    Args:
        config: Names whom to tell.
        why: In words.
    """
    text = f"the server could not be started: {why}"
    now, host = time.time(), socket.gethostname()
    tell_what_waits(config, [Alarm(event=START_FAILED, message=text, time=now, host=host, pid=os.getpid())])


def tell_what_waits(config: Config, more: Sequence[Alarm] = ()) -> None:
    """Tell of all events that wait, if somebody is named for them.

    Args:
        config: Names whom to tell.
        more: Of these too.
    """
    waiting = [*notes.take(), *more]
    if not (waiting and config.ALARM):
        return
    import asyncio

    try:
        asyncio.run(_tell_all(config, waiting))
    except RuntimeError as error:  # a program that runs a loop of its own in this thread
        logger.warning("nobody could be told of %s: %s", waiting[0].event, error)


async def _tell_all(config: Config, waiting: Sequence[Alarm]) -> None:
    import asyncio

    from vivace.framework.alarms.targets import Target, targets_of

    async def tell(target: Target, alarm: Alarm) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await target.tell(alarm)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are told
            why = str(error) or type(error).__name__
            logger.error("%s was not told of the alarm %s: %s", target.name, alarm.event, why)  # noqa: TRY400

    targets = []
    for rule in parse_alarms(config.ALARM):
        try:
            targets += targets_of(rule)
        except ConfigError as error:
            logger.error("%s", error)  # noqa: TRY400 - the others are told all the same
    await asyncio.gather(*(tell(one, alarm) for one in targets for alarm in waiting if alarm.fits(one.on)))
