"""The process that puts runs on the spool when their slots come, and those of files that changed.

Rules of this file:

- It runs nothing itself: a run is a task, with attempts, time-out and history as others have.
- What was dealt with stands on the spool, and there only. So a slot is run once, however many schedulers
  there are and however often they start.
- A clock that was far ahead for a while, as at the start of a machine, takes no slots from the time to come.
- The clock is asked in one place, and `tick` is told the time.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec

from vivace.tasks.book import Book
from vivace.tasks.complaint import Complaint
from vivace.tasks.errors import SpoolUnavailable
from vivace.tasks.records import NewTask
from vivace.tasks.schedule import MOST_MISSED, Schedule
from vivace.tasks.spool import Spool

__all__ = ["Scheduler"]

logger = logging.getLogger("vivace.tasks")

LOOK: Final = 5.0
"""Seconds between two looks at the clock, which somebody may set."""
AGAIN: Final = 0.5
"""Seconds until a slot is tried again whose run before is not done, or whose spool did not answer."""
SET_BACK: Final = 3 * 3600.0
"""Seconds by which a clock has to be set back before slots come again; up to that none runs twice, as with
Debian's cron."""


class _Entry:
    """A schedule, how far it came, and the slots that wait."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.seen: float | None = None
        self.waiting: deque[float] = deque(maxlen=MOST_MISSED)

    def look(self, now: float) -> None:
        """Find the slots that came."""
        assert self.seen is not None
        self.waiting.extend(self.schedule.due(self.seen, now))
        self.seen = max(self.seen, self.schedule.rule.last(now))

    def next_time(self, now: float) -> float:
        """When there is something to do."""
        return now + AGAIN if self.waiting or self.seen is None else self.schedule.rule.after(self.seen)


class Scheduler:
    """Deals with the schedules of a book.

    Args:
        book: The schedules, and the way to their spool.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._complaint = Complaint(logger)
        self._entries = [_Entry(schedule) for schedule in book.schedules]

    async def run(self, stopping: asyncio.Event) -> None:
        """Put runs on the spool until told to stop."""
        clock = self._book.clock
        while not stopping.is_set():
            wait = min(await self.tick(clock()) - clock(), LOOK)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(wait, 0.0)):
                    await stopping.wait()

    async def tick(self, now: float) -> float:
        """Do what is to be done at a moment; when there is more to do.

        Args:
            now: The time.
        """
        for entry in self._entries:
            try:
                await self._deal_with(entry, now)
            except SpoolUnavailable as error:
                self._complaint.say(f"nothing can be scheduled: {error}")
                break
        else:
            self._complaint.over()
        return min((entry.next_time(now) for entry in self._entries), default=now + LOOK)

    async def _deal_with(self, entry: _Entry, now: float) -> None:
        name = entry.schedule.name
        clerk = self._book.clerk
        if entry.seen is None:
            entry.seen = await clerk.do(lambda spool: _last_or_mark(spool, name, now))
        if entry.seen > now + SET_BACK:
            logger.warning("%s: the slot of %s was taken by a clock that was wrong", name, _show(entry.seen))
            await clerk.do(lambda spool: spool.set_back(name, now))
            entry.seen = now
            entry.waiting.clear()
        entry.look(now)
        while entry.waiting:
            slot = entry.waiting[0]
            waits = entry.schedule.overlap == "queue"
            outcome = await clerk.do(self._put(entry.schedule, slot, waits, now))
            if outcome == "busy" and waits:
                return
            if outcome == "busy":
                text = "%s: the run before is not done, that of %s is left out"
                logger.warning(text, name, _show(slot), extra={"event": "cron.missed", "subject": name})
            entry.waiting.popleft()

    def _put(self, schedule: Schedule, slot: float, waits: bool, now: float) -> Callable[[Spool], str]:
        task = self._make_run(schedule, slot)
        return lambda spool: spool.schedule(schedule.name, slot, task, waits=waits, now=now)

    def _make_run(self, schedule: Schedule, slot: float) -> NewTask:
        function = self._book.functions[schedule.name]
        moment = datetime.fromtimestamp(slot, schedule.rule.zone)
        given = dict.fromkeys(list(function.arguments.signature.parameters)[:1], moment)
        made = function.make((), given, schedule.start_of(slot))
        return msgspec.structs.replace(made, unique_key=schedule.key_of(slot))


def _last_or_mark(spool: Spool, name: str, now: float) -> float:
    """The slot that was dealt with last; for a new schedule that is now: nothing runs because it was made."""
    last = spool.last_slot(name)
    if last is None:
        spool.schedule(name, now, None, waits=False, now=now)
        return now
    return last


def _show(slot: float) -> Any:
    return datetime.fromtimestamp(slot).astimezone().isoformat(timespec="seconds")
