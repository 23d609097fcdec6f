"""A request whose time is over is found where it is stuck: in its task, in tasks it awaits, in a thread."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from types import SimpleNamespace
from typing import Any, Self

import pytest

from tests.server.support import TEXT, running
from vivace.protocols.stream import Stream
from vivace.protocols.threads import AtWork, late_workers, teams
from vivace.server.stacks import StuckLog, await_chain, describe_place, thread_stack


async def bottom() -> None:
    await asyncio.Event().wait()


async def middle() -> None:
    await bottom()


async def in_wait_for() -> None:
    await asyncio.wait_for(middle(), 60)


async def in_gather() -> None:
    await asyncio.gather(asyncio.sleep(0), middle())


async def in_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(middle())


async def in_wait() -> None:
    await asyncio.wait([asyncio.create_task(middle())])


async def in_task() -> None:
    await asyncio.create_task(middle())


async def in_generator() -> None:
    async def generate() -> AsyncIterator[int]:
        await middle()
        yield 1

    async for _ in generate():
        pass


class InAwait:
    def __await__(self) -> Generator[Any, None, None]:
        return middle().__await__()


async def in_object() -> None:
    await InAwait()


@pytest.mark.parametrize(
    "outer", [middle, in_wait_for, in_gather, in_group, in_wait, in_task, in_generator, in_object]
)
async def test_the_chain_goes_down_to_what_is_waited_for(outer: Callable[[], Any]) -> None:
    task = asyncio.ensure_future(outer())
    for _ in range(5):
        await asyncio.sleep(0)
    chain = await_chain(task)
    task.cancel()
    await asyncio.wait([task])
    names = [f", in {name}" for name in dict.fromkeys((outer.__name__, "middle", "bottom"))]
    places = [chain.find(name) for name in names]
    assert -1 not in places
    assert places == sorted(places)
    assert "await asyncio.Event().wait()" in chain


async def test_tasks_that_wait_for_each_other_are_shown_once() -> None:
    tasks: list[asyncio.Task[Any]] = []

    async def wait_for_other(index: int) -> None:
        await asyncio.wait([tasks[1 - index]])

    tasks += [asyncio.create_task(wait_for_other(index)) for index in range(2)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert await_chain(tasks[0]).count("in wait_for_other") == 2
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_a_deep_chain_is_cut() -> None:
    async def dig(depth: int) -> None:
        await (dig(depth - 1) if depth else asyncio.Event().wait())

    task = asyncio.create_task(dig(300))
    await asyncio.sleep(0)
    assert 0 < len(await_chain(task).splitlines()) <= 128
    task.cancel()
    await asyncio.wait([task])


class Thread:
    """A thread that works until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.thread = threading.Thread(target=self.work_hard, name="worker-of-test", daemon=True)
        self.thread.start()

    def work_hard(self) -> None:
        self.released.wait(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self.thread.join()


def make_stream(path: bytes = b"/slow") -> Any:
    fields = [(b"x-request-id", b"abc\n7")]
    head = SimpleNamespace(describe=lambda: f"GET {path.decode()}", fields=lambda: fields)
    return SimpleNamespace(head=head, timed_out=False)


class FakeTeam:
    """Threads as a test wants them."""

    size = 2

    def __init__(self, work: list[AtWork], waiting: list[Any]) -> None:
        self.work = work
        self.waiting = waiting

    def at_work(self) -> list[AtWork]:
        return self.work

    def waits(self, stream: Any) -> bool:
        return stream in self.waiting


@pytest.fixture
def team() -> Iterator[FakeTeam]:
    made = FakeTeam([], [])
    teams.add(made)
    yield made
    teams.discard(made)


def test_a_thread_is_shown_with_its_name_and_stack(team: FakeTeam) -> None:
    stream = make_stream()
    with Thread() as working:
        assert working.thread.ident
        team.work = [AtWork(working.thread.ident, working.thread.name, stream)]
        place = describe_place(stream, None)
    assert place.startswith("worker-of-test goes on with it")
    assert "in work_hard" in place
    assert thread_stack(-1) == ""


def test_a_request_without_a_thread_names_those_that_keep_them(team: FakeTeam) -> None:
    waiting, late = make_stream(b"/waiting"), make_stream(b"/late")
    late.timed_out = True
    with Thread() as working:
        assert working.thread.ident
        team.work = [AtWork(working.thread.ident, working.thread.name, late)]
        team.waiting = [waiting]
        assert [one.describe() for one in late_workers()] == ["worker-of-test: GET /late"]
        place = describe_place(waiting, None)
    assert place == "it waited for one of 2 threads, which were busy (worker-of-test: GET /late)"


def test_the_id_is_written_without_line_breaks(caplog: pytest.LogCaptureFixture) -> None:
    StuckLog("X-Request-ID").report(make_stream(), None, 5.04)
    assert "GET /slow had no answer after 5.0 s, request id abc\\n7: answered with 503" in caplog.text


def test_the_same_place_is_written_once(caplog: pytest.LogCaptureFixture) -> None:
    log = StuckLog()
    for _ in range(3):
        log.report(make_stream(), None, 1.0)
    assert [line.rpartition("; ")[2] for line in caplog.messages] == [
        "nothing can be seen of it",
        "in the same place as one before",
        "in the same place as one before",
    ]


async def test_it_is_answered_in_time_and_others_are_not_disturbed(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(stream: Stream) -> None:
        if stream.head.path == b"/stuck":
            await middle()
        elif stream.head.path == b"/slow":
            await asyncio.sleep(0.2)
        stream.respond(200, TEXT, b"well")

    caplog.set_level(logging.WARNING)
    async with running(handler, RESPONSE_TIMEOUT=0.5) as server:
        stuck, slow = await server.connect(), await server.connect()
        await stuck.send(b"GET /stuck?secret=1 HTTP/1.1\r\nHost: x\r\nX-Request-ID: r1\r\n\r\n")
        begun = time.monotonic()
        await asyncio.sleep(0.4)
        await slow.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        status, _, _ = await stuck.read_response()
        took = time.monotonic() - begun
        assert (await slow.read_response())[0] == 200
        await slow.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await slow.read_response())[0] == 200
    assert status == 503
    assert 0.5 <= took < 0.5 + 1.0
    (line,) = [line for line in caplog.messages if "had no answer" in line]
    assert line.startswith(
        "GET /stuck had no answer after 0.5 s, request id r1: answered with 503; it waited"
    )
    assert line.index("in middle") < line.index("in bottom")


async def test_one_that_does_not_give_in_is_answered_for_in_time() -> None:
    released = asyncio.Event()

    async def stubborn(_: Stream) -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    async with running(stubborn, RESPONSE_TIMEOUT=0.3) as server:
        begun = time.monotonic()
        answer = await server.exchange(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert time.monotonic() - begun < 0.3 + 1.0
        released.set()
    assert answer.startswith(b"HTTP/1.1 503 ")
