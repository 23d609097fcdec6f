"""A Vivace app's WebSockets under another ASGI server: the messages that pass, and denials."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from tests.server.support import until
from vivace import Forbidden, Request, Vivace, Websocket, WebsocketClosed


class Server:
    """Another server's side of one WebSocket."""

    def __init__(self, **scope: Any) -> None:
        self.scope = {
            "type": "websocket",
            "http_version": "1.1",
            "scheme": "ws",
            "path": "/ws",
            "raw_path": b"/ws",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"guest.test")],
            "client": ("192.0.2.1", 5),
            "server": ("192.0.2.2", 80),
            "subprotocols": [],
            **scope,
        }
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.events.put_nowait({"type": "websocket.connect"})
        self.sent: list[dict[str, Any]] = []
        self.broken = False

    def client_sends(self, *messages: str | bytes) -> None:
        for message in messages:
            key = "text" if isinstance(message, str) else "bytes"
            self.events.put_nowait({"type": "websocket.receive", key: message})

    def client_leaves(self, code: int = 1006) -> None:
        self.events.put_nowait({"type": "websocket.disconnect", "code": code, "reason": "why"})

    async def send(self, event: MutableMapping[str, Any]) -> None:
        if self.broken:
            raise OSError("gone")
        self.sent.append(dict(event))

    async def run(self, handler: Any, **options: Any) -> list[dict[str, Any]]:
        app = Vivace("guest", configure_logging=False)
        app.websocket("/ws", **options)(handler)
        await asyncio.wait_for(app(self.scope, self.events.get, self.send), 10)
        return self.sent


ACCEPTED: dict[str, Any] = {"type": "websocket.accept", "subprotocol": None, "headers": []}
CLOSED = {"type": "websocket.close", "code": 1000, "reason": ""}


async def echo(request: Request, ws: Websocket) -> None:
    async for message in ws:
        await ws.send(message)


async def test_messages_pass_both_ways() -> None:
    server = Server()
    server.client_sends("a", b"b", *map(str, range(100)))
    running = asyncio.create_task(server.run(echo))
    await until(lambda: len(server.sent) == 103)
    server.client_leaves(1000)
    sent = await running
    assert sent[:3] == [
        ACCEPTED,
        {"type": "websocket.send", "text": "a"},
        {"type": "websocket.send", "bytes": b"b"},
    ]
    assert [event["text"] for event in sent[3:]] == [str(i) for i in range(100)]


async def test_a_handler_sees_the_request_and_closes() -> None:
    async def handler(request: Request, ws: Websocket) -> None:
        await ws.send(f"{request.url} {request.ip} {ws.subprotocol}")
        assert await ws.recv(timeout=0.01) is None
        await ws.close(4000, "enough")
        for act in (ws.recv, lambda: ws.send("late")):
            with pytest.raises(WebsocketClosed):
                await act()
        assert (ws.closed, ws.close_code) == (True, 4000)

    server = Server(scheme="wss", subprotocols=["x", "chat"])
    sent = await server.run(handler, subprotocols=["chat"])
    assert sent == [
        {**ACCEPTED, "subprotocol": "chat"},
        {"type": "websocket.send", "text": "wss://guest.test/ws 192.0.2.1 chat"},
        {"type": "websocket.close", "code": 4000, "reason": "enough"},
    ]


async def test_a_listener_takes_messages() -> None:
    async def handler(request: Request, ws: Websocket) -> None:
        await ws.listen(lambda message: ws.send(message * 2))

    server = Server()
    server.client_sends("a", "b")
    server.client_leaves(1001)
    sent = await server.run(handler)
    assert [event["text"] for event in sent[1:]] == ["aa", "bb"]


async def test_the_end_of_a_handler_closes() -> None:
    async def returns(request: Request, ws: Websocket) -> None:
        assert ws.subprotocol is None

    async def fails(request: Request, ws: Websocket) -> None:
        raise Forbidden("not you")

    assert (await Server().run(returns))[-1] == CLOSED
    assert (await Server().run(fails))[-1] == {**CLOSED, "code": 1008, "reason": "not you"}


async def test_the_handler_of_a_lost_client_is_cancelled_unless_it_waits_for_messages() -> None:
    ends: list[str] = []

    async def handler(request: Request, ws: Websocket) -> None:
        try:
            if request.args.get("recv"):
                await ws.recv()
            await asyncio.Event().wait()
        except BaseException as error:
            ends.append(type(error).__name__)
            raise

    for query in (b"recv=1", b""):
        server = Server(query_string=query)
        server.client_leaves()
        await server.run(handler)
    assert ends == ["WebsocketClosed", "CancelledError"]


async def test_a_send_to_nobody_is_an_error() -> None:
    errors: list[Exception] = []

    async def handler(request: Request, ws: Websocket) -> None:
        server.broken = True
        try:
            for _ in range(10):
                await ws.send("x")
                await asyncio.sleep(0)
        except OSError as error:
            errors.append(error)

    server = Server()
    await server.run(handler)
    assert len(errors) == 1


@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}])
async def test_a_websocket_is_denied(extensions: dict[str, Any]) -> None:
    server = Server(path="/none", raw_path=b"/none", extensions=extensions)
    sent = await server.run(echo)
    if extensions:
        assert [event["type"] for event in sent] == [
            "websocket.http.response.start",
            "websocket.http.response.body",
        ]
        assert sent[0]["status"] == 404
        assert b"404" in sent[1]["body"]
    else:
        assert sent == [{"type": "websocket.close", "code": 1000}]


async def test_pings_are_the_other_servers() -> None:
    async def handler(request: Request, ws: Websocket) -> None:
        for act in (ws.ping, ws.pong):
            with pytest.raises(NotImplementedError, match="by itself"):
                await act()

    assert (await Server().run(handler))[-1] == CLOSED
