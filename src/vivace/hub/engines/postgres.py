"""The engine over a PostgreSQL: one connection that writes, one that is woken and reads.

Messages are rows for a minute at least, so a machine that was away reads what it missed, of `fast` topics
too. ``SELECT hub_publish('room:42', '{"t": "hi"}')`` publishes with the transaction that it is called in.

Rules of this file:

- Both connections go to the server itself: poolers that share connections do not pass notifications on.
"""

from vivace.hub.engines.pair import COMMANDS, LISTENING, Pair
from vivace.hub.engines.postgres_calls import Writer
from vivace.hub.engines.postgres_listen import Reader
from vivace.hub.engines.postgres_rows import Questions, arguments_of, past_of, rolls_of
from vivace.hub.engines.postgres_schema import Names
from vivace.hub.engines.upkeep import CallName, Status, Timing
from vivace.hub.records import Outgoing, Past, Position, Roll, Rule

__all__ = ["PostgresEngine"]


class PostgresEngine(Pair):
    """See `vivace.hub.engine.Engine`.

    Args:
        url: Of the database.
        prefix: Of all tables and functions.
        name: Of the connections.
        timing: How long what may take.
    """

    def __init__(self, url: str, prefix: str, name: str, timing: Timing) -> None:
        names = Names(prefix)
        self._questions = Questions.of(names)
        call, status = CallName(name), Status(COMMANDS, LISTENING)
        self._writer = Writer(url, call, names, timing, status)
        super().__init__(
            call, status, self._writer, Reader(url, call, names, timing, status), self._writer.reason
        )

    async def publish(self, outgoing: Outgoing) -> Position | None:
        """See `Engine.publish`."""
        return await self._writer.store(outgoing.topic, self._seal(outgoing), outgoing.rule)

    async def keep_present(self, roll: Roll) -> bool:
        """See `Engine.keep_present`."""
        rows = await self._writer.ask(self._questions.keep, *arguments_of(roll))
        return bool(rows[0]["kept"])

    async def present(self) -> list[Roll]:
        """See `Engine.present`."""
        return rolls_of(await self._writer.ask(self._questions.present))

    async def history(self, topic: str, rule: Rule, since: Position | None, limit: int) -> Past:
        """See `Engine.history`."""
        del rule  # what is kept was decided when it was stored
        await self._wait_for(topic, f"the history of {topic!r} cannot be read")
        if since is None:
            rows = await self._writer.ask(self._questions.newest, topic, limit)
        else:
            rows = await self._writer.ask(self._questions.history, topic, since.offset, limit + 1)
        return past_of(rows, since, limit)
