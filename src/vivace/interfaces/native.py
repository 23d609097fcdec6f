"""A stream meets a Vivace app.

Rules of this file:

- It translates and decides nothing: requests are answered by the framework, moments of the server's life
  become the app's listeners.
- The apps that are mounted in it start after it and stop before it.
"""

from collections.abc import Coroutine
from functools import partial
from typing import Any

from vivace.errors import ConfigError, StartupError
from vivace.framework.app import Vivace
from vivace.framework.mount import Answer
from vivace.interfaces.mounts import Mounts
from vivace.protocols.stream import Stream

__all__ = ["NativeInterface", "finalize_app"]


class NativeInterface:
    """The interface of a `Vivace` app.

    Args:
        app: Finalized before the first request if it was not yet.
        root_path: The path under which the app is mounted.
    """

    __slots__ = ("_app", "_handle", "_mounts", "_root_path", "cancels")

    def __init__(self, app: Vivace[Any, Any], root_path: str = "") -> None:
        self._app = app
        self._root_path = root_path
        self._mounts = Mounts((), app.config)
        self._handle: Answer = app.handle_stream
        self.cancels = True

    def __call__(self, stream: Stream) -> Coroutine[Any, Any, None] | None:
        """Answer one request."""
        return self._handle(stream)

    def refuse(self, stream: Stream, error: Exception) -> Coroutine[Any, Any, None]:
        """Answer a message that is no request, by the exception handlers and pages of the app."""
        return self._app.refuse_stream(stream, error)

    def access_log(self) -> Any:
        """What the app has its requests logged by; None: the server's own log."""
        return self._app.access_log()

    async def before_start(self) -> None:
        """Compile the routes, run the listeners of before_server_start, start what is mounted.

        Raises:
            StartupError: A route or a mount is declared wrong, or a listener or a mounted app failed.
        """
        app = self._app
        finalize_app(app, self._root_path)
        await app.run_listeners("before_server_start")
        if app.mounts:
            self._mounts = Mounts(app.mounts, app.config, self._root_path)
            self._handle = partial(app.answer_stream, self._mounts.table(cancels=True))
            for mount in app.mounts:
                if isinstance(mount.app, Vivace):
                    mount.app.stopper = app.stopper
            await self._mounts.before_start()

    async def after_start(self) -> None:
        """Run the listeners of after_server_start."""
        await self._app.run_listeners("after_server_start")
        await self._mounts.after_start()

    async def before_stop(self) -> None:
        """Run the listeners of before_server_stop."""
        await self._mounts.before_stop()
        await self._app.run_listeners("before_server_stop")

    async def after_stop(self) -> None:
        """Run the listeners of after_server_stop."""
        await self._mounts.after_stop()
        await self._app.run_listeners("after_server_stop")


def finalize_app(app: Vivace[Any, Any], root_path: str = "") -> None:
    """Compile an app for serving under a path.

    Raises:
        StartupError: A declaration of the app is wrong: exit code 3, it is not the configuration's fault.
    """
    try:
        app.place_at(root_path)
        app.finalize()
    except ConfigError as error:
        raise StartupError(f"{app.name}: {error}", stage="interface", exit_code=3) from error
