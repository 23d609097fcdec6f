"""Publishing from processes that have no event loop: Celery, management commands, scripts.

Rules of this file:

- One thread and one connection per process and place, made at the first message, whatever the number of
  threads that publish. Nothing of it survives a fork: a child makes its own.
"""

import asyncio
import logging
import os
import threading
from typing import TYPE_CHECKING, Any, Final

from vivace.hub.places import SOCKET_VARIABLE, socket_path
from vivace.hub.records import Position

if TYPE_CHECKING:
    from vivace.hub.hub import Hub

__all__ = ["publish_behind", "warn_if_alone"]

logger = logging.getLogger("vivace.hub")

_lock = threading.Lock()
_loops: Final[dict[int, asyncio.AbstractEventLoop]] = {}
"""The loop of this process, by its id."""


def publish_behind(hub: "Hub", topic: str, data: Any, exclude: str | None, timeout: float) -> Position | None:
    """Publish on the background loop of this process.

    Args:
        hub: What says where; it begins on that loop and stays there.
        topic: See `Hub.publish`.
        data: The same.
        exclude: The same.
        timeout: Seconds to wait at most.

    Raises:
        HubUnavailable: It took too long.
    """
    from vivace.hub.hub import wait_for

    twin = _twin_of(hub)
    return wait_for(_loop(), twin.publish_surely(topic, data, exclude=exclude), timeout)


def _loop() -> asyncio.AbstractEventLoop:
    """The running background loop of this process."""
    with _lock:
        loop = _loops.get(os.getpid())
        if loop is None:
            _loops.clear()
            loop = _loops[os.getpid()] = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="vivace-hub", daemon=True).start()
        return loop


_twins: Final[dict[tuple[Any, ...], "Hub"]] = {}


def _twin_of(hub: "Hub") -> "Hub":
    """The hub on the background loop that stands for this one, and for all that are at the same place."""
    key = (os.getpid(), hub.url, hub.engine, hub.limits)
    with _lock:
        twin = _twins.get(key)
        if twin is None:
            for old in [one for one in _twins if one[0] != os.getpid()]:
                del _twins[old]
            twin = _twins[key] = hub.twin()
            warn_if_alone(twin)
    twin.adopt(hub)
    return twin


def warn_if_alone(hub: "Hub") -> None:
    """Say that nobody hears what this process publishes, if that is so.

    Args:
        hub: What it publishes by.
    """
    if not (hub.engine or hub.url or socket_path(None)):
        logger.warning(
            "this process has no hub: what it publishes reaches nobody else. Give it and the server the same"
            " %s=/path, or the same HUB_URL of an engine, or Hub() a URL",
            SOCKET_VARIABLE,
        )
