"""Where the hub of a process is, and the way to it.

Rules of this file:

- The one place that reads VIVACE_HUB and VIVACE_HUB_SOCKET, and that makes stations.
- What is not used is not imported: an engine, the wire.
"""

import asyncio
import os
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from vivace.hub.exchange import Exchange
from vivace.hub.inside import Inside
from vivace.hub.limits import Limits
from vivace.hub.station import Station

if TYPE_CHECKING:
    from vivace.hub.engine import Engine
    from vivace.hub.local import Local

__all__ = ["SOCKET_VARIABLE", "VARIABLE", "make_exchange", "make_station", "socket_path"]

VARIABLE: Final = "VIVACE_HUB"
"""Where the supervisor says the path of the hub's socket to every process that it starts."""
SOCKET_VARIABLE: Final = "VIVACE_HUB_SOCKET"
"""The setting HUB_SOCKET in the environment: where others find the hub."""
_UNIX: Final = "unix://"


def make_station(url: str | None, engine: str | None, local: "Local", limits: Limits, name: str) -> Station:
    """The way from this process to its hub.

    Args:
        url: See `Hub`.
        engine: The same.
        local: What this process follows.
        limits: Sizes and times.
        name: Names this program to the engine's server.
    """
    path = socket_path(url)
    if path is None:
        if url:
            return Inside(make_exchange(url, limits, name), local)
        return _share(engine, local, limits, name)
    from vivace.hub.link import Link

    return Link(path, local, limits, name)


_shared: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Exchange]]" = WeakKeyDictionary()


def _share(engine: str | None, local: "Local", limits: Limits, name: str) -> Station:
    """All hubs of a loop that name no place are one machine: the app's, that of a channel layer ..."""
    exchanges = _shared.setdefault(asyncio.get_running_loop(), {})
    exchange = exchanges.get(engine or "")
    if exchange is None or exchange.ended:
        exchange = exchanges[engine or ""] = make_exchange(engine, limits, name)
    return Inside(exchange, local)


def socket_path(url: str | None) -> str | None:
    """The socket of the hub's process; None: the hub is in this one."""
    if url and url.startswith(_UNIX):
        return url.removeprefix(_UNIX)
    path = os.environ.get(VARIABLE) or os.environ.get(SOCKET_VARIABLE)
    if path and not url:
        return path.removeprefix(_UNIX)
    return None


def make_exchange(url: str | None, limits: Limits, name: str) -> Exchange:
    """The hub of this machine.

    Args:
        url: Of its engine; None or empty: it has none.
        limits: Sizes and times.
        name: Names this program to the engine's server.

    Raises:
        ConfigError: There is no engine for such a URL.
    """
    engine: Engine | None = None
    if url:
        from vivace.hub.engines import Timing, make_engine

        timing = Timing(
            outbox=limits.outbox,
            patience=limits.timeout,
            ping_after=limits.ping_interval,
            ping_timeout=limits.ping_timeout,
        )
        engine = make_engine(url, prefix=limits.prefix, name=name, timing=timing)
    keeper = None
    if limits.journal and engine is None:
        from vivace.hub.journal import Journal

        keeper = Journal(limits.journal)
    return Exchange(engine, keeper, limits.history_size, presence_ttl=limits.presence_ttl)
