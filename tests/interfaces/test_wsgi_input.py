"""wsgi.input: small bodies in memory, larger ones on disk, the largest while they come; broken ones raise."""

import asyncio
import hashlib
import io
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.interfaces.wsgi_support import (
    TEXT,
    Environ,
    StartResponse,
    ask,
    is_closed,
    request,
    serving,
    split,
)
from tests.server.support import Client, until
from vivace.interfaces.wsgi_input import LiveInput

MODES = pytest.mark.parametrize("threads", [0, 2], ids=["inline", "threads"])
SMALL: dict[str, Any] = {"WSGI_BUFFER_SIZE": 100, "WSGI_SPOOL_SIZE": 1000}
LINES = b"one\ntwo\n\nthree without an end"


class Reader:
    """An app that reads its input in one way and answers with what it read."""

    def __init__(self, read: Callable[[Any], bytes]) -> None:
        self.read = read
        self.environ: Environ = {}
        self.inputs: list[Any] = []
        self.errors: list[BaseException] = []

    def __call__(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        self.environ = environ
        self.inputs.append(environ["wsgi.input"])
        try:
            content = self.read(environ["wsgi.input"])
        except OSError as error:
            self.errors.append(error)
            raise
        start_response("200 OK", TEXT)
        return [content]


def read_in_pieces(source: Any) -> bytes:
    content = b""
    while piece := source.read(7):
        content += piece
    return content


WAYS: dict[str, Callable[[Any], bytes]] = {
    "read": lambda source: source.read(),
    "read with a size": read_in_pieces,
    "read too much": lambda source: source.read(1 << 20),
    "read after the end": lambda source: source.read() + source.read() + source.read(1) + source.readline(),
    "readline": lambda source: b"".join(iter(source.readline, b"")),
    "readline with a size": lambda source: b"".join(iter(lambda: source.readline(2), b"")),
    "readlines": lambda source: b"".join(source.readlines()),
    "readlines with a hint": lambda source: b"".join(source.readlines(4)) + source.read(),
    "iter": b"".join,
}


def chunked(content: bytes, size: int = 10) -> bytes:
    """A request whose body comes in chunks."""
    chunks = [content[at : at + size] for at in range(0, len(content), size)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return request("/", "POST", "Transfer-Encoding: chunked") + body + b"0\r\n\r\n"


@MODES
@pytest.mark.parametrize("repeat", [1, 10, 100], ids=["memory", "disk", "streamed"])
@pytest.mark.parametrize("read", WAYS.values(), ids=WAYS)
async def test_every_way_of_reading_gives_the_whole_body(
    threads: int, repeat: int, read: Callable[[Any], bytes]
) -> None:
    content = LINES * repeat
    app = Reader(read)
    async with serving(app, threads, **SMALL) as started:
        assert (await ask(started, request("/", "POST", body=content)))[2] == content
        assert app.environ["CONTENT_LENGTH"] == str(len(content))
        assert (await ask(started, chunked(content)))[2] == content


@MODES
async def test_lines_are_lines(threads: int) -> None:
    app = Reader(lambda source: repr(list(source)).encode())
    async with serving(app, threads, WSGI_BUFFER_SIZE=1, WSGI_SPOOL_SIZE=1) as started:
        _, _, body = await ask(started, request("/", "POST", body=LINES))
    assert body == repr([b"one\n", b"two\n", b"\n", b"three without an end"]).encode()


async def test_size_decides_where_a_body_waits() -> None:
    app = Reader(lambda source: source.read())
    kinds = []
    async with serving(app, 1, **SMALL) as started:
        for size in (100, 101, 1000, 1001):
            assert (await ask(started, request("/", "POST", body=b"x" * size)))[2] == b"x" * size
            kinds.append(type(app.inputs[-1]).__name__)
    assert kinds == ["BytesIO", "BufferedRandom", "BufferedRandom", "BufferedReader"]


async def test_inline_a_body_is_received_before_the_app_is_called_whatever_its_size() -> None:
    app = Reader(lambda source: source.read())
    async with serving(app, 0, **SMALL) as started:
        assert (await ask(started, request("/", "POST", body=b"x" * 5000)))[2] == b"x" * 5000
    assert type(app.inputs[0]).__name__ == "BufferedRandom"


@MODES
@pytest.mark.parametrize("size", [10, 500, 5000])
async def test_input_is_closed_when_the_request_is_over(threads: int, size: int) -> None:
    app = Reader(lambda source: source.read(3))
    async with serving(app, threads, **SMALL) as started:
        assert (await ask(started, request("/", "POST", body=b"x" * size)))[2] == b"xxx"
        await until(lambda: app.inputs[0].closed)


@MODES
async def test_a_chunked_body_that_is_here_has_a_length(threads: int) -> None:
    app = Reader(lambda source: source.read())
    async with serving(app, threads) as started:
        await ask(started, chunked(LINES))
    assert app.environ["CONTENT_LENGTH"] == str(len(LINES))
    assert "HTTP_TRANSFER_ENCODING" not in app.environ


async def test_a_chunked_body_that_is_still_to_come_has_none() -> None:
    app = Reader(lambda source: source.read())
    async with serving(app, 1, **SMALL) as started:
        await ask(started, chunked(b"x" * 2000))
    assert "CONTENT_LENGTH" not in app.environ
    assert app.environ["HTTP_TRANSFER_ENCODING"] == "chunked"
    assert app.environ["wsgi.input_terminated"] is True


async def test_a_body_in_memory_takes_no_thread_until_it_is_complete() -> None:
    called = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        called.set()
        start_response("200 OK", TEXT)
        return [environ["wsgi.input"].read()]

    async with serving(app, 1) as started:
        slow = await started.connect()
        await slow.send(request("/", "POST", "Content-Length: 4") + b"ab")
        await until(lambda: started.server.active == 1)
        assert not called.is_set()
        assert (await ask(started, request("/", "POST", body=b"x")))[2] == b"x"
        await slow.send(b"cd")
        assert split(await slow.read_all())[2] == b"abcd"


async def test_a_streamed_body_reaches_the_app_while_it_comes() -> None:
    read: list[bytes] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        read.extend(iter(environ["wsgi.input"].readline, b""))
        start_response("200 OK", TEXT)
        return []

    async with serving(app, 1, WSGI_BUFFER_SIZE=1, WSGI_SPOOL_SIZE=1) as started:
        client = await started.connect()
        await client.send(request("/", "POST", "Content-Length: 12") + b"first\n")
        await until(lambda: read == [b"first\n"])
        await client.send(b"second")
        assert (await client.read_response())[0] == 200
    assert read == [b"first\n", b"second"]


@pytest.mark.parametrize(
    "settings", [{}, {"WSGI_BUFFER_SIZE": 1, "WSGI_SPOOL_SIZE": 1}], ids=["here", "streamed"]
)
@MODES
async def test_a_client_that_waits_for_continue_is_told_to(threads: int, settings: dict[str, Any]) -> None:
    async with serving(Reader(lambda source: source.read()), threads, **settings) as started:
        client = await started.connect()
        await client.send(request("/", "POST", "Content-Length: 4", "Expect: 100-continue"))
        assert await client.read_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"data")
        assert (await client.read_response())[2] == b"data"


async def test_a_streamed_body_that_nobody_reads_is_not_asked_for() -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("403 No", TEXT)
        return [b"no"]

    async with serving(app, 1, WSGI_BUFFER_SIZE=1, WSGI_SPOOL_SIZE=1) as started:
        client = await started.connect()
        await client.send(request("/", "POST", "Content-Length: 4", "Expect: 100-continue", close=False))
        status, head, body = await client.read_response()
        assert (status, body) == (403, b"no")
        assert b"connection: close" in head
        assert await is_closed(client)


async def test_an_upload_the_app_does_not_read_is_answered() -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("403 No", TEXT)
        return [b"no"]

    async with serving(app, 1, WSGI_BUFFER_SIZE=1, WSGI_SPOOL_SIZE=1) as started:
        client = await started.connect()
        await client.send(request("/", "POST", body=b"x" * 30_000, close=False))
        assert (await client.read_response())[2] == b"no"
        await client.send(request("/", "POST", body=b"y"))
        assert (await client.read_response())[2] == b"no"


async def test_what_was_received_before_is_let_go_though_nobody_read_it() -> None:
    begin = tempfile.TemporaryFile()  # noqa: SIM115  # whether it is closed is the question
    io.BufferedReader(LiveInput(asyncio.get_running_loop(), begin)).close()
    assert begin.closed


# -- bodies that break off -------------------------------------------------------------------------------


def upload(announced: int, sent: int) -> bytes:
    return request("/", "POST", f"Content-Length: {announced}") + b"x" * sent


BEGUN = request("/", "POST", "Transfer-Encoding: chunked") + b"14\r\n" + b"x" * 20 + b"\r\n"
REST = b"c8\r\n" + b"x" * 200 + b"\r\n0\r\n\r\n"


async def test_reading_raises_when_the_client_left_in_the_middle(caplog: pytest.LogCaptureFixture) -> None:
    app = Reader(lambda source: source.read())
    async with serving(app, 1, **SMALL) as started:
        client = await started.connect()
        await client.send(upload(5000, 10))
        await until(lambda: app.inputs)
        client.reset()
        await until(lambda: app.errors)
    assert isinstance(app.errors[0], ConnectionError)
    assert "left before its body was complete" in str(app.errors[0])
    assert not caplog.records


@MODES
@pytest.mark.parametrize("size", [50, 500])
async def test_the_app_is_not_called_for_a_body_that_never_came(threads: int, size: int) -> None:
    app = Reader(lambda source: source.read())
    async with serving(app, threads, **SMALL) as started:
        client = await started.connect()
        await client.send(upload(size, 10))
        await until(lambda: started.server.active == 1)
        client.reset()
        await until(lambda: started.server.active == 0)
        await ask(started, request())
    assert len(app.inputs) == 1


@MODES
@pytest.mark.parametrize("data", [upload(101, 0), chunked(b"x" * 101)], ids=["announced", "chunked"])
async def test_a_body_over_the_limit_is_413_and_never_reaches_the_app(threads: int, data: bytes) -> None:
    app = Reader(lambda source: source.read())
    async with serving(app, threads, REQUEST_MAX_SIZE=100) as started:
        status, fields, _ = await ask(started, data)
        assert (await ask(started, request("/", "POST", body=b"x" * 100)))[0] == 200
    assert status == 413
    assert fields["connection"] == "close"
    assert len(app.inputs) == 1


async def test_a_streamed_body_over_the_limit_fails_in_the_app_and_is_413(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Reader(lambda source: source.read())
    async with serving(app, 1, WSGI_BUFFER_SIZE=10, WSGI_SPOOL_SIZE=10, REQUEST_MAX_SIZE=100) as started:
        client = await started.connect()
        await client.send(BEGUN)
        await until(lambda: app.inputs)
        await client.send(REST)
        status, _, body = await client.read_response()
    assert (status, body) == (413, b"Request body exceeds the size limit\n")
    assert "exceeds the size limit" in str(app.errors[0])
    assert not caplog.records


@MODES
async def test_a_limit_of_zero_is_none(threads: int) -> None:
    app = Reader(lambda source: str(len(source.read())).encode())
    async with serving(app, threads, REQUEST_MAX_SIZE=0, REQUEST_TIMEOUT=0) as started:
        assert (await ask(started, request("/", "POST", body=b"x" * 3_000_000)))[2] == b"3000000"


@MODES
async def test_a_body_that_stalls_is_408(threads: int) -> None:
    app = Reader(lambda source: source.read())
    async with serving(app, threads, BODY_TIMEOUT=0.1) as started:
        status, _, body = await ask(started, upload(10, 5))
    assert status == 408
    assert body.startswith(b"nothing of the body came for")
    assert not app.inputs


async def test_a_streamed_body_that_stalls_fails_in_the_app_and_is_408() -> None:
    app = Reader(lambda source: source.read())
    async with serving(app, 1, **SMALL, BODY_TIMEOUT=0.1) as started:
        status, _, body = await ask(started, upload(5000, 5))
    assert status == 408
    assert body.startswith(b"nothing of the body came for")
    assert isinstance(app.errors[0], TimeoutError)


@MODES
async def test_request_timeout_bounds_a_body(threads: int) -> None:
    app = Reader(lambda source: source.read())
    async with serving(app, threads, REQUEST_TIMEOUT=0.1, KEEP_ALIVE_TIMEOUT=0.1) as started:
        status, _, _ = await ask(started, upload(10, 5))
    assert status == 408
    assert not app.inputs


@MODES
@pytest.mark.parametrize(
    "settings", [{}, {"WSGI_BUFFER_SIZE": 1, "WSGI_SPOOL_SIZE": 1}], ids=["here", "streamed"]
)
async def test_a_chunk_with_broken_framing_is_400(threads: int, settings: dict[str, Any]) -> None:
    app = Reader(lambda source: source.read())
    async with serving(app, threads, **settings) as started:
        status, _, _ = await ask(
            started, request("/", "POST", "Transfer-Encoding: chunked") + b"3\r\nabc\r\nxyz\r\n"
        )
        await until(lambda: started.server.active == 0)
    assert status == 400


async def test_an_app_that_handles_the_error_answers_itself() -> None:
    called = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        called.set()
        try:
            environ["wsgi.input"].read()
        except OSError:
            start_response("422 Sorry", TEXT)
            return [b"mine"]
        return []

    async with serving(app, 1, WSGI_BUFFER_SIZE=10, WSGI_SPOOL_SIZE=10, REQUEST_MAX_SIZE=100) as started:
        client = await started.connect()
        await client.send(BEGUN)
        await until(called.is_set)
        await client.send(REST)
        status, _, body = await client.read_response()
    assert (status, body) == (422, b"mine")


# -- memory ------------------------------------------------------------------------------------------------


async def send_much(client: Client, pieces: int) -> str:
    piece = bytes(range(256)) * 4096
    digest = hashlib.sha256()
    for _ in range(pieces):
        digest.update(piece)
        await client.send(piece)
    return digest.hexdigest()


@pytest.mark.parametrize("spool", [0, 1 << 30], ids=["streamed", "disk"])
async def test_a_large_body_arrives_unchanged(spool: int) -> None:
    def digest(source: Any) -> bytes:
        found = hashlib.sha256()
        while piece := source.read(100_000):
            found.update(piece)
        return found.hexdigest().encode()

    async with serving(Reader(digest), 1, WSGI_BUFFER_SIZE=100_000, WSGI_SPOOL_SIZE=spool) as started:
        client = await started.connect()
        await client.send(request("/", "POST", f"Content-Length: {32 << 20}"))
        expected = await send_much(client, 32)
        assert (await client.read_response())[2] == expected.encode()


async def test_an_app_that_does_not_read_holds_back_the_client() -> None:
    release = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ["wsgi.input"].read(1)
        release.wait(30)
        start_response("200 OK", TEXT)
        return [str(1 + len(environ["wsgi.input"].read())).encode()]

    try:
        async with serving(app, 1, WSGI_BUFFER_SIZE=10, WSGI_SPOOL_SIZE=10) as started:
            client = await started.connect()
            await client.send(request("/", "POST", f"Content-Length: {64 << 20}"))
            sending = asyncio.create_task(send_much(client, 64))
            done, _ = await asyncio.wait((sending,), timeout=0.3)
            assert not done
            release.set()
            await sending
            assert (await client.read_response())[2] == str(64 << 20).encode()
    finally:
        release.set()
