"""The body of a request as a WSGI app reads it: ``wsgi.input`` (PEP 3333).

Rules of this file:

- A body is here before a thread is taken for it: in memory if it is small, in a temporary file if not.
- Only one that is larger than that is read while it comes; the app's thread waits for the client then, and
  the client for the app: what lies between them is bounded by `READ_AHEAD`.
- A body that breaks off raises an OSError in the app that reads it; it never just ends.
- What goes to disk is written by a thread, not by the loop.
"""

import asyncio
import contextlib
import errno
import io
import tempfile
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from vivace.errors import ClientDisconnected, HTTPException
from vivace.http.uploads import no_room
from vivace.protocols.stream import Stream

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["EmptyInput", "LiveInput", "ReceivedBody", "receive_body"]

READ_AHEAD: Final = 262_144
"""Octets of a streamed body that wait for the app."""
FLUSH_SIZE: Final = 262_144
"""Octets for the disk that are gathered before a thread writes them."""


class EmptyInput(io.RawIOBase):
    """The input of all requests that have no body: always at its end, and never closed."""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Nothing: 0."""
        return 0

    def close(self) -> None:
        """Nothing: others read it too."""


class ReceivedBody:
    """What came of a body before the app is called.

    Attributes:
        file: It, to be read from its begin.
        size: Its octets.
        complete: There is no more.
    """

    __slots__ = ("complete", "file", "size")

    def __init__(self, file: Any, size: int, complete: bool) -> None:
        self.file = file
        self.size = size
        self.complete = complete


async def receive_body(stream: Stream, memory: int, disk: int) -> ReceivedBody:
    """Receive a body.

    Args:
        stream: The request.
        memory: Octets that are kept in memory; more go to a temporary file.
        disk: Octets that are received at most; -1: all.

    Raises:
        ClientDisconnected, PayloadTooLarge, RequestTimeout: As `Stream.receive`.
        HTTPException: 507: there is no room for it.
    """
    disk = max(disk, memory) if disk >= 0 else -1
    if 0 <= disk < stream.head.content_length:
        return ReceivedBody(io.BytesIO(), 0, False)
    pieces: list[bytes] = []
    size = 0
    while data := await stream.receive():
        pieces.append(data)
        size += len(data)
        if size > memory:
            return await _receive_on_disk(stream, pieces, size, disk)
    return ReceivedBody(io.BytesIO(pieces[0] if len(pieces) == 1 else b"".join(pieces)), size, True)


async def _receive_on_disk(stream: Stream, pieces: list[bytes], size: int, disk: int) -> ReceivedBody:
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the request
    except OSError as error:
        raise no_room(error) from error
    data = pieces[-1]
    try:
        waiting = size
        while data and (disk < 0 or size <= disk):
            if waiting >= FLUSH_SIZE:
                await asyncio.to_thread(file.writelines, pieces)
                pieces = []
                waiting = 0
            data = await stream.receive()
            pieces.append(data)
            size += len(data)
            waiting += len(data)
        await asyncio.to_thread(_finish, file, pieces)
    except BaseException as error:
        with contextlib.suppress(OSError):  # what could not be written before cannot be written now
            file.close()
        if isinstance(error, OSError):
            raise no_room(error) from error
        raise
    return ReceivedBody(file, size, not data)


def _finish(file: Any, pieces: list[bytes]) -> None:
    file.writelines(pieces)
    file.seek(0)


class LiveInput(io.RawIOBase):
    """A body that is read by a thread while the loop receives it; to be put into an `io.BufferedReader`.

    Args:
        loop: The loop that receives.
        begin: What was received before, a file.

    Attributes:
        error: Why it broke off.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, begin: Any) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self._loop = loop
        self._begin = begin
        self._rest = memoryview(b"")
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._ended = False
        self._changed = threading.Condition()
        self._wanted = asyncio.Event()
        self._asked = False

    # -- in the app's thread ----------------------------------------------------------------------------

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read what there is, at least one octet; 0 at the end.

        Raises:
            OSError: The body broke off: the client left (ClientDisconnected), was too slow (TimeoutError) or
                sent too much.
        """
        target = memoryview(buffer).cast("B")
        if self._begin is not None:
            count: int = self._begin.readinto(target)
            if count:
                return count
            self._begin.close()
            self._begin = None
        if not self._rest:
            self._rest = memoryview(self._next())
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        """Let go of what was received before, read or not."""
        if self._begin is not None:
            self._begin.close()
        super().close()

    def _next(self) -> bytes:
        with self._changed:
            self._ask()
            while not self._pieces:
                if self.error is not None:
                    raise _as_os_error(self.error)
                if self._ended:
                    return b""
                self._changed.wait()
            data = self._pieces.popleft()
            self._waiting -= len(data)
            return data

    def _ask(self) -> None:
        """Let the loop receive on; a client that waits for ``100 Continue`` gets it by the first call."""
        if not self._asked and self._waiting <= READ_AHEAD // 2 and not self._ended and self.error is None:
            self._asked = True
            self._loop.call_soon_threadsafe(self._wanted.set)

    # -- on the loop ------------------------------------------------------------------------------------

    async def feed(self, stream: Stream) -> None:
        """Receive the body as fast as it is read; returns when there is no more or nobody wants it."""
        error: BaseException | None = ClientDisconnected("the request was answered before its body was read")
        try:
            while await self._receive(stream):
                pass
            error = None
        except (ClientDisconnected, HTTPException) as broken:
            error = broken
        finally:
            with self._changed:
                self._ended = error is None
                self.error = error
                self._changed.notify_all()

    async def _receive(self, stream: Stream) -> bool:
        if self._waiting >= READ_AHEAD or not self._asked:
            await self._wanted.wait()
        data = await stream.receive()
        with self._changed:
            self._pieces.append(data)
            self._waiting += len(data)
            if self._waiting >= READ_AHEAD:
                self._asked = False
                self._wanted.clear()
            self._changed.notify_all()
        return bool(data)


def _as_os_error(error: BaseException) -> OSError:
    """What a file that cannot be read raises."""
    if isinstance(error, OSError):
        return ClientDisconnected(*error.args)
    number = errno.EFBIG if getattr(error, "status_code", 0) == 413 else errno.ETIMEDOUT
    made = OSError(number, str(error))
    made.__cause__ = error
    return made
