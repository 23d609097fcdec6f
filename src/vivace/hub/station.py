"""The hub, as a process that uses it sees it: the same whether it is an object here or a process beside.

Rules of this file:

- Interfaces only.
- Everything is called on the loop's thread. What takes time gives a future.
"""

import asyncio
from typing import Any, Protocol

from vivace.hub.records import Outgoing, Past, Position, Rule, Stored

__all__ = ["Client", "Station"]


class Client(Protocol):
    """The process, as its station sees it; nothing here raises or waits."""

    def deliver(self, stored: Stored) -> None:
        """Take a message of a topic that this process wants."""
        ...

    def gap(self, topic: str, reason: str) -> None:
        """Messages of a topic were lost."""
        ...

    def past(self, topic: str, past: Past) -> None:
        """The answer to `Station.subscribe`: what was missed since the position it named."""
        ...

    def control(self, payload: bytes) -> None:
        """Take a control message of another process."""
        ...

    def declare(self, rules: list[Rule]) -> None:
        """Take all the rules of the hub."""
        ...

    def state(self, up: bool, why: str) -> None:
        """The hub, or the engine behind it, became reachable or is away."""
        ...


class Station(Protocol):
    """The way to the hub.

    Attributes:
        remote: The hub is another process.
    """

    remote: bool

    @property
    def up(self) -> bool:
        """Whether the hub can be reached, and its engine if it has one."""
        ...

    async def start(self) -> None:
        """Begin; return when the hub answered, or after a moment if it does not."""
        ...

    async def stop(self) -> None:
        """Leave: nothing is wanted any more."""
        ...

    def declare(self, rules: list[Rule]) -> None:
        """Tell the hub rules."""
        ...

    def subscribe(self, topic: str, since: Position | None) -> None:
        """This process wants a topic (0 -> 1); `Client.past` answers."""
        ...

    def unsubscribe(self, topic: str) -> None:
        """This process does not want it any more (1 -> 0)."""
        ...

    def send(self, outgoing: Outgoing) -> None:
        """Publish a `fast` message to the other processes.

        Raises:
            HubUnavailable: The hub has been away for too long.
        """
        ...

    def publish(self, outgoing: Outgoing) -> "asyncio.Future[Position | None]":
        """Publish a message; its position comes when it is stored, or `HubUnavailable`."""
        ...

    async def flush(self) -> None:
        """Wait while more waits to be sent than should."""
        ...

    def past(self, topic: str, since: Position | None, limit: int) -> "asyncio.Future[Past]":
        """What is kept of a topic."""
        ...

    def control(self, payload: bytes) -> None:
        """Tell every other process something."""
        ...

    def track(self, topic: str, key: str, ref: str, meta: Any) -> None:
        """Somebody is present."""
        ...

    def untrack(self, topic: str, key: str, ref: str) -> None:
        """Somebody is present no more."""
        ...

    def presence(self, topic: str) -> "asyncio.Future[dict[str, list[Any]]]":
        """Who is present, with what is said of them."""
        ...

    def ask_stats(self) -> "asyncio.Future[dict[str, Any]]":
        """The numbers of the hub."""
        ...
