"""WebSockets that end when their user is logged out or thrown out: a middleware for the ASGI app of Channels.

Rules of this file:

- Who the user is says ``scope["user"]``, so it stands inside Channels' ``AuthMiddlewareStack``.
- A revoked WebSocket is closed with 4403, and its consumer gets an ordinary disconnect; what it still sends
  is dropped. Whoever may come back comes back: this ends connections, it judges nobody.
"""

import asyncio
import logging
from typing import Any, Final

from django.contrib.auth.signals import user_logged_out

from vivace.contrib.django.channels.home import Home, find_home
from vivace.hub.hub import Control

__all__ = ["REVOKED", "Revocable"]

logger = logging.getLogger("vivace.channels")

REVOKED: Final = 4403
"""The code of the close."""


class Revocable:
    """An ASGI app whose WebSockets end when `HubLayer.revoke` names their user, on whatever machine.

    ``AuthMiddlewareStack(Revocable(URLRouter(...)))``

    Args:
        app: The ASGI app inside.
        url: As of the layer.
        logout: A logout revokes the user too: every WebSocket of theirs is closed, and those that are still
            logged in elsewhere connect again.
    """

    def __init__(self, app: Any, url: str | None = None, *, logout: bool = True) -> None:
        self._app = app
        self._url = url
        self._doors: dict[str, set[_Door]] = {}
        self._home: Home | None = None
        if logout:
            user_logged_out.connect(self._on_logout, weak=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection.

        Args:
            scope: Of it.
            receive: The client's events.
            send: Ours.
        """
        user = getattr(scope.get("user"), "pk", None)
        if scope["type"] != "websocket" or user is None:
            await self._app(scope, receive, send)
            return
        await self._watch()
        door = _Door(receive, send)
        doors = self._doors.setdefault(str(user), set())
        doors.add(door)
        try:
            await self._app(scope, door.receive, door.send)
        finally:
            door.close()
            doors.discard(door)
            if not doors and self._doors.get(str(user)) is doors:
                del self._doors[str(user)]

    async def _watch(self) -> None:
        """Listen for revocations, once in a process."""
        home = find_home(self._url)
        if self._home is not home:
            self._home = home
            await home.run(self._listen(home))

    async def _listen(self, home: Home) -> None:
        home.hub.on_control(self._on_control)
        await home.hub.start()

    def _on_control(self, said: Control) -> None:
        if said.kind != "revoke" or said.topic is not None:
            return
        named = self._doors.values() if said.user is None else [self._doors.get(said.user, set())]
        for door in [door for doors in list(named) for door in list(doors)]:
            door.revoke()

    def _on_logout(self, sender: Any, user: Any = None, **_: Any) -> None:
        pk = getattr(user, "pk", None)
        if pk is not None:
            home = find_home(self._url)
            future = asyncio.run_coroutine_threadsafe(home.hub.revoke(user=pk), home.loop)
            future.add_done_callback(_look_at)


class _Door:
    """The events of one WebSocket, which may end before the client's do."""

    def __init__(self, receive: Any, send: Any) -> None:
        self._receive = receive
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._revoked: asyncio.Future[None] = self._loop.create_future()
        self._next: asyncio.Future[Any] | None = None

    def revoke(self) -> None:
        """End it; from any thread."""
        self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if not self._revoked.done():
            self._revoked.set_result(None)

    async def receive(self) -> Any:
        """The next event for the app."""
        following = self._next
        if following is None:
            following = self._next = asyncio.ensure_future(self._receive())
        await asyncio.wait({following, self._revoked}, return_when=asyncio.FIRST_COMPLETED)
        if self._revoked.done():
            await self._send({"type": "websocket.close", "code": REVOKED, "reason": "revoked"})
            return {"type": "websocket.disconnect", "code": REVOKED, "reason": "revoked"}
        self._next = None
        return following.result()

    async def send(self, event: Any) -> None:
        """An event of the app; nothing of a revoked one leaves any more."""
        if not self._revoked.done():
            await self._send(event)

    def close(self) -> None:
        """The app is done with it."""
        if self._next is not None:
            self._next.cancel()


def _look_at(done: Any) -> None:
    if not done.cancelled() and done.exception() is not None:
        logger.warning("the WebSockets of a user who logged out could not be ended: %s", done.exception())
