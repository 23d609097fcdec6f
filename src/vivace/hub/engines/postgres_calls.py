"""What an engine of PostgreSQL stores and asks for: in order, over one connection that comes and goes.

Rules of this file:

- What waits goes out together: one transaction, one commit, one wake-up.
- A batch whose fate is not known is sent again, and rows that are there already are not stored twice.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import asyncpg  # type: ignore[import-untyped]

from vivace.errors import HubUnavailable
from vivace.hub.engines.outbox import Job
from vivace.hub.engines.pair import Sending
from vivace.hub.engines.postgres_link import LOST, connect, explain, prepare
from vivace.hub.engines.postgres_rows import Questions
from vivace.hub.engines.postgres_schema import Names
from vivace.hub.engines.upkeep import CallName, LinkDown, Status, Timing
from vivace.hub.records import Position, Rule

__all__ = ["Writer"]

BATCH: Final = 500
"""Messages that one transaction stores."""
SWEEP: Final = 30.0
"""Seconds between two looks for messages that are not to be kept any longer."""
_AGAIN: Final = (asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError, asyncpg.SerializationError)
_AWAY: Final = (asyncpg.ReadOnlySQLTransactionError, asyncpg.OperatorInterventionError)


class _Message(NamedTuple):
    topic: str
    octets: bytes
    rule: Rule


class _Question(NamedTuple):
    text: str
    arguments: tuple[Any, ...]


_Work = _Message | _Question


class Writer(Sending[_Work]):
    """Stores messages and asks questions, whether there is a connection or not.

    Args:
        url: Of the database.
        name: Of the connection.
        names: Of the tables.
        timing: How long what may take.
        status: Is told.
    """

    def __init__(self, url: str, name: CallName, names: Names, timing: Timing, status: Status) -> None:
        super().__init__(name, timing, status, self.reason)
        self._url = url
        self._names = names
        self._questions = Questions.of(names)
        self._wake = asyncio.Event()
        self._swept = 0.0

    async def store(self, topic: str, octets: bytes, rule: Rule) -> Position | None:
        """Store a message.

        Raises:
            HubUnavailable: The server has been away for too long, or does not take it.
        """
        row = await self._add(_Message(topic, octets, rule))
        return None if row["its_place"] is None else Position(row["its_epoch"], row["its_place"])

    async def ask(self, text: str, *arguments: Any) -> list[Any]:
        """The rows of a question.

        Raises:
            HubUnavailable: The server has been away for too long, or does not take it.
        """
        rows: list[Any] = await self._add(_Question(text, arguments))
        return rows

    async def _add(self, work: _Work) -> Any:
        job = self._outbox.add(work, away=self._connection is None)
        self._wake.set()
        return await job.future

    def reason(self) -> str:
        """Why the server is away."""
        return self._status.why or self._explain(TimeoutError())

    def _explain(self, error: Exception) -> str:
        return explain(error, self._url)

    async def _session(self, settled: Callable[[], None]) -> None:
        connection = await connect(self._url, await self._name.get(), self._timing)
        try:
            await prepare(connection, self._names, self._questions)
            await connection.execute(f"SET lock_timeout = {int(self._timing.patience * 1000)}")
            self._connection = connection
            settled()
            while True:
                await self._work(connection)
        finally:
            self._connection = None
            connection.terminate()

    async def _work(self, connection: Any) -> None:
        """Do what waits, or see after a silence whether the connection lives."""
        self._wake.clear()
        jobs = self._outbox.open[:BATCH]
        if jobs:
            await self._do(connection, jobs)
            return
        try:
            async with asyncio.timeout(self._timing.ping_after):
                await self._wake_or_loss(connection)
        except TimeoutError:
            await connection.fetchval("SELECT 1", timeout=self._timing.ping_timeout)
        loop = asyncio.get_running_loop()
        if loop.time() - self._swept > SWEEP:
            self._swept = loop.time()
            await self._sweep(connection)

    async def _wake_or_loss(self, connection: Any) -> None:
        lost = lambda _: self._wake.set()  # noqa: E731 - it is added and removed
        connection.add_termination_listener(lost)
        try:
            await self._wake.wait()
        finally:
            connection.remove_termination_listener(lost)
        if connection.is_closed():
            raise LinkDown("the server closed the connection")

    async def _do(self, connection: Any, jobs: Sequence[Job[_Work]]) -> None:
        """The first of these: a question, or all messages before the next one."""
        if isinstance(jobs[0].what, _Question):
            await self._answer(connection, jobs[0], jobs[0].what)
            return
        messages = []
        for job in jobs:
            if isinstance(job.what, _Question):
                break
            messages.append((job, job.what))
        await self._store_all(connection, messages)

    async def _answer(self, connection: Any, job: Job[_Work], question: _Question) -> None:
        try:
            rows = await connection.fetch(question.text, *question.arguments)
        except (*LOST, *_AWAY):
            raise
        except asyncpg.PostgresError as error:
            self._refuse(job, error)
        else:
            if not job.future.done():
                job.future.set_result(rows)

    async def _store_all(self, connection: Any, batch: list[tuple[Job[_Work], _Message]]) -> None:
        # Rows of ordered topics are locked until the commit: in one order, so that no two batches meet.
        batch = sorted(batch, key=lambda one: one[1].topic if one[1].rule.ordered else "")
        again = [job.sent for job, _ in batch]
        for job, _ in batch:
            job.sent = True
        try:
            rows = await connection.fetch(self._questions.publish, *_columns(batch, again))
        except _AGAIN:
            return  # they wait still
        except (*LOST, *_AWAY):
            raise
        except asyncpg.PostgresError as error:
            await self._store_each(connection, batch, error)
            return
        for (job, _), row in zip(batch, rows, strict=True):
            if not job.future.done():
                job.future.set_result(row)

    async def _store_each(
        self, connection: Any, batch: list[tuple[Job[_Work], _Message]], error: asyncpg.PostgresError
    ) -> None:
        """Find the one that the server does not take."""
        if len(batch) == 1:
            self._refuse(batch[0][0], error)
            return
        for one in batch:
            await self._store_all(connection, [one])

    def _refuse(self, job: Job[_Work], error: Exception) -> None:
        if not job.future.done():
            job.future.set_exception(
                HubUnavailable(f"{explain(error, self._url)}; the message was not published")
            )

    async def _sweep(self, connection: Any) -> None:
        """Delete what is not to be kept any longer; one machine at a time does."""
        async with connection.transaction():
            if not await connection.fetchval(
                "SELECT pg_try_advisory_xact_lock(hashtext($1))", self._names.messages
            ):
                return
            q = self._questions
            for question in (q.ended, q.expired, q.surplus, q.forgotten):
                await connection.execute(question)


def _columns(batch: list[tuple[Job[_Work], _Message]], again: list[bool]) -> list[list[Any]]:
    messages = [message for _, message in batch]
    return [
        [one.topic for one in messages],
        [one.octets for one in messages],
        [one.rule.ordered for one in messages],
        [one.rule.history for one in messages],
        [one.rule.ttl for one in messages],
        [os.urandom(6).hex() for _ in messages],
        again,
    ]
