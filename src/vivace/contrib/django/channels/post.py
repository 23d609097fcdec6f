"""The boxes and groups of one process, and its address: where messages for its channels arrive.

Rules of this file:

- The boxes may be used from any thread. What follows a topic or publishes runs on the loop of the hub.
- A group is followed while a channel of this process is a member, and by nobody else in its name. Who adds
  the channel of another process asks that process, and waits until it has done so.
- A channel whose message expired has no reader any more: it leaves its groups, as the specification says.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from vivace.contrib.django.channels.box import Box
from vivace.contrib.django.channels.drops import Drops
from vivace.contrib.django.channels.named import Named
from vivace.hub import Following, Gap, Hub, Message

__all__ = ["ANSWER_SECONDS", "HOLD_SECONDS", "Limits", "Post"]

logger = logging.getLogger("vivace.channels")

ANSWER_SECONDS: Final = 2.0
"""How long the process of a channel has to take it into a group, or out of it."""
HOLD_SECONDS: Final = 0.5
"""For how long a channel of another process counts as full after that process said so."""
SWEEP_SECONDS: Final = 10.0
"""Between two looks for what has expired."""


class Limits(msgspec.Struct, frozen=True):
    """What holds for the boxes and groups of a layer."""

    prefix: str
    capacity: Callable[[str], int]
    expiry: float
    group_expiry: float


class _Group:
    """The members of a group in this process, with the time when their membership ends."""

    __slots__ = ("following", "members")

    def __init__(self, following: Following) -> None:
        self.following = following
        self.members: dict[str, float] = {}


class Post:
    """The part of a channel layer that belongs to one process.

    Args:
        hub: Connects it to the others.
        address: Names this process; no other has it.
        limits: Of the layer.
        drops: Counts what is lost.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        hub: Hub,
        address: str,
        limits: Limits,
        drops: Drops,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address
        self._hub = hub
        self._limits = limits
        self._drops = drops
        self._clock = clock
        self._lock = threading.Lock()
        self._boxes: dict[str, Box] = {}
        self._groups: dict[str, _Group] = {}
        self._full: dict[str, float] = {}
        self._asked: dict[int, asyncio.Future[None]] = {}
        self._number = 0
        self._open: list[Following] = []
        self._timer: asyncio.TimerHandle | None = None
        self._named = Named(hub, address, self._topic_of_readers, self._make_box, self.send, clock)

    # -- topics ---------------------------------------------------------------------------------------------

    def _topic_of_group(self, group: str) -> str:
        return f"{self._limits.prefix}.group.{group}"

    def _topic_of(self, address: str) -> str:
        return f"{self._limits.prefix}.at.{address}"

    def _topic_of_readers(self, channel: str) -> str:
        return f"{self._limits.prefix}.readers.{channel}"

    @property
    def _topic_of_all(self) -> str:
        return f"{self._limits.prefix}.all"

    # -- on the hub's loop ----------------------------------------------------------------------------------

    async def open(self) -> None:
        """Be there for the others."""
        self._open = [
            self._hub.follow(self._topic_of(self.address), self._arrive),
            self._hub.follow(self._topic_of_all, self._arrive),
        ]
        for following in self._open:
            await following.ready()
        self._timer = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._tick)

    async def close(self) -> None:
        """Follow nothing any more, and forget everything."""
        for following in self._open:
            following.close()
        self._open = []
        if self._timer is not None:
            self._timer.cancel()
        await self._named.forget_readers(self._is_read, all_of_them=True)
        self._forget()

    async def read(self, channel: str) -> None:
        """This process reads a channel that any process may read."""
        await self._named.read(channel)

    async def send(self, channel: str, owner: str, payload: bytes) -> bool:
        """Send to a channel of another process; False if it is full.

        Args:
            channel: Its name.
            owner: The address of its process; empty if any process may read it.
            payload: The message.
        """
        if not owner:
            return await self._named.send(channel, payload)
        if owner == self.address:
            return self.put(channel, payload)
        until = self._full.get(channel)
        if until is not None:
            if self._clock() < until:
                return False
            del self._full[channel]
        await self._hub.publish(self._topic_of(owner), ["message", channel, payload, self.address])
        return True

    async def send_group(self, group: str, payload: bytes) -> None:
        """Send to all members of a group, wherever they are.

        Args:
            group: Its name.
            payload: The message.
        """
        await self._hub.publish(self._topic_of_group(group), payload)

    async def add(self, group: str, channel: str) -> None:
        """Make a channel of this process a member; messages that are sent from now on reach it.

        Args:
            group: Of which group.
            channel: Its name.
        """
        found = self._groups.get(group)
        if found is None:
            following = self._hub.follow(self._topic_of_group(group), partial(self._deliver, group))
            found = self._groups[group] = _Group(following)
        found.members[channel] = self._clock() + self._limits.group_expiry
        await found.following.ready()

    def discard(self, group: str, channel: str) -> None:
        """End the membership of a channel of this process, if there is one."""
        found = self._groups.get(group)
        if found is not None:
            found.members.pop(channel, None)
            self._leave_if_empty(group, found)

    async def ask(self, wish: str, group: str, channel: str, owner: str) -> None:
        """Have another process add its channel to a group, or discard it; log it if nobody answers.

        Args:
            wish: ``add`` or ``discard``.
            group: Which group.
            channel: Which channel.
            owner: The address of its process.
        """
        self._number += 1
        number = self._number
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            await self._hub.publish(self._topic_of(owner), [wish, group, channel, self.address, number])
            async with asyncio.timeout(ANSWER_SECONDS):
                await answer
        except TimeoutError:
            logger.debug("the process of the channel %s does not answer: it is gone", channel)
        finally:
            del self._asked[number]

    async def flush(self) -> None:
        """Forget every message and every group, in all processes."""
        self._forget()
        await self._hub.publish(self._topic_of_all, ["flush", self.address])

    def _arrive(self, item: Message | Gap) -> None:
        """Something came for this process."""
        if isinstance(item, Gap):
            logger.warning("messages for channels of this process were lost: %s", item.reason)
            return
        kind, *more = item.data
        act: Callable[..., None] | None = getattr(self, f"_on_{kind}", None)
        if act is not None:  # a newer version may say more
            act(*more)

    def _on_message(self, channel: str, payload: bytes, sender: str) -> None:
        if not self.put(channel, payload):
            self._say(sender, ["full", channel])

    def _on_full(self, channel: str) -> None:
        self._full[channel] = self._clock() + HOLD_SECONDS

    def _on_add(self, group: str, channel: str, asker: str, number: int) -> None:
        _watch(asyncio.ensure_future(self._add_and_say(group, channel, asker, number)))

    async def _add_and_say(self, group: str, channel: str, asker: str, number: int) -> None:
        await self.add(group, channel)
        self._say(asker, ["done", number])

    def _on_discard(self, group: str, channel: str, asker: str, number: int) -> None:
        self.discard(group, channel)
        self._say(asker, ["done", number])

    def _on_done(self, number: int) -> None:
        answer = self._asked.get(number)
        if answer is not None and not answer.done():
            answer.set_result(None)

    def _on_flush(self, sender: str) -> None:
        if sender != self.address:
            self._forget()

    def _say(self, address: str, what: list[Any]) -> None:
        """Tell another process something that nobody waits for."""
        _watch(asyncio.ensure_future(self._hub.publish(self._topic_of(address), what)))

    def _deliver(self, group: str, item: Message | Gap) -> None:
        """A message of a group came: put it into the box of each member."""
        found = self._groups.get(group)
        if found is None:
            return
        if isinstance(item, Gap):
            self._drops.gap(group, item.reason)
            return
        payload, now = item.data, self._clock()
        over: list[str] = []
        for channel, end in found.members.items():
            if end <= now:
                over.append(channel)
            elif "!" not in channel:
                _watch(asyncio.ensure_future(self.send(channel, "", payload)))
            elif not self.put(channel, payload):
                self._drops.add(group, channel, self._limits.capacity(channel))
        for channel in over:
            del found.members[channel]
        self._leave_if_empty(group, found)

    def _leave_if_empty(self, group: str, found: _Group) -> None:
        if not found.members and self._groups.get(group) is found:
            del self._groups[group]
            found.following.close()

    def _tick(self) -> None:
        """Look for what has expired, now and then."""
        self._timer = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._tick)
        self.sweep()
        _watch(asyncio.ensure_future(self._named.forget_readers(self._is_read)))

    def sweep(self) -> None:
        """Forget what has expired, with the memberships of those who did not read it."""
        now = self._clock()
        gone = {channel for channel, box in self._all_boxes() if box.expire()}
        for group, found in list(self._groups.items()):
            for channel in gone & found.members.keys():
                del found.members[channel]
            self._leave_if_empty(group, found)
        self._full = {channel: until for channel, until in self._full.items() if until > now}
        self._named.sweep()
        with self._lock:
            for channel in [channel for channel, box in self._boxes.items() if box.idle]:
                del self._boxes[channel]

    def _forget(self) -> None:
        for group, found in list(self._groups.items()):
            found.members.clear()
            self._leave_if_empty(group, found)
        for _, box in self._all_boxes():
            box.clear()
        self._full.clear()
        self._named.forget()

    # -- from any thread ------------------------------------------------------------------------------------

    def put(self, channel: str, payload: bytes) -> bool:
        """Add a message to a channel of this process; False if it is full."""
        with self._lock:
            return self._box(channel).put(payload)

    async def get(self, channel: str) -> bytes:
        """The next message of a channel of this process; waits until there is one."""
        with self._lock:
            box = self._box(channel)
            box.users += 1
        try:
            return await box.get()
        finally:
            with self._lock:
                box.users -= 1
                if box.idle and self._boxes.get(channel) is box:
                    del self._boxes[channel]

    def _box(self, channel: str) -> Box:
        box = self._boxes.get(channel)
        if box is None:
            box = self._boxes[channel] = self._make_box(channel)
        return box

    def _make_box(self, channel: str) -> Box:
        return Box(self._limits.capacity(channel), self._limits.expiry, self._clock)

    def _is_read(self, channel: str) -> bool:
        box = self._boxes.get(channel)
        return box is not None and box.users > 0

    def _all_boxes(self) -> list[tuple[str, Box]]:
        with self._lock:
            return list(self._boxes.items())


_tasks: set["asyncio.Future[Any]"] = set()


def _watch(task: "asyncio.Future[Any]") -> None:
    """Hold something that nobody waits for, and log if it failed."""
    _tasks.add(task)
    task.add_done_callback(_look_at)


def _look_at(task: "asyncio.Future[Any]") -> None:
    _tasks.discard(task)
    if not task.cancelled() and task.exception() is not None:
        logger.warning("another process could not be told: %s", task.exception())
