"""Services and pools without a supervisor: in the very process of a test, over the same socket."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from vivace import DeadlineExceeded, QueueFull, RemoteError, Vivace, WorkerDied
from vivace.errors import BadRequest, DeclarationError, HTTPException, MessageTooLarge
from vivace.framework.processes.words import CREDIT, LONGEST, Word, encode


class Letter(msgspec.Struct):
    """A message of a type."""

    to: str
    copies: int = 1


class Office:
    """What functions of the tests write down, and wait for."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.more = asyncio.Event()
        self.open = asyncio.Event()

    def note(self, value: Any) -> None:
        self.got.append(value)
        self.more.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.got) < count:
                self.more.clear()
                await self.more.wait()


@pytest.fixture
async def app() -> AsyncIterator[Vivace]:
    """An app whose tasks end with the test."""
    made = Vivace("beside")
    yield made
    await made._tasks.shut_down()


async def test_a_service_gets_what_is_sent_in_its_order(app: Vivace) -> None:
    office = Office()

    @app.service
    async def mailer(service: Any) -> None:
        async for letter in service.messages:
            office.note(letter)

    for number in range(50):
        await mailer.send({"to": number, "body": b"x"})
    await office.until(50)
    assert [letter["to"] for letter in office.got] == list(range(50))
    assert [one.kind for one in app.companions] == ["service"]


async def test_a_full_queue_refuses_and_drops_nothing(app: Vivace) -> None:
    office = Office()

    @app.service(max_queue=10)
    async def slow(service: Any) -> None:
        await office.open.wait()
        async for message in service.messages:
            office.note(message)

    results = await asyncio.gather(*(slow.send(n) for n in range(30)), return_exceptions=True)
    refused = [one for one in results if isinstance(one, QueueFull)]
    assert len(refused) == 20
    assert refused[0].status_code == 503
    assert "10 messages waiting" in str(refused[0])
    office.open.set()
    await office.until(10)


async def test_messages_become_a_type_and_what_does_not_fit_is_the_senders_error(app: Vivace) -> None:
    office = Office()

    @app.service(kind=Letter)
    async def typed(service: Any) -> None:
        async for letter in service.messages:
            office.note(letter)

    await typed.send(Letter("ann", 2))
    await office.until(1)
    assert office.got == [Letter("ann", 2)]
    with pytest.raises(HTTPException, match="Expected `str`") as caught:
        await typed.send({"to": 7})
    assert caught.value.status_code == 400


async def test_a_plain_function_reads_messages_in_its_thread(app: Vivace) -> None:
    office, loop = Office(), asyncio.get_running_loop()

    @app.service
    def plain(service: Any) -> None:
        for message in service.messages:
            loop.call_soon_threadsafe(office.note, message)

    await plain.send("one")
    await plain.send("two")
    await office.until(2)
    assert office.got == ["one", "two"]


async def test_what_cannot_be_encoded_or_is_too_long_is_refused_before_it_is_sent(app: Vivace) -> None:
    @app.service
    async def sink(service: Any) -> None:
        async for _ in service.messages:
            pass

    with pytest.raises(TypeError, match="expected values that msgspec encodes"):
        await sink.send(object())
    edge = LONGEST - len(encode(Word.PUT, 1, b"x" * 65536)) + 65536
    encode(Word.PUT, 1, bytes(edge - 2))
    with pytest.raises(MessageTooLarge, match=f"more than the {LONGEST}"):
        encode(Word.PUT, 1, bytes(edge + 8))


async def test_a_call_of_a_pool_gives_the_result_with_what_init_made(app: Vivace) -> None:
    @app.pool(init=lambda: {"factor": 3})
    def multiply(model: dict[str, int], number: int, *, plus: int = 0) -> int:
        return model["factor"] * number + plus

    assert await multiply(7) == 21
    assert await multiply(7, plus=1) == 22
    assert await asyncio.gather(*(multiply(n) for n in range(20))) == [3 * n for n in range(20)]
    with pytest.raises(HTTPException, match="Expected `int`"):
        await multiply("seven")


async def test_coroutine_functions_work_at_several_calls_at_a_time(app: Vivace) -> None:
    together = asyncio.Barrier(3)

    @app.pool(concurrency=3)
    async def meet(number: int) -> int:
        async with asyncio.timeout(5):
            await together.wait()
        return number

    assert await asyncio.gather(*(meet(n) for n in (1, 2, 3))) == [1, 2, 3]


async def test_what_a_function_raises_reaches_its_caller_only(app: Vivace) -> None:
    @app.pool
    def divide(a: int, b: int) -> float:
        if a == 0:
            raise BadRequest("nothing to divide")
        return a / b

    with pytest.raises(RemoteError, match="divide failed in its process: ZeroDivisionError") as caught:
        await divide(1, 0)
    assert caught.value.status_code == 500
    with pytest.raises(HTTPException, match="nothing to divide") as refused:
        await divide(0, 1)
    assert refused.value.status_code == 400
    assert await divide(4, 2) == 2.0


async def test_a_result_that_cannot_be_encoded_is_an_error_of_the_call(app: Vivace) -> None:
    @app.pool
    def strange() -> object:
        return object()

    with pytest.raises(RemoteError, match="TypeError"):
        await strange()


async def test_a_pool_refuses_what_does_not_fit_its_queue(app: Vivace) -> None:
    office = Office()

    @app.pool(max_queue=2)
    async def wait(number: int) -> int:
        office.note(number)
        await office.open.wait()
        return number

    calls = [asyncio.create_task(wait(n)) for n in range(3)]
    await office.until(1)
    while len([c for c in calls if not c.done()]) < 3:
        await asyncio.sleep(0)
    with pytest.raises(QueueFull, match="2 calls waiting"):
        await wait(9)
    office.open.set()
    assert await asyncio.gather(*calls) == [0, 1, 2]


async def test_a_call_out_of_time_is_cancelled_and_the_next_one_gets_its_own_answer(app: Vivace) -> None:
    office = Office()

    @app.pool(timeout=0.2)
    async def late(number: int) -> int:
        if number == 1:
            try:
                await asyncio.sleep(60)
            finally:
                office.note("cancelled")
        return number

    with pytest.raises(DeadlineExceeded, match=r"within 0\.2 s") as caught:
        await late(1)
    assert caught.value.status_code == 503
    await office.until(1)
    assert await late(2) == 2


async def test_a_thread_that_nobody_waits_for_is_waited_out_and_its_result_dropped(app: Vivace) -> None:
    import threading

    release = threading.Event()

    @app.pool
    def block(number: int) -> int:
        if number == 1:
            release.wait(10)
        return number

    first = asyncio.create_task(block(1))
    await asyncio.sleep(0.1)
    first.cancel()
    second = asyncio.create_task(block(2))
    await asyncio.sleep(0.1)
    assert not second.done()
    release.set()
    assert await second == 2


async def test_results_of_a_generator_come_one_by_one_and_no_faster_than_they_are_read(app: Vivace) -> None:
    office = Office()

    @app.pool
    async def count(most: int) -> AsyncIterator[int]:
        try:
            for number in range(most):
                office.note(number)
                yield number
        finally:
            office.note("closed")

    assert [n async for n in count(100)] == list(range(100))
    office.got.clear()
    async for number in count(10**9):
        if number == 2:
            break
    stream = count(10**9)
    assert await anext(stream) == 0
    await asyncio.sleep(0.1)
    assert len([one for one in office.got if one != "closed"]) <= 2 * (CREDIT + 2)
    await stream.aclose()
    await office.until(1)


async def test_a_plain_generator_streams_too_and_its_error_comes_behind_the_items(app: Vivace) -> None:
    @app.pool
    def pieces(most: int) -> Iterator[str]:
        for number in range(most):
            yield f"piece {number}"
        raise ValueError("no more")

    got: list[str] = []
    with pytest.raises(RemoteError, match="ValueError: no more"):
        async for piece in pieces(2):
            got += [piece]
    assert got == ["piece 0", "piece 1"]


async def test_nobody_there_is_said_after_the_time_that_it_may_take(
    app: Vivace, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("VIVACE_RUN", str(tmp_path))

    @app.service(timeout=0.1)
    async def absent(service: Any) -> None:
        raise AssertionError

    with pytest.raises(WorkerDied, match="no process of absent can be reached"):
        await absent.send(1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_queue": -1}, "expected 0 or more"),
        ({"concurrency": 0}, "expected 1 or more"),
        ({"timeout": 0}, "expected seconds above 0"),
        ({"size": -1}, "expected 0 or more"),
        ({"name": "a/b"}, "names no process"),
    ],
)
def test_what_a_pool_cannot_be_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        Vivace("bad").pool(**options)(print)


def test_a_service_has_room_for_one_message_at_least() -> None:
    with pytest.raises(DeclarationError, match="expected 1 or more"):
        Vivace("bad").service(max_queue=0)(print)
