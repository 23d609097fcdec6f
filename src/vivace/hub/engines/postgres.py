"""The engine over a PostgreSQL: one connection that writes, one that is woken and reads.

Messages are rows for a minute at least, so a machine that was away reads what it missed, of `fast` topics
too. ``SELECT hub_publish('room:42', '{"t": "hi"}')`` publishes with the transaction that it is called in.

Rules of this file:

- Both connections go to the server itself: poolers that share connections do not pass notifications on.
"""

import os
from collections.abc import Iterable, Mapping

from vivace.errors import HubUnavailable
from vivace.hub.engine import Sink
from vivace.hub.engines.envelope import seal
from vivace.hub.engines.postgres_calls import LINK as COMMANDS
from vivace.hub.engines.postgres_calls import Writer
from vivace.hub.engines.postgres_link import explain
from vivace.hub.engines.postgres_listen import LINK as LISTENING
from vivace.hub.engines.postgres_listen import Reader
from vivace.hub.engines.postgres_rows import Questions, past_of
from vivace.hub.engines.postgres_schema import Names
from vivace.hub.engines.upkeep import CallName, Status, Timing
from vivace.hub.records import Outgoing, Past, Position, Rule

__all__ = ["PostgresEngine"]


class PostgresEngine:
    """See `vivace.hub.engine.Engine`.

    Args:
        url: Of the database.
        prefix: Of all tables and functions.
        name: Of the connections.
        timing: How long what may take.
    """

    def __init__(self, url: str, prefix: str, name: str, timing: Timing) -> None:
        self._url = url
        names = Names(prefix)
        self._questions = Questions.of(names)
        call = CallName(name)
        self._status = status = Status(COMMANDS, LISTENING)
        self._writer = Writer(url, call, names, timing, status)
        self._reader = Reader(url, call, names, timing, status)
        self._call = call
        self._run = os.urandom(6).hex()
        self._number = 0

    @property
    def up(self) -> bool:
        """See `Engine.up`."""
        return self._status.up

    @property
    def connections(self) -> int:
        """See `Engine.connections`."""
        return self._writer.connected + self._reader.connected

    def rename(self, name: str) -> None:
        """See `Engine.rename`."""
        self._call.become(name)

    async def start(self, sink: Sink) -> None:
        """See `Engine.start`."""
        self._status.begin(sink)
        self._writer.start()
        self._reader.start(sink)

    async def stop(self) -> None:
        """See `Engine.stop`."""
        await self._writer.stop()
        self._status.end()
        await self._reader.stop()

    def follow(self, topics: Mapping[str, Rule]) -> None:
        """See `Engine.follow`."""
        self._reader.follow(topics)

    def unfollow(self, topics: Iterable[str]) -> None:
        """See `Engine.unfollow`."""
        self._reader.unfollow(topics)

    async def followed(self, topic: str) -> None:
        """See `Engine.followed`."""
        try:
            await self._reader.wait_for(topic)
        except TimeoutError as error:
            why = self._status.why or explain(error, self._url)
            raise HubUnavailable(f"{why}; topic {topic!r} is not followed yet") from None

    async def publish(self, outgoing: Outgoing) -> Position | None:
        """See `Engine.publish`."""
        self._number += 1
        octets = seal(outgoing, self._run, self._number)
        return await self._writer.store(outgoing.topic, octets, outgoing.rule)

    async def history(self, topic: str, rule: Rule, since: Position | None, limit: int) -> Past:
        """See `Engine.history`."""
        del rule  # what is kept was decided when it was stored
        try:
            await self._reader.wait_for(topic)
        except TimeoutError as error:
            why = self._status.why or explain(error, self._url)
            raise HubUnavailable(f"{why}; the history of {topic!r} cannot be read") from None
        if since is None:
            rows = await self._writer.ask(self._questions.newest, topic, limit)
        else:
            rows = await self._writer.ask(self._questions.history, topic, since.offset, limit + 1)
        return past_of(rows, since, limit)
