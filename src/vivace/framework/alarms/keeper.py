"""The process that hears of events and tells of alarms.

Rules of this file:

- Nothing here holds up the server: it hears datagrams, and each target has a queue and a task of its own.
- When it is to stop, what was heard is told first, as far as its grace allows.
- What was told is in a file of the server's folder: the process that new code brings knows it, and so tells
  the end of what the one before told of.
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

from vivace.config.alarms import PLACE, Alarm, doubts, parse_alarms
from vivace.errors import ConfigError
from vivace.framework.alarms.book import AlarmBook
from vivace.framework.alarms.declare import GRACE
from vivace.framework.alarms.targets import Function, Target, targets_of
from vivace.framework.beside import Context

__all__ = ["keep_alarms"]

logger = logging.getLogger("vivace.alarms")

QUEUE: Final = 100
"""Alarms that wait for a target; more are dropped, and the log says so."""
PAUSES: Final = (1.0, 5.0, 25.0)
"""Seconds before a target that failed is tried again."""
LAST: Final = GRACE - 1.0
"""Seconds that are left for targets when the server stops; then what they were not told is logged."""
AT_ONCE: Final = 100
"""Events that are heard before targets have their turn again."""
SAVED: Final = 0.2
"""Seconds after which what was told is written down."""
BOOK: Final = f"{PLACE}.book"
"""The file for that."""
_LONGEST: Final = 65_536


async def keep_alarms(context: Context) -> None:
    """Tell of alarms until the server stops.

    Args:
        context: Of the process; its app may have functions for alarms.
    """
    desks = [_Desk(target) for target in _targets(context)]
    loop = asyncio.get_running_loop()
    folder = os.environ["VIVACE_RUN"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.setblocking(False)
        path = os.path.join(folder, PLACE)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        ear.bind(path)
        hearing = _Hearing(ear, AlarmBook(context.config.ALARM_INTERVAL), desks, os.path.join(folder, BOOK))
        loop.add_reader(ear, hearing.hear)
        context.ready()
        await context.stopping.wait()
        hearing.hear()
        loop.remove_reader(ear)
        hearing.close()
    if desks:
        await asyncio.wait([asyncio.ensure_future(desk.close()) for desk in desks], timeout=LAST)
    for desk in desks:
        desk.give_up()


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
    for doubt in doubts(list(dict.fromkeys(pattern for target in found for pattern in target.on))):
        logger.warning("%s", doubt)
    return found


class _Hearing:
    """What was heard on its way to the desks, as far as the book lets it through."""

    def __init__(self, ear: socket.socket, book: AlarmBook, desks: "list[_Desk]", path: str) -> None:
        self._ear = ear
        self._book = book
        self._desks = desks
        self._path = path
        self._saving: asyncio.TimerHandle | None = None
        self._telling: asyncio.TimerHandle | None = None
        with contextlib.suppress(OSError), open(path, "rb") as file:
            book.restore(file.read())
        self._wait_for_due()

    def hear(self) -> None:
        for _ in range(AT_ONCE):
            try:
                data = self._ear.recv(_LONGEST)
            except OSError:
                return
            with contextlib.suppress(msgspec.MsgspecError):
                self._note(msgspec.json.decode(data, type=Alarm))

    def close(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
        if self._saving is not None:
            self._saving.cancel()
            self._save()

    def _note(self, alarm: Alarm) -> None:
        told = self._book.note(alarm, time.monotonic())
        if told is not None:
            self._tell(told)
        if self._saving is None:
            self._saving = asyncio.get_running_loop().call_later(SAVED, self._save)
        self._wait_for_due()

    def _tell(self, alarm: Alarm) -> None:
        for desk in self._desks:
            desk.take(alarm)

    def _wait_for_due(self) -> None:
        when = self._book.next_due()
        if self._telling is None and when < float("inf"):
            pause = max(when - time.monotonic(), 0.0)
            self._telling = asyncio.get_running_loop().call_later(pause, self._tell_due)

    def _tell_due(self) -> None:
        self._telling = None
        for alarm in self._book.due(time.monotonic()):
            self._tell(alarm)
        self._wait_for_due()

    def _save(self) -> None:
        self._saving = None
        new = f"{self._path}.{os.getpid()}"
        try:
            with open(new, "wb") as file:
                file.write(self._book.save())
            os.replace(new, self._path)
        except OSError as error:  # of a full disk: then the next process tells a thing twice
            logger.debug("what was told cannot be written down: %s", error)


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

    def give_up(self) -> None:
        """Its time is over; what it was not told is in the log at least."""
        if not self._task.done():
            self._task.cancel()
            left = self._queue.qsize()  # with the word that ends it, without the one that is under way
            logger.error("%s was not told of %d alarms before the stop", self._target.name, left)

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
