"""A stream meets a Vivace app.

Rules of this file:

- It translates and decides nothing: requests are answered by the framework, moments of the server's life
  become the app's listeners.
"""

from collections.abc import Coroutine
from typing import Any

from vivace.framework.app import Vivace
from vivace.protocols.stream import Stream

__all__ = ["NativeInterface"]


class NativeInterface:
    """The interface of a `Vivace` app.

    Args:
        app: Finalized before the first request if it was not yet.
    """

    __slots__ = ("_app", "_handle", "cancels")

    def __init__(self, app: Vivace[Any, Any]) -> None:
        self._app = app
        self.cancels = True
        self._handle = app.handle_stream

    def __call__(self, stream: Stream) -> Coroutine[Any, Any, None]:
        """Answer one request."""
        return self._handle(stream)

    async def before_start(self) -> None:
        """Compile the routes and run the listeners of before_server_start."""
        self._app.finalize()
        await self._app.run_listeners("before_server_start")

    async def after_start(self) -> None:
        """Run the listeners of after_server_start."""
        await self._app.run_listeners("after_server_start")

    async def before_stop(self) -> None:
        """Run the listeners of before_server_stop."""
        await self._app.run_listeners("before_server_stop")

    async def after_stop(self) -> None:
        """Run the listeners of after_server_stop."""
        await self._app.run_listeners("after_server_stop")
