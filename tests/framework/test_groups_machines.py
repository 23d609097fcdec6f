"""Groups over two machines with a Redis between them: messages, revocation, and who hears nothing."""

import time
from typing import Any

from tests.server.support import until
from tests.services.redis import RedisServer, redis_server
from vivace import Request, Vivace, Websocket
from vivace.testing import Client

__all__ = ["redis_server"]


def machine(name: str, url: str) -> Vivace:
    app = Vivace(name, configure_logging=False)
    app.config.update({"HUB_URL": url, "HUB_LINGER": 0.0})

    @app.websocket("/ws/<topic>")
    async def handler(request: Request, ws: Websocket, topic: str) -> None:
        ws.user = request.args.get("user")
        await ws.join(topic)
        await ws.send("in")
        async for message in ws:
            await app.hub.publish(topic, message)

    return app


async def enter(client: Client, stack: list[Any], path: str) -> Any:
    opened = client.websocket(path)
    stack.append(opened)
    ws = await opened.__aenter__()
    assert await ws.recv() == "in"
    return ws


async def test_two_machines(redis_server: RedisServer) -> None:
    one, two = machine("one", redis_server.url), machine("two", redis_server.url)
    opened: list[Any] = []
    async with Client(one) as here, Client(two) as there:
        ann = await enter(here, opened, "/ws/room?user=ann")
        far = await enter(there, opened, "/ws/room?user=ann")
        bob = await enter(there, opened, "/ws/room?user=bob")
        await until(lambda: one.hub.up and two.hub.up)
        await ann.send("hello")
        assert [await ws.recv() for ws in (ann, far, bob)] == ["hello"] * 3

        delays = []
        for _ in range(3):
            other = await enter(there, opened, "/ws/other?user=eve")
            began = time.monotonic()
            await one.hub.revoke(user="eve")
            assert [message async for message in other] == []
            assert other.close_code == 4403
            delays.append(time.monotonic() - began)
        assert min(delays) < 0.1

        delivered = two.hub.stats()["delivered"]
        for number in range(5):
            await one.hub.publish("elsewhere", number)
        await ann.send("after")
        assert await bob.recv() == "after"
        assert two.hub.stats()["delivered"] == delivered + 1, "what nobody wants does not come"
        for ws in (ann, far, bob):
            await ws.close()
