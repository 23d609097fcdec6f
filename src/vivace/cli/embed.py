"""A server in somebody's own event loop: what `app.create_server` and `app.serve` give.

Rules of this file:

- No signals, no processes, no message: the program owns the loop and decides when it ends.
- The moments may be called one by one, as Sanic's documents do; the first that needs a server starts it, and
  listeners run in their usual order, once.
"""

import asyncio
from collections.abc import Generator, Mapping
from typing import Any, Self

from vivace.config import Config
from vivace.interfaces.native import NativeInterface, finalize_app
from vivace.server import Server, make_tls
from vivace.supervisor.listening.sockets import Listeners

__all__ = ["AppServer"]


class AppServer:
    """A server for an app, in the running loop.

    ``await`` gives it back, listening; with `serving` it answers from then on. It can also be used without.

    Args:
        app: A Vivace app.
        settings: By their names; they are set in the app's configuration.
        sock: A bound socket, instead of host and port.
        ssl: The certificates, as `app.run` takes them.
        serving: ``await`` starts it.

    Raises:
        ConfigError: A setting or a certificate cannot be used.
    """

    def __init__(
        self,
        app: Any,
        settings: Mapping[str, object],
        sock: Any = None,
        *,
        ssl: Any = None,
        serving: bool = False,
    ) -> None:
        self.app = app
        config: Config = app.config
        config.override(settings, "app.create_server()")
        self._config = config
        self._sock = sock
        self._tls = make_tls(config, ssl)
        self._serving = serving
        self._listeners: Listeners | None = None
        self._server: Server | None = None
        self._closing: asyncio.Task[None] | None = None
        self._closed = asyncio.Event()

    def __await__(self) -> Generator[Any, None, Self]:
        return self._listen_and_start().__await__()

    async def _listen_and_start(self) -> Self:
        self._listen()
        if self._serving:
            await self.start_serving()
        return self

    def _listen(self) -> Listeners:
        if self._listeners is None:
            self._listeners = Listeners(self._config, self._sock)
        return self._listeners

    @property
    def sockets(self) -> tuple[Any, ...]:
        """The listening sockets."""
        return tuple(self._listeners.sockets) if self._listeners is not None else ()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that it runs in.

        Raises:
            RuntimeError: No loop runs.
        """
        return asyncio.get_running_loop()

    @property
    def connections(self) -> set[Any]:
        """Nothing to look after: `close` ends the connections by itself."""
        return set()

    async def startup(self) -> None:
        """Compile the app's routes and listen; nothing is answered yet.

        Raises:
            StartupError: A declaration is wrong, or the address cannot be used.
        """
        finalize_app(self.app)
        self._listen()

    async def start_serving(self) -> None:
        """Run the listeners of the start and answer; calling it again changes nothing.

        Raises:
            StartupError: The app does not start.
        """
        if self._server is None:
            listeners = self._listen()
            self.app.stopper = self.close
            self._server = Server(
                NativeInterface(self.app),
                self._config,
                listeners.sockets,
                tls=self._tls,
                plain=listeners.plain,
            )
            await self._server.start()

    async def before_start(self) -> None:
        """The same: the listeners of before and after the start run around the first accept."""
        await self.start_serving()

    async def after_start(self) -> None:
        """The same."""
        await self.start_serving()

    def is_serving(self) -> bool:
        """Whether requests are answered."""
        return self._server is not None and self._closing is None

    async def serve_forever(self) -> None:
        """Answer until `close`, `app.stop()` or a cancellation."""
        await self.start_serving()
        try:
            await self._closed.wait()
        finally:
            self.close()
            await self.wait_closed()

    async def before_stop(self) -> None:
        """Stop: the listeners of before and after the stop run around the last answer."""
        self.close()
        await self.wait_closed()

    async def after_stop(self) -> None:
        """The same."""
        await self.before_stop()

    def close(self) -> None:
        """Begin to stop, gracefully."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._stop(), name="vivace-close")

    async def wait_closed(self) -> None:
        """Until it has stopped."""
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def _stop(self) -> None:
        try:
            if self._server is not None:
                await self._server.stop()
        finally:
            self.app.stopper = None
            if self._listeners is not None:
                self._listeners.close()
                self._listeners.remove()
            self._closed.set()

    async def __aenter__(self) -> Self:
        await self.start_serving()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.before_stop()
