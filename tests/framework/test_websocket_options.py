"""Options of one WebSocket route, each at its edge, and typed messages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from tests.server.support import serving, until
from vivace import Request, Vivace, Websocket, WebsocketClosed
from vivace.errors import DeclarationError
from vivace.interfaces.native import NativeInterface
from vivace.protocols.socket import USUAL, SocketOptions
from vivace.server.settings import WebSocketSettings
from vivace.testing import Client, WebSocketRefused


@pytest.fixture
def app() -> Vivace:
    return Vivace("app", configure_logging=False)


@asynccontextmanager
async def served(app: Vivace, **settings: Any) -> AsyncIterator[Client]:
    app.config.update({"ACCESS_LOG": False, **settings})
    async with (
        serving(NativeInterface(app), app.config) as server,
        Client(f"http://127.0.0.1:{server.port}") as client,
    ):
        yield client


async def echo(request: Request, ws: Websocket) -> None:
    async for message in ws:
        await ws.send(message)


@pytest.mark.parametrize(
    ("option", "fits", "sent"),
    [
        ({"max_size": 10}, "x" * 10, "x" * 11),
        ({"max_frame_size": 10}, "x" * 10, "x" * 11),
        ({"max_size": 0}, "x" * 2_000_000, None),
    ],
)
async def test_sizes_hold_for_the_route_alone(app: Vivace, option: Any, fits: str, sent: str | None) -> None:
    app.websocket("/own", name="own", **option)(echo)
    app.websocket("/usual", name="usual")(echo)
    async with served(app) as client:
        async with client.websocket("/own") as ws:
            await ws.send(fits)
            assert await ws.recv() == fits
            if sent is not None:
                await ws.send(sent)
                assert [message async for message in ws] == []
                assert ws.close_code == 1009
        async with client.websocket("/usual") as ws:
            await ws.send("x" * 1_000)
            assert await ws.recv() == "x" * 1_000


async def test_fragments_and_times_become_settings_made_once() -> None:
    usual = WebSocketSettings.from_config(Vivace("settings", configure_logging=False).config)
    assert usual.adapted(USUAL) is usual
    options = SocketOptions(
        max_fragments=3, max_queue=1, ping_interval=0, ping_timeout=2.5, close_timeout=0, max_lifetime=60
    )
    own = usual.adapted(options)
    assert own is usual.adapted(SocketOptions(**{n: getattr(options, n) for n in options.__slots__}))
    assert (own.limits.max_fragments, own.limits.max_message) == (3, usual.limits.max_message)
    assert (own.max_queue, own.ping_interval, own.ping_timeout) == (1, 0, 2.5)
    assert (own.close_timeout, own.max_lifetime, own.deflater) == (0, 60, usual.deflater)
    assert usual.adapted(SocketOptions(compress=False)).deflater is None


async def test_a_short_life_and_frequent_pings(app: Vivace) -> None:
    app.websocket("/old", name="old", max_lifetime=0.05)(echo)
    app.websocket("/pinged", name="pinged", ping_interval=0.05, ping_timeout=0.05)(echo)
    async with served(app, WEBSOCKET_PING_INTERVAL=0) as client:
        async with client.websocket("/old") as ws:
            assert [message async for message in ws] == []
            assert ws.close_code == 1012
        async with client.websocket("/pinged") as ws:
            with pytest.raises(TimeoutError):
                await ws.recv(timeout=0.3)  # pings are answered meanwhile
            await ws.send("alive")
            assert await ws.recv() == "alive"


async def test_origins_of_a_route(app: Vivace) -> None:
    app.websocket("/open", name="open", origins="*")(echo)
    app.websocket("/some", name="some", origins=["https://a.example", "*.b.example"])(echo)
    app.websocket("/none", name="none", origins=[])(echo)
    async with served(app) as client:
        for path, origin, fits in (
            ("/open", "https://evil.example", True),
            ("/some", "https://a.example", True),
            ("/some", "https://x.b.example", True),
            ("/some", "https://evil.example", False),
            ("/none", "http://127.0.0.1", False),
        ):
            if fits:
                async with client.websocket(path, headers={"origin": origin}):
                    continue
            with pytest.raises(WebSocketRefused, match="403"):
                async with client.websocket(path, headers={"origin": origin}):
                    pass


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"max_size": -1}, "max_size=-1: expected a whole number from 0 on, or None"),
        ({"max_size": 1.5}, "expected a whole number"),
        ({"max_queue": 0}, "max_queue=0: expected a whole number from 1 on"),
        ({"ping_interval": "20"}, "expected a number of seconds from 0 on"),
        ({"max_lifetime": True}, "expected a number of seconds"),
    ],
)
def test_a_wrong_option_is_refused_when_it_is_declared(app: Vivace, option: Any, says: str) -> None:
    with pytest.raises(DeclarationError, match=says):
        app.websocket("/a", **option)(echo)


def test_an_unknown_option_is_refused(app: Vivace) -> None:
    with pytest.raises(TypeError, match="max_sise"):
        app.websocket("/a", max_sise=5)(echo)
    with pytest.raises(TypeError, match="max_size"):
        app.get("/b", max_size=5)(lambda request: None)
    app.websocket("/c", max_size=None, message=None)(echo)


# -- typed messages -----------------------------------------------------------------------------------


class Say(msgspec.Struct, tag="say"):
    text: str


class Move(msgspec.Struct, tag="move"):
    x: int
    y: int = 0


async def answer_each(request: Request, ws: Any) -> None:
    async for value in ws:
        await ws.send({"got": type(value).__name__, "value": value})


async def answer_by_recv(request: Request, ws: Any) -> None:
    assert await ws.recv(timeout=0) is None
    while True:
        value = await ws.recv()
        await ws.send({"got": type(value).__name__, "value": value})


async def answer_by_listener(request: Request, ws: Any) -> None:
    await ws.listen(lambda value: ws.send({"got": type(value).__name__, "value": value}))


@pytest.mark.parametrize("handler", [answer_each, answer_by_recv, answer_by_listener])
async def test_messages_are_values_of_a_type(app: Vivace, handler: Any) -> None:
    app.websocket("/ws", message=Say | Move)(handler)
    async with served(app) as client, client.websocket("/ws") as ws:
        await ws.send('{"type": "move", "x": 5}')
        assert await ws.recv_json() == {"got": "Move", "value": {"type": "move", "x": 5, "y": 0}}
        await ws.send(msgspec.msgpack.encode(Say("hi")))
        assert (await ws.recv_json())["value"]["text"] == "hi"


@pytest.mark.parametrize("handler", [answer_each, answer_by_recv, answer_by_listener])
@pytest.mark.parametrize(
    ("message", "code", "says"),
    [
        ("{", 1007, "cannot be decoded"),
        (b"\xc1", 1007, "cannot be decoded"),
        ('{"type": "move", "x": "5"}', 1008, "Expected `int`, got `str` - at `$.x`"),
        ('{"type": "fly"}', 1008, "fly"),
        (msgspec.msgpack.encode({"type": "move"}), 1008, "missing required field `x`"),
    ],
)
async def test_what_is_no_value_of_it_closes(
    app: Vivace, handler: Any, message: Any, code: int, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    app.websocket("/ws", message=Say | Move)(handler)
    async with served(app) as client, client.websocket("/ws") as ws:
        await ws.send('{"type": "say", "text": "first"}')
        await ws.send(message)
        assert (await ws.recv_json())["value"]["text"] == "first"
        with pytest.raises(WebsocketClosed):
            await ws.recv()
        assert ws.close_code == code
        assert says in ws.close_reason
    assert "Traceback" not in caplog.text


async def test_bursts_and_pieces_are_values_too(app: Vivace) -> None:
    seen: list[Any] = []

    @app.websocket("/ws", message=list[int])
    async def handler(request: Request, ws: Any) -> None:
        seen.extend([value async for value in ws.recv_streaming()])
        await until(lambda: len(seen) > 0)
        seen.append(await ws.recv())
        await ws.send(b"\x00")
        seen.extend(await ws.recv_burst())

    async with served(app) as client, client.websocket("/ws") as ws:
        for message in ("[1]", "[2]", "[3]"):
            await ws.send(message)
        assert await ws.recv() == b"\x00"
    assert seen[:2] == [[1], [2]]


async def test_json_without_a_type_for_the_route(app: Vivace) -> None:
    @app.websocket("/ws")
    async def handler(request: Request, ws: Websocket) -> None:
        assert await ws.recv_json(timeout=0) is None
        await ws.send_json({"any": await ws.recv_json()})
        await ws.send_json(await ws.recv_json(type=Say))
        await ws.recv_json(type=Say)

    async with served(app) as client, client.websocket("/ws") as ws:
        await ws.send(b"[1, null]")
        assert await ws.recv_json() == {"any": [1, None]}
        await ws.send_json(Say("x"))
        assert await ws.recv_json() == {"type": "say", "text": "x"}
        await ws.send(b'{"type":"say","text":"\xff"}')
        with pytest.raises(WebsocketClosed):
            await ws.recv()
        assert ws.close_code == 1007
