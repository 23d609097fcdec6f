"""`@app.websocket`: the handshake as a request, the object that handlers get, the end."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.server.support import Running, serving, until
from tests.server.ws_support import HANDSHAKE, Peer, open_websocket
from vivace import Blueprint, Forbidden, Request, Vivace, Websocket, WebsocketClosed, text
from vivace.errors import DeclarationError, SanicException
from vivace.interfaces.native import NativeInterface
from vivace.protocols.ws import Pong


@pytest.fixture
def app() -> Vivace:
    return Vivace("app", configure_logging=False)


@asynccontextmanager
async def native(app: Vivace, **settings: Any) -> AsyncIterator[Running]:
    """A server around an app."""
    app.config.update({"ACCESS_LOG": False, **settings})
    async with serving(NativeInterface(app), app.config) as server:
        yield server


async def ask(server: Running, *changed: tuple[bytes, bytes], extra: bytes = b"") -> tuple[int, bytes, bytes]:
    """Status, head and body of the answer to a handshake that is refused."""
    request = HANDSHAKE + extra + b"\r\n"
    for old, new in changed:
        assert old in request
        request = request.replace(old, new)
    client = await server.connect()
    await client.send(request)
    return await client.read_response()


async def opened(server: Running, path: bytes = b"/ws", extra: bytes = b"") -> Peer:
    client = await server.connect()
    await client.send(HANDSHAKE.replace(b"/ws", path) + extra + b"\r\n")
    head = await client.read_head()
    assert head.startswith(b"HTTP/1.1 101"), head
    return Peer(client, head)


async def test_a_handler_gets_the_request_the_websocket_and_its_parameters(app: Vivace) -> None:
    @app.websocket("/rooms/<room:int>")
    async def chat(request: Request, ws: Websocket, room: int) -> None:
        route = request.route
        assert route is not None
        await ws.send(
            f"{room} {request.scheme} {request.url} {request.args.get('a')} {route.extra.websocket}"
        )
        async for message in ws:
            await ws.send(message)

    async with native(app) as server:
        peer = await opened(server, b"/rooms/5?a=b")
        assert await peer.recv() == "5 ws ws://x/rooms/5?a=b b True"
        await peer.send("hello", b"\x00")
        assert [await peer.recv(), await peer.recv()] == ["hello", b"\x00"]
        assert await peer.close() == 1000


async def test_every_way_to_declare_one(app: Vivace) -> None:
    async def handler(request: Request, ws: Websocket) -> None:
        await ws.send(request.name)

    blueprint = Blueprint("bp", url_prefix="/bp")
    blueprint.websocket("/a", version=2)(handler)
    app.blueprint(blueprint)
    app.add_websocket_route(handler, "/b", name="b")
    app.route("/c", websocket=True, name="c")(handler)
    app.websocket("/d", apply=False)(handler)
    assert app.websocket_enabled
    assert [route.path for route in blueprint.websocket_routes] == ["/v2/bp/a"]
    async with native(app) as server:
        for path, name in ((b"/v2/bp/a", "app.bp.handler"), (b"/b", "app.b"), (b"/c", "app.c")):
            assert await (await opened(server, path)).recv() == name
        assert (await ask(server, (b"/ws", b"/d")))[0] == 404


def test_a_handler_that_takes_no_websocket_is_refused(app: Vivace) -> None:
    with pytest.raises(DeclarationError, match=r"write \(request, ws, \.\.\.\)"):
        app.websocket("/a")(lambda request: None)
    with pytest.raises(DeclarationError, match="write \\(request"):
        app.websocket("/a")(lambda: None)
    with pytest.raises(DeclarationError, match="does not accept the path parameter 'room'"):
        app.websocket("/a/<room>")(lambda request, ws: None)
    with pytest.raises(DeclarationError, match="cannot be called with"):
        app.websocket("/a")(lambda request, ws, other: None)


# -- the handshake ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "status", "says"),
    [
        ((b"Upgrade: websocket\r\n", b""), 426, b"Upgrade: websocket"),
        ((b"Version: 13", b"Version: 8"), 426, b"13"),
        ((b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""), 400, b"Sec-WebSocket-Key"),
        ((b"GET", b"POST"), 405, b"Method"),
    ],
)
async def test_what_cannot_become_a_websocket_is_an_error_page(
    app: Vivace, changed: tuple[bytes, bytes], status: int, says: bytes
) -> None:
    app.add_websocket_route(lambda request, ws: None, "/ws")
    async with native(app) as server:
        found, head, body = await ask(server, changed)
    assert found == status
    assert says in body
    if status == 426:
        assert b"\r\nsec-websocket-version: 13" in head.lower()


async def test_an_upgrade_is_not_taken_up_where_there_is_no_websocket(app: Vivace) -> None:
    app.add_route(lambda request: text("page"), "/ws")
    async with native(app) as server:
        assert (await ask(server))[::2] == (200, b"page")
        assert (await ask(server, (b"/ws", b"/no")))[0] == 404


async def test_a_subprotocol_is_chosen_in_our_order_and_needed(app: Vivace) -> None:
    @app.websocket("/ws", subprotocols=["chat", "x"])
    async def handler(request: Request, ws: Websocket) -> None:
        await ws.send(str(ws.subprotocol))

    async with native(app) as server:
        peer = await open_websocket(server, b"Sec-WebSocket-Protocol: x, chat\r\n")
        assert b"\r\nsec-websocket-protocol: chat\r\n" in peer.head
        assert await peer.recv() == "chat"
        assert (await ask(server))[0] == 400
        assert (await ask(server, extra=b"Sec-WebSocket-Protocol: y\r\n"))[0] == 400


async def test_pages_of_other_sites_may_not_connect_unless_they_are_named(app: Vivace) -> None:
    app.add_websocket_route(lambda request, ws: None, "/ws")
    evil = b"Origin: https://evil.example\r\n"
    async with native(app) as server:
        await opened(server)
        await opened(server, extra=b"Origin: http://x\r\n")
        assert (await ask(server, extra=evil))[0] == 403
    async with native(app, WEBSOCKET_ORIGINS="same, *.example") as server:
        await opened(server, extra=evil)


async def test_middleware_runs_and_may_answer_instead(app: Vivace) -> None:
    @app.on_request
    async def guard(request: Request) -> Any:
        return text("no", 401) if request.args.get("token") != "1" else None

    @app.websocket("/ws")
    async def handler(request: Request, ws: Websocket) -> None:
        await ws.send("in")

    async with native(app) as server:
        assert (await ask(server))[::2] == (401, b"no")
        assert await (await opened(server, b"/ws?token=1")).recv() == "in"


async def test_messages_are_compressed_unless_the_route_says_no(app: Vivace) -> None:
    app.add_websocket_route(lambda request, ws: None, "/a", name="a")
    app.add_websocket_route(lambda request, ws: None, "/b", name="b", compress=False)
    offer = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
    async with native(app) as server:
        assert b"permessage-deflate" in (await opened(server, b"/a", offer)).head
        assert b"permessage-deflate" not in (await opened(server, b"/b", offer)).head


# -- the object ---------------------------------------------------------------------------------------


async def test_all_that_a_websocket_can_do(app: Vivace) -> None:
    seen: list[Any] = []

    @app.websocket("/ws")
    async def handler(request: Request, ws: Websocket) -> None:
        seen.append((ws.closed, ws.close_code, repr(ws), ws.subprotocol))
        seen.append(await ws.recv(timeout=0.01))
        seen.append(await ws.recv_burst())
        await ws.send("go")
        seen.append(await ws.recv())
        while len(burst := await ws.recv_burst(2)) < 2:
            await asyncio.sleep(0.01)
        seen.append(burst)
        seen.append([piece async for piece in ws.recv_streaming()])
        pong = await ws.ping("abc")
        seen.append(await pong >= 0)
        await ws.pong("unasked")
        await ws.send(bytearray(b"x"))
        await ws.close(4000, "why")
        seen.append((ws.closed, ws.close_code, ws.close_reason, repr(ws)))
        for act in (ws.recv, lambda: ws.send("late")):
            with pytest.raises(WebsocketClosed) as caught:
                await act()
            seen.append((caught.value.code, caught.value.reason, isinstance(caught.value, SanicException)))
        seen.append((ws.fail_connection(), ws.end_connection(), await ws.wait_for_connection_lost()))

    async with native(app) as server:
        peer = await open_websocket(server)
        assert await peer.recv() == "go"
        await peer.send("one", "two", "three", "four")
        assert (await peer.recv()).data == b"abc"
        await peer.client.send(peer.ws.take_answers())
        event = await peer.recv()
        assert isinstance(event, Pong)
        assert event.data == b"unasked"
        assert await peer.recv() == b"x"
        assert (await peer.recv()).code == 4000
        await peer.client.send(peer.ws.send_close(4000))
        await until(lambda: len(seen) == 11)
    assert seen == [
        (False, 0, "<Websocket open>", None),
        None,
        [],
        "one",
        ["two", "three"],
        ["four"],
        True,
        (True, 4000, "why", "<Websocket closed 4000>"),
        (4000, "why", True),
        (4000, "why", True),
        (False, False, True),
    ]


async def test_a_listener_takes_messages_as_they_come(app: Vivace) -> None:
    @app.websocket("/ws")
    async def handler(request: Request, ws: Websocket) -> None:
        await asyncio.sleep(0.05)
        await ws.listen(lambda message: ws.send(message.upper()))

    async with native(app) as server:
        peer = await open_websocket(server)
        await peer.send("early")
        assert await peer.recv() == "EARLY"
        await peer.send("a", "b")
        assert [await peer.recv(), await peer.recv()] == ["A", "B"]
        assert await peer.close() == 1000


@pytest.mark.parametrize(("how", "code"), [("fail", 1002), ("drop", 1006), ("end", 4001)])
async def test_a_connection_is_ended_without_waiting(app: Vivace, how: str, code: int) -> None:
    @app.websocket("/ws")
    async def handler(request: Request, ws: Websocket) -> None:
        if how == "fail":
            assert ws.fail_connection(1002, "no")
        elif how == "drop":
            assert ws.fail_connection()
        else:
            assert not await ws.wait_for_connection_lost(0.01)
            assert ws.end_connection(4001)

    async with native(app) as server:
        peer = await open_websocket(server)
        if code == 1006:
            with pytest.raises(ConnectionError):
                await peer.recv()
        else:
            assert (await peer.recv()).code == code


# -- the end ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "reason", "logged"),
    [
        (None, 1000, "", 0),
        (ValueError("secret"), 1011, "the server failed", 1),
        (Forbidden("not in this room"), 1008, "not in this room", 0),
    ],
)
async def test_the_end_of_a_handler_closes(
    app: Vivace,
    caplog: pytest.LogCaptureFixture,
    error: Exception | None,
    code: int,
    reason: str,
    logged: int,
) -> None:
    @app.websocket("/ws")
    async def handler(request: Request, ws: Websocket) -> None:
        if error is not None:
            raise error

    caplog.set_level(logging.ERROR)
    async with native(app) as server:
        event = await (await open_websocket(server)).recv()
        assert (event.code, event.reason) == (code, reason)
        await until(lambda: len(caplog.records) == logged)


async def test_a_client_that_leaves_is_no_failure(app: Vivace, caplog: pytest.LogCaptureFixture) -> None:
    ends: list[str] = []

    @app.websocket("/ws")
    async def handler(request: Request, ws: Websocket) -> None:
        try:
            if request.args.get("do") == "recv":
                await ws.recv()
            elif request.args.get("do") == "push":
                while True:
                    await ws.send("x" * 1000)
                    await asyncio.sleep(0.01)
            else:
                await asyncio.Event().wait()
        finally:
            ends.append("cleaned up")

    caplog.set_level(logging.WARNING)
    async with native(app) as server:
        for do in (b"recv", b"push", b"wait"):
            peer = await opened(server, b"/ws?do=" + do)
            peer.client.reset()
        await until(lambda: len(ends) == 3)
        assert server.server.active == 0
    assert not caplog.records


async def test_signals_tell_of_handlers(app: Vivace) -> None:
    told: list[Any] = []

    for event in ("before", "after", "exception"):

        def hear(event: str = event) -> Any:
            async def heard(**context: Any) -> None:
                told.append((event, sorted(context)))

            return heard

        app.add_signal(hear(), f"websocket.handler.{event}")

    @app.websocket("/ws")
    async def handler(request: Request, ws: Websocket) -> None:
        if request.args.get("fail"):
            raise ValueError

    async with native(app) as server:
        await (await opened(server)).recv()
        await (await opened(server, b"/ws?fail=1")).recv()
    assert told == [
        ("before", ["request", "websocket"]),
        ("after", ["request", "websocket"]),
        ("before", ["request", "websocket"]),
        ("exception", ["exception", "request", "websocket"]),
    ]
