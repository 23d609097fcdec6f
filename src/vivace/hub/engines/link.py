"""A connection of an engine that comes back by itself.

Rules of this file:

- No server's protocol is known here: what goes over the connection is the business of who derives.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from vivace.hub.engines.upkeep import CallName, Status, Timing, keep

__all__ = ["Link"]


class Link:
    """A connection that comes and goes.

    Args:
        link: What `status` calls it.
        name: Of the connection.
        timing: How long what may take.
        status: Is told.
    """

    def __init__(self, link: str, name: CallName, timing: Timing, status: Status) -> None:
        self._link = link
        self._name = name
        self._timing = timing
        self._status = status
        self._connection: Any = None
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    def _connect(self) -> None:
        self._task = asyncio.create_task(
            keep(self._link, self._session, self._status, self._timing, self._explain)
        )

    async def _disconnect(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _session(self, settled: Callable[[], None]) -> None:
        """See `keep`."""
        raise NotImplementedError

    def _explain(self, error: Exception) -> str:
        """Words for what a session raised."""
        raise NotImplementedError
