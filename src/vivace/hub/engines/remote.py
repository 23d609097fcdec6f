"""What every engine is to its hub, whatever its server and its connections.

Rules of this file:

- A message that leaves says which life of the engine sent it, and as which of its messages.
"""

import asyncio
import os
from collections.abc import Callable

from vivace.errors import HubUnavailable
from vivace.hub.engines.envelope import seal
from vivace.hub.engines.upkeep import CallName, Status
from vivace.hub.records import Outgoing

__all__ = ["Remote", "wait_ready"]


async def wait_ready(ready: "asyncio.Future[None] | None", patience: float) -> None:
    """Return when something is ready that others may wait for too; None is.

    Args:
        ready: Is done then.
        patience: Seconds that it may take.

    Raises:
        TimeoutError: It takes longer.
    """
    if ready is not None and not ready.done():
        async with asyncio.timeout(patience):
            await asyncio.shield(ready)


class Remote:
    """See `vivace.hub.engine.Engine`.

    Args:
        name: Of the connections.
        status: Of all of them.
        reason: Says why the server is away.
    """

    def __init__(self, name: CallName, status: Status, reason: Callable[[], str]) -> None:
        self._name = name
        self._status = status
        self._reason = reason
        self._run = os.urandom(6).hex()
        self._number = 0

    @property
    def up(self) -> bool:
        """See `Engine.up`."""
        return self._status.up

    def rename(self, name: str) -> None:
        """See `Engine.rename`."""
        self._name.become(name)

    async def followed(self, topic: str) -> None:
        """See `Engine.followed`."""
        await self._wait_for(topic, f"topic {topic!r} is not followed yet")

    async def _wait_for(self, topic: str, consequence: str) -> None:
        try:
            await self._until_followed(topic)
        except TimeoutError:
            raise HubUnavailable(f"{self._reason()}; {consequence}") from None

    async def _until_followed(self, topic: str) -> None:
        """Return when a topic, if it is followed, is so at the server; TimeoutError: it takes too long."""
        raise NotImplementedError

    def _seal(self, outgoing: Outgoing) -> bytes:
        self._number += 1
        return seal(outgoing, self._run, self._number)
