"""An app with groups, to be measured: who joins, who only waits, and a way to have much published.

Rules of this file:

- What is measured is told by the server itself: the time at which it published, and its CPU time.
"""

import asyncio
import time
from typing import Any

from vivace import Request, Vivace, Websocket, json

app: Vivace[Any, Any] = Vivace("groups")


@app.websocket("/join/<topic>")
async def join(request: Request, ws: Websocket, topic: str) -> None:
    """A client that joins a group and says nothing."""
    await ws.join(topic, max_bytes=1 << 30, max_queue=1 << 20)
    await ws.recv()


@app.websocket("/idle")
async def idle(request: Request, ws: Websocket) -> None:
    """A client that only waits."""
    await ws.recv()


@app.get("/publish/<topic>")
async def publish(request: Request, topic: str) -> Any:
    """Publish ``rounds`` times ``count`` messages of ``size`` characters, each time in one turn."""
    count, rounds, size = (int(request.args.get(name, "1")) for name in ("count", "rounds", "size"))
    pause = float(request.args.get("pause", "0"))
    message = "x" * size
    began, cpu = time.monotonic(), time.process_time()
    for _ in range(rounds):
        for _ in range(count):
            await app.hub.publish(topic, message)
        await asyncio.sleep(pause)
    return json({"began": began, "cpu": cpu})


@app.get("/cpu")
async def used(request: Request) -> Any:
    """Seconds of CPU that this process has used."""
    return json({"cpu": time.process_time()})


@app.get("/")
async def index(request: Request) -> Any:
    """Whether it serves."""
    return json({})


async def echo_asgi(scope: Any, receive: Any, send: Any) -> None:
    """The same client that only waits, as an ASGI app."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
    elif (await receive())["type"] == "websocket.connect":
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
