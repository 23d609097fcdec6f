"""What an ASGI app is given, what it may send, and what becomes of one that breaks the protocol."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.server.support import Running, serving, until
from vivace.config import Config
from vivace.errors import ConfigError
from vivace.interfaces.asgi import UNHEARD, AsgiInterface

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
PLAIN_500 = b"Internal Server Error\n"


def body(data: bytes = b"", more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


@contextlib.asynccontextmanager
async def hosting(app: App, root_path: str = "", **settings: Any) -> AsyncIterator[Running]:
    config = Config()
    config.update({"ACCESS_LOG": False, "LIFESPAN": "off", **settings})
    async with serving(AsgiInterface(app, config, root_path), config) as running:
        yield running


async def ask(running: Running, request: bytes) -> tuple[int, bytes, bytes]:
    client = await running.connect()
    await client.send(request)
    return await client.read_response()


async def get(running: Running, path: bytes = b"/", *fields: bytes) -> tuple[int, bytes, bytes]:
    return await ask(
        running, b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (path, b"".join(f + b"\r\n" for f in fields))
    )


async def all_of(receive: Receive) -> bytes:
    data: bytes = b""
    while True:
        message = await receive()
        data += message["body"]
        if not message["more_body"]:
            return data


def complaints(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(r.getMessage() + str(r.exc_info) for r in caplog.records if r.levelno >= logging.ERROR)


# -- what the app is given ---------------------------------------------------------------------------------


async def scope_of(request: bytes, root_path: str = "", **settings: Any) -> Message:
    seen: list[Message] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await send(START)
        await send(body())

    async with hosting(app, root_path, **settings) as running:
        await ask(running, request)
        seen[0]["port"] = running.port
    return seen[0]


async def test_the_scope_of_a_request() -> None:
    scope = await scope_of(
        b"POST /a%20b?x=%201 HTTP/1.1\r\nHost: h.example\r\nX-Thing: One\r\nContent-Length: 0\r\n\r\n"
    )
    assert scope["type"] == "http"
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.3"}
    assert (scope["method"], scope["scheme"], scope["http_version"]) == ("POST", "http", "1.1")
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/a b", b"/a%20b", b"x=%201")
    assert scope["root_path"] == ""
    assert scope["headers"] == [(b"host", b"h.example"), (b"x-thing", b"One"), (b"content-length", b"0")]
    assert scope["server"] == ("127.0.0.1", scope["port"])
    host, port = scope["client"]
    assert host == "127.0.0.1"
    assert isinstance(port, int)
    assert scope["state"] == {}
    assert set(scope["extensions"]) == {
        "http.response.pathsend",
        "http.response.trailers",
        "http.response.zerocopysend",
    }


async def test_the_scope_of_http_1_0() -> None:
    scope = await scope_of(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert scope["http_version"] == "1.0"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"/%2f", "//"),
        (b"/%00", "/\0"),
        (b"//a", "//a"),
        (b"/../a", "/../a"),
        (b"/%ff", "/%FF"),
        (b"/%c3%a9", "/é"),
        (b"/%zz", "/%zz"),
        (b"/a%252f", "/a%2f"),
    ],
)
async def test_a_path_is_decoded_once_and_never_normalised(raw: bytes, text: str) -> None:
    scope = await scope_of(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % raw)
    assert (scope["path"], scope["raw_path"]) == (text, raw)


async def test_asterisk_and_absolute_form() -> None:
    scope = await scope_of(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
    assert scope["path"] == "*"
    scope = await scope_of(b"GET http://b.example/x HTTP/1.1\r\nHost: a\r\n\r\n")
    assert scope["path"] == "/x"
    assert scope["headers"] == [(b"host", b"b.example")]


async def test_root_path_of_a_proxy_and_of_a_mount() -> None:
    scope = await scope_of(b"GET /mount/x HTTP/1.1\r\nHost: a\r\n\r\n", "/mount", ROOT_PATH="/shop/")
    assert scope["root_path"] == "/shop/mount"
    assert (scope["path"], scope["raw_path"]) == ("/shop/mount/x", b"/shop/mount/x")


async def test_a_root_path_is_text_and_escaped_in_the_raw_path() -> None:
    scope = await scope_of(b"GET /x%20y HTTP/1.1\r\nHost: a\r\n\r\n", ROOT_PATH="/a b/é")
    assert scope["root_path"] == "/a b/é"
    assert (scope["path"], scope["raw_path"]) == ("/a b/é/x y", b"/a%20b/%C3%A9/x%20y")


def test_a_root_path_without_a_slash_is_refused() -> None:
    config = Config()
    config.update({"ROOT_PATH": "shop"})
    with pytest.raises(ConfigError, match="begin with a slash"):
        AsgiInterface(echo, config)


async def test_scopes_of_a_connection_share_nothing_that_an_app_may_change() -> None:
    paths: list[str] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        paths.append(scope["path"])
        assert "mine" not in scope
        assert "mine" not in scope["state"]
        assert "mine" not in scope["extensions"]
        scope["mine"] = scope["state"]["mine"] = scope["extensions"]["mine"] = 1
        scope["client"] = None
        await send(START)
        await send(body(b"ok"))

    async with hosting(app) as running:
        client = await running.connect()
        for path in (b"/1", b"/2", b"/3"):
            await client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
            assert (await client.read_response())[0] == 200
    assert paths == ["/1", "/2", "/3"]


async def echo(scope: Message, receive: Receive, send: Send) -> None:
    data = await all_of(receive)
    await send(START)
    await send(body(data))


@pytest.mark.parametrize(
    ("framing", "sent"),
    [
        (b"Content-Length: 11\r\n\r\n", b"hello world"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
    ],
)
async def test_a_body_arrives_whole(framing: bytes, sent: bytes) -> None:
    async with hosting(echo) as running:
        request = b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + sent
        assert (await ask(running, request))[2] == b"hello world"
        client = await running.connect()
        for at in range(len(request)):
            await client.send(request[at : at + 1])
        assert (await client.read_response())[2] == b"hello world"


async def test_no_body_is_one_empty_message() -> None:
    async with hosting(echo) as running:
        assert (await get(running))[2] == b""


async def test_a_client_that_expects_it_is_told_to_continue_when_the_app_reads() -> None:
    async with hosting(echo) as running:
        client = await running.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert await client.read_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"ok")
        assert (await client.read_response())[2] == b"ok"


@pytest.mark.parametrize(("size", "status"), [(10, 200), (11, 413)])
async def test_a_limit_that_was_set_holds(size: int, status: int) -> None:
    async with hosting(echo, REQUEST_MAX_SIZE=10) as running:
        request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size
        assert (await ask(running, request + b"x" * size))[0] == status


async def test_a_limit_met_while_reading_is_answered_in_place_of_the_app() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            begun.set()
        await send(START)
        await send(body(b"too late"))
        ended.set()

    async with hosting(app, REQUEST_MAX_SIZE=10) as running:
        client = await running.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n")
        await asyncio.wait_for(begun.wait(), 30)
        await client.send(b"6\r\n567890\r\n")
        status, head, data = await client.read_response()
        assert status == 413
        assert b"connection: close" in head
        assert data == b"Request body exceeds the size limit\n"
        await asyncio.wait_for(ended.wait(), 30)


# -- what the app sends ------------------------------------------------------------------------------------


async def test_a_response_in_pieces_is_chunked_and_one_in_one_is_not() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        if scope["path"] == "/pieces":
            await send(body(b"a", True))
            await send(body(b"", True))
        await send(body(b"b"))

    async with hosting(app) as running:
        assert b"content-length: 1\r\n" in (await get(running))[1]
        whole = await running.exchange(b"GET /pieces HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert whole.endswith(b"\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n")


async def test_the_head_leaves_with_an_empty_first_piece() -> None:
    go_on = asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send(body(b"", True))
        await go_on.wait()
        await send(body(b"x"))

    async with hosting(app) as running:
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.read_head()).startswith(b"HTTP/1.1 200")
        go_on.set()
        assert await client.reader.readuntil(b"0\r\n\r\n") == b"1\r\nx\r\n0\r\n\r\n"


@pytest.mark.parametrize("pieces", [[b"hello"], [b"he", b"llo"], [b"x"] * 500])
async def test_head_has_no_body_whatever_the_app_sends(
    pieces: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        for piece in pieces[:-1]:
            await send(body(piece, True))
        await send(body(pieces[-1]))

    async with hosting(app) as running:
        whole = await running.exchange(
            b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        first, second, rest = whole.split(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 200")
        assert second.startswith(b"HTTP/1.1 200")
        assert rest == b""
    assert not complaints(caplog)


async def test_work_goes_on_after_the_response() -> None:
    go_on, ended = asyncio.Event(), asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send(START)
        await send(body(b"done"))
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"
        await go_on.wait()
        ended.set()

    async with hosting(app) as running:
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.read_response())[2] == b"done"
        await client.close()
        go_on.set()
        await asyncio.wait_for(ended.wait(), 30)


async def test_the_body_may_be_any_octets_and_the_headers_any_iterable() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 201, "headers": iter([[b"X-A", b"1"]])})
        await send({"type": "http.response.body", "body": bytearray(b"octets")})

    async with hosting(app) as running:
        status, head, data = await get(running)
    assert (status, data) == (201, b"octets")
    assert b"x-a: 1\r\n" in head.lower()


async def test_a_start_needs_no_headers_and_a_body_no_octets() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    async with hosting(app) as running:
        assert (await get(running))[0] == 204


async def test_send_may_be_made_a_task() -> None:
    async def app(scope: Message, receive: Receive, send: Any) -> None:
        await asyncio.create_task(send(START))
        await asyncio.gather(send(body(b"ok")))

    async with hosting(app) as running:
        assert (await get(running))[2] == b"ok"


async def test_a_slow_client_makes_send_wait() -> None:
    sent = 0
    stuck = asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send(START)
        while sent < 2000:
            waiting = asyncio.ensure_future(send(body(b"x" * 65536, True)))
            done, _ = await asyncio.wait([waiting], timeout=1)
            if not done:
                stuck.set()
            await waiting
            sent += 1

    async with hosting(app) as running:
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.wait_for(stuck.wait(), 20)
        assert sent < 500


# -- the client gone ---------------------------------------------------------------------------------------


async def test_receive_tells_that_the_client_left_and_nothing_is_cancelled() -> None:
    messages: list[str] = []
    ended = asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        messages.append((await receive())["type"])
        messages.append((await receive())["type"])
        await send(START)
        await send(body(b"dropped"))
        ended.set()

    async with hosting(app) as running:
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: messages)
        client.reset()
        await asyncio.wait_for(ended.wait(), 30)
    assert messages == ["http.request", "http.disconnect"]


async def test_a_body_broken_off_is_a_disconnect() -> None:
    messages: list[Message] = []
    ended = asyncio.Event()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        while not messages or messages[-1]["type"] != "http.disconnect":
            messages.append(await receive())
        ended.set()

    async with hosting(app) as running:
        client = await running.connect()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        await until(lambda: messages)
        client.reset()
        await asyncio.wait_for(ended.wait(), 30)
    assert messages[0] == {"type": "http.request", "body": b"half", "more_body": True}


async def test_an_app_that_never_stops_sending_is_stopped(caplog: pytest.LogCaptureFixture) -> None:
    raised: list[BaseException] = []
    sent = 0

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send(START)
        try:
            while True:
                await send(body(b"x", True))
                sent += 1
        except OSError as error:
            raised.append(error)
            raise RuntimeError("what a framework makes of it") from error

    async with hosting(app) as running:
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: sent > UNHEARD)
        client.reset()
        await until(lambda: raised)
    assert not complaints(caplog)


async def test_polling_for_a_disconnect_loses_nothing() -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        data = await all_of(receive)
        for _ in range(3):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(receive(), 0.001)
        await send(START)
        await send(body(data))

    async with hosting(app) as running:
        assert (await ask(running, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok"))[2] == b"ok"


# -- an app that breaks the protocol -----------------------------------------------------------------------


def sends(*messages: Any) -> App:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


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


# -- extensions --------------------------------------------------------------------------------------------


async def test_trailers_go_to_a_client_that_takes_them() -> None:
    app = sends(
        {**START, "trailers": True},
        body(b"x"),
        {"type": "http.response.trailers", "headers": [(b"a", b"1")], "more_trailers": True},
        {"type": "http.response.trailers", "headers": [(b"b", b"2")]},
    )
    async with hosting(app) as running:
        close = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        assert (await running.exchange(close + b"TE: trailers\r\n\r\n")).endswith(
            b"1\r\nx\r\n0\r\na: 1\r\nb: 2\r\n\r\n"
        )
        assert (await running.exchange(close + b"\r\n")).endswith(b"1\r\nx\r\n0\r\n\r\n")


async def test_early_hints_when_they_are_allowed() -> None:
    hint = {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]}
    async with hosting(sends(hint, START, body(b"x")), EARLY_HINTS=True) as running:
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        head = await client.read_head()
        assert head.startswith(b"HTTP/1.1 103 Early Hints\r\n")
        assert head.count(b"link: ") == 2
        assert (await client.read_response())[2] == b"x"


async def test_debug_messages_are_taken_in_debug_mode_only(caplog: pytest.LogCaptureFixture) -> None:
    debug = {"type": "http.response.debug", "info": {"template": "x"}}
    async with hosting(sends(debug, START, body(b"x")), DEBUG=True) as running:
        assert (await get(running))[2] == b"x"
    async with hosting(sends(debug, START, body(b"x"))) as running:
        assert (await get(running))[0] == 500


async def test_pathsend(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(300_000))
    async with hosting(sends(START, {"type": "http.response.pathsend", "path": str(path)})) as running:
        status, head, data = await get(running)
        assert (status, data) == (200, path.read_bytes())
        assert b"content-length: 300000\r\n" in head
        head_only = await running.exchange(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"content-length: 300000\r\n" in head_only
        assert head_only.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("as_object", [False, True])
async def test_zerocopysend(tmp_path: Path, as_object: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        file.seek(2)
        given: Any = file if as_object else file.fileno()
        message = {"type": "http.response.zerocopysend", "file": given}
        app = sends(
            {**START, "headers": [(b"content-length", b"12")]},
            {**message, "offset": 0, "count": 3, "more_body": True},
            body(b"-", True),
            message,
        )
        async with hosting(app) as running:
            assert (await get(running))[2] == b"012-23456789"


async def test_a_file_that_became_shorter_cuts_the_response(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        message = {"type": "http.response.zerocopysend", "file": file, "offset": 0, "count": 20}
        async with hosting(sends({**START, "headers": [(b"content-length", b"20")]}, message)) as running:
            client = await running.connect()
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                assert not (await client.read_all()).endswith(b"x" * 10)


# -- ASGI 2 ------------------------------------------------------------------------------------------------


async def test_an_app_of_asgi_2() -> None:
    class Double:
        def __init__(self, scope: Message) -> None:
            self.scope = scope

        async def __call__(self, receive: Receive, send: Send) -> None:
            await send(START)
            await send(body(self.scope["asgi"]["version"].encode()))

    config = Config()
    config.update({"ACCESS_LOG": False, "LIFESPAN": "off"})
    async with serving(AsgiInterface(Double, config, version=2), config) as running:
        assert (await get(running))[2] == b"2.0"


async def test_another_protocol_that_is_offered_is_not_taken_up() -> None:
    async with hosting(echo) as running:
        assert (await get(running, b"/", b"Connection: Upgrade", b"Upgrade: h2c"))[0] == 200
