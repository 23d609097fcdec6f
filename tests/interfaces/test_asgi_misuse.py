"""What becomes of an ASGI app that breaks the protocol, fails, or never answers."""

import asyncio
import contextlib
from typing import Any

import pytest

from tests.interfaces.asgi_support import (
    PLAIN_500,
    START,
    Message,
    Receive,
    Send,
    body,
    complaints,
    echo,
    get,
    hosting,
    sends,
)
from tests.server.support import until

BAD_BEFORE: list[tuple[str, tuple[Any, ...], str]] = [
    ("nothing", (), "returned without a response"),
    ("no body", (START,), "returned after http.response.start without a body"),
    ("two starts", (START, START), "http.response.start came after http.response.start"),
    ("no start", (body(b"x"),), "http.response.body came before http.response.start"),
    ("unknown", ({"type": "http.response.push"},), "'http.response.push' is no message"),
    ("websocket", ({"type": "websocket.accept"},), "'websocket.accept' is no message"),
    ("no type", ({},), "KeyError"),
    ("no dict", ("http.response.start",), "TypeError"),
    ("status text", ({**START, "status": "200"}, body()), "not '200'"),
    ("status 99", ({**START, "status": 99}, body()), "not 99"),
    ("status 101", ({**START, "status": 101}, body()), "not 101"),
    ("status 1000", ({**START, "status": 1000}, body()), "not 1000"),
    ("no status", ({"type": "http.response.start"}, body()), "KeyError"),
    ("text header", ({**START, "headers": [("a", "b")]}, body()), "pair of bytes"),
    ("odd header", ({**START, "headers": [(b"a",)]}, body()), "pairs of bytes"),
    ("headers a number", ({**START, "headers": 5}, body()), "pairs of bytes"),
    ("break in value", ({**START, "headers": [(b"a", b"b\r\nc: d")]}, body()), "control octet"),
    ("break in name", ({**START, "headers": [(b"a\r\nb", b"c")]}, body()), "not a token"),
    ("two lengths", ({**START, "headers": [(b"content-length", b"1")] * 2}, body(b"x")), "given twice"),
    ("length no number", ({**START, "headers": [(b"content-length", b"+1")]}, body(b"x")), "not a number"),
    ("too long", ({**START, "headers": [(b"content-length", b"1")]}, body(b"xx")), "Content-Length is 1"),
    ("too short", ({**START, "headers": [(b"content-length", b"3")]}, body(b"xx")), "Content-Length is 3"),
    ("coding", ({**START, "headers": [(b"transfer-encoding", b"gzip")]}, body(b"x")), "Transfer-Encoding"),
    ("text body", (START, {"type": "http.response.body", "body": "x"}), "not str"),
    ("no trailers yet", (START, {"type": "http.response.trailers", "headers": []}), "trailers came after"),
    ("hint not offered", ({"type": "http.response.early_hint", "links": []},), "no message"),
    ("relative path", (START, {"type": "http.response.pathsend", "path": "x"}), "an absolute path"),
    ("missing file", (START, {"type": "http.response.pathsend", "path": "/no/such/file"}), "No such file"),
]


@pytest.mark.parametrize(("messages", "why"), [b[1:] for b in BAD_BEFORE], ids=[b[0] for b in BAD_BEFORE])
async def test_misuse_before_anything_was_sent_is_a_500(
    messages: tuple[Any, ...], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with hosting(sends(*messages)) as running:
        client = await running.connect()
        for _ in range(2):  # the connection is good for another request
            await client.send(b"GET /where HTTP/1.1\r\nHost: a\r\n\r\n")
            status, _, data = await client.read_response()
            assert (status, data) == (500, PLAIN_500)
    assert why in complaints(caplog)
    assert "GET /where" in complaints(caplog)


BAD_AFTER: list[tuple[str, tuple[Any, ...], str]] = [
    ("broken off", (START, body(b"x", True)), "in the middle of the body"),
    ("start again", (START, body(b"x", True), START), "came in the middle of the body"),
    ("too long", ({**START, "headers": [(b"content-length", b"1")]}, body(b"x", True), body(b"y")), "longer"),
    (
        "too short",
        ({**START, "headers": [(b"content-length", b"3")]}, body(b"x", True), body(b"y")),
        "shorter",
    ),
    ("text", (START, body(b"x", True), {"type": "http.response.body", "body": "y"}), "not str"),
    ("no trailers", ({**START, "trailers": True}, body(b"x", True), body()), "without the trailers"),
]


@pytest.mark.parametrize(("messages", "why"), [b[1:] for b in BAD_AFTER], ids=[b[0] for b in BAD_AFTER])
async def test_misuse_in_the_middle_cuts_the_response(
    messages: tuple[Any, ...], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with hosting(sends(*messages)) as running:
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        got = b""
        with contextlib.suppress(ConnectionError):
            got = await client.read_all()
        assert not got.endswith(b"0\r\n\r\n")
        assert why == "shorter" or b"xy" not in got
    assert why in complaints(caplog)


async def test_misuse_after_the_end_is_told_and_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    async with hosting(sends(START, body(b"ok"), body(b"more"))) as running:
        client = await running.connect()
        for _ in range(2):
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await client.read_response())[2] == b"ok"
        await until(lambda: "came after the end of the response" in complaints(caplog))


async def test_an_exception_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["path"] != "/before":
            await send(START)
        raise ValueError("a secret")

    async with hosting(app) as running:
        for path in (b"/before", b"/after"):
            status, head, data = await get(running, path)
            assert (status, data) == (500, PLAIN_500)
            assert b"secret" not in head
    assert "a secret" in complaints(caplog)


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError()], ids=["exit", "cancelled"])
async def test_an_app_that_ends_the_process_does_not(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        raise error

    async with hosting(app) as running:
        assert (await get(running))[0] == 500
        assert (await get(running))[0] == 500
    assert len(caplog.records) == 2


async def test_an_app_that_never_answers_meets_a_time_out_that_was_set() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    async with hosting(app, RESPONSE_TIMEOUT=0.2) as running:
        assert (await get(running))[0] == 503


async def test_a_head_of_64_kib_is_refused_before_the_app() -> None:
    async with hosting(echo) as running:
        assert (await get(running, b"/", *[b"A: " + b"x" * 8000] * 8))[0] == 431
