"""Engines by URL: Redis and Valkey, PostgreSQL, NATS.

Rules of this folder:

- An engine is loaded when a URL asks for it: nobody needs the libraries of the others.
- Each keeps the contract of `vivace.hub.engine`, and comes back by itself after whatever happens.

    urls, remedies                       what HUB_URL may say; what to do where a server refuses
    upkeep, link, outbox, envelope       a connection that comes back, what waits for it, what travels
    remote, pair                         what engines are to a hub; those of two connections
    redis, redis_calls, redis_listen, redis_present, redis_scripts, resp
    postgres, postgres_calls, postgres_link, postgres_listen, postgres_rows, postgres_schema
    nats
    leases                               parts of a budget that machines lease
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Final

from vivace.errors import ConfigError
from vivace.hub.engine import Engine
from vivace.hub.engines.upkeep import Timing
from vivace.hub.engines.urls import check_ports, hide_password, parse_address, resolve_url

__all__ = ["Timing", "check_url", "make_engine", "resolve_url"]

_REDIS: Final = {"redis", "rediss", "valkey", "valkeys", "redis+unix", "valkey+unix"}

_NATS: Final = {"nats", "tls", "ws", "wss"}
_POSTGRES: Final = {"postgres", "postgresql"}
_KINDS: Final = {"redis": _REDIS, "postgres": _POSTGRES, "nats": _NATS}
_LIBRARIES: Final = {"redis": "hiredis", "postgres": "asyncpg", "nats": "nats"}


def check_url(url: str) -> None:
    """Refuse a value of HUB_URL that no engine can be made for; nothing is connected or loaded.

    Raises:
        ConfigError: See `make_engine`.
    """
    whole = resolve_url(url)
    scheme = whole.partition("://")[0].lower()
    kind = _kind_of(scheme, whole)
    if find_spec(_LIBRARIES[kind]) is None:
        raise _missing(kind, whole)
    if kind == "redis":
        parse_address(whole, quiet=True)
    check_ports(whole)


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
    kind = _kind_of(scheme, whole)
    _need(kind, whole)
    if kind == "redis":
        redis: Engine = import_module("vivace.hub.engines.redis").RedisEngine(
            parse_address(whole), prefix, name, timing
        )
        return redis
    if kind == "postgres":
        postgres: Engine = import_module("vivace.hub.engines.postgres").PostgresEngine(
            whole, prefix, name, timing
        )
        return postgres
    bus: Engine = import_module("vivace.hub.engines.nats").NatsEngine(whole, prefix, name, timing)
    return bus


def _kind_of(scheme: str, url: str) -> str:
    kind = next((kind for kind, schemes in _KINDS.items() if scheme in schemes), "")
    if kind:
        return kind
    raise ConfigError(
        f"HUB_URL {hide_password(url)}: there is no engine for {scheme}://; expected redis://, rediss://,"
        " valkey://, postgres:// or nats://",
        key="HUB_URL",
    )


def _need(kind: str, url: str) -> None:
    try:
        import_module(_LIBRARIES[kind])
    except ImportError:
        raise _missing(kind, url) from None


def _missing(kind: str, url: str) -> ConfigError:
    return ConfigError(
        f"HUB_URL {hide_password(url)} needs {_LIBRARIES[kind]}, which is not installed: pip install"
        f" 'vivace[{kind}]'",
        key="HUB_URL",
    )
