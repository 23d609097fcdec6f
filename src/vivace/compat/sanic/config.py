"""sanic.config: the configuration with the names, defaults and habits that Sanic's programs count on.

Rules of this file:

- Settings of Vivace are checked as everywhere; every other key is the program's own, in whatever case.
- Variables of the environment are read when a configuration is made, unless it is told not to.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from vivace.compat.sanic.errorpages import DEFAULT_FORMAT, check_error_format
from vivace.compat.sanic.helpers import default
from vivace.compat.sanic.log import error_logger
from vivace.config import config
from vivace.config.table import BY_NAME

__all__ = ["DEFAULT_CONFIG", "DEFAULT_FORMAT", "SANIC_PREFIX", "Config"]

SANIC_PREFIX: Final = "SANIC_"
"""What the names of environment variables begin with that set Sanic's configuration."""

_OTHER_DEFAULTS: Final[dict[str, Any]] = {
    "REQUEST_MAX_HEADER_SIZE": 8192,
    "REQUEST_MAX_SIZE": 100_000_000,
}
"""Where Sanic's default is another one, and nothing speaks against it."""

_AS_SANIC: Final[dict[str, Any]] = {"HALF_CLOSE_TIMEOUT": 0.1}
"""Settings that Sanic has not, at what comes near to what it does."""

_OWN: Final[dict[str, Any]] = {
    "AUTO_EXTEND": True,
    "DEPRECATION_FILTER": "once",
    "EVENT_AUTOREGISTER": False,
    "GRACEFUL_TCP_CLOSE_TIMEOUT": 5.0,
    "INSPECTOR": False,
    "INSPECTOR_API_KEY": "",
    "INSPECTOR_HOST": "localhost",
    "INSPECTOR_PORT": 6457,
    "INSPECTOR_TLS_CERT": default,
    "INSPECTOR_TLS_KEY": default,
    "LOCALHOST": "localhost",
    "LOG_EXTRA": default,
    "MOTD_DISPLAY": {},
    "NO_COLOR": False,
    "TLS_CERT_PASSWORD": "",
    "TOUCHUP": default,
    "USE_UVLOOP": default,
    "WEBSOCKET_MAX_SIZE": 2**20,
    "WEBSOCKET_PING_INTERVAL": 20,
    "WEBSOCKET_PING_TIMEOUT": 20,
}
"""Keys of Sanic's that are no settings of Vivace, unless its table has them by now."""

_SHARED: Final = (
    "ACCESS_LOG AUTO_RELOAD FALLBACK_ERROR_FORMAT FORWARDED_FOR_HEADER FORWARDED_SECRET"
    " GRACEFUL_SHUTDOWN_TIMEOUT KEEP_ALIVE KEEP_ALIVE_TIMEOUT LOCAL_CERT_CREATOR LOCAL_TLS_CERT LOCAL_TLS_KEY"
    " MOTD NOISY_EXCEPTIONS PROXIES_COUNT REAL_IP_HEADER REQUEST_BUFFER_SIZE REQUEST_ID_HEADER"
    " REQUEST_TIMEOUT RESPONSE_TIMEOUT"
)
_INTERNAL: Final = frozenset({"sources", "warnings"})


class _Load:
    """`load`: `update_config` of an object; on the class, what reads files and environment."""

    def __get__(self, found: "Config | None", owner: "type[Config]") -> Callable[..., Any]:
        read: Callable[..., Any] = config.Config.__dict__["load"].__get__(None, owner)
        return read if found is None else found.update_config


class Config(config.Config):
    """The settings as upper-case attributes and items.

    Args:
        defaults: Settings given by application code, on top of the defaults.
        env_prefix: Take over the variables of the environment that begin with it; None: none.
        keep_alive: KEEP_ALIVE.
        converters: For texts of variables; see `register_type`.

    Raises:
        ConfigError: A value is not what its setting takes.
    """

    def __init__(
        self,
        defaults: Mapping[str, Any] | None = None,
        env_prefix: str | None = SANIC_PREFIX,
        keep_alive: bool | None = None,
        *,
        converters: Iterable[Callable[..., Any]] | None = None,
    ) -> None:
        super().__init__(defaults, env_prefix, keep_alive, converters=converters or ())

    load = _Load()  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        found = {name: dict(value) if name == "MOTD_DISPLAY" else value for name, value in _OWN.items()}
        return {**found, **super()._defaults(), **_OTHER_DEFAULTS, **_AS_SANIC}

    def load_environment_vars(self, prefix: str = SANIC_PREFIX) -> None:
        """Take over the variables of the environment that begin with `prefix`."""
        super().load_environment_vars(prefix)

    def register_type(self, converter: Callable[..., Any]) -> None:
        """Let `converter` have a look at the texts of variables first."""
        before = len(self.warnings)
        super().register_type(converter)
        for said in self.warnings[before:]:
            error_logger.warning("%s", said)

    def copy(self) -> dict[str, Any]:
        """The settings and keys as a dictionary."""
        return dict(self)

    def _check(self, name: str, value: object) -> Any:
        if name == "FALLBACK_ERROR_FORMAT":
            check_error_format(str(value))
        return super()._check(name, value) if name.isupper() else value

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"Config has no '{name}'")

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _is_key(name) and name in self.__dict__

    def __iter__(self) -> Iterator[str]:
        return (name for name in list(self.__dict__) if _is_key(name))

    def __len__(self) -> int:
        return sum(_is_key(name) for name in self.__dict__)

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(name)
        return self.__dict__[name]

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        if name in BY_NAME:
            super().__delitem__(name)
        else:
            del self.__dict__[name]
            self.sources.pop(name, None)


def _is_key(name: str) -> bool:
    return not name.startswith("_") and name not in _INTERNAL


def _default_config() -> dict[str, Any]:
    made = Config(env_prefix=None)
    names = (*_SHARED.split(), *_OTHER_DEFAULTS, *_OWN)
    return {name: made[name] for name in sorted(names) if name in made}


DEFAULT_CONFIG: Final[dict[str, Any]] = _default_config()
"""Every setting that Sanic knows, at its default."""
