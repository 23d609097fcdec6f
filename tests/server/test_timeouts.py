"""Slow and silent clients are let go at their time-out and not before; the clock is turned by hand."""

import asyncio
from typing import Any

import pytest

from tests.server.support import TEXT, HandlerInterface, hello, running, until
from vivace.config import Config
from vivace.errors import RequestTimeout
from vivace.protocols.stream import Stream
from vivace.server.connection import Connection
from vivace.server.settings import ServerSettings
from vivace.server.state import ServerState
from vivace.server.timeouts import CANCEL_GRACE

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
TICK = 0.5


class FakeTransport:
    """Takes what is written; `waiting` octets of it are not taken by the peer."""

    def __init__(self) -> None:
        self.written = b""
        self.waiting = 0
        self.fate = "open"

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, parts: tuple[bytes, ...]) -> None:
        self.written += b"".join(parts)

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def set_write_buffer_limits(self, high: int) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...

    def get_extra_info(self, name: str) -> None:
        return None

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.fate in ("closed", "aborted")

    def write_eof(self) -> None:
        self.fate = "shut down"

    def close(self) -> None:
        self.fate = "closed"

    def abort(self) -> None:
        self.fate = "aborted"


class Scene:
    """A connection with a fake transport and a clock."""

    def __init__(self, handler: Any, **settings: Any) -> None:
        config = Config()
        config.update(settings)
        loop = asyncio.get_running_loop()
        self.state = ServerState(HandlerInterface(handler), ServerSettings.from_config(config), loop)
        self.now = self.state.now
        self.transport = FakeTransport()
        self.connection = Connection(self.state)
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]

    async def receive(self, data: bytes) -> None:
        self.connection.data_received(data)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(8):
            await asyncio.sleep(0)

    async def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + TICK / 2)
            self.state.now = self.now
            self.state.deadlines.turn(self.now)
            await self.settle()


async def never(stream: Stream) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("head", "whole", "seconds"), [(10, 60, 10), (10, 2, 2), (10, 0, 10), (0, 2, 2), (0, 0, 0)]
)
def test_head_takes_no_longer_than_the_whole_request_may(head: float, whole: float, seconds: float) -> None:
    config = Config({"HEAD_TIMEOUT": head, "REQUEST_TIMEOUT": whole})
    assert ServerSettings.from_config(config).head_timeout == seconds


async def test_a_silent_connection_is_closed_after_head_timeout() -> None:
    scene = Scene(hello, HEAD_TIMEOUT=10)
    await scene.pass_time(9.9)
    assert scene.transport.fate == "open"
    await scene.pass_time(0.1 + 3 * TICK)
    assert scene.transport.fate == "closed"


async def test_a_slow_head_is_408_however_steadily_it_drips() -> None:
    scene = Scene(hello, HEAD_TIMEOUT=10)
    await scene.receive(b"GET / HTTP/1.1\r\nHost: x\r\n")
    for _ in range(9):
        await scene.pass_time(1)
        await scene.receive(b"X-Drip: 1\r\n")
    assert scene.transport.written == b""
    await scene.pass_time(1 + 3 * TICK)
    assert scene.transport.written.startswith(b"HTTP/1.1 408 ")
    assert scene.transport.fate == "shut down"


async def test_keep_alive_timeout_closes_quietly() -> None:
    scene = Scene(hello, KEEP_ALIVE_TIMEOUT=5)
    await scene.receive(GET)
    answer = scene.transport.written
    await scene.pass_time(4.9)
    assert scene.transport.fate == "open"
    await scene.pass_time(0.1 + 3 * TICK)
    assert scene.transport.fate == "closed"
    assert scene.transport.written == answer


async def test_a_request_within_keep_alive_starts_it_anew() -> None:
    scene = Scene(hello, KEEP_ALIVE_TIMEOUT=5)
    for _ in range(5):
        await scene.receive(GET)
        await scene.pass_time(4)
    assert scene.transport.fate == "open"
    assert scene.transport.written.count(b"HTTP/1.1 200 ") == 5


async def test_linger_ends_after_its_timeout() -> None:
    scene = Scene(hello, LINGER_TIMEOUT=2)
    await scene.receive(b"rubbish\x00\r\n\r\n")
    assert scene.transport.fate == "shut down"
    await scene.pass_time(2 + 3 * TICK)
    assert scene.transport.fate == "aborted"


async def read_all(stream: Stream) -> None:
    try:
        while await stream.receive():
            pass
    except RequestTimeout as error:
        stream.respond(408, TEXT, str(error).encode())
        return
    stream.respond(200, TEXT, b"whole")


async def test_a_stalled_body_is_408_after_body_timeout() -> None:
    scene = Scene(read_all, BODY_TIMEOUT=20, BODY_MIN_RATE=0)
    await scene.receive(POST + b"x" * 50)
    await scene.pass_time(19.9)
    assert scene.transport.written == b""
    await scene.pass_time(0.1 + 11 * TICK)
    assert scene.transport.written.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in scene.transport.written.lower()


async def test_a_creeping_body_is_408_after_its_grace() -> None:
    scene = Scene(read_all, BODY_TIMEOUT=20, BODY_MIN_RATE=512, BODY_RATE_GRACE=10)
    await scene.receive(POST)
    for _ in range(10):
        await scene.receive(b"x" * 100)
        await scene.pass_time(1)
    assert scene.transport.written == b""
    for _ in range(7):
        await scene.receive(b"x" * 100)
        await scene.pass_time(1)
    assert scene.transport.written.startswith(b"HTTP/1.1 408 ")


async def test_a_body_just_over_the_rate_is_taken_whole() -> None:
    scene = Scene(
        read_all, BODY_TIMEOUT=20, BODY_MIN_RATE=512, BODY_RATE_GRACE=10, REQUEST_BUFFER_SIZE=1 << 20
    )
    await scene.receive(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (600 * 60))
    for _ in range(60):
        await scene.receive(b"x" * 600)
        await scene.pass_time(1)
    assert scene.transport.written.startswith(b"HTTP/1.1 200 ")


async def test_a_body_limited_in_time_is_408_when_it_is_late() -> None:
    async def limited(stream: Stream) -> None:
        stream.limit_body(-1, 60)
        await read_all(stream)

    scene = Scene(limited, BODY_MIN_RATE=1)
    await scene.receive(POST)
    for _ in range(59):
        await scene.receive(b"x" * 600)
        await scene.pass_time(1)
    assert scene.transport.written == b""
    await scene.pass_time(1 + 11 * TICK)
    assert scene.transport.written.startswith(b"HTTP/1.1 408 ")


async def test_the_clock_of_the_body_stands_while_the_app_does_not_read() -> None:
    release = asyncio.Event()

    async def slow_app(stream: Stream) -> None:
        await release.wait()
        await read_all(stream)

    scene = Scene(slow_app, BODY_TIMEOUT=20, RESPONSE_TIMEOUT=0, REQUEST_BUFFER_SIZE=1024)
    await scene.receive(POST + b"x" * 2000)
    await scene.pass_time(100)
    assert scene.transport.written == b""
    release.set()
    await scene.settle()
    await scene.receive(b"x" * 98_000)
    assert scene.transport.written.startswith(b"HTTP/1.1 200 ")


async def test_a_handler_over_response_timeout_is_cancelled_and_503() -> None:
    seen: list[bool] = []

    async def notices(stream: Stream) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(stream.timed_out)
            raise

    scene = Scene(notices, RESPONSE_TIMEOUT=60)
    await scene.receive(GET)
    await scene.pass_time(59.9)
    assert scene.transport.written == b""
    await scene.pass_time(0.1 + 3 * TICK)
    assert seen == [True]
    assert scene.transport.written.startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize("gives_in", [True, False])
@pytest.mark.parametrize("limit", [0.0, 0.3, 2.0])
async def test_a_late_handler_is_answered_within_a_fifth_of_a_second(limit: float, gives_in: bool) -> None:
    async def late(stream: Stream) -> None:
        if limit:
            stream.limit_time(limit)
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if gives_in or stream.complete:
                    raise

    scene = Scene(late, RESPONSE_TIMEOUT=5)
    tick = scene.state.deadlines.tick
    seconds = limit or 5.0
    for part in range(5):  # of a tick, by which the clock of the server is behind when the request comes
        scene.connection = Connection(scene.state)
        scene.transport = FakeTransport()
        scene.connection.connection_made(scene.transport)  # type: ignore[arg-type]
        begun = scene.now + part * tick / 5
        await scene.receive(GET)
        while not scene.transport.written:
            scene.now = scene.state.now = scene.now + tick
            scene.state.deadlines.turn(scene.now)
            await scene.settle()
        assert scene.transport.written.startswith(b"HTTP/1.1 503 ")
        assert seconds <= scene.now - begun < seconds + 0.2
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


async def test_a_handler_that_ignores_its_cancellation_is_answered_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def stubborn(stream: Stream) -> None:
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    scene = Scene(stubborn, RESPONSE_TIMEOUT=5)
    await scene.receive(GET)
    await scene.pass_time(5 + CANCEL_GRACE + 6 * TICK)
    assert scene.transport.written.startswith(b"HTTP/1.1 503 ")
    assert "does not end" in caplog.text


async def test_a_handler_that_does_not_take_the_body_runs_out_of_time_itself() -> None:
    scene = Scene(never, RESPONSE_TIMEOUT=60, REQUEST_BUFFER_SIZE=1024)
    await scene.receive(POST + b"x" * 2000)
    await scene.pass_time(59.9)
    assert scene.transport.written == b""
    await scene.pass_time(0.1 + 3 * TICK)
    assert scene.transport.written.startswith(b"HTTP/1.1 503 ")


async def test_a_handler_that_never_asks_for_an_expected_body_runs_out_of_time() -> None:
    scene = Scene(never, RESPONSE_TIMEOUT=60)
    await scene.receive(POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
    await scene.pass_time(60 + 3 * TICK)
    assert scene.transport.written.startswith(b"HTTP/1.1 503 ")


async def test_response_timeout_zero_is_off() -> None:
    scene = Scene(never, RESPONSE_TIMEOUT=0)
    await scene.receive(GET)
    await scene.pass_time(500)
    assert scene.transport.fate == "open"


async def test_response_timeout_does_not_cut_a_started_response() -> None:
    async def events(stream: Stream) -> None:
        stream.start(200, TEXT)
        await stream.send(b"first")
        await asyncio.Event().wait()

    scene = Scene(events, RESPONSE_TIMEOUT=60)
    await scene.receive(GET)
    await scene.pass_time(500)
    assert scene.transport.fate == "open"


async def test_a_reader_without_progress_is_dropped_after_write_timeout() -> None:
    scene = Scene(hello, WRITE_TIMEOUT=30)
    scene.transport.waiting = 100
    await scene.receive(GET)
    await scene.pass_time(29.9)
    assert scene.transport.fate == "open"
    await scene.pass_time(0.1 + 13 * TICK)
    assert scene.transport.fate == "aborted"


async def test_a_reader_with_progress_is_kept() -> None:
    scene = Scene(hello, WRITE_TIMEOUT=30)
    scene.transport.waiting = 100
    await scene.receive(GET)
    for left in range(99, 90, -1):
        await scene.pass_time(20)
        scene.transport.waiting = left
    assert scene.transport.fate == "open"


async def test_slow_clients_go_while_a_good_one_is_served() -> None:
    async with running(
        hello, HEAD_TIMEOUT=0.3, BODY_TIMEOUT=0.3, KEEP_ALIVE_TIMEOUT=0.3, LINGER_TIMEOUT=0.2
    ) as server:
        silent, dripping = await server.connect(), await server.connect()
        await dripping.send(b"GET / HTTP/1.1\r\n")
        good = await server.connect()
        gone = asyncio.gather(silent.read_all(), dripping.read_all())
        while not gone.done():
            await good.send(GET)
            assert (await good.read_response())[0] == 200
            await asyncio.sleep(0.02)
        assert (await gone)[0] == b""
        assert (await gone)[1].startswith(b"HTTP/1.1 408 ")
        await silent.close()
        await dripping.close()
        await until(lambda: server.server.connections == 1)
