"""Real processes: groups over two workers, revocation, and a conversation that outlives workers."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.supervisor.serving import Serving
from vivace.http.sse import EventParser
from vivace.testing import Client

APP = """
import os
from vivace import Vivace

app = Vivace("groups")
app.hub.topic("log", delivery="resume", history=1000)


def allow(conn, topic):
    return conn.user != "eve"


@app.websocket("/ws/<topic>")
async def ws(request, ws, topic):
    ws.user = request.args.get("user")
    await ws.send_json({"pid": os.getpid()})
    since = request.args.get("since")
    await ws.join(topic, allow=allow, positions=True, since=since, history=0 if since else 1000)
    async for message in ws:
        await app.hub.publish(topic, message, exclude=ws.id)


@app.sse("/sse/<topic>")
async def sse(request, stream, topic):
    await stream.join(topic, history=1000)


@app.get("/publish/<topic>/<number:int>")
async def publish(request, topic, number):
    return {"pid": os.getpid(), "position": str(await app.hub.publish(topic, number))}


@app.get("/revoke/<user>")
async def revoke(request, user):
    await app.hub.revoke(user=user)
    return {}


@app.get("/stats")
async def stats(request):
    return {"pid": os.getpid(), "receivers": app.hub.stats()["receivers"]}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder: Path = tmp_path_factory.mktemp("groups")
    (folder / "app.py").write_text(APP)
    arguments = ["-m", "vivace", "run", "app:app", "--workers", "2", "--bind", "127.0.0.1:0"]
    with Serving(arguments, folder) as serving:
        yield serving
        assert serving.stop() == 0


async def open_on_both(stack: AsyncExitStack, client: Client, path: str) -> dict[int, Any]:
    """A WebSocket on each of the two workers, by the worker."""
    found: dict[int, Any] = {}
    for _ in range(200):
        ws = await stack.enter_async_context(client.websocket(path))
        pid = (await ws.recv_json())["pid"]
        if found.setdefault(pid, ws) is not ws:
            await ws.close()
        if len(found) == 2:
            return found
    raise AssertionError("one worker got all of 200 connections")


async def ask(client: Client, path: str) -> Any:
    """The answer; asked on a new connection, so that either worker may get it."""
    return (await client.get(path, headers={"connection": "close"})).json


async def test_a_message_and_a_revocation_reach_every_worker(server: Serving) -> None:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(f"http://127.0.0.1:{server.port}"))
        anns = list((await open_on_both(stack, client, "/ws/room?user=ann")).values())
        bobs = list((await open_on_both(stack, client, "/ws/room?user=bob")).values())
        while not all([await reaches(client, ws) for ws in (*anns, *bobs)]):
            pass
        await anns[0].send("hello")
        for ws in (anns[1], *bobs):
            assert await next_text(ws) == "hello"
        await ask(client, "/revoke/ann")
        said = time.monotonic()
        for ws in anns:
            assert [message async for message in ws if "after" in message] == []
            assert ws.close_code == 4403
        assert time.monotonic() - said < 1.0
        await bobs[0].send("after")
        assert await next_text(bobs[1]) == "after"


async def reaches(client: Client, ws: Any) -> bool:
    """Whether a message reaches a socket yet: it joins a moment after it is open."""
    await ask(client, "/publish/room/0")
    try:
        await ws.recv(timeout=0.2)
    except TimeoutError:
        return False
    return True


async def next_text(ws: Any) -> Any:
    while isinstance(data := (await ws.recv_json())["data"], int):
        pass
    return data


async def converse(client: Client, got: list[int], total: int) -> None:
    """A WebSocket client that comes back with its last position."""
    since = ""
    while len(set(got)) < total:
        try:
            async with client.websocket(f"/ws/log?since={since}") as ws:
                await ws.recv_json()
                while len(set(got)) < total:
                    told = await ws.recv_json()
                    since = told.get("pos", since)
                    if "data" in told:
                        got.append(told["data"])
        except Exception:  # whatever it was, it comes back
            await asyncio.sleep(0.02)


async def listen(client: Client, got: list[int], total: int) -> None:
    """An event source that comes back with the id of its last event."""
    last_id = ""
    while len(set(got)) < total:
        try:
            async with client.stream("GET", "/sse/log", headers={"last-event-id": last_id}) as response:
                parser = EventParser()
                while len(set(got)) < total and (piece := await response.receive()):
                    for event in parser.feed(piece):
                        if event.event == "message":
                            got.append(json.loads(event.data))
                            last_id = event.id
        except Exception:  # whatever it was, it comes back
            await asyncio.sleep(0.02)


async def test_a_conversation_outlives_workers_and_a_restart(server: Serving) -> None:
    total = 100
    by_socket: list[int] = []
    by_events: list[int] = []
    async with Client(f"http://127.0.0.1:{server.port}") as client:
        pid = (await ask(client, "/publish/log/0"))["pid"]
        before: set[int] = set()
        clients = [
            asyncio.create_task(converse(client, by_socket, total)),
            asyncio.create_task(listen(client, by_events, total)),
        ]
        for number in range(1, total - 1):
            if number == 20:
                os.kill(pid, signal.SIGKILL)
            if number == 40:
                before = {(await ask(client, "/stats"))["pid"] for _ in range(20)}
                server.signal(signal.SIGHUP)
            while True:
                try:
                    await ask(client, f"/publish/log/{number}")
                    break
                except Exception:  # a worker that was killed, perhaps
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.02)
        while (await ask(client, "/stats"))["pid"] in before:
            await asyncio.sleep(0.05)
        await ask(client, "/publish/log/99")
        await asyncio.wait_for(asyncio.gather(*clients), 30)
    for got in (by_socket, by_events):
        assert sorted(set(got)) == list(range(total)), "nothing is lost"
        assert got == sorted(got), "and the order is kept"
