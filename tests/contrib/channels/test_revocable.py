"""Connections that end when their user is revoked: what the app and the client see of it."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from vivace.contrib.django.channels import HubLayer, Revocable

SECONDS = 10


class Client:
    """A WebSocket through the middleware; its app tells what it sees."""

    def __init__(self, user: Any, kind: str = "websocket") -> None:
        self.seen: list[Any] = []
        self.sent: list[Any] = []
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self._app = Revocable(self._serve, logout=False)
        scope = {"type": kind, "user": SimpleNamespace(pk=user)}
        self.task = asyncio.ensure_future(self._app(scope, self.events.get, self._take))

    async def _take(self, event: Any) -> None:
        self.sent.append(event)

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        while True:
            event = await receive()
            self.seen.append(event)
            await send({"type": "websocket.send", "text": "late" if "code" in event else "echo"})
            if "code" in event:
                return

    async def has_seen(self, count: int) -> None:
        async with asyncio.timeout(SECONDS):
            while len(self.seen) < count:
                await asyncio.sleep(0.005)

    @property
    def held(self) -> int:
        """How many users the middleware knows."""
        return len(self._app._doors)


async def test_who_is_revoked_is_closed_and_sends_nothing_more(layer: HubLayer) -> None:
    ada, bob = Client(1), Client(2)
    for client in (ada, bob):
        client.events.put_nowait({"type": "websocket.connect"})
        await client.has_seen(1)
    await layer.revoke(2)
    async with asyncio.timeout(SECONDS):
        await bob.task
    assert bob.seen[-1] == {"type": "websocket.disconnect", "code": 4403, "reason": "revoked"}
    assert [event["type"] for event in bob.sent] == ["websocket.send", "websocket.close"]
    assert bob.sent[-1]["code"] == 4403
    assert bob.held == 0
    ada.events.put_nowait({"type": "websocket.receive", "text": "still here"})
    await ada.has_seen(2)
    assert ada.sent[-1] == {"type": "websocket.send", "text": "echo"}
    ada.task.cancel()


async def test_everybody_can_be_revoked_at_once(layer: HubLayer) -> None:
    clients = [Client(user) for user in (1, 1, 2)]
    for client in clients:
        client.events.put_nowait({"type": "websocket.connect"})
        await client.has_seen(1)
    await layer.revoke(None)
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*(client.task for client in clients))


@pytest.mark.parametrize(("user", "kind"), [(None, "websocket"), (1, "http")])
async def test_who_is_nobody_and_what_is_no_websocket_pass(layer: HubLayer, user: Any, kind: str) -> None:
    client = Client(user, kind)
    client.events.put_nowait({"type": "some.event"})
    await client.has_seen(1)
    assert client.held == 0
    client.task.cancel()
