"""What engines of two connections share: one connection sends, the other one listens.

Rules of this file:

- No server's protocol is known here: what goes over a connection is the business of who derives.
- Each connection comes back by itself, and both have one `Status`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Generic, TypeVar

from vivace.hub.engine import Sink
from vivace.hub.engines.link import Link
from vivace.hub.engines.outbox import Outbox
from vivace.hub.engines.remote import Remote, wait_ready
from vivace.hub.engines.upkeep import CallName, Status, Timing
from vivace.hub.records import Rule

__all__ = ["COMMANDS", "LISTENING", "Listening", "Pair", "Sending"]

COMMANDS: Final = "commands"
"""The connection that sends, for `Status`."""
LISTENING: Final = "listening"
"""The connection that listens."""
T = TypeVar("T")


class Sending(Link, Generic[T]):
    """The connection that sends what waits in an outbox.

    Args:
        name: Of the connection.
        timing: How long what may take.
        status: Is told.
        reason: Says why the server is away.
    """

    def __init__(self, name: CallName, timing: Timing, status: Status, reason: Callable[[], str]) -> None:
        super().__init__(COMMANDS, name, timing, status)
        self._outbox: Outbox[T] = Outbox(timing, reason)

    def start(self) -> None:
        """Begin to connect."""
        self._connect()

    async def stop(self) -> None:
        """Send what waits, as long as that may take, and disconnect."""
        await self._outbox.drain()
        await self._disconnect()
        self._outbox.close()


class Listening(Link):
    """The connection that follows topics.

    Args:
        name: Of the connection.
        timing: How long what may take.
        status: Is told.
    """

    _topics: dict[str, Any]

    def __init__(self, name: CallName, timing: Timing, status: Status) -> None:
        super().__init__(LISTENING, name, timing, status)
        self._sink: Sink | None = None

    def start(self, sink: Sink) -> None:
        """Begin to connect."""
        self._sink = sink
        self._connect()

    async def stop(self) -> None:
        """Disconnect, and forget everything."""
        await self._disconnect()
        self.unfollow(list(self._topics))
        self._sink = None

    def follow(self, topics: Mapping[str, Rule]) -> None:
        """See `Engine.follow`."""
        raise NotImplementedError

    def unfollow(self, topics: Iterable[str]) -> None:
        """See `Engine.unfollow`."""
        raise NotImplementedError

    async def wait_for(self, topic: str) -> None:
        """Return when a topic, if it is followed, is so at the server.

        Raises:
            TimeoutError: It takes too long.
        """
        followed = self._topics.get(topic)
        await wait_ready(followed and followed.ready, self._timing.patience)


class Pair(Remote):
    """What such an engine does whatever its server is; see `vivace.hub.engine.Engine`.

    Args:
        name: Of the connections.
        status: Of both.
        sending: One of them.
        listening: The other one.
        reason: Says why the server is away.
    """

    mirrors = True

    def __init__(
        self,
        name: CallName,
        status: Status,
        sending: Sending[Any],
        listening: Listening,
        reason: Callable[[], str],
    ) -> None:
        super().__init__(name, status, reason)
        self._sending = sending
        self._listening = listening

    @property
    def connections(self) -> int:
        """See `Engine.connections`."""
        return self._sending.connected + self._listening.connected

    async def start(self, sink: Sink) -> None:
        """See `Engine.start`."""
        self._status.begin(sink)
        self._sending.start()
        self._listening.start(sink)

    async def stop(self) -> None:
        """See `Engine.stop`."""
        await self._sending.stop()
        self._status.end()
        await self._listening.stop()

    def follow(self, topics: Mapping[str, Rule]) -> None:
        """See `Engine.follow`."""
        self._listening.follow(topics)

    def unfollow(self, topics: Iterable[str]) -> None:
        """See `Engine.unfollow`."""
        self._listening.unfollow(topics)

    async def _until_followed(self, topic: str) -> None:
        await self._listening.wait_for(topic)
