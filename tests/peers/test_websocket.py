"""aiohttp's WebSocket client, which is not ours, talks to our handlers."""

import asyncio
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import Launch
from tests.server.support import serving
from vivace import Request, Vivace, Websocket
from vivace.interfaces.native import NativeInterface


@pytest.mark.parametrize("compress", [0, 12, 15])
async def test_aiohttp_talks_to_a_handler(compress: int) -> None:
    app = Vivace("app", configure_logging=False)
    app.config.update({"ACCESS_LOG": False})
    ends: list[int] = []

    @app.websocket("/ws", subprotocols=["chat"])
    async def handler(request: Request, ws: Websocket) -> None:
        async for message in ws:
            await ws.send(message)
        ends.append(ws.close_code)

    async with serving(NativeInterface(app), app.config) as server, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{server.port}/ws"
        async with session.ws_connect(url, compress=compress, protocols=["chat"]) as ws:
            assert ws.protocol == "chat"
            assert bool(ws.compress) is bool(compress)
            for text in ("hello", "x" * 100_000, ""):
                await ws.send_str(text)
                assert (await ws.receive(10)).data == text
            await ws.send_bytes(bytes(70_000))
            assert (await ws.receive(10)).data == bytes(70_000)
            await ws.ping(b"?")
            await asyncio.gather(*(ws.send_str(str(i)) for i in range(100)))
            assert sorted([int((await ws.receive(10)).data) for _ in range(100)]) == list(range(100))
            await ws.close(code=4001)
            assert ws.close_code == 4001
    assert ends == [4001]


HOSTS = {
    "uvicorn": ("uvicorn", "--ws", "wsproto", "--port", "{port}", "tests.peers.echo:app"),
    "hypercorn": ("hypercorn", "--bind", "127.0.0.1:{port}", "tests.peers.echo:app"),
    "granian": ("granian", "--interface", "asgi", "--port", "{port}", "tests.peers.echo:app"),
}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("path", ["for", "recv", "listen"])
async def test_our_handlers_run_under_other_servers(
    launch: Launch, free_port: int, host: str, path: str
) -> None:
    pytest.importorskip(host)
    argv = [word.format(port=free_port) for word in HOSTS[host]]
    argv[0] = str(Path(sys.executable).with_name(argv[0]))
    launch(argv, free_port)
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{free_port}/{path}"
        async with session.ws_connect(url) as ws:
            for text in ("hello", "x" * 100_000):
                await ws.send_str(text)
                assert (await ws.receive(10)).data == text
            await ws.send_bytes(b"\xff")
            assert (await ws.receive(10)).data == b"\xff"
            await ws.close(code=4001)
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(f"http://127.0.0.1:{free_port}/none")
        assert caught.value.status in (403, 404)
