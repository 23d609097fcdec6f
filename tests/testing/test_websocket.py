"""WebSockets in tests: sessions in this process and over sockets, refusals, failures, Sanic's `mimic`."""

import asyncio
from typing import Any

import pytest

from vivace import Request, Vivace, Websocket, WebsocketClosed
from vivace.testing import Client, SyncClient, WebSocketRefused, live
from vivace.testing.mimic import WebsocketProxy
from vivace.testing.pairs import ReusableClient


@pytest.fixture
def app() -> Vivace[Any, Any]:
    app: Vivace[Any, Any] = Vivace("socket", configure_logging=False)

    @app.websocket("/echo", subprotocols=["plain", "fancy"])
    async def fancy(request: Request, ws: Websocket) -> None:
        async for message in ws:
            await ws.send(message)

    @app.websocket("/chat")
    async def chat(request: Request, ws: Websocket) -> None:
        await ws.send(f"hello {request.cookies.get('user')} {request.args.get('a')}")
        async for message in ws:
            await ws.send(message)
            if message == "bye":
                await ws.close(4001, "as you wish")

    @app.websocket("/broken")
    async def broken(request: Request, ws: Websocket) -> None:
        await ws.send("one")
        raise ValueError("out of cheese")

    return app


@pytest.fixture(params=["in process", "socket"])
async def client(app: Vivace[Any, Any], request: pytest.FixtureRequest) -> Any:
    if request.param == "in process":
        async with Client(app, cookies={"user": "ann"}) as client:
            yield client
    else:
        with live(app) as server:
            async with server.async_client(cookies={"user": "ann"}) as client:
                yield client


async def test_messages_go_both_ways(client: Client) -> None:
    async with client.websocket("/chat?a=b", headers={"x-y": "z"}) as ws:
        assert await ws.recv() == "hello ann b"
        await ws.send("hi")
        await ws.send(b"\x00\xff")
        assert [await ws.recv(), await ws.recv()] == ["hi", b"\x00\xff"]
        await ws.send_json({"a": [1]})
        assert await ws.recv_json() == {"a": [1]}
        assert not ws.closed
    assert ws.close_code == 1000


async def test_a_close_of_the_app_ends_the_messages_and_is_seen(client: Client) -> None:
    async with client.websocket("/chat") as ws:
        await ws.send("bye")
        assert [message async for message in ws] == ["hello ann None", "bye"]
        assert (ws.close_code, ws.close_reason) == (4001, "as you wish")
        for call in (ws.recv(), ws.send("x")):
            with pytest.raises(WebsocketClosed) as caught:
                await call
            assert caught.value.code == 4001


async def test_a_subprotocol_is_offered_and_chosen(client: Client) -> None:
    async with client.websocket("/echo", subprotocols=["fancy"]) as ws:
        assert ws.subprotocol == "fancy"


@pytest.mark.parametrize(("path", "status"), [("/echo", 400), ("/nowhere", 404)])
async def test_a_refusal_has_the_response(client: Client, path: str, status: int) -> None:
    with pytest.raises(WebSocketRefused, match=str(status)) as caught:
        async with client.websocket(path):
            pass
    assert caught.value.response.status == status


async def test_a_message_that_does_not_come_fails_the_test(client: Client) -> None:
    async with client.websocket("/echo", subprotocols=["fancy"]) as ws:
        with pytest.raises(TimeoutError):
            await ws.recv(timeout=0.01)


async def test_what_a_handler_raises_is_raised_in_the_test(app: Vivace[Any, Any]) -> None:
    async with Client(app) as client:
        with pytest.raises(ValueError, match="out of cheese"):
            async with client.websocket("/broken") as ws:
                assert await ws.recv() == "one"
                await ws.recv()
        with pytest.raises(ValueError, match="out of cheese"):
            async with client.websocket("/broken") as ws:
                assert await ws.recv() == "one"
    async with Client(app, raise_exceptions=False) as client, client.websocket("/broken") as ws:
        assert [message async for message in ws] == ["one"]
        assert ws.close_code == 1011


async def test_compression_is_agreed_upon_over_sockets(app: Vivace[Any, Any]) -> None:
    with live(app) as server:
        async with server.async_client() as client, client.websocket("/chat", compress=True) as ws:
            assert "permessage-deflate" in ws.headers["sec-websocket-extensions"]
            await ws.recv()
            await ws.send("x" * 10_000)
            assert await ws.recv() == "x" * 10_000


async def test_a_websocket_url_is_taken_as_it_is(app: Vivace[Any, Any]) -> None:
    with live(app) as server:
        url = f"ws://{server.host}:{server.port}/chat"
        async with Client(server.url) as client, client.websocket(url) as ws:
            assert await ws.recv() == "hello None None"


async def test_an_app_that_leaves_too_late_is_cancelled(
    app: Vivace[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vivace.testing.asgi_link.LEAVE_TIME", 0.01)
    ended = asyncio.Event()

    async def stubborn(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

    async with Client(stubborn) as client:
        async with client.websocket("/"):
            assert not ended.is_set()
        assert ended.is_set()


def test_without_await(app: Vivace[Any, Any]) -> None:
    with SyncClient(app) as client, client.websocket("/chat") as ws:
        assert ws.recv() == "hello None None"
        ws.send_json(5)
        assert ws.recv_json() == 5
        ws.send("bye")
        assert ws.recv() == "bye"
        with pytest.raises(WebsocketClosed):
            ws.recv()
        assert ws.close_code == 4001
        assert ws.closed


# -- sanic_testing ------------------------------------------------------------------------------------


async def talk(ws: WebsocketProxy) -> None:
    await ws.recv()
    await ws.send("one")
    assert await ws.recv() == "one"


EXPECTED = ["one"], ["hello None None", "one"]


def test_mimic_notes_what_was_sent_and_received(app: Vivace[Any, Any]) -> None:
    request, response = app.test_client.websocket("/chat", mimic=talk)
    assert (response.client_sent, response.client_received) == EXPECTED
    assert request is not None
    assert request.path == "/chat"
    assert response.opened
    assert response.close_code == 1000


def test_without_mimic_it_is_opened_and_closed(app: Vivace[Any, Any]) -> None:
    request, response = app.test_client.websocket("chat", gather_request=False)
    assert request is None
    assert response.client_received == []


def test_the_reusable_client_speaks_it_too(app: Vivace[Any, Any]) -> None:
    with ReusableClient(app) as client:
        for _ in range(2):
            _, response = client.websocket("/chat", mimic=talk)
            assert (response.client_sent, response.client_received) == EXPECTED


async def test_the_asgi_client_speaks_it_too(app: Vivace[Any, Any]) -> None:
    request, response = await app.asgi_client.websocket("/chat", mimic=talk)
    assert (response.client_sent, response.client_received) == EXPECTED
    assert request is not None
    assert request.path == "/chat"


def test_a_refusal_is_raised(app: Vivace[Any, Any]) -> None:
    with pytest.raises(WebSocketRefused, match="404"):
        app.test_client.websocket("/nowhere")


async def test_the_proxy_iterates_and_closes(app: Vivace[Any, Any]) -> None:
    async def until_the_end(ws: WebsocketProxy) -> None:
        await ws.send("bye")
        async for _ in ws:
            pass

    async def leave(ws: WebsocketProxy) -> None:
        await ws.close(4002)

    _, response = await app.asgi_client.websocket("/chat", mimic=until_the_end)
    assert response.client_received[-1] == "bye"
    assert response.close_code == 4001
    _, response = await app.asgi_client.websocket("/chat", mimic=leave)
    assert response.close_code == 4002
