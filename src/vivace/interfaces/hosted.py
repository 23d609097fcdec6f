"""What is different for an app of another framework: its own limits count, and its threads are bounded.

Rules of this file:

- A limit that is the app's own business holds for a hosted app only if somebody set it: an app that moves
  to Vivace keeps what it allowed before.
- What an app's own code has to know of the server, it asks `serving`.
- THREADS, once set, is the one number: it bounds the loop's own threads, and those of asgiref and anyio,
  which Django and Starlette run blocking code in. Without it each keeps its framework's default.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from vivace.config import Config
from vivace.errors import ConfigError

__all__ = [
    "OWN_LIMITS",
    "TEXT_FIELDS",
    "Serving",
    "bound_threads",
    "explicit",
    "outer_path",
    "serving",
    "threads_of",
    "unlimit",
]

OWN_LIMITS: Final = ("REQUEST_MAX_SIZE", "REQUEST_TIMEOUT", "RESPONSE_TIMEOUT")
"""Settings that are off for hosted apps unless they were set; 0 is off."""
TEXT_FIELDS: Final = ((b"content-type", b"text/plain; charset=utf-8"),)
"""The fields of an answer that the server gives in place of an app."""
_ASGI_THREADS: Final = "ASGI_THREADS"


def explicit(config: Config, name: str) -> bool:
    """Whether somebody set `name`: in a file, the environment, code or on the command line."""
    return name in config.sources


def unlimit(config: Config) -> None:
    """Turn off what of `OWN_LIMITS` nobody set."""
    config.override({name: 0 for name in OWN_LIMITS if not explicit(config, name)}, "hosted app")


def outer_path(config: Config) -> str:
    """ROOT_PATH without a slash at its end: what a proxy has taken off the paths of an app's requests.

    Raises:
        ConfigError: It does not begin with a slash.
    """
    outer = config.ROOT_PATH.rstrip("/")
    if outer and not outer.startswith("/"):
        raise ConfigError(f"ROOT_PATH is {outer!r}: it has to begin with a slash", key="ROOT_PATH")
    return outer


def threads_of(config: Config) -> int:
    """The bound for the threads of an ASGI app: THREADS, or asgiref's ASGI_THREADS; 0 if neither is set."""
    if explicit(config, "THREADS"):
        return max(config.THREADS, 1)
    given = os.environ.get(_ASGI_THREADS, "")
    return int(given) if given.isdecimal() else 0


def bound_threads(count: int) -> None:
    """Bound the threads that blocking code of an ASGI app may use on the running loop.

    Args:
        count: Threads at most; 0 leaves every framework its default.
    """
    if count:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(count, "vivace-thread"))
        if "anyio" in sys.modules:
            from anyio.to_thread import current_default_thread_limiter

            current_default_thread_limiter().total_tokens = count


class Serving:
    """The loop on which this process serves an ASGI app, for what the app's code shares with the server.

    Attributes:
        at_stop: Called one after the other when the app has been told of the stop; forgotten then.
    """

    def __init__(self) -> None:
        self.at_stop: list[Callable[[], Awaitable[object]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop; None: nothing is served by ASGI in this process, or not any more."""
        return self._loop if self._pid == os.getpid() else None

    def begin(self) -> None:
        """The running loop serves from now on."""
        self._loop, self._pid = asyncio.get_running_loop(), os.getpid()

    async def end(self) -> None:
        """It serves no more."""
        while self.at_stop and self.loop is not None:
            await self.at_stop.pop()()
        self._loop = None


serving: Final = Serving()
