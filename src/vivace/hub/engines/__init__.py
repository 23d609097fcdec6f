"""Engines by URL: Redis and Valkey, PostgreSQL, NATS.

Rules of this folder:

- An engine is loaded when a URL asks for it: nobody needs the libraries of the others.
- Each keeps the contract of `vivace.hub.engine`, and comes back by itself after whatever happens.
"""

from importlib import import_module
from typing import Final

from vivace.errors import ConfigError
from vivace.hub.engine import Engine
from vivace.hub.engines.upkeep import Timing
from vivace.hub.engines.urls import hide_password, parse_address, resolve_url

__all__ = ["Timing", "make_engine", "resolve_url"]

_REDIS: Final = {"redis", "rediss", "valkey", "valkeys", "redis+unix", "valkey+unix"}

_NATS: Final = {"nats", "tls", "ws", "wss"}
_POSTGRES: Final = {"postgres", "postgresql"}


def make_engine(
    url: str, *, prefix: str = "vivace", name: str = "vivace", timing: Timing | None = None
) -> Engine:
    """The engine for a URL; it is not started.

    Args:
        url: A value of HUB_URL; see `resolve_url`.
        prefix: Of all names at the server: two applications with the same one are one.
        name: Of the connections, as the server's lists of clients show it; empty: `Engine.rename` says it.
        timing: How long what may take; the defaults if None.

    Raises:
        ConfigError: There is no engine for it, its library is not installed, or it says what cannot be.
    """
    whole = resolve_url(url)
    scheme = whole.partition("://")[0].lower()
    timing = timing or Timing()
    if scheme in _REDIS:
        _need("hiredis", "redis", whole)
        redis: Engine = import_module("vivace.hub.engines.redis").RedisEngine(
            parse_address(whole), prefix, name, timing
        )
        return redis
    if scheme in _POSTGRES:
        _need("asyncpg", "postgres", whole)
        postgres: Engine = import_module("vivace.hub.engines.postgres").PostgresEngine(
            whole, prefix, name, timing
        )
        return postgres
    if scheme in _NATS:
        _need("nats", "nats", whole)
        bus: Engine = import_module("vivace.hub.engines.nats").NatsEngine(whole, prefix, name, timing)
        return bus
    raise ConfigError(
        f"HUB_URL {hide_password(whole)}: there is no engine for {scheme}://; expected redis://, rediss://,"
        " valkey://, postgres:// or nats://",
        key="HUB_URL",
    )


def _need(library: str, extra: str, url: str) -> None:
    try:
        import_module(library)
    except ImportError:
        raise ConfigError(
            f"HUB_URL {hide_password(url)} needs {library}, which is not installed: pip install"
            f" 'vivace[{extra}]'",
            key="HUB_URL",
        ) from None
