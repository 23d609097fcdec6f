"""The commands of an engine of Redis: in order, over one connection that comes and goes.

Rules of this file:

- A command that was not answered when its connection broke is sent again on the next one.
- What waits is bounded in number, while the server is away, and in time, always.
- An answer that speaks of the server's state ends the connection: its successor may find another server.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import hiredis

from vivace.hub.engines.outbox import Job
from vivace.hub.engines.pair import Sending
from vivace.hub.engines.redis_present import KEEP, READ_ALL
from vivace.hub.engines.redis_scripts import PUBLISH, READ
from vivace.hub.engines.remedies import explain, is_about_server
from vivace.hub.engines.resp import Connection, Word, connect
from vivace.hub.engines.upkeep import CallName, LinkDown, Status, Timing
from vivace.hub.engines.urls import Address

__all__ = ["Caller"]

SHORTEST_TIMEOUT: Final = 0.9
"""Seconds of silence below which a server that closes the connection does so for another reason."""


class _Command(NamedTuple):
    words: tuple[Word, ...]
    again: tuple[Word, ...]


class Caller(Sending[_Command]):
    """Sends commands, whether there is a connection or not.

    Args:
        address: Of the server.
        name: Of the connection.
        probe: A key that may be written.
        timing: How long what may take.
        status: Is told.
    """

    def __init__(self, address: Address, name: CallName, probe: str, timing: Timing, status: Status) -> None:
        super().__init__(name, timing, status, self.reason)
        self._address = address
        self._probe = probe
        self._connection: Connection | None = None
        self._connected = asyncio.Event()

    async def wait_connected(self) -> None:
        """Return when there is a connection."""
        await self._connected.wait()

    def reason(self) -> str:
        """Why the server is away."""
        return self._status.why or f"redis at {self._address.shown} does not answer"

    def _explain(self, error: Exception) -> str:
        return explain(error, self._address)

    def call(self, *words: Word, again: tuple[Word, ...] | None = None) -> "asyncio.Future[Any]":
        """Send a command; the future has its answer, `HubUnavailable` or ``hiredis.ReplyError``.

        Args:
            words: Of the command.
            again: What is sent when it was sent before and its answer is not known; None: the same.

        Raises:
            HubUnavailable: The server is away, and too much waits for it.
        """
        job = self._outbox.add(_Command(words, again or words), away=self._connection is None)
        if self._connection is not None:
            self._send(self._connection, job)
        return job.future

    def _send(self, connection: Connection, job: Job[_Command]) -> None:
        words = job.what.again if job.sent else job.what.words
        job.sent = True
        connection.call(*words).add_done_callback(lambda answer: self._answered(connection, job, answer))

    def _answered(self, connection: Connection, job: Job[_Command], answer: "asyncio.Future[Any]") -> None:
        error = answer.exception()
        if isinstance(error, LinkDown):
            return  # it stays in the outbox
        if isinstance(error, hiredis.ReplyError) and is_about_server(error):
            connection.close(str(error))
        elif job.future.done():
            pass
        elif error is not None:
            job.future.set_exception(error)
        else:
            job.future.set_result(answer.result())

    async def _session(self, settled: Callable[[], None]) -> None:
        connection = await connect(self._address, await self._name.get(), self._timing)
        try:
            await self._prepare(connection)
            self._connection = connection
            self._connected.set()
            settled()
            for job in self._outbox.open:
                self._send(connection, job)
            raise LinkDown(self._learn(await connection.lost, connection.idle))
        finally:
            self._connection = None
            self._connected.clear()
            connection.close("the hub has no use for it any more")

    def _learn(self, why: str, idle: float | None) -> str:
        """Ask for signs of life more often than the server's `timeout`, once it has shown that it has one."""
        if idle is None or idle < SHORTEST_TIMEOUT:
            return why
        pause = max(idle / 3, SHORTEST_TIMEOUT / 3)
        if pause >= self._timing.ping_after:
            return why
        self._timing = self._timing._replace(ping_after=pause)
        return f"{why} after {idle:.1f} s of silence (its timeout): from now on it gets a PING more often"

    async def _prepare(self, connection: Connection) -> None:
        """Load the scripts, and find out at once whether writing works."""
        await asyncio.gather(
            *(connection.call("SCRIPT", "LOAD", script.text) for script in (PUBLISH, READ, KEEP, READ_ALL)),
            connection.call("SET", self._probe, "1", "EX", 60),
        )
