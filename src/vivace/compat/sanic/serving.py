"""What Sanic's programs ask an app about how it is served, and what its own server calls.

Rules of this file: nothing is done that the server of Vivace does by itself; what is asked is answered.
"""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from vivace.compat.sanic.constants import VERSION
from vivace.compat.sanic.multiplexer import WorkerMultiplexer
from vivace.framework.app import Vivace

__all__ = ["REPLContext", "Serving"]

_PACKAGES: Final = ("sanic-routing", "sanic-testing", "sanic-ext")


class REPLContext:
    """What a program puts at hand for an interactive session; Vivace has none, so it is only kept."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Any, str | None]] = {}

    def add(self, context_object: Any, *, name: str | None = None, desc: str | None = None) -> None:
        """Keep an object under a name.

        Args:
            context_object: The object.
            name: Default: its ``__name__``.
            desc: Default: its docstring.

        Raises:
            ValueError: It has no name, or the name is taken.
        """
        found = name or getattr(context_object, "__name__", "")
        if not found:
            raise ValueError("Cannot determine name for context object. Please provide a name.")
        if found in self._kept:
            raise ValueError(f"Variable '{found}' already exists")
        self._kept[found] = (context_object, desc or getattr(context_object, "__doc__", None))

    def __iter__(self) -> Any:
        return iter((name, *value) for name, value in self._kept.items())


class Serving(Vivace[Any, Any]):
    """An app that can be asked how it is served."""

    __slots__ = ()

    @classmethod
    def serve_single(cls, primary: "Vivace[Any, Any] | None" = None) -> None:
        """`serve` in one process, whatever the app was prepared with.

        Args:
            primary: The app, if none was prepared.

        Raises:
            ConfigError: None was prepared, or several.
        """
        for _, given in cls._prepared:
            for name in ("workers", "fast", "auto_reload", "dev"):
                given.pop(name, None)
            given["single_process"] = True
        cls._serve_prepared(primary)

    @staticmethod
    def get_address(
        host: str | None, port: int | None, version: object = None, auto_tls: bool = False
    ) -> tuple[str, int]:
        """Where a server listens that was told no more than this."""
        secure = auto_tls or getattr(version, "value", version) == 3
        return host or "127.0.0.1", port or (8443 if secure else 8000)

    @staticmethod
    def get_server_location(server_settings: Mapping[str, Any] | None = None) -> str:
        """The URL that a server of these settings answers under; empty without settings."""
        if not server_settings:
            return ""
        host, port = server_settings["host"], server_settings.get("port")
        scheme = "https" if server_settings.get("ssl") is not None else "http"
        if server_settings.get("unix"):
            return f"{server_settings['unix']} {scheme}://..."
        shown = f"[{host}]" if ":" in host else {"0.0.0.0": "localhost"}.get(host, host)  # noqa: S104  # shown only
        return f"{scheme}://{shown}:{port}" if port else f"{scheme}://{shown}"

    @property
    def serve_location(self) -> str:
        """The URL that this app answers under."""
        if not self.state.is_started:
            return "http://<unknown>"
        return self.get_server_location({"host": self.state.host, "port": self.state.port})

    def get_motd_data(
        self, server_settings: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What Sanic prints at the start: facts, and what MOTD_DISPLAY adds."""
        workers = int((server_settings or {}).get("workers", self.state.workers))
        how = "single worker" if workers <= 1 else f"w/ {workers} workers"
        found = {
            "app": self.name,
            "mode": f"{'debug' if self.state.is_debug else 'production'}, {how}",
            "server": "sanic, HTTP/1.1" if server_settings else "unknown",
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": ", ".join(_installed()) or f"sanic=={VERSION}",
        }
        return found, dict(self.config.get("MOTD_DISPLAY") or {})

    def motd(self, server_settings: Mapping[str, Any] | None = None) -> None:
        """Print what Sanic prints at the start."""
        for name, value in self.get_motd_data(server_settings)[0].items():
            self.logger.info("%s: %s", name, value)

    @property
    def _test_manager(self) -> Any:
        """The `TestManager` of the app; None without one."""
        return self._clients.get("manager")

    @property
    def reload_dirs(self) -> Any:
        """The folders that are watched beside that of the program."""
        return self.state.reload_dirs

    @property
    def multiplexer(self) -> WorkerMultiplexer:
        """How a worker commands the server.

        Raises:
            AttributeError: This process is no worker of a supervisor.
        """
        if self.restarter is None:
            raise AttributeError("multiplexer")
        made: WorkerMultiplexer = self._clients.setdefault("multiplexer", WorkerMultiplexer(self))
        return made

    m = multiplexer

    def ack(self) -> None:
        """Nothing: the supervisor knows when a worker serves."""

    def set_serving(self, serving: bool) -> None:
        """Nothing: the server says it by itself."""

    def enable_websocket(self, enable: bool = True) -> None:
        """Nothing: WebSockets need not be enabled."""

    def refresh(self, passthru: Mapping[str, Any] | None = None) -> "Vivace[Any, Any]":
        """The app of this name, as it is now.

        Args:
            passthru: Attributes to set on it.
        """
        registered = type(self).get_app(self.name)
        for name, value in (passthru or {}).items():
            setattr(registered, name, value)
        return registered

    def make_coffee(self, *args: Any, **options: Any) -> Any:
        """`run`, with a coffee."""
        self.logger.info("The coffee is ready")
        return self.run(*args, **options)


def _installed() -> list[str]:
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            continue
    return found
