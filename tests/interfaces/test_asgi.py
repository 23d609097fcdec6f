"""What an ASGI app is given, what it may send, and what it hears of its client."""

import asyncio
import contextlib
from typing import Any

import pytest

from tests.interfaces.asgi_support import (
    START,
    Message,
    Receive,
    Send,
    all_of,
    ask,
    body,
    complaints,
    echo,
    get,
    hosting,
)
from tests.server.support import serving, until
from vivace.config import Config
from vivace.errors import ConfigError
from vivace.interfaces.asgi import UNHEARD, AsgiInterface

# -- what the app is given --------------------------------------------------------------------------------


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


# -- what the app sends -----------------------------------------------------------------------------------


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


# -- the client gone --------------------------------------------------------------------------------------


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


# -- ASGI 2 -----------------------------------------------------------------------------------------------


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
