"""Connections between a worker and a process that dies: what was begun is known, and is not begun again."""

import asyncio
import socket
from pathlib import Path
from typing import Any, cast

import pytest

from vivace import WorkerDied
from vivace.framework.processes.caller import Again, Line
from vivace.framework.processes.host import Guest
from vivace.framework.processes.runner import Function, Runner
from vivace.framework.processes.words import Word, encode


class Slow:
    """A worker that has what was said only when it is let."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.has = asyncio.Event()

    def tell(self, word: Word, number: int, *fields: Any) -> None:
        self.said.append((word, number, *fields))

    async def told(self) -> None:
        await self.has.wait()


async def connected(path: Path) -> tuple[Line, socket.socket]:
    """A line, and the end of it that a process has."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        loop = asyncio.get_running_loop()
        _, line = await loop.create_unix_connection(lambda: Line("work"), str(path))
        return line, listener.accept()[0]


@pytest.mark.parametrize(("words", "error"), [([Word.STARTED], WorkerDied), ([], Again)])
async def test_what_a_process_said_before_its_end_counts_also_where_writing_fails_first(
    tmp_path: Path, words: list[Word], error: type[Exception]
) -> None:
    line, process = await connected(tmp_path / "work.0")
    ask = await line.ask(Word.CALL, 1.0, [], {})
    for word in words:
        process.send(encode(word, ask.number))
    process.close()
    line.tell(Word.CANCEL, 99)  # nobody has read since: this fails
    with pytest.raises(error):
        await ask.answer


async def test_a_call_is_not_begun_before_its_caller_knows_of_it() -> None:
    begun: list[int] = []

    async def work(number: int) -> None:
        begun.append(number)

    runner, guest = Runner(Function(work, None, 1), "work", 1, 1), Slow()
    runner.hear(cast("Guest", guest), [Word.CALL, 1, 30.0, [7], {}])
    while not guest.said:
        await asyncio.sleep(0)
    assert (guest.said, begun) == ([(Word.STARTED, 1)], [])
    guest.has.set()
    while len(guest.said) < 2:
        await asyncio.sleep(0)
    assert (guest.said[1], begun) == ((Word.RESULT, 1, None), [7])


async def test_what_was_told_is_with_the_system_when_it_is_said_to_be() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        _, guest = await asyncio.get_running_loop().connect_accepted_socket(
            lambda: Guest(lambda *_: None, lambda _: None), ours
        )
        guest.tell(Word.RESULT, 1, bytes(8_000_000))
        telling = asyncio.create_task(guest.told())
        await asyncio.sleep(0.05)
        assert not telling.done()
        reading = asyncio.create_task(asyncio.to_thread(_read_all, theirs))
        async with asyncio.timeout(30):
            await telling
        guest.close()
        assert await reading > 8_000_000


def _read_all(end: socket.socket) -> int:
    count = 0
    while octets := end.recv(1_000_000):
        count += len(octets)
    return count
