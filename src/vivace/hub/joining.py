"""Topics that this machine has begun to follow, and that its engine has not confirmed yet.

Who joins one is answered when the other machines' messages are sure to come. If that takes too long, or the
engine is away, the answer comes at once, and a gap when the topic is followed at last.

Rules of this file:

- A topic is here only until it is confirmed: joining one that is followed already costs nothing.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from vivace.errors import HubUnavailable
from vivace.hub.engine import Engine
from vivace.hub.station import Client

__all__ = ["Joining"]

_RETRY: Final = 0.5
"""Seconds after which an engine that is away is asked again."""
_LATE: Final = "engine: the other machines could not be told in time that this one follows the topic"


class _Join:
    __slots__ = ("clients", "late", "task")

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.late = False
        self.task: asyncio.Task[None] | None = None


class Joining:
    """Answers those who join topics.

    Args:
        engine: Follows them.
        ready: Set when the engine has been started.
        answer: Tells a process that its topic is followed.
        gap: Tells those who were answered too early.
    """

    def __init__(
        self,
        engine: Engine,
        ready: asyncio.Event,
        answer: Callable[[Client, str], None],
        gap: Callable[[str, str], None],
    ) -> None:
        self._engine = engine
        self._ready = ready
        self._answer = answer
        self._gap = gap
        self._joins: dict[str, _Join] = {}

    def begin(self, topic: str) -> "asyncio.Task[None]":
        """This machine wants a topic that it did not want before; give what waits for that."""
        join = self._joins[topic] = _Join()
        join.task = asyncio.get_running_loop().create_task(
            self._confirm(topic, join), name=f"vivace-hub-join-{topic}"
        )
        return join.task

    def add(self, client: Client, topic: str, *, wait: bool) -> None:
        """A process joins: answer it as soon as the topic is followed, or now if it is not to wait."""
        join = self._joins.get(topic)
        if join is not None and wait:
            join.clients.append(client)
            return
        if join is not None:
            join.late = True
        self._answer(client, topic)

    def leave(self, client: Client, topic: str) -> None:
        """A process does not want a topic any more."""
        join = self._joins.get(topic)
        if join is not None:
            join.clients = [other for other in join.clients if other is not client]

    def detach(self, client: Client) -> None:
        """A process is gone."""
        for topic in self._joins:
            self.leave(client, topic)

    def end(self, topics: Iterable[str]) -> None:
        """This machine does not want these topics any more."""
        for topic in topics:
            join = self._joins.pop(topic, None)
            if join is not None and join.task is not None:
                join.task.cancel()

    def give_up(self) -> None:
        """The engine is away: nobody waits for it."""
        for topic, join in tuple(self._joins.items()):
            self._say(topic, join, late=True)

    async def _confirm(self, topic: str, join: _Join) -> None:
        await self._ready.wait()
        while True:
            try:
                await self._engine.followed(topic)
            except HubUnavailable:
                self._say(topic, join, late=True)
                await asyncio.sleep(_RETRY)
            else:
                break
        if self._joins.get(topic) is join:
            del self._joins[topic]
            self._say(topic, join, late=False)
            if join.late:
                self._gap(topic, _LATE)

    def _say(self, topic: str, join: _Join, *, late: bool) -> None:
        clients, join.clients = join.clients, []
        join.late = join.late or (late and bool(clients))
        for client in clients:
            self._answer(client, topic)
