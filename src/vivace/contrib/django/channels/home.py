"""The loop where this process's connection to the hub lives, for callers on any loop and in any thread.

Rules of this file:

- One for each process and URL, made when it is first needed. A process that was forked makes its own.
- In a worker of Vivace it is the loop that serves. Elsewhere it is a loop in a thread of its own, which ends
  with the process: loops of other servers, of Celery's tasks and of ``async_to_sync`` come and go.
"""

import asyncio
import atexit
import os
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from vivace.config import Config
from vivace.hub import Hub
from vivace.hub.background import warn_if_alone
from vivace.hub.limits import Limits
from vivace.hub.places import VARIABLE
from vivace.interfaces.hosted import serving

__all__ = ["Home", "find_home", "make_hub"]

_T = TypeVar("_T")
STOP_SECONDS: Final = 2.0
"""How long the end of a process waits until what was sent has left it."""

_homes: dict[str | None, "Home"] = {}
_begin = threading.Lock()


class Home:
    """A loop with a hub.

    Args:
        loop: Runs for as long as this is used.
        hub: Lives on it.
        thread: In which the loop runs, if it was made for this.

    Attributes:
        hub: The hub.
        loop: The loop.
        lock: For what is made once; taken on the loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, hub: Hub, thread: threading.Thread | None) -> None:
        self.loop = loop
        self.hub = hub
        self.lock = asyncio.Lock()
        self._thread = thread
        self._left = False

    async def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do something on the loop, and wait for it on this one.

        Args:
            work: What to do.
        """
        if asyncio.get_running_loop() is self.loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    def wait(self, make: Callable[[], Coroutine[Any, Any, _T]], seconds: float) -> _T:
        """Do something on the loop, and wait for it in this thread.

        Args:
            make: Gives what to do.
            seconds: How long to wait.

        Raises:
            RuntimeError: This is the loop's own thread.
            TimeoutError: It was not done in time.
        """
        try:
            here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self.loop:
            raise RuntimeError("this waits for the loop that it is called on: await the method without _sync")
        future = asyncio.run_coroutine_threadsafe(make(), self.loop)
        try:
            return future.result(seconds)
        except TimeoutError:
            future.cancel()
            raise TimeoutError(f"the hub did not answer within {seconds:g} s") from None

    @property
    def closed(self) -> bool:
        """Whether it is of no use any more."""
        return self._left or self.loop.is_closed()

    async def leave(self) -> None:
        """Leave the hub; called on the loop."""
        self._left = True
        await self.hub.stop()

    def end(self) -> None:
        """Let what was sent leave the process, and end the thread."""
        if self._thread is None or self.loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._stop(), self.loop)
        self._thread.join(STOP_SECONDS)

    async def _stop(self) -> None:
        try:
            await self.leave()
        finally:
            self.loop.stop()


def find_home(url: str | None) -> Home:
    """The home of this process.

    Args:
        url: Of the hub's server; None: what HUB_URL says.

    Raises:
        ConfigError: A setting is wrong, or there is no engine for such a URL.
    """
    home = _homes.get(url)
    if home is None or home.closed:
        with _begin:
            home = _homes.get(url)
            if home is None or home.closed:
                home = _homes[url] = _make_home(make_hub(url))
    return home


def _make_home(hub: Hub) -> Home:
    loop = serving.loop
    if loop is not None:
        home = Home(loop, hub, None)
        serving.at_stop.append(home.leave)
        return home
    warn_if_alone(hub)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop,), name="vivace-channels", daemon=True)
    thread.start()
    return Home(loop, hub, thread)


def make_hub(url: str | None) -> Hub:
    """The hub of the server that started this process, or one that speaks with the server of a URL itself.

    Args:
        url: Of the hub's server; None: HUB_SOCKET or HUB_URL of the files and the environment.

    Raises:
        ConfigError: A setting is wrong, or there is no engine for such a URL.
    """
    config = Config.load()
    if not url and config.HUB_SOCKET and VARIABLE not in os.environ:
        url = f"unix://{os.path.abspath(config.HUB_SOCKET)}"
    name = f"channels@{socket.gethostname()}/hub"
    return Hub(url or None, engine=config.HUB_URL or None, limits=Limits.of(config), name=name)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


def _end_all() -> None:
    for home in _homes.values():
        home.end()


def _forget() -> None:
    """After a fork: the thread is not here, and its lock may be held."""
    global _begin
    _begin = threading.Lock()
    _homes.clear()


atexit.register(_end_all)
os.register_at_fork(after_in_child=_forget)
