"""Calls of a pool that end in every bad way: each is answered, and the next one finds the pool as it was."""

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from vivace import DeadlineExceeded, RemoteError, Vivace
from vivace.framework.processes.host import Guest
from vivace.framework.processes.overdue import watch_overdue
from vivace.framework.processes.runner import LONGEST_ERROR, Function, Runner
from vivace.framework.processes.words import Word, place_of


class Odd(BaseException):
    """What hardly anybody catches."""


class Shy(Exception):
    """It cannot be shown."""

    def __str__(self) -> str:
        raise ValueError


def fail(what: str) -> Any:
    """End in a bad way; or give back what was asked for."""
    errors: dict[str, Callable[[], BaseException]] = {
        "base": lambda: Odd("odd"),
        "interrupt": KeyboardInterrupt,
        "stop": StopIteration,
        "cancelled": asyncio.CancelledError,
        "surrogate": lambda: ValueError("a\udc80b"),
        "shy": Shy,
        "long": lambda: ValueError("x" * 10 * LONGEST_ERROR),
        "its own": lambda: msgspec.ValidationError("not mine"),
    }
    if what == "exit":
        sys.exit(3)
    if what == "endless":
        found: list[Any] = []
        found.append(found)
        return found
    if what in errors:
        error = errors[what]()
        raise error
    return "a\udc80b" if what == "text" else what


WAYS = {
    "base": "Odd: odd",
    "interrupt": "KeyboardInterrupt",
    "exit": "SystemExit: 3",
    "stop": "StopIteration",
    "cancelled": "cancelled",
    "surrogate": r"ValueError: a\\udc80b",
    "shy": "Shy: it cannot be shown",
    "long": "ValueError: xxx",
    "its own": "ValidationError: not mine",
    "endless": "TypeError: .*recursion",
    "text": "TypeError: .*surrogates not allowed",
}


@pytest.fixture
async def app() -> AsyncIterator[Vivace]:
    """An app whose tasks end with the test."""
    made = Vivace("failing")
    yield made
    await made._tasks.shut_down()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["plain", "coroutine"])
async def test_each_call_is_answered_and_the_next_one_too(app: Vivace, way: str, kind: str) -> None:
    async def fail_on_the_loop(what: str) -> Any:
        return fail(what)

    pool = app.pool(name="failing", timeout=30)(fail if kind == "plain" else fail_on_the_loop)
    with pytest.raises(RemoteError, match=WAYS[way]) as caught:
        await pool(way)
    assert len(str(caught.value)) <= LONGEST_ERROR + 100
    assert await pool("well") == "well"


async def test_a_call_that_went_well_leaves_nothing_in_the_log(
    app: Vivace, caplog: pytest.LogCaptureFixture
) -> None:
    @app.pool
    async def quiet(number: int) -> int:
        return number

    with caplog.at_level(logging.WARNING):
        assert await asyncio.gather(*(quiet(n) for n in range(20))) == list(range(20))
        await asyncio.sleep(0)
    assert not caplog.messages


@pytest.mark.parametrize("argument", ["a\udc80b", 2**70, object()])
async def test_an_argument_that_cannot_be_sent_is_a_type_error(app: Vivace, argument: Any) -> None:
    @app.pool
    def take(value: Any) -> None: ...

    with pytest.raises(TypeError, match="expected values that msgspec encodes"):
        await take(argument)


class Nobody:
    """A worker that hears nothing."""

    def tell(self, *_: Any) -> None: ...

    async def told(self) -> None: ...


async def test_a_service_that_does_nothing_keeps_nobody_waiting(
    app: Vivace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @app.service(timeout=0.2)
    async def frozen(service: Any) -> None: ...

    monkeypatch.setenv("VIVACE_RUN", str(tmp_path))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place_of(str(tmp_path), "frozen", 0))
        listener.listen()
        with pytest.raises(DeadlineExceeded, match=r"within 0\.2 s; it may still read it"):
            await frozen.send("hello")
        with pytest.raises(DeadlineExceeded, match=r"within 0\.2 s"):
            await frozen.send(bytes(10_000_000))
        with pytest.raises(DeadlineExceeded, match="it was not sent"):
            await frozen.send("behind it")


async def test_a_call_is_stuck_when_it_goes_on_behind_its_time_and_nothing_else_runs() -> None:
    never = asyncio.Event()

    async def hang(number: int) -> None:
        await never.wait()

    runner = Runner(Function(hang, None, 2), "hang", 2, 0)
    guest = cast("Guest", Nobody())
    now = asyncio.get_running_loop().time()
    assert runner.stuck(now, 10.0) == 0
    runner.hear(guest, [Word.CALL, 1, 5.0, [1], {}])
    began = asyncio.get_running_loop().time()
    assert runner.stuck(now + 14.9, 10.0) == 0
    assert runner.stuck(began + 15.1, 10.0) == 1
    runner.hear(guest, [Word.CALL, 2, 60.0, [2], {}])
    assert runner.stuck(began + 15.1, 10.0) == 0
    assert runner.stuck(began + 70.1, 10.0) == 2
    runner.leave(guest)


async def test_who_is_stuck_ends_once(caplog: pytest.LogCaptureFixture) -> None:
    counts = [0, 2]
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    watch_overdue("hang", lambda: counts.pop(0), lambda: loop.call_soon_threadsafe(ended.set))
    async with asyncio.timeout(30):
        await ended.wait()
    assert "pool hang: 2 calls go on beyond their time" in caplog.text
