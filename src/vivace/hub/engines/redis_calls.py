"""The commands of an engine of Redis: in order, over one connection that comes and goes.

Rules of this file:

- A command that was not answered when its connection broke is sent again on the next one.
- What waits is bounded in number, while the server is away, and in time, always.
- An answer that speaks of the server's state ends the connection: its successor may find another server.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import hiredis

from vivace.errors import HubUnavailable
from vivace.hub.engines.redis_scripts import PUBLISH, READ
from vivace.hub.engines.remedies import explain, is_about_server
from vivace.hub.engines.resp import Connection, Word, connect
from vivace.hub.engines.upkeep import LinkDown, Status, Timing, keep
from vivace.hub.engines.urls import Address

__all__ = ["LINK", "Caller"]

LINK: Final = "commands"
SHORTEST_TIMEOUT: Final = 0.9
"""Seconds of silence below which a server that closes the connection does so for another reason."""


class _Command:
    __slots__ = ("again", "deadline", "future", "sent", "words")

    def __init__(
        self, words: tuple[Word, ...], again: tuple[Word, ...], future: "asyncio.Future[Any]", deadline: float
    ) -> None:
        self.words = words
        self.again = again
        self.future = future
        self.deadline = deadline
        self.sent = False


class Caller:
    """Sends commands, whether there is a connection or not.

    Args:
        address: Of the server.
        name: Of the connection.
        probe: A key that may be written.
        timing: How long what may take.
        status: Is told.
    """

    def __init__(self, address: Address, name: str, probe: str, timing: Timing, status: Status) -> None:
        self._address = address
        self._name = name
        self._probe = probe
        self._timing = timing
        self._status = status
        self._queue: deque[_Command] = deque()
        self._connection: Connection | None = None
        self._connected = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    async def wait_connected(self) -> None:
        """Return when there is a connection."""
        await self._connected.wait()

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.create_task(
            keep(LINK, self._session, self._status, self._timing, lambda e: explain(e, self._address))
        )

    async def stop(self) -> None:
        """Send what waits, as long as that may take, and disconnect."""
        waiting = [command.future for command in self._queue if not command.future.done()]
        if waiting:
            await asyncio.wait(waiting, timeout=self._timing.farewell)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._timer is not None:
            self._timer.cancel()
        self._give_up(float("inf"), "the hub stops")

    def call(self, *words: Word, again: tuple[Word, ...] | None = None) -> "asyncio.Future[Any]":
        """Send a command; the future has its answer, `HubUnavailable` or ``hiredis.ReplyError``.

        Args:
            words: Of the command.
            again: What is sent when it was sent before and its answer is not known; None: the same.

        Raises:
            HubUnavailable: The server is away, and too much waits for it.
        """
        queue, loop = self._queue, asyncio.get_running_loop()
        while queue and queue[0].future.done():
            queue.popleft()
        if self._connection is None and len(queue) >= self._timing.outbox:
            raise HubUnavailable(
                f"{self._status.why}; {len(queue)} messages wait already, this one was not published"
            )
        command = _Command(words, again or words, loop.create_future(), loop.time() + self._timing.patience)
        queue.append(command)
        if self._timer is None:
            self._timer = loop.call_later(self._timing.patience, self._expire)
        if self._connection is not None:
            self._send(self._connection, command)
        return command.future

    def _send(self, connection: Connection, command: _Command) -> None:
        words = command.again if command.sent else command.words
        command.sent = True
        connection.call(*words).add_done_callback(lambda answer: self._answered(connection, command, answer))

    def _answered(self, connection: Connection, command: _Command, answer: "asyncio.Future[Any]") -> None:
        error = answer.exception()
        if isinstance(error, LinkDown):
            return  # it stays in the queue
        if isinstance(error, hiredis.ReplyError) and is_about_server(error):
            connection.close(str(error))
        elif command.future.done():
            pass
        elif error is not None:
            command.future.set_exception(error)
        else:
            command.future.set_result(answer.result())

    def _expire(self) -> None:
        """Give up what has waited for too long, and look again when the next one will have."""
        loop = asyncio.get_running_loop()
        self._give_up(loop.time(), self._status.why or f"redis at {self._address.shown} does not answer")
        self._timer = None
        if self._queue:
            pause = max(self._queue[0].deadline - loop.time(), 0.001)
            self._timer = loop.call_later(pause, self._expire)

    def _give_up(self, now: float, why: str) -> None:
        queue = self._queue
        while queue and (queue[0].future.done() or queue[0].deadline <= now):
            command = queue.popleft()
            if not command.future.done():
                fate = "may have been published" if command.sent else "was not published"
                command.future.set_exception(HubUnavailable(f"{why}; the message {fate}"))

    async def _session(self, settled: Callable[[], None]) -> None:
        connection = await connect(self._address, self._name, self._timing)
        try:
            await self._prepare(connection)
            self._connection = connection
            self._connected.set()
            settled()
            for command in [one for one in self._queue if not one.future.done()]:
                self._send(connection, command)
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
            *(connection.call("SCRIPT", "LOAD", script.text) for script in (PUBLISH, READ)),
            connection.call("SET", self._probe, "1", "EX", 60),
        )
