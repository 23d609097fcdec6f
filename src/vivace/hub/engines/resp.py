"""One connection to a Redis: commands out, answers in, nothing else (RESP 2, parsed by hiredis).

Rules of this file:

- What is written within one turn of the loop goes out in one write.
- What arrives is taken at once: the server's output buffer never fills because of us.
- A connection that owes an answer for too long is dead, whatever the kernel says of it.
"""

import asyncio
import os
import re
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

import hiredis

from vivace.hub.engines.upkeep import LinkDown, Timing
from vivace.hub.engines.urls import Address

__all__ = ["Connection", "NoGreeting", "connect"]

_TCP: Final = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 20_000}
"""Of each socket: seconds, and milliseconds for the last."""
Word = str | bytes | int


class NoGreeting(LinkDown):
    """A connection was lost before the server had answered anything."""


class Connection(asyncio.Protocol):
    """A connection, and what it waits for.

    Args:
        timing: When to ask for a sign of life.
        on_message: Takes what a subscribed connection is sent; None: there are only answers.

    Attributes:
        lost: Done when the connection is gone; its result says why.
        idle: Seconds for which nothing had been said when the server closed it; None if it was another way.
    """

    def __init__(self, timing: Timing, on_message: Callable[[list[Any]], None] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self.idle: float | None = None
        self._timing = timing
        self._on_message = on_message
        self._reader = hiredis.Reader()
        self._asked: deque[asyncio.Future[Any] | None] = deque()
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._heard = self._since = self._loop.time()
        self._pinged = False
        self._timer: asyncio.TimerHandle | None = None

    def call(self, *words: Word) -> "asyncio.Future[Any]":
        """Send a command; the future has its answer, or `LinkDown` or ``hiredis.ReplyError``."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if self.lost.done():
            future.set_exception(LinkDown(self.lost.result()))
            return future
        if not self._asked:
            self._since = self._loop.time()
        self._asked.append(future)
        self.write(*words)
        return future

    def write(self, *words: Word) -> None:
        """Send a command whose answer comes as a message, such as SUBSCRIBE."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(hiredis.pack_command(cast("Any", words)))

    def close(self, why: str) -> None:
        """Close it at once."""
        self._fail(why)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._transport = cast("asyncio.Transport", transport)
        _keep_alive(transport)
        self._heard = self._loop.time()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take every answer and message in it."""
        self._heard = self._loop.time()
        self._pinged = False
        try:
            self._reader.feed(data)
            while (item := self._reader.gets()) is not False:
                self._take(item)
        except hiredis.ProtocolError as error:
            self.close(f"what answers is no Redis: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        if exc is None and not self._asked and not self.lost.done():
            self.idle = self._loop.time() - self._heard
        self._fail(f"the connection was lost: {exc}" if exc else "the server closed the connection")

    def _take(self, item: Any) -> None:
        if self._on_message is not None and isinstance(item, list):
            self._on_message(item)
        elif self._asked:
            future = self._asked.popleft()
            if future is None or future.done():
                return
            if isinstance(item, hiredis.ReplyError):
                future.set_exception(item)
            else:
                future.set_result(item)
        elif isinstance(item, hiredis.ReplyError):  # such as: max number of clients reached
            self.close(str(item))

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._transport is not None and not self.lost.done():
            self._transport.write(b"".join(unsent))

    def _fail(self, why: str) -> None:
        if self.lost.done():
            return
        self.lost.set_result(why)
        if self._timer is not None:
            self._timer.cancel()
        asked, self._asked = self._asked, deque()
        for future in asked:
            if future is not None and not future.done():
                future.set_exception(LinkDown(why))

    def _watch(self) -> None:
        """Ask for a sign of life after a silence, and give up when none comes."""
        now, timing = self._loop.time(), self._timing
        if self._asked or self._pinged:
            silent = now - max(self._heard, self._since)
            if silent >= timing.ping_timeout:
                self.close(f"no answer for {silent:.1f} s: the server hangs, or the way to it is cut")
                return
        elif now - self._heard >= timing.ping_after:
            self._ping(now)
        pause = min(timing.ping_after, timing.ping_timeout) / 4
        self._timer = self._loop.call_later(pause, self._watch)

    def _ping(self, now: float) -> None:
        self._pinged, self._since = True, now
        if self._on_message is None:
            self._asked.append(None)
        self.write("PING")


def _keep_alive(transport: asyncio.BaseTransport) -> None:
    """Let the kernel notice a peer that is gone, even while nothing is sent."""
    own = transport.get_extra_info("socket")
    if own is None or own.family == socket.AF_UNIX:
        return
    with socket.socket(fileno=os.dup(own.fileno())) as plain:  # the transport's own may refuse to be set
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for name, value in _TCP.items():
            if hasattr(socket, name):
                plain.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def connect(
    address: Address, name: str, timing: Timing, on_message: Callable[[list[Any]], None] | None = None
) -> Connection:
    """Make a connection and greet the server.

    Args:
        address: Where it is.
        name: What CLIENT LIST calls the connection.
        timing: See `Connection`.
        on_message: The same.

    Raises:
        OSError: It cannot be had.
        hiredis.ReplyError: The server refuses it.
    """
    loop = asyncio.get_running_loop()

    def make() -> Connection:
        return Connection(timing, on_message)

    async with asyncio.timeout(timing.connect_timeout):
        if address.path:
            _, connection = await loop.create_unix_connection(make, address.path)
        else:
            named = address.host if address.tls else None
            _, connection = await loop.create_connection(
                make, address.host, address.port, ssl=address.tls, server_hostname=named
            )
        try:
            await _greet(connection, address, name)
        except BaseException:
            connection.close("the greeting failed")
            raise
    return connection


async def _greet(connection: Connection, address: Address, name: str) -> None:
    login = [word for word in (address.user, address.password) if word]
    asked = [connection.call("AUTH", *login)] if address.password else []
    asked.append(connection.call("CLIENT", "SETNAME", re.sub(r"[^!-~]", "-", name)))
    asked.append(connection.call("SELECT", address.database))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, LinkDown):
            raise NoGreeting(str(answer))
        if isinstance(answer, BaseException):
            raise answer
