"""Clients of WSGI apps that leave, read slowly or come in crowds: no thread is held longer than needed."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.interfaces.wsgi_support import (
    TEXT,
    Body,
    Environ,
    StartResponse,
    app_of,
    ask,
    is_closed,
    request,
    serving,
)
from tests.server.support import Running, until

MODES = pytest.mark.parametrize("threads", [0, 2], ids=["inline", "threads"])
LARGE = 300_000


class Gate:
    """An app whose requests wait until the test lets them go on; it knows how many it has at a time."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.lock = threading.Lock()
        self.inside = 0
        self.most = 0
        self.seen: list[str] = []
        self.names: set[str] = set()

    def __call__(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.seen.append(environ["PATH_INFO"])
            self.names.add(threading.current_thread().name)
        self.open.wait(30)
        with self.lock:
            self.inside -= 1
        start_response("200 OK", TEXT)
        return [b"ok"]


@contextmanager
def gate() -> Iterator[Gate]:
    """A gate that is open in the end, so that no thread is left behind."""
    made = Gate()
    try:
        yield made
    finally:
        made.open.set()


async def crowd(started: Running, count: int) -> "asyncio.Future[list[tuple[int, dict[str, str], bytes]]]":
    return asyncio.ensure_future(asyncio.gather(*(ask(started, request(f"/{n}")) for n in range(count))))


@pytest.mark.parametrize("threads", [1, 3])
async def test_threads_bounds_the_calls_at_a_time_and_all_are_used(threads: int) -> None:
    with gate() as app:
        async with serving(app, threads) as started:
            answers = await crowd(started, 8)
            await until(lambda: started.server.active == 8 and app.inside == threads)
            app.open.set()
            assert [answer[0] for answer in await answers] == [200] * 8
    assert app.most == threads
    assert app.names == {f"vivace-wsgi-{n + 1}" for n in range(threads)}


async def test_threads_start_when_they_are_needed() -> None:
    def named() -> list[str]:
        return [t.name for t in threading.enumerate() if t.name.startswith("vivace-wsgi")]

    async with serving(app_of([b"ok"]), 4) as started:
        assert named() == []
        for _ in range(5):
            await ask(started, request())
        assert "vivace-wsgi-1" in named()
    assert named() == []


async def test_a_request_behind_a_busy_thread_finds_another_at_once() -> None:
    with gate() as app:
        async with serving(app, 2) as started:
            first = await crowd(started, 1)
            await until(lambda: app.inside == 1)
            second = await crowd(started, 1)
            await until(lambda: app.inside == 2)
            app.open.set()
            await asyncio.gather(first, second)


async def test_requests_beyond_the_servers_bound_are_refused() -> None:
    with gate() as app:
        async with serving(app, 1, MAX_CONCURRENT_REQUESTS=2) as started:
            answers = await crowd(started, 2)
            await until(lambda: started.server.active == 2)
            assert (await ask(started, request()))[0] == 503
            app.open.set()
            await answers


async def test_a_request_whose_client_leaves_in_the_queue_is_never_called() -> None:
    with gate() as app:
        async with serving(app, 1) as started:
            first = await crowd(started, 1)
            await until(lambda: app.inside == 1)
            client = await started.connect()
            await client.send(request("/dropped"))
            await until(lambda: started.server.active == 2)
            client.reset()
            await until(lambda: started.server.active == 1)
            app.open.set()
            await first
            await ask(started, request("/last"))
    assert app.seen == ["/0", "/last"]


async def test_an_upload_whose_client_leaves_in_the_queue_is_never_called() -> None:
    with gate() as app:
        async with serving(app, 1) as started:
            first = await crowd(started, 1)
            await until(lambda: app.inside == 1)
            client = await started.connect()
            await client.send(request("/dropped", "POST", body=b"x" * 10))
            await until(lambda: started.server.active == 2)
            client.reset()
            await until(lambda: started.server.active == 1)
            app.open.set()
            await first
            await ask(started, request("/last"))
    assert app.seen == ["/0", "/last"]


async def test_the_answer_to_a_client_that_left_meanwhile_is_dropped() -> None:
    body = Body(b"a", b"b")
    release, called = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Body:
        called.set()
        release.wait(30)
        start_response("200 OK", TEXT)
        return body

    async with serving(app, 1) as started:
        client = await started.connect()
        await client.send(request())
        await until(called.is_set)
        client.reset()
        await until(lambda: started.server.active == 0)
        release.set()
        await body.wait_closed()
    assert body.closed == 1


@MODES
async def test_an_endless_response_ends_when_its_client_leaves(threads: int) -> None:
    body = Body(*[b"x" * 10_000] * 100_000)
    async with serving(app_of(body), threads) as started:
        client = await started.connect()
        await client.send(request())
        await client.read_head()
        client.reset()
        await body.wait_closed()
        await until(lambda: started.server.active == 0)
    assert body.pieces
    assert body.closed == 1


async def test_write_raises_when_the_client_has_left() -> None:
    raised: list[type[BaseException]] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", TEXT)
        try:
            while True:
                write(b"x" * 10_000)
        except OSError as error:
            raised.append(type(error))
            raise

    async with serving(app, 1) as started:
        client = await started.connect()
        await client.send(request())
        await client.read_head()
        client.reset()
        await until(lambda: raised)
    assert issubclass(raised[0], ConnectionError)


@MODES
async def test_a_slow_reader_holds_back_the_app(threads: int) -> None:
    pieces = 400
    body = Body(*[b"x" * LARGE] * pieces)
    async with serving(app_of(body), threads, WSGI_BUFFER_SIZE=LARGE, WRITE_TIMEOUT=0) as started:
        client = await started.connect()
        await client.send(request())
        await client.read_head()
        before = -1
        while before != body.given:  # until the app makes no more
            before = body.given
            await asyncio.sleep(0.1)
        # What the kernel holds for the two of them is some megabytes.
        assert body.given < 60
        size = 0
        while data := await client.reader.read(1 << 20):
            size += len(data)
        await body.wait_closed()
    assert size > pieces * LARGE
    assert body.given == pieces


@MODES
async def test_a_reader_that_stalls_is_reset_and_the_app_let_go(threads: int) -> None:
    body = Body(*[b"x" * LARGE] * 400)
    async with serving(app_of(body), threads, WSGI_BUFFER_SIZE=LARGE, WRITE_TIMEOUT=0.2) as started:
        client = await started.connect()
        await client.send(request())
        await client.read_head()
        await body.wait_closed()
        await until(lambda: started.server.active == 0)
    assert body.pieces


async def test_the_thread_is_free_while_a_slow_client_takes_what_it_gave() -> None:
    body = Body(*[b"x" * 100_000] * 100)
    answers = {"/large": app_of(body), "/small": app_of([b"small"])}

    async with serving(
        lambda environ, start: answers[environ["PATH_INFO"]](environ, start),
        1,
        WSGI_BUFFER_SIZE=20_000_000,
        WRITE_TIMEOUT=0,
    ) as started:
        client = await started.connect()
        await client.send(request("/large", close=False))
        await client.read_head()
        assert (await ask(started, request("/small")))[2] == b"small"
        await body.wait_closed()
        assert started.server.active == 1


@MODES
async def test_a_half_closed_client_still_gets_its_answer(threads: int) -> None:
    async with serving(app_of([b"ok"]), threads) as started:
        client = await started.connect()
        await client.send(request(close=False))
        client.shut_down()
        assert (await client.read_all()).endswith(b"ok")


@MODES
async def test_a_stop_lets_requests_finish(threads: int) -> None:
    started_streaming = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        started_streaming.set()
        for _ in range(50):
            yield b"x" * 1000

    async with serving(app, threads) as started:
        client = await started.connect()
        await client.send(request(close=False))
        await until(started_streaming.is_set)
        stopping = asyncio.create_task(started.server.stop())
        assert (await client.read_all()).endswith(b"0\r\n\r\n")
        await stopping
        assert await is_closed(client)
