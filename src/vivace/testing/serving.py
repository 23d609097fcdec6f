"""An app on real sockets: our own server in a thread, for clients that speak HTTP themselves.

Rules of this file:

- The port is free and known before anything is sent; the server accepts when ``with`` begins its block.
- The end of the block is a graceful stop; what went wrong in the thread is raised in the test.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from vivace.config import Config
from vivace.errors import StartupError
from vivace.interfaces.choose import make_interface
from vivace.interfaces.kind import classify
from vivace.server import Server, bind_tcp, bind_unix
from vivace.testing.client import Client
from vivace.testing.sync import SyncClient

__all__ = ["Live", "live"]

_BACKLOG: Final = 128


class Live:
    """A server that runs in a thread.

    Attributes:
        host: Where it listens; empty for a Unix socket.
        port: The port; 0 for a Unix socket.
        url: Before paths.
        unix: The path of the Unix socket, if it is one.
    """

    def __init__(self, host: str, port: int, unix: str | None) -> None:
        self.host = host
        self.port = port
        self.unix = unix
        self.url = f"http://{host}:{port}" if unix is None else "http://localhost"

    def client(self, **options: Any) -> SyncClient:
        """A client for this server; the arguments are those of `Client`."""
        return SyncClient(self._target(), base_url=self.url, **options)

    def async_client(self, **options: Any) -> Client:
        """The same for tests that are coroutine functions."""
        return Client(self._target(), base_url=self.url, **options)

    def _target(self) -> Any:
        from vivace.testing.sockets import Sockets

        return Sockets(self.unix)


@contextmanager
def live(app: Any, *, host: str = "127.0.0.1", port: int = 0, unix: str | None = None) -> Iterator[Live]:
    """Serve an app on real sockets for the time of a block.

    Args:
        app: A Vivace, ASGI or WSGI app.
        host: Where to listen.
        port: The same; 0 takes a free one.
        unix: The path of a Unix socket, instead.

    Raises:
        StartupError: The address cannot be used, or the app did not start.
    """
    sockets = [bind_unix(unix, 0o600, _BACKLOG)] if unix is not None else bind_tcp(host, port, _BACKLOG)
    try:
        chosen = 0 if unix is not None else sockets[0].getsockname()[1]
        served = _Thread(app, sockets)
        served.start()
        try:
            yield Live("" if unix is not None else host, chosen, unix)
        finally:
            served.stop()
    finally:
        for one in sockets:
            one.close()


class _Thread:
    """A thread with a loop, a server and a way to end them."""

    def __init__(self, app: Any, sockets: list[Any]) -> None:
        kind, _ = classify(app)
        own = getattr(app, "config", None)
        config = own if isinstance(own, Config) else Config()
        self._make: Callable[[], Server] = lambda: Server(make_interface(app, kind, config), config, sockets)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="vivace-live", daemon=True)

    def start(self) -> None:
        """Return when the server accepts."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise StartupError(f"the app did not start: {self._failure}", stage="test") from self._failure

    def stop(self) -> None:
        """Stop gracefully."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001  # raised in the test's thread
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = self._make()
        try:
            await server.start()
            self._ready.set()
            await self._stop.wait()
        finally:
            await server.stop()
