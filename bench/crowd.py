"""Clients that keep their connections and count what goes wrong: the judge of restarts.

Rules of this file:

- Nothing is tried again: what a client sent and was not answered is a failure. A connection is given up only
  when the server said ``Connection: close``, as RFC 9112 section 9.6 wants it.
- What breaks on a connection that has served before is counted apart: clients that connect anew for each
  request hide most faults of a restart.
- Clients run in a thread with an event loop of its own, so that whoever drives the server may wait.
"""

import asyncio
import contextlib
import threading
import time
from collections import Counter
from typing import Self

__all__ = ["Crowd"]

PATIENCE = 10.0
"""Seconds that an answer may take; above, it counts as lost."""


class _Connection(asyncio.Protocol):
    """One connection: a request at a time; the content is as its framing has it, chunks and all."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._answer: asyncio.Future[tuple[bytes, bytes]] | None = None
        self.served = 0
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("closed before the answer"))

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, gap, body = self._data.partition(b"\r\n\r\n")
        if not gap or self._answer is None or self._answer.done():
            return
        fields = head.lower()
        if b"\r\ntransfer-encoding: chunked" in fields:
            length = len(body) if body.endswith(b"0\r\n\r\n") else len(body) + 1
        else:
            _, name, rest = fields.partition(b"\r\ncontent-length:")
            length = int(rest.split(b"\r\n", 1)[0]) if name else 0
        if len(body) >= length:
            self._data = body[length:]
            self._answer.set_result((head, body[:length]))

    async def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Head and content of the answer.

        Raises:
            OSError: There is none.
        """
        assert self._transport is not None
        if self.lost:
            raise ConnectionResetError("closed between two requests, without a word")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await asyncio.wait_for(self._answer, PATIENCE)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Crowd:
    """So many clients of one server, while the ``with`` block runs.

    Args:
        port: On 127.0.0.1.
        clients: How many; each keeps a connection.
        pause: Seconds that each waits between an answer and its next request.
        path: What is asked for.

    Attributes:
        answered: Responses with status 200.
        failed: What went wrong, and how often.
        kept: How many of these went wrong on a connection that had served before.
        times: Seconds that each answer took.
        contents: The contents that were answered, and how often.
    """

    def __init__(self, port: int, clients: int = 64, pause: float = 0.0, path: str = "/") -> None:
        self.answered = 0
        self.failed: Counter[str] = Counter()
        self.kept = 0
        self.times: list[float] = []
        self.contents: Counter[bytes] = Counter()
        self._port = port
        self._clients = clients
        self._pause = pause
        self._request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        self._over = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(),), name="crowd")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def failures(self) -> int:
        """How many requests were not answered with 200."""
        return self.failed.total()

    def quantile(self, part: float) -> float:
        """The time within which this part of the answers came, in seconds; infinite if there was none."""
        ordered = sorted(self.times)
        return ordered[min(int(len(ordered) * part), len(ordered) - 1)] if ordered else float("inf")

    def wait(self, requests: int, seconds: float = 120.0) -> None:
        """Until so many requests were answered.

        Raises:
            TimeoutError: They were not in time.
        """
        deadline = time.monotonic() + seconds
        while self.answered < requests:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.answered} of {requests} requests were answered in {seconds} s")
            time.sleep(0.02)

    async def _run(self) -> None:
        await asyncio.gather(*(self._visit(number) for number in range(self._clients)))

    async def _visit(self, number: int) -> None:
        # Spread over the pause: a crowd that asks in one voice measures its own queue.
        await asyncio.sleep(self._pause * number / self._clients)
        connection: _Connection | None = None
        while not self._over.is_set():
            connection = await self._ask(connection)
            await asyncio.sleep(self._pause)
        if connection is not None:
            connection.close()

    async def _ask(self, connection: _Connection | None) -> _Connection | None:
        """One request; the connection for the next one."""
        start = time.monotonic()
        try:
            connection = connection or await self._connect()
            head, content = await connection.ask(self._request)
        except (OSError, TimeoutError, ValueError) as error:
            self._fail(f"{type(error).__name__}: {error}".strip(": "), connection)
            return None
        if not head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.0 200 ")):
            self._fail(head.split(b"\r\n", 1)[0].decode("latin-1"), None)
        else:
            self.answered += 1
            self.times.append(time.monotonic() - start)
            self.contents[content] += 1
        connection.served += 1
        if b"\r\nconnection: close" in head.lower():
            connection.close()
            return None
        return connection

    def _fail(self, why: str, connection: _Connection | None) -> None:
        self.failed[why] += 1
        if connection is not None:
            self.kept += connection.served > 0
            with contextlib.suppress(OSError):
                connection.close()

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        made = loop.create_connection(_Connection, "127.0.0.1", self._port)
        _, connection = await asyncio.wait_for(made, PATIENCE)
        return connection
