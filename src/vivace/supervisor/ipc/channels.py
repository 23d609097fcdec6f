"""The channels that a supervisor hears: those of its workers and templates.

Rules of this file:

- A channel may be forgotten while the selector still has news of it: such news is dropped.
- One selector waits for everything; what else has a descriptor is registered with it too.
"""

import selectors
from collections.abc import Callable
from typing import Final

from vivace.supervisor.ipc.messages import Channel, Message

__all__ = ["LONGEST_WAIT", "Channels"]

LONGEST_WAIT: Final = 3600.0
"""Seconds between two turns at most: a system may not be able to wait for longer than some days."""


class Channels:
    """Channels on a selector.

    Attributes:
        selector: Calls what is registered as data of a descriptor when there is something to read.
    """

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self._channels: set[Channel] = set()

    def __contains__(self, channel: Channel) -> bool:
        return channel in self._channels

    def wait(self, timeout: float | None) -> None:
        """Until something came, or so many seconds; whatever came is done."""
        for key, _ in self.selector.select(LONGEST_WAIT if timeout is None else min(timeout, LONGEST_WAIT)):
            key.data()

    def follow(self, channel: Channel, read: Callable[[], object]) -> None:
        """Call `read` whenever a channel has something to say."""
        channel.sock.setblocking(False)
        self._channels.add(channel)
        self.selector.register(channel, selectors.EVENT_READ, read)

    def forget(self, channel: Channel) -> None:
        """Hear a channel no more, and close it."""
        if channel in self._channels:
            self._channels.discard(channel)
            self.selector.unregister(channel)
            channel.close()

    def receive(self, channel: Channel) -> list[Message] | None:
        """What has arrived; None if nothing has. A channel whose other end is gone is forgotten."""
        if channel not in self._channels:
            return None
        try:
            messages = channel.receive()
        except BlockingIOError:
            return None
        except OSError:
            messages = None
        if messages is None:
            self.forget(channel)
        return messages

    def close(self) -> None:
        """Close all, and the selector."""
        self.selector.close()
        for channel in self._channels:
            channel.close()
        self._channels.clear()
