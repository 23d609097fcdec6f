"""What an engine of PostgreSQL listens to: one connection that is woken, and reads what is new.

Rules of this file:

- Where this machine is in the stream of messages outlives the connection: what was committed while it was
  away is read when it is back, and nothing is missed unless it was away for longer than rows are kept.
- It also looks after a silence without being woken: that shows whether the connection lives, and bridges
  what stands in the way of notifications.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from vivace.hub.engines.pair import Listening
from vivace.hub.engines.postgres_link import connect, explain, prepare
from vivace.hub.engines.postgres_rows import CHUNK, Questions, stored_of, went_back
from vivace.hub.engines.postgres_schema import RETENTION, Names, bucket_of
from vivace.hub.engines.upkeep import CallName, LinkDown, Status, Timing
from vivace.hub.records import Position, Rule

__all__ = ["Reader"]

logger = logging.getLogger("vivace")

POLL: Final = 1.0
"""Seconds between two looks where notifications do not arrive."""


class _Followed:
    __slots__ = ("last", "ready", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.last: Position | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Reader(Listening):
    """Follows topics.

    Args:
        url: Of the database.
        name: Of the connection.
        names: Of the tables.
        timing: How long what may take.
        status: Is told.
    """

    def __init__(self, url: str, name: CallName, names: Names, timing: Timing, status: Status) -> None:
        super().__init__(name, timing, status)
        self._url = url
        self._names = names
        self._questions = Questions.of(names)
        self._topics: dict[str, _Followed] = {}
        self._new: dict[str, _Followed] = {}
        self._heard: set[int] = set()
        self._wake = asyncio.Event()
        self._seen: str | None = None
        self._seen_at = 0.0
        self._pause = timing.ping_after

    def follow(self, topics: Mapping[str, Rule]) -> None:
        """See `Engine.follow`."""
        for topic, rule in topics.items():
            if topic not in self._topics:
                self._topics[topic] = self._new[topic] = _Followed(rule)
        self._wake.set()

    def unfollow(self, topics: Iterable[str]) -> None:
        """See `Engine.unfollow`."""
        for topic in topics:
            followed = self._topics.pop(topic, None)
            self._new.pop(topic, None)
            if followed is not None and not followed.ready.done():
                followed.ready.set_result(None)
        self._wake.set()

    def _explain(self, error: Exception) -> str:
        return explain(error, self._url)

    async def _session(self, settled: Callable[[], None]) -> None:
        connection = await connect(self._url, await self._name.get(), self._timing)
        connection.add_termination_listener(lambda _: self._wake.set())
        self._heard.clear()
        try:
            await prepare(connection, self._names, self._questions)
            self._connection = connection
            await self._try_notifications(connection)
            await self._take_up(connection)
            settled()
            while True:
                await self._wait(connection)
                await self._take_up(connection)
        finally:
            self._connection = None
            connection.terminate()

    async def _try_notifications(self, connection: Any) -> None:
        """Send one to this connection; where none arrive, look often."""
        heard = asyncio.Event()

        def hear(*_: object) -> None:
            heard.set()

        channel = f"{self._names.channel(0)}_{connection.get_server_pid()}"
        await connection.add_listener(channel, hear)
        await connection.execute("SELECT pg_notify($1, '')", channel)
        try:
            async with asyncio.timeout(self._timing.ping_timeout):
                await heard.wait()
        except TimeoutError:
            self._pause = min(POLL, self._timing.ping_after)
            logger.warning(
                "hub: notifications of postgres do not arrive: HUB_URL leads to a pooler that shares"
                " connections (pgbouncer, pool_mode=transaction?). Let it lead to the server itself; until"
                " then it is asked every %g s",
                self._pause,
            )
        else:
            self._pause = self._timing.ping_after
        await connection.remove_listener(channel, hear)

    async def _wait(self, connection: Any) -> None:
        """Return when there may be news, or it is time for a look without."""
        try:
            async with asyncio.timeout(self._pause):
                await self._wake.wait()
        except TimeoutError:
            pass
        if connection.is_closed():
            raise LinkDown("the server closed the connection")

    async def _take_up(self, connection: Any) -> None:
        """Read what is new, and begin with the topics that are."""
        self._wake.clear()
        await self._listen(connection)
        new, self._new = self._new, {}
        try:
            await self._read(connection, [topic for topic in self._topics if topic not in new])
        except BaseException:
            self._new = {**{t: f for t, f in new.items() if self._topics.get(t) is f}, **self._new}
            raise
        for followed in new.values():
            if not followed.ready.done():
                followed.ready.set_result(None)

    async def _listen(self, connection: Any) -> None:
        """Be woken for the topics that are followed, and for few others."""
        wanted = {bucket_of(topic) for topic in self._topics}
        for bucket in wanted - self._heard:
            await connection.add_listener(self._names.channel(bucket), self._woken)
        for bucket in self._heard - wanted:
            await connection.remove_listener(self._names.channel(bucket), self._woken)
        self._heard = wanted

    def _woken(self, *_: object) -> None:
        self._wake.set()

    async def _read(self, connection: Any, topics: list[str]) -> None:
        """Deliver what was committed since the last time; nothing the first time."""
        loop, before = asyncio.get_running_loop(), self._seen
        begun = loop.time()
        if before is None:
            self._seen = await connection.fetchval("SELECT pg_current_snapshot()::text")
        else:
            seen = await self._read_since(connection, before, topics)
            if went_back(before, seen):
                self._say_gaps(topics, "history: the server is at an earlier point than it has been")
            elif begun - self._seen_at > RETENTION:
                self._say_gaps(
                    [topic for topic in topics if not self._topics[topic].rule.ordered],
                    f"engine: postgres could not be reached for {begun - self._seen_at:.0f} s",
                )
            self._seen = seen
        self._seen_at = begun

    async def _read_since(self, connection: Any, before: str, topics: list[str]) -> str:
        seen: str | None = None
        after = 0
        while True:
            rows = await connection.fetch(self._questions.news, before, seen, after, topics)
            seen = seen or str(rows[0]["seen"])
            for row in rows:
                if row["id"] is not None:
                    self._take(row)
                    after = row["id"]
            if len(rows) < CHUNK:
                return seen

    def _take(self, row: Any) -> None:
        followed = self._topics.get(row["topic"])
        if followed is None or self._sink is None:
            return
        try:
            stored = stored_of(row)
        except msgspec.MsgspecError:
            logger.warning("hub: something else writes messages of topic %r", row["topic"])
            return
        last = followed.last
        if stored.pos is not None:
            if last is not None and (last.epoch != stored.pos.epoch or last.offset + 1 < stored.pos.offset):
                self._sink.gap(stored.topic, "history: more was published than is kept")
            followed.last = stored.pos
        self._sink.deliver(stored)

    def _say_gaps(self, topics: list[str], reason: str) -> None:
        for topic in topics:
            if self._sink is not None and topic in self._topics:
                self._sink.gap(topic, reason)
