"""WebSockets of ASGI apps: the scope, the messages in their order, denials, and apps that misbehave."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.server.support import Running, serving, until
from tests.server.ws_support import HANDSHAKE, open_websocket
from vivace.config import Config
from vivace.errors import LocalProtocolError
from vivace.interfaces.asgi import AsgiInterface

App = Callable[[Any, Any, Any], Awaitable[None]]
CHAT = b"Sec-WebSocket-Protocol: chat, other\r\n"


@asynccontextmanager
async def asgi(app: App, **settings: Any) -> AsyncIterator[Running]:
    """A server around an ASGI app."""
    config = Config()
    config.update({"ACCESS_LOG": False, "LIFESPAN": "off", **settings})
    async with serving(AsgiInterface(app, config), config) as server:
        yield server


async def refusal(server: Running, extra: bytes = b"") -> tuple[int, bytes, bytes]:
    """Status, head and body of the answer to a handshake that is not accepted."""
    client = await server.connect()
    await client.send(HANDSHAKE + extra + b"\r\n")
    return await client.read_response()


async def echo(scope: Any, receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def test_an_app_echoes() -> None:
    async with asgi(echo) as server:
        peer = await open_websocket(server)
        await peer.send("text", b"\xff", "")
        assert [await peer.recv() for _ in range(3)] == ["text", b"\xff", ""]
        assert await peer.close(4000) == 4000


async def test_the_scope_and_the_answer_say_what_the_specification_asks() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "chat", "headers": [(b"x-a", b"1")]})
        await send({"type": "websocket.send", "bytes": None, "text": "hi"})
        await send({"type": "websocket.close", "code": 4001, "reason": "enough"})
        seen.append(await receive())

    async with asgi(app, ROOT_PATH="/shop") as server:
        peer = await open_websocket(server, CHAT)
        assert b"\r\nsec-websocket-protocol: chat\r\n" in peer.head
        assert b"\r\nx-a: 1\r\n" in peer.head
        assert await peer.recv() == "hi"
        event = await peer.recv()
        assert (event.code, event.reason) == (4001, "enough")
        await until(lambda: len(seen) == 2)
    scope = seen[0]
    assert {key: scope[key] for key in ("type", "http_version", "scheme", "path", "root_path")} == {
        "type": "websocket",
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/shop/ws",
        "root_path": "/shop",
    }
    assert scope["subprotocols"] == ["chat", "other"]
    assert scope["extensions"] == {"websocket.http.response": {}}
    assert scope["raw_path"] == b"/shop/ws"
    assert (b"host", b"x") in scope["headers"]
    assert "method" not in scope
    assert seen[1] == {"type": "websocket.disconnect", "code": 4001, "reason": "enough"}


async def test_an_app_learns_that_its_client_left() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        seen.append(await receive())
        await send({"type": "websocket.send", "text": "to nobody"})
        with pytest.raises(OSError, match="nobody is there"):
            for _ in range(1000):
                await send({"type": "websocket.send", "text": "to nobody"})
        seen.append("end")

    async with asgi(app) as server:
        peer = await open_websocket(server)
        peer.client.reset()
        await until(lambda: len(seen) == 2)
    assert seen[0] == {"type": "websocket.disconnect", "code": 1006, "reason": ""}


async def test_a_client_that_leaves_before_it_is_accepted() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        seen.append("asked")
        seen.append(await receive())
        await send({"type": "websocket.accept"})

    async with asgi(app) as server:
        client = await server.connect()
        await client.send(HANDSHAKE + b"\r\n")
        await until(lambda: seen)
        client.reset()
        await until(lambda: len(seen) == 2)
    assert seen[1]["code"] == 1006


async def test_a_message_may_be_awaited_before_the_app_accepts() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        first = asyncio.create_task(receive())
        await asyncio.sleep(0)
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": (await first)["text"]})

    async with asgi(app) as server:
        peer = await open_websocket(server)
        await peer.send("x")
        assert await peer.recv() == "x"


# -- refusals -------------------------------------------------------------------------------------------


async def test_a_close_before_the_accept_is_a_403() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 4003})

    async with asgi(app) as server:
        assert (await refusal(server))[0] == 403


@pytest.mark.parametrize("pieces", [1, 2])
async def test_an_app_may_answer_in_its_own_words(pieces: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({
            "type": "websocket.http.response.start",
            "status": 418,
            "headers": [(b"content-length", b"4"), (b"x-a", b"1")],
        })  # fmt: skip
        if pieces == 2:
            await send({"type": "websocket.http.response.body", "body": b"te", "more_body": True})
            await send({"type": "websocket.http.response.body", "body": b"a!"})
        else:
            await send({"type": "websocket.http.response.body", "body": b"tea!"})

    async with asgi(app) as server:
        status, head, body = await refusal(server)
    assert (status, body) == (418, b"tea!")
    assert b"x-a: 1" in head
    assert b"upgrade" not in head.lower()
    assert b"sec-websocket" not in head.lower()


async def test_an_app_without_websockets_refuses_them_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError("this app can only handle HTTP connections, not websocket")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async with asgi(app) as server:
        assert (await refusal(server))[0] == 403
        client = await server.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.read_response())[2] == b"ok"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "can only handle HTTP" in record.message
    assert record.exc_info is None


@pytest.mark.parametrize(
    ("changed", "status"), [((b"Version: 13", b"Version: 12"), 426), ((b"Key: dGhl", b"Key: "), 400)]
)
async def test_a_bad_handshake_does_not_reach_the_app(changed: tuple[bytes, bytes], status: int) -> None:
    async with asgi(echo) as server:
        client = await server.connect()
        await client.send(HANDSHAKE.replace(*changed) + b"\r\n")
        found, head, _ = await client.read_response()
    assert found == status
    assert (b"sec-websocket-version: 13" in head) is (status == 426)


# -- apps that misbehave --------------------------------------------------------------------------------

ACCEPT = {"type": "websocket.accept"}


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "websocket.send", "text": "too early"}],
        [{"type": "http.response.start", "status": 200}],
        [{"type": "websocket.http.response.body"}],
        [{"type": "websocket.accept", "subprotocol": "not offered"}],
        [{"type": "websocket.accept", "headers": [(b"Sec-WebSocket-Protocol", b"chat")]}],
        [{"type": "websocket.accept", "headers": [(b"x", b"a\r\nb")]}],
        [ACCEPT, ACCEPT],
        [ACCEPT, {"type": "websocket.send"}],
        [ACCEPT, {"type": "websocket.send", "text": 5}],
        [ACCEPT, {"type": "websocket.close", "code": 1006}],
        [ACCEPT, {"type": "websocket.close"}, {"type": "websocket.send", "text": "late"}],
        [ACCEPT, {"type": "websocket.http.response.start", "status": 200}],
        [{"type": "websocket.close"}, ACCEPT],
    ],
)
async def test_a_message_at_a_wrong_time_is_an_error_of_the_app(messages: list[dict[str, Any]]) -> None:
    errors: list[BaseException] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for message in messages[:-1]:
            await send(message)
        try:
            await send(messages[-1])
        except (LocalProtocolError, TypeError) as error:
            errors.append(error)

    async with asgi(app) as server:
        client = await server.connect()
        await client.send(HANDSHAKE + CHAT + b"\r\n")
        await until(lambda: errors)


async def test_an_app_that_fails_is_logged_and_the_client_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if scope["query_string"] == b"accept":
            await send(ACCEPT)
        raise RuntimeError("secret")

    async with asgi(app) as server:
        status, _, body = await refusal(server)
        assert status == 500
        assert b"secret" not in body
        client = await server.connect()
        await client.send(HANDSHAKE.replace(b"/ws", b"/ws?accept") + b"\r\n")
        assert (await client.read_head()).startswith(b"HTTP/1.1 101")
        assert (await client.reader.readexactly(4))[2:] == (1011).to_bytes(2, "big")
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


async def test_an_app_that_returns_leaves_nothing_open(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if scope["query_string"] == b"accept":
            await send(ACCEPT)

    async with asgi(app) as server:
        assert (await refusal(server))[0] == 500
        client = await server.connect()
        await client.send(HANDSHAKE.replace(b"/ws", b"/ws?accept") + b"\r\n")
        assert (await client.read_head()).startswith(b"HTTP/1.1 101")
        assert (await client.reader.readexactly(4))[2:] == (1000).to_bytes(2, "big")
    assert "without an answer" in caplog.text


async def test_sync_code_of_two_sockets_runs_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    asgiref = pytest.importorskip("asgiref.sync")
    monkeypatch.setattr("vivace.interfaces.asgiref_threads._sockets", None)
    barrier = threading.Barrier(2)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await asgiref.sync_to_async(lambda: barrier.wait(20))()
        await send({"type": "websocket.send", "text": "met"})

    async with asgi(app, THREADS=2) as server:
        peers = [await open_websocket(server) for _ in range(2)]
        assert [await peer.recv() for peer in peers] == ["met", "met"]
