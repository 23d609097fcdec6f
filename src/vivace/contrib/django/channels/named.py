"""Channels that any process may read: ``send("thumbnails", ...)`` and ``manage.py runworker thumbnails``.

Who reads such a channel is present at a topic of its name; a sender chooses one of them, in turn, and sends
to its process. While nobody reads it, messages wait where they were sent.

Rules of this file:

- Everything runs on the loop of the hub.
- One reader gets a message, and only one: nothing is sent again.
- What waits for a reader ends with the process of its sender, or when it expires.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from vivace.contrib.django.channels.box import Box
from vivace.hub import Hub

__all__ = ["LOOK_SECONDS", "Named"]

logger = logging.getLogger("vivace.channels")

LOOK_SECONDS: Final = 0.5
"""For how long it is remembered who reads a channel, and between two looks while nobody does."""
LINGER_SECONDS: Final = 10.0
"""For how long a process is still a reader after it asked for a message last."""


class _Channel:
    """What a sender knows of a channel."""

    __slots__ = ("looked_at", "readers", "senders", "task", "turn", "waiting")

    def __init__(self, waiting: Box) -> None:
        self.waiting = waiting
        self.readers: list[str] = []
        self.looked_at = float("-inf")
        self.turn = 0
        self.senders = 0
        self.task: asyncio.Task[None] | None = None


class Named:
    """The named channels of one process, as their sender and as their reader.

    Args:
        hub: Knows who reads them.
        address: Of this process.
        topic: Gives the topic of a channel's readers.
        make_box: Makes room for what waits.
        give: Sends a message to a process: the channel, the address, the message; False if it is full.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        hub: Hub,
        address: str,
        topic: Callable[[str], str],
        make_box: Callable[[str], Box],
        give: Callable[[str, str, bytes], Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._address = address
        self._topic = topic
        self._make_box = make_box
        self._give = give
        self._clock = clock
        self._channels: dict[str, _Channel] = {}
        self._reads: dict[str, float] = {}

    async def read(self, name: str) -> None:
        """This process reads a channel; it is said once, and holds for a while."""
        new = name not in self._reads
        self._reads[name] = self._clock() + LINGER_SECONDS
        if new:
            await self._hub.track(self._topic(name), self._address)

    async def forget_readers(self, in_use: Callable[[str], bool], *, all_of_them: bool = False) -> None:
        """This process does not read channels any more that it has not asked for in a while.

        Args:
            in_use: Whether somebody waits for a message of the channel right now.
            all_of_them: Or whatever it has asked for.
        """
        now = self._clock()
        for name, end in list(self._reads.items()):
            if all_of_them or (end <= now and not in_use(name)):
                del self._reads[name]
                await self._hub.untrack(self._topic(name), self._address)

    async def send(self, name: str, payload: bytes) -> bool:
        """Send to a reader of a channel; False if it is full.

        Args:
            name: Of the channel.
            payload: The message.
        """
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = _Channel(self._make_box(name))
        channel.senders += 1
        try:
            return await self._send(name, channel, payload)
        finally:
            channel.senders -= 1

    async def _send(self, name: str, channel: _Channel, payload: bytes) -> bool:
        if channel.task is None:
            await self._look(name, channel)
            if channel.readers:
                return await self._hand(name, channel, payload)
        if not channel.waiting.put(payload):
            return False
        if channel.task is None:
            channel.task = asyncio.ensure_future(self._wait(name, channel))
        return True

    def sweep(self) -> None:
        """Forget channels to which nobody has sent lately and where nothing waits."""
        now = self._clock()
        for name, channel in list(self._channels.items()):
            idle = channel.task is None and not channel.senders and channel.waiting.empty
            if idle and now - channel.looked_at >= LOOK_SECONDS:
                del self._channels[name]

    def forget(self) -> None:
        """Forget what waits."""
        for channel in self._channels.values():
            if channel.task is not None:
                channel.task.cancel()
        self._channels.clear()

    async def _look(self, name: str, channel: _Channel) -> None:
        """Learn who reads a channel, if that is not known well enough."""
        now = self._clock()
        if now - channel.looked_at >= LOOK_SECONDS:
            channel.readers = sorted(await self._hub.presence(self._topic(name)))
            channel.looked_at = now

    async def _hand(self, name: str, channel: _Channel, payload: bytes) -> bool:
        channel.turn += 1
        reader = channel.readers[channel.turn % len(channel.readers)]
        sent: bool = await self._give(name, reader, payload)
        return sent

    async def _wait(self, name: str, channel: _Channel) -> None:
        """Hand out what waits when a reader has come; end when nothing waits."""
        try:
            while not channel.waiting.empty:
                await self._look(name, channel)
                if not channel.readers:
                    await asyncio.sleep(LOOK_SECONDS)
                    channel.waiting.expire()
                    continue
                await self._hand(name, channel, await channel.waiting.get())
        except Exception as error:  # noqa: BLE001  # nobody waits for it: told, not raised
            logger.warning("what waits for a reader of the channel %s is lost: %s", name, error)
        finally:
            channel.task = None
