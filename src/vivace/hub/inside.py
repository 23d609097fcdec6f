"""The hub as an object of this process: the way to it where a server has one process, or none.

Rules of this file:

- Nothing is encoded, and nothing is queued.
"""

import asyncio
from typing import Any, TypeVar

from vivace.hub.exchange import Exchange
from vivace.hub.records import Outgoing, Past, Position, Rule
from vivace.hub.station import Client

__all__ = ["Inside"]

T = TypeVar("T")


class Inside:
    """A `Station`.

    Args:
        exchange: The hub; it begins with its first client, and ends with the last one.
        client: This process.
    """

    remote = False

    def __init__(self, exchange: Exchange, client: Client) -> None:
        self.exchange = exchange
        self._client = client
        exchange.attach(client)

    @property
    def up(self) -> bool:
        """Whether the other machines can be reached, if there are any."""
        return self.exchange.up

    async def start(self) -> None:
        """Begin."""
        await self.exchange.start()

    async def stop(self) -> None:
        """Leave the hub; without a client it ends."""
        self.exchange.detach(self._client)
        if not self.exchange.clients:
            await self.exchange.stop()

    def declare(self, rules: list[Rule]) -> None:
        """Tell the hub rules."""
        self.exchange.declare(self._client, rules)

    def subscribe(self, topic: str, since: Position | None) -> None:
        """This process wants a topic."""
        self.exchange.subscribe(self._client, topic, since)

    def unsubscribe(self, topic: str) -> None:
        """This process does not want it any more."""
        self.exchange.unsubscribe(self._client, topic)

    def send(self, outgoing: Outgoing) -> None:
        """Publish a `fast` message to the other machines."""
        self.exchange.send(self._client, outgoing)

    def publish(self, outgoing: Outgoing) -> "asyncio.Future[Position | None]":
        """Publish a message."""
        return _future(self.exchange.publish(outgoing))

    async def flush(self) -> None:
        """Nothing waits here."""

    def past(self, topic: str, since: Position | None, limit: int) -> "asyncio.Future[Past]":
        """What is kept of a topic."""
        return _future(self.exchange.past(topic, since, limit))

    def control(self, payload: bytes) -> None:
        """Tell every other process something."""
        self.exchange.control(self._client, payload)

    def track(self, topic: str, key: str, ref: str, meta: Any) -> None:
        """Somebody is present."""
        self.exchange.track(self._client, topic, key, ref, meta)

    def untrack(self, topic: str, key: str, ref: str) -> None:
        """Somebody is present no more."""
        self.exchange.untrack(self._client, topic, key, ref)

    def presence(self, topic: str) -> "asyncio.Future[dict[str, list[Any]]]":
        """Who is present."""
        return _future(self.exchange.census.of(topic))

    def ask_stats(self) -> "asyncio.Future[dict[str, Any]]":
        """The numbers of the hub."""
        return _future(self.exchange.stats())


def _future(value: "T | asyncio.Future[T]") -> "asyncio.Future[T]":
    if isinstance(value, asyncio.Future):
        return value
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future
