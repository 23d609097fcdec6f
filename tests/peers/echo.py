"""Echoes by WebSocket, natively in three ways and as an ASGI app: what a test suite is pointed at."""

from typing import Any

from vivace import Request, Vivace, Websocket

app = Vivace("echo")


@app.websocket("/for")
async def by_iterator(request: Request, ws: Websocket) -> None:
    async for message in ws:
        await ws.send(message)


@app.websocket("/recv")
async def by_recv(request: Request, ws: Websocket) -> None:
    while True:
        await ws.send(await ws.recv())


@app.websocket("/listen")
async def by_listener(request: Request, ws: Websocket) -> None:
    await ws.listen(ws.send)


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """The same for ASGI."""
    if scope["type"] != "websocket":
        raise NotImplementedError(scope["type"])
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
