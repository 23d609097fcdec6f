"""The side of a process beside the workers: the socket on which workers connect.

Rules of this file:

- A process of new code takes the place of the older one by putting its socket there: no connection is
  refused in between. The older one answers on what connections it has until it ends.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any, Final, cast

from vivace.framework.processes.words import Word, encode
from vivace.hub.wire import Frames

__all__ = ["Guest", "Host"]

PARTING: Final = 1.0
"""Seconds that workers have to leave a process that ends."""

Heard = Callable[["Guest", list[Any]], None]


class Guest(asyncio.Protocol):
    """A worker that is connected.

    Args:
        heard: Called with each frame.
        gone: Called when it is gone.
    """

    def __init__(self, heard: Heard, gone: Callable[["Guest"], None]) -> None:
        self._heard = heard
        self._gone = gone
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None
        self._written = asyncio.Event()
        self._written.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(0)

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._written.clear()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._written.set()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        try:
            frames = self._frames.feed(data)
        except ValueError:  # it speaks something else
            self.close()
            return
        for frame in frames:
            self._heard(self, frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._transport = None
        self._written.set()
        self._gone(self)

    def tell(self, word: Word, number: int, *fields: Any) -> None:
        """Say something, if it still hears.

        Raises:
            TypeError: See `encode`.
            MessageTooLarge: The same.
        """
        frame = encode(word, number, *fields)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame)

    async def told(self) -> None:
        """Return when the system has all that was said, or nobody hears any more: a crash cannot unsay it."""
        await asyncio.sleep(0)  # uvloop writes at the end of a turn, and does not count what waits for that
        await self._written.wait()

    def close(self) -> None:
        """End the connection when all is written."""
        if self._transport is not None:
            self._transport.close()


class Host:
    """The socket.

    Args:
        path: Where workers look for it.
        heard: Called with a guest and a frame.
        gone: Called with a guest that is gone.
    """

    def __init__(self, path: str, heard: Heard, gone: Callable[[Guest], None] = lambda _: None) -> None:
        self._path = path
        self._heard = heard
        self._gone = gone
        self._server: asyncio.Server | None = None
        self._made: tuple[int, int] | None = None
        self._guests: set[Guest] = set()
        self._alone = asyncio.Event()
        self._alone.set()

    async def open(self) -> None:
        """Take the place.

        Raises:
            OSError: It cannot be.
        """
        new = f"{self._path}-{os.getpid()}"
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(new)
            listener.setblocking(False)
            self._server = await asyncio.get_running_loop().create_unix_server(
                self._welcome, sock=listener, backlog=1024
            )
            os.rename(new, self._path)
        except BaseException:
            listener.close()
            raise
        self._made = _identity(self._path)

    def _welcome(self) -> Guest:
        guest = Guest(self._heard, self._leave)
        self._guests.add(guest)
        self._alone.clear()
        return guest

    def _leave(self, guest: Guest) -> None:
        self._guests.discard(guest)
        if not self._guests:
            self._alone.set()
        self._gone(guest)

    def shut(self) -> None:
        """Let nobody in any more, and tell who is connected to leave."""
        server, self._server = self._server, None
        if server is None:
            return
        if _identity(self._path) == self._made:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        server.close()
        for guest in self._guests:
            guest.tell(Word.LEAVING, 0)

    async def part(self) -> None:
        """Wait until those who are connected have gone: they do when all that they asked is answered."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PARTING):
                await self._alone.wait()

    def close(self) -> None:
        """The end."""
        self.shut()
        for guest in list(self._guests):
            guest.close()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
