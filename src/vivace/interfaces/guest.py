"""A Vivace app under another ASGI 3 server.

Rules of this file:

- It is one more server around the native interface: the same four moments of its life, the same calls.
- An app lives once per event loop. Where the server tells nothing of its start (lifespan off, or the app
  is mounted in another), the first request starts it; that is said once, since nothing will stop it.
- Follows the ASGI specification: lifespan 2.0, HTTP & WebSocket 2.5.
"""

import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any

from vivace.framework.app import Vivace
from vivace.interfaces.guest_input import Receive
from vivace.interfaces.guest_stream import GuestStream, Send
from vivace.interfaces.native import NativeInterface
from vivace.server.interface import Interface

__all__ = ["Guest"]

logger = logging.getLogger("vivace.error")


class Guest:
    """An app that another server calls.

    Args:
        app: The app.
    """

    __slots__ = ("_app", "_interface", "_lives", "_loop")

    def __init__(self, app: Vivace[Any, Any]) -> None:
        self._app = app
        self._lives: dict[asyncio.AbstractEventLoop, asyncio.Task[Interface]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._interface: Interface | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one scope.

        Args:
            scope: Of the type ``http``, ``lifespan`` or ``websocket``.
            receive: Gives the next event.
            send: Takes an event.

        Raises:
            NotImplementedError: The scope is of another type.
            BrokenResourceError: The response broke off; the server has to cut the connection.
        """
        kind = scope["type"]
        if kind == "http":
            interface = self._interface
            if interface is None or self._loop is not asyncio.get_running_loop():
                interface = await self._find()
            patience = self._app.config.RESPONSE_TIMEOUT
            await GuestStream(scope, receive, send, patience).run(interface)
        elif kind == "lifespan":
            await self._live(receive, send)
        elif kind == "websocket":
            from vivace.interfaces.guest_socket import GuestSocketStream  # many apps never have one

            await GuestSocketStream(scope, receive, send).run(self._interface or await self._find())
        else:
            raise NotImplementedError(
                f"Vivace serves the scopes http, websocket and lifespan, not {kind!r}: another protocol"
                " server is set up in front of it"
            )

    async def _find(self) -> Interface:
        """The interface that lives on the running loop; it is started if it is not."""
        loop = _running_loop()
        starting = self._lives.get(loop)
        if starting is None:
            logger.warning(
                "%s: the server announces no start (lifespan), so the listeners of the start run with the"
                " first request and those of the stop never",
                self._app.name,
            )
            starting = self._begin(loop)
        interface = await asyncio.shield(starting)  # others may wait for it too
        self._loop, self._interface = loop, interface
        return interface

    def _begin(self, loop: asyncio.AbstractEventLoop) -> "asyncio.Task[Interface]":
        for other in [known for known in self._lives if known.is_closed()]:
            del self._lives[other]
        starting = loop.create_task(self._start(loop), name="vivace-start")
        self._lives[loop] = starting
        return starting

    async def _start(self, loop: asyncio.AbstractEventLoop) -> Interface:
        interface = NativeInterface(self._app)
        served = False
        try:
            await interface.before_start()
            served = True
            await interface.after_start()
        except BaseException:
            self._lives.pop(loop, None)
            if served:
                await _stop(interface)
            raise
        return interface

    async def _live(self, receive: Receive, send: Send) -> None:
        """The life of the app as the server tells it."""
        loop = _running_loop()
        await receive()
        try:
            interface = await (self._lives.get(loop) or self._begin(loop))
        except Exception as error:
            logger.exception("%s could not start", self._app.name)
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        self._loop, self._interface = loop, interface
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._loop = self._interface = None
        self._lives.pop(loop, None)
        await _stop(interface)
        await send({"type": "lifespan.shutdown.complete"})


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "Vivace runs on asyncio: tell the server to use it instead of another loop"
        ) from None


async def _stop(interface: Interface) -> None:
    """Run both moments of a stop, the second also if the first fails."""
    try:
        await interface.before_stop()
    finally:
        await interface.after_stop()
