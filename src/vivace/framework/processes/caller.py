"""The side of a worker: connections to the processes of a service or pool.

Rules of this file:

- Calls have numbers: an answer that comes late is nobody's, and never another's.
- Whoever's process is gone learns it at once. What the process had not begun is asked of the next one; what
  it had said before its end is read first.
- A process that is being replaced, or was just killed, is waited for, as long as the call has time.
"""

import asyncio
import contextlib
import os
from typing import Any, Final, cast

from vivace.errors import HTTPException, QueueFull, RemoteError, ServerError, WorkerDied
from vivace.framework.processes.words import Word, encode, place_of
from vivace.hub.wire import Frames

__all__ = ["Again", "Ask", "Caller", "Line", "next_item"]

RETRY: Final = 0.05
"""Seconds between two tries to connect."""


class Again(Exception):
    """A process did not begin what it was asked for: another one may."""


class Ask:
    """What a process was asked for.

    Attributes:
        answer: Becomes what it answers.
        items: Of a stream; None at its end.
        started: It was begun.
    """

    __slots__ = ("answer", "items", "number", "started")

    def __init__(self, number: int, loop: asyncio.AbstractEventLoop) -> None:
        self.number = number
        self.answer: asyncio.Future[Any] = loop.create_future()
        self.items: asyncio.Queue[Any] = asyncio.Queue()
        self.started = False

    def fail(self, error: Exception) -> None:
        """It will not be answered."""
        if not self.answer.done():
            self.answer.set_exception(error)
            self.answer.exception()  # who does not wait any more need not know
        self.items.put_nowait(_OVER)

    def succeed(self, value: Any) -> None:
        """It is answered."""
        if not self.answer.done():
            self.answer.set_result(value)


_OVER: Final = object()


class Line(asyncio.Protocol):
    """A connection to one process.

    Args:
        name: Of the service or pool, for messages.

    Attributes:
        asked: What is not answered yet, by number.
        open: It can be spoken on.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._frames = Frames()
        self._numbers = 0
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._socket = -1, 0
        self.asked: dict[int, Ask] = {}
        self.open = True

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)
        number = transport.get_extra_info("socket").fileno()
        self._socket = number, _place_of(number)

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        try:
            frames = self._frames.feed(data)
        except ValueError:
            self.close()
            return
        for word, number, *fields in frames:
            ask = self.asked.get(number)
            if ask is not None:
                self._hear(ask, word, fields)
            elif word == Word.LEAVING:
                self.open = False
        self._leave_if_done()

    def _leave_if_done(self) -> None:
        """The process ends: it waits for this."""
        if not self.open and not self.asked and self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._read_rest()
        self.open = False
        self._writable.set()
        asked, self.asked = self.asked, {}
        for ask in asked.values():
            text = f"the process of {self._name} that had this call is gone"
            ask.fail(WorkerDied(text) if ask.started else Again())

    def _read_rest(self) -> None:
        """Hear what the process said last: a write that fails ends a connection before all of it is read."""
        number, place = self._socket
        with contextlib.suppress(OSError):
            while self.asked and place and _place_of(number) == place and (data := os.read(number, 65536)):
                self.data_received(data)

    # Asking

    async def ask(self, word: Word, *fields: Any) -> Ask:
        """Ask for something.

        Raises:
            Again: The process is gone.
            TypeError: See `encode`.
            MessageTooLarge: The same.
        """
        await self._writable.wait()
        if not self.open or self._transport is None:
            self.open = False
            await asyncio.sleep(0)  # whoever tries again and again lets others do something
            raise Again
        self._numbers += 1
        frame = encode(word, self._numbers, *fields)
        ask = Ask(self._numbers, asyncio.get_running_loop())
        self.asked[ask.number] = ask
        self._transport.write(frame)
        return ask

    def tell(self, word: Word, number: int, *fields: Any) -> None:
        """Say something about what was asked for."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(word, number, *fields))

    def cancel(self, ask: Ask) -> None:
        """Nobody waits for it any more."""
        if self.asked.pop(ask.number, None) is not None:
            self.tell(Word.CANCEL, ask.number)
            self._leave_if_done()

    def close(self) -> None:
        """The end."""
        self.open = False
        if self._transport is not None:
            self._transport.close()

    def _hear(self, ask: Ask, word: int, fields: list[Any]) -> None:
        if word == Word.ITEM:
            ask.items.put_nowait((fields[0],))
            return
        if word == Word.STARTED:
            ask.started = True
            return
        del self.asked[ask.number]
        if word in (Word.RESULT, Word.TAKEN, Word.END):
            ask.succeed(fields[0] if fields else None)
            ask.items.put_nowait(_OVER)
        elif word == Word.FULL:
            ask.fail(QueueFull(f"{self._name} takes no more now"))
        elif word == Word.AWAY:
            self.open = False  # nothing new goes to a process that leaves
            ask.fail(Again())
        elif word == Word.FAILED:
            ask.fail(_error(self._name, *fields))


def _place_of(number: int) -> int:
    """What no other open socket has; 0 if it is closed."""
    try:
        return os.fstat(number).st_ino
    except OSError:
        return 0


def _error(name: str, status: int, text: str) -> Exception:
    if status:
        return ServerError(text, status) if status >= 500 else HTTPException(text, status)
    return RemoteError(f"{name} failed in its process: {text}")


async def next_item(ask: Ask) -> Any:
    """The next item of a stream, in a tuple; None at its end."""
    item = await ask.items.get()
    return None if item is _OVER else item


class Caller:
    """Connections to the processes of one name, of one event loop.

    Args:
        name: Of the service or pool.
        count: How many processes there are.
        folder: Where their sockets are.
    """

    def __init__(self, name: str, count: int, folder: str) -> None:
        self._name = name
        self._folder = folder
        self._count = count
        self._lines: dict[int, Line] = {}
        self._turn = os.getpid()

    async def choose(self, tried: set[int], until: float) -> tuple[int, Line]:
        """A process that was not tried yet: the one that has least to do for this worker.

        Args:
            tried: Those that were.
            until: When nobody waits any more for one that is not there, in the loop's time.

        Raises:
            WorkerDied: None is there.
        """
        loop = asyncio.get_running_loop()
        while True:
            self._turn += 1
            wanted = [i % self._count for i in range(self._turn, self._turn + self._count)]
            lines = [(i, line) for i in wanted if i not in tried and (line := await self._line(i))]
            if lines:
                return min(lines, key=lambda pair: len(pair[1].asked))
            if loop.time() >= until:
                raise WorkerDied(f"no process of {self._name} can be reached in {self._folder}")
            await asyncio.sleep(RETRY)

    async def _line(self, index: int) -> Line | None:
        line = self._lines.get(index)
        if line is not None and line.open:
            return line
        path = place_of(self._folder, self._name, index)
        try:
            _, made = await asyncio.get_running_loop().create_unix_connection(lambda: Line(self._name), path)
        except OSError:
            return None
        other = self._lines.get(index)
        if other is not None and other.open:  # somebody else was faster
            made.close()
            return other
        self._lines[index] = made
        return made

    def close(self) -> None:
        """The end."""
        for line in self._lines.values():
            line.close()
