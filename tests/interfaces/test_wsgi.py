"""WSGI apps over real sockets, in threads and on the loop: what PEP 3333 promises them."""

import contextvars
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any
from wsgiref.validate import validator

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
    split,
)
from tests.server.support import until

MODES = pytest.mark.parametrize("threads", [0, 2], ids=["inline", "threads"])


def hello(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [*TEXT, ("Content-Length", "5")])
    return [b"hello"]


@MODES
async def test_a_response_of_one_piece_leaves_whole(threads: int) -> None:
    async with serving(hello, threads) as started:
        status, fields, body = await ask(started, request())
    assert (status, body) == (200, b"hello")
    assert fields["content-type"] == "text/plain"
    assert fields["content-length"] == "5"
    assert "transfer-encoding" not in fields


@MODES
async def test_a_connection_carries_many_requests_in_order(threads: int) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", TEXT)
        return [environ["PATH_INFO"].encode()]

    async with serving(app, threads) as started:
        client = await started.connect()
        await client.send(b"".join(request(f"/{n}", close=False) for n in range(50)))
        for n in range(50):
            assert (await client.read_response())[2] == f"/{n}".encode()


@MODES
@pytest.mark.parametrize(
    ("body", "length"),
    [([], "0"), ([b""], "0"), ([b"ab"], "2"), ([b"ab", b"", b"c"], "3"), ((b"ab", b"c"), "3")],
    ids=repr,
)
async def test_the_length_of_a_list_is_said(threads: int, body: Any, length: str) -> None:
    async with serving(app_of(body), threads) as started:
        status, fields, content = await ask(started, request())
    assert (status, fields["content-length"]) == (200, length)
    assert content == b"".join(body)


@MODES
async def test_pieces_of_an_iterable_come_in_chunks_and_it_is_closed_once(threads: int) -> None:
    body = Body(b"one", b"", b"two", b"three")
    async with serving(app_of(body), threads) as started:
        status, fields, content = await ask(started, request())
        await body.wait_closed()
    assert (status, content) == (200, b"onetwothree")
    assert fields["transfer-encoding"] == "chunked"
    assert body.closed == 1


@MODES
async def test_an_iterable_that_is_complete_with_its_first_piece_needs_no_chunks(threads: int) -> None:
    body = Body(b"", b"whole", b"")
    async with serving(app_of(body, ("Content-Length", "5")), threads) as started:
        status, fields, content = await ask(started, request())
        await body.wait_closed()
    assert (status, content, body.closed, body.pieces) == (200, b"whole", 1, [])
    assert fields["content-length"] == "5"


@MODES
async def test_an_iterable_without_pieces_is_an_empty_body(threads: int) -> None:
    body = Body(b"", b"")
    async with serving(app_of(body), threads) as started:
        status, fields, content = await ask(started, request())
        await body.wait_closed()
    assert (status, content, fields["content-length"]) == (200, b"", "0")


async def test_a_piece_arrives_before_the_next_is_made() -> None:
    arrived = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        yield b"first"
        assert arrived.wait(10)
        yield b"second"

    async with serving(app) as started:
        client = await started.connect()
        await client.send(request())
        await client.read_head()
        assert await client.reader.readuntil(b"first\r\n")
        arrived.set()
        assert await client.read_all() == b"6\r\nsecond\r\n0\r\n\r\n"


async def test_inline_a_piece_arrives_before_the_next_is_made() -> None:
    read = 0

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        for _ in range(200):
            yield b"x"
            if read:
                return
        yield b"late"

    async with serving(app, 0) as started:
        client = await started.connect()
        await client.send(request())
        await client.read_head()
        read = len(await client.reader.readexactly(6))
        assert b"late" not in await client.read_all()


@MODES
async def test_a_generator_may_call_start_response_when_it_is_first_asked(threads: int) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        yield b""
        start_response("201 Made", TEXT)
        yield b"made"

    async with serving(app, threads) as started:
        status, _, body = await ask(started, request())
    assert (status, body) == (201, b"made")


@MODES
async def test_what_is_written_comes_before_what_is_returned(threads: int) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", TEXT)
        write(b"one ")
        write(b"")
        write(b"two ")
        return [b"three ", b"four"]

    async with serving(app, threads) as started:
        assert (await ask(started, request()))[2] == b"one two three four"


@MODES
async def test_write_alone_makes_a_response(threads: int) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [*TEXT, ("Content-Length", "4")])(b"only")
        return []

    async with serving(app, threads) as started:
        assert (await ask(started, request()))[2] == b"only"


@MODES
async def test_write_may_be_called_while_a_generator_runs(threads: int) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        write = start_response("200 OK", TEXT)
        yield b"a"
        write(b"b")
        yield b"c"
        write(b"d")

    async with serving(app, threads) as started:
        assert (await ask(started, request()))[2] == b"abcd"


# -- responses without content ---------------------------------------------------------------------------


@MODES
async def test_head_keeps_the_length_and_has_no_body(threads: int) -> None:
    async with serving(hello, threads) as started:
        client = await started.connect()
        await client.send(request("/", "HEAD", close=False) + request("/", "HEAD"))
        status, fields, rest = split(await client.read_all())
    assert (status, fields["content-length"]) == (200, "5")
    assert rest.startswith(b"HTTP/1.1 200")
    assert rest.endswith(b"\r\n\r\n")


@MODES
async def test_head_ends_an_endless_iterable_and_closes_it(threads: int) -> None:
    body = Body(*[b"x"] * 100)
    async with serving(app_of(body, ("Content-Length", "100000")), threads) as started:
        status, fields, content = await ask(started, request("/", "HEAD"))
        await body.wait_closed()
    assert (status, content, fields["content-length"]) == (200, b"", "100000")
    assert (body.given, body.closed) == (1, 1)


@MODES
async def test_head_of_an_app_that_writes(threads: int) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "3")])(b"abc")
        return []

    async with serving(app, threads) as started:
        reply = await started.exchange(request("/", "HEAD"))
    assert b"content-length: 3\r\n" in reply
    assert reply.endswith(b"\r\n\r\n")


@MODES
@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_statuses_without_content_have_none(threads: int, status: str) -> None:
    listed, streamed = app_of([b"body"], status=status), Body(b"bo", b"dy")
    async with serving(listed, threads) as started:
        listed_reply = await started.exchange(request())
    async with serving(app_of(streamed, status=status), threads) as started:
        streamed_reply = await started.exchange(request())
        await streamed.wait_closed()
    for reply in (listed_reply, streamed_reply):
        assert reply.startswith(f"HTTP/1.1 {status}\r\n".encode())
        assert reply.endswith(b"\r\n\r\n")
        assert b"chunked" not in reply


# -- exc_info ----------------------------------------------------------------------------------------------


@MODES
async def test_exc_info_replaces_a_response_that_was_not_sent(threads: int) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("X-First", "1"), ("Content-Length", "9")])
        try:
            raise ValueError("late")
        except ValueError:
            start_response("503 Later", [("X-Second", "2")], sys.exc_info())
        return [b"sorry"]

    async with serving(app, threads) as started:
        status, fields, body = await ask(started, request())
    assert (status, body, fields["x-second"]) == (503, b"sorry", "2")
    assert "x-first" not in fields


@MODES
async def test_exc_info_is_raised_again_once_something_was_sent(
    threads: int, caplog: pytest.LogCaptureFixture
) -> None:
    raised: list[BaseException] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        yield b"begun"
        try:
            raise ValueError("in the middle")
        except ValueError:
            try:
                start_response("500 Oh", TEXT, sys.exc_info())
            except ValueError as error:
                raised.append(error)
                raise
        yield b"never"

    async with serving(app, threads) as started:
        reply = await started.exchange(request())
        await until(lambda: raised)
    assert not reply.endswith(b"0\r\n\r\n")
    assert b"never" not in reply
    assert "in the middle" in caplog.text


@MODES
async def test_exc_info_is_raised_again_behind_a_complete_body(
    threads: int, caplog: pytest.LogCaptureFixture
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "4")])
        yield b"done"
        try:
            raise ValueError("afterwards")
        except ValueError:
            start_response("500 Oh", TEXT, sys.exc_info())

    async with serving(app, threads) as started:
        status, _, body = await ask(started, request())
        await until(lambda: "ValueError: afterwards" in caplog.text)
    assert (status, body) == (200, b"done")


# -- contexts ----------------------------------------------------------------------------------------------

user = contextvars.ContextVar("user", default="nobody")


@MODES
async def test_every_call_has_a_context_of_its_own_and_its_generator_runs_in_it(threads: int) -> None:
    seen: list[str] = []

    class Closing:
        def __init__(self) -> None:
            self.left = 2

        def __iter__(self) -> Iterator[bytes]:
            return self

        def __next__(self) -> bytes:
            self.left -= 1
            if self.left < 0:
                raise StopIteration
            return user.get().encode()

        def close(self) -> None:
            seen.append(user.get())

    def app(environ: Environ, start_response: StartResponse) -> Closing:
        seen.append(user.get())
        user.set(environ["PATH_INFO"])
        start_response("200 OK", TEXT)
        return Closing()

    async with serving(app, threads) as started:
        first = await ask(started, request("/a"))
        second = await ask(started, request("/b"))
        await until(lambda: len(seen) == 4)
    assert (first[2], second[2]) == (b"/a/a", b"/b/b")
    assert seen == ["nobody", "/a", "nobody", "/b"]
    assert user.get() == "nobody"


@MODES
async def test_what_was_set_at_the_start_of_the_server_is_seen(threads: int) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", TEXT)
        return [user.get().encode()]

    token = user.set("everybody")
    try:
        async with serving(app, threads) as started:
            assert (await ask(started, request()))[2] == b"everybody"
    finally:
        user.reset(token)


# -- wsgiref.validate --------------------------------------------------------------------------------------


def strict(environ: Environ, start_response: Any) -> Any:
    """Does what PEP 3333 allows, by all its means."""
    content = (
        environ["wsgi.input"].read(3) + environ["wsgi.input"].readline() + environ["wsgi.input"].read(99)
    )
    environ["wsgi.errors"].write("")
    environ["wsgi.errors"].flush()
    kind = environ["PATH_INFO"]
    if kind == "/write":
        write = start_response("200 OK", TEXT)
        write(content)
        return [b"!"]
    if kind == "/stream":
        return stream(content, start_response)
    if environ["REQUEST_METHOD"] == "HEAD":
        content = b""
    start_response("200 OK", TEXT)
    return [content]


def stream(content: bytes, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    yield content
    yield b"!"


@MODES
@pytest.mark.parametrize(
    ("data", "body"),
    [
        (request("/", "POST", body=b"abcde\nf"), b"abcde\nf"),
        (request("/?q=1", "GET", "Cookie: a=b"), b""),
        (request("/", "HEAD"), b""),
        (request("/write", "POST", body=b"data"), b"data!"),
        (request("/stream", "POST", body=b"data"), b"data!"),
        (request("/stream", "POST", "Transfer-Encoding: chunked") + b"4\r\ndata\r\n0\r\n\r\n", b"data!"),
        (request("*", "OPTIONS"), b""),
        (request("http://there/", "GET"), b""),
    ],
    ids=["post", "get", "head", "write", "stream", "chunked", "options", "absolute"],
)
async def test_the_validator_of_the_standard_library_has_no_complaint(
    threads: int, data: bytes, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(validator(strict), threads) as started:
        status, _, content = await ask(started, data)
    assert (status, content) == (200, body)
    assert not caplog.records


@MODES
async def test_the_validator_accepts_a_mounted_app(threads: int) -> None:
    async with serving(validator(strict), threads, root_path="/old") as started:
        for target in ("/old", "/old/", "/old/x"):
            assert (await ask(started, request(target)))[0] == 200


async def test_the_app_writes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        print("something odd", file=environ["wsgi.errors"], flush=True)
        start_response("200 OK", TEXT)
        return []

    async with serving(app, 0) as started:
        await ask(started, request())
    assert capfd.readouterr().err == "something odd\n"


async def test_an_answer_that_was_understood_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "vivace.error")
    async with serving(hello) as started:
        client = await started.connect()
        await client.send(request())
        assert await is_closed(client)
    assert not [record for record in caplog.records if record.name == "vivace.error"]
