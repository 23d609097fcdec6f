"""Messages that are no requests, and bodies against the rules: the app answers them in its own words."""

import asyncio
import socket
from typing import Any

import pytest

from vivace import BadRequest, Request, RequestTimeout, Vivace
from vivace.compat.sanic.app import Sanic
from vivace.errors import PayloadTooLarge, RequestHeaderFieldsTooLarge
from vivace.framework.response import HTTPResponse, text
from vivace.testing import live

LONG = b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"a" * 3000 + b"\r\n\r\n"
BAD_LENGTH = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: few\r\n\r\n"
BAD_CHUNK = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"


def prepare(app: Vivace[Any, Any]) -> Vivace[Any, Any]:
    """An app with limits that are reached soon."""
    app.config.ACCESS_LOG = False
    app.config.REQUEST_MAX_HEADER_SIZE = 2000
    app.config.HEAD_TIMEOUT = 0.2

    @app.post("/", error_format="json")
    async def read(request: Request) -> HTTPResponse:
        return text(f"{len(request.body)}")

    @app.post("/stream", stream=True)
    async def stream(request: Request) -> HTTPResponse:
        try:
            while await request.stream.read():
                pass
        except Exception as error:
            return text(f"read failed: {type(error).__name__}", 400)
        return text("whole")

    return app


def exchange(app: Any, message: bytes) -> bytes:
    """What the app's server answers to octets, until it closes."""
    with live(app) as server, socket.create_connection((server.host, server.port), timeout=10) as client:
        client.sendall(message)
        answer = b""
        while data := client.recv(65536):
            answer += data
    return answer


@pytest.mark.parametrize(
    ("message", "status", "words"),
    [
        (b"GARBAGE\r\n\r\n", 400, b"a line does not end"),
        (BAD_LENGTH, 400, b"Content-Length is not"),
        (BAD_CHUNK, 400, b"a chunk does not begin"),
        (LONG, 431, b"over the limit"),
        (b"GET /" + b"u" * 3000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 414, b"over the limit"),
        (b"GET / HTTP/2.5\r\nhost: x\r\n\r\n", 505, b"version of HTTP"),
        (b"POST / HTTP/1.1\r\nhost: x\r\nexpect: more\r\ncontent-length: 1\r\n\r\n", 417, b"no expectation"),
        (b"GET / HTTP/1.1\r\nhost: x\r\n", 408, b"not complete in time"),
    ],
)
def test_a_refusal_has_the_page_of_the_app(message: bytes, status: int, words: bytes) -> None:
    """Its format too, and the connection ends behind it."""
    app = prepare(Vivace("refusing"))
    app.config.FALLBACK_ERROR_FORMAT = "json"
    head, _, body = exchange(app, message).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"content-type: application/json" in head
    assert b"connection: close" in head
    assert words in body


def test_handlers_and_middleware_see_a_request_that_is_none() -> None:
    """Its method is NONE and its path an asterisk; nothing of what was refused is in it."""
    app = prepare(Vivace("handling"))
    seen: list[Any] = []

    @app.on_request
    async def watch(request: Request) -> None:
        seen.append((request.method, request.path, list(request.headers.items()), request.route))

    @app.on_response
    async def mark(request: Request, response: HTTPResponse) -> None:
        response.headers["x-mark"] = "yes"

    @app.exception(RequestHeaderFieldsTooLarge)
    async def answer(request: Request, error: RequestHeaderFieldsTooLarge) -> HTTPResponse:
        return text(f"shorter, please: {error.status_code}", 400)

    answered = exchange(app, LONG)
    assert answered.startswith(b"HTTP/1.1 400 ")
    assert b"x-mark: yes" in answered
    assert answered.endswith(b"shorter, please: 431")
    assert seen == [("NONE", "*", [], None)]


def test_a_bad_body_reaches_the_handler_that_reads_it() -> None:
    """It may answer as it likes; what it raises has the page."""
    message = BAD_CHUNK.replace(b"POST / ", b"POST /stream ")
    assert exchange(prepare(Vivace("reading")), message).endswith(b"read failed: RemoteProtocolError")


def test_a_handler_that_does_not_read_a_bad_body_is_not_waited_for() -> None:
    """The server answers in its place."""
    app = prepare(Vivace("sleeping"))

    @app.post("/sleep", stream=True)
    async def sleep(request: Request) -> HTTPResponse:
        await asyncio.sleep(30)
        return text("late")

    assert exchange(app, BAD_CHUNK.replace(b"POST / ", b"POST /sleep ")).startswith(b"HTTP/1.1 400 ")


def test_an_exception_handler_that_fails_is_a_500() -> None:
    """As with any request."""
    app = prepare(Vivace("failing"))

    @app.exception(BadRequest)
    async def fail(request: Request, error: BadRequest) -> HTTPResponse:
        raise OSError("no")

    assert exchange(app, BAD_LENGTH).startswith(b"HTTP/1.1 500 ")


def test_too_many_at_once_are_answered_without_the_app() -> None:
    """Garbage costs no more than a line when the server is full."""
    app = prepare(Vivace("full"))
    app.config.MAX_CONCURRENT_REQUESTS = 1
    app.config.FALLBACK_ERROR_FORMAT = "json"

    @app.post("/wait", stream=True)
    async def wait(request: Request) -> HTTPResponse:
        await asyncio.sleep(30)
        return text("late")

    with live(app) as server, socket.create_connection((server.host, server.port), timeout=10) as first:
        first.sendall(b"POST /wait HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        while True:
            with socket.create_connection((server.host, server.port), timeout=10) as second:
                second.sendall(b"GARBAGE\r\n\r\n")
                answer = second.makefile("rb").read()
            assert answer.startswith(b"HTTP/1.1 400 ")
            if b"text/plain" in answer:
                return


def test_the_log_says_what_was_wrong(capfd: pytest.CaptureFixture[str]) -> None:
    """With the status that was sent."""
    app = prepare(Vivace("logging"))
    app.config.ACCESS_LOG = True
    exchange(app, BAD_LENGTH)
    out, err = capfd.readouterr()
    assert "Content-Length is not one decimal number" in out + err
    assert (out + err).count('"status":400') == 1


@pytest.mark.parametrize(
    ("message", "kind", "status", "words"),
    [
        (LONG, PayloadTooLarge, 413, "Request header exceeds the size limit"),
        (b"GET / HTTP/1.1\r\nhost: x\r\n", RequestTimeout, 408, "Request Timeout"),
        (BAD_CHUNK, BadRequest, 400, "a chunk does not begin"),
    ],
)
@pytest.mark.parametrize("overridden", [False, True])
def test_the_alias_has_the_exceptions_of_sanic(
    message: bytes, kind: type[Exception], status: int, words: str, overridden: bool
) -> None:
    """So that handlers of a program find them; an overridden `handle_exception` too."""
    handled: list[Exception] = []

    class Own(Sanic):
        __slots__ = ()

        async def handle_exception(
            self, request: Request, exception: Exception, run_middleware: bool = True
        ) -> None:
            handled.append(exception)
            await super().handle_exception(request, exception, run_middleware)

    app = prepare((Own if overridden else Sanic)("alias"))

    @app.exception(kind)
    async def answer(request: Request, error: Exception) -> HTTPResponse:
        return text(f"mine: {error}", getattr(error, "status_code", 500))

    answered = exchange(app, message)
    assert answered.startswith(b"HTTP/1.1 %d " % status)
    assert f"mine: {words}" in answered.decode()
    assert len(handled) == overridden
