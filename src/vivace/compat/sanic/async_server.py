"""The server of `app.create_server`, as Sanic's programs drive it.

Rules of this file: only what differs from the server of `vivace.cli.embed`.
"""

import asyncio
from typing import Any

from vivace.cli.embed import AppServer
from vivace.errors import SanicException

__all__ = ["AsyncioServer"]


class AsyncioServer(AppServer):
    """A server whose moments are called one by one, after `startup`.

    Args:
        app: The app.
        settings: By their names.
        sock: A bound socket.
        listening: False: it serves from `start_serving` on.
        options: As for `AppServer`.
    """

    def __init__(
        self, app: Any, settings: Any, sock: Any = None, *, listening: bool = True, **options: Any
    ) -> None:
        super().__init__(app, settings, sock, **options)
        self.is_listening = listening
        self._ready = False

    @property
    def server(self) -> "AsyncioServer":
        """What listens."""
        return self

    async def startup(self) -> None:
        """Compile the app's routes and listen; the other moments need it."""
        await super().startup()
        self._ready = True

    async def start_serving(self) -> None:
        """Answer."""
        await super().start_serving()
        self.is_listening = self._ready = True

    def is_serving(self) -> bool:
        """Whether it listens."""
        return self.is_listening and self._listeners is not None and self._closing is None

    def close(self) -> "asyncio.Task[None] | None":  # type: ignore[override]
        """Begin to stop.

        Returns:
            What ends when it has stopped.
        """
        super().close()
        return self._closing

    async def before_start(self) -> None:
        """Run the listeners of the start."""
        self._check_ready()
        await super().before_start()

    async def after_start(self) -> None:
        """The same."""
        self._check_ready()
        await super().after_start()

    async def before_stop(self) -> None:
        """Run the listeners of the stop."""
        self._check_ready()
        await super().before_stop()

    async def after_stop(self) -> None:
        """The same."""
        self._check_ready()
        await super().after_stop()

    def _check_ready(self) -> None:
        if not self._ready:
            raise SanicException("Cannot dispatch server event without first running await server.startup()")
