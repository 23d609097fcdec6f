"""The process that hears of events and tells of alarms.

Rules of this file:

- Nothing here holds up the server: it hears datagrams, and each target has a queue and a task of its own.
- When it is to stop, what was heard is told first, as far as its grace allows.
- Follows unix(7): whoever binds last hears, so that with new code the new process takes over.
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
from typing import Final

import msgspec

from vivace.config.alarms import PLACE, Alarm, parse_alarms
from vivace.errors import ConfigError
from vivace.framework.alarms.book import AlarmBook
from vivace.framework.alarms.targets import Function, Target, targets_of
from vivace.framework.beside import Context

__all__ = ["keep_alarms"]

logger = logging.getLogger("vivace.alarms")

QUEUE: Final = 100
"""Alarms that wait for a target; more are dropped, and the log says so."""
PAUSES: Final = (1.0, 5.0, 25.0)
"""Seconds before a target that failed is tried again."""
LAST: Final = 5.0
"""Seconds that are left for targets when the server stops."""
_LONGEST: Final = 65_536


async def keep_alarms(context: Context) -> None:
    """Tell of alarms until the server stops.

    Args:
        context: Of the process; its app may have functions for alarms.
    """
    desks = [_Desk(target) for target in _targets(context)]
    book = AlarmBook(context.config.ALARM_INTERVAL)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.setblocking(False)
        path = os.path.join(os.environ["VIVACE_RUN"], PLACE)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        ear.bind(path)
        loop.add_reader(ear, _hear, ear, book, desks)
        context.ready()
        await context.stopping.wait()
        _hear(ear, book, desks)
        loop.remove_reader(ear)
    await asyncio.wait([asyncio.ensure_future(desk.close()) for desk in desks], timeout=LAST)


def _targets(context: Context) -> list[Target]:
    found: list[Target] = []
    for rule in parse_alarms(context.config.ALARM):
        try:
            found += targets_of(rule)
        except ConfigError as error:
            logger.error("%s", error)  # noqa: TRY400 - the others are told all the same
    for app in getattr(context.app, "mounted_apps", list)():
        for on, function in app.alarm_functions:
            name = getattr(function, "__qualname__", repr(function))
            found.append(Target(f"function {name}", on, Function(function)))
    return found


def _hear(ear: socket.socket, book: AlarmBook, desks: "list[_Desk]") -> None:
    while True:
        try:
            data = ear.recv(_LONGEST)
        except OSError:
            return
        try:
            alarm = msgspec.json.decode(data, type=Alarm)
        except msgspec.MsgspecError:
            continue
        told = book.note(alarm, time.monotonic())
        if told is not None:
            for desk in desks:
                desk.take(told)


class _Desk:
    """One target and what waits for it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._queue: asyncio.Queue[Alarm | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._run(), name=f"vivace-alarm-{target.name}")

    def take(self, alarm: Alarm) -> None:
        if not alarm.fits(self._target.on):
            return
        if self._queue.qsize() >= QUEUE:
            logger.warning("%s is slow: the alarm %s is not told", self._target.name, alarm.event)
            return
        self._queue.put_nowait(alarm)

    async def close(self) -> None:
        self._queue.put_nowait(None)
        await self._task

    async def _run(self) -> None:
        while (alarm := await self._queue.get()) is not None:
            await self._tell(alarm)

    async def _tell(self, alarm: Alarm) -> None:
        why = ""
        for pause in (0.0, *PAUSES):
            await asyncio.sleep(pause)
            try:
                await self._target.tell(alarm)
            except OSError as error:  # TimeoutError too
                why = str(error) or type(error).__name__
            except Exception:
                logger.exception("%s failed on the alarm %s", self._target.name, alarm.event)
                return
            else:
                return
        logger.error("%s was not told of the alarm %s: %s", self._target.name, alarm.event, why)
