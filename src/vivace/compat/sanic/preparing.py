"""What a Sanic program sees of an app that was prepared: its state and settings, before it is served.

Rules of this file: nothing is decided here; `vivace.framework.arguments` says what the arguments do.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from vivace.framework.app import Vivace
from vivace.framework.arguments import settle
from vivace.framework.state import Server, ServerStage

if TYPE_CHECKING:
    from vivace.compat.sanic.async_server import AsyncioServer

__all__ = ["ApplicationServerInfo", "Preparing"]

_SHOWN: Final = {
    "backlog": 100,
    "host": "127.0.0.1",
    "loop": None,
    "main_start": None,
    "main_stop": None,
    "port": 8000,
    "protocol": None,
    "register_sys_signals": True,
    "signal": None,
    "sock": None,
    "ssl": None,
    "unix": None,
    "version": 1,
}
"""The settings of a server that was prepared with nothing."""


class ApplicationServerInfo:
    """One of the servers that an app was prepared for.

    Attributes:
        settings: What it was prepared with, by the names of the arguments.
        stage: How far it is.
        server: What serves, once something does.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        stage: ServerStage = ServerStage.STOPPED,
        server: Server | None = None,
    ) -> None:
        self.settings = settings
        self.stage = stage
        self.server = server


class Preparing(Vivace[Any, Any]):
    """An app that shows what it was prepared with."""

    __slots__ = ()

    def prepare(self, *args: Any, **options: Any) -> None:
        """Note the arguments of `run` for `Sanic.serve`, and show them in `state` and `config`.

        Raises:
            TypeError: There is no such argument.
            RuntimeError: Two exclude each other.
        """
        super().prepare(*args, **options)
        _, given = self._prepared[-1]
        self._show(given)

    def _show(self, given: Mapping[str, Any]) -> None:
        config, state = self.config, self.state
        if given.get("debug") is not None or given.get("dev"):
            config.DEBUG = bool(given.get("debug") or given.get("dev"))
        if (reload := given.get("auto_reload")) is not None or given.get("dev"):
            config.AUTO_RELOAD = bool(reload or given.get("dev"))
        for name in ("access_log", "host", "port", "unix", "workers", "noisy_exceptions"):
            if given.get(name) is not None:
                setattr(config, name.upper(), given[name])
        state.fast, state.coffee = bool(given.get("fast")), bool(given.get("coffee"))
        state.verbosity = int(given.get("verbosity") or 0)
        shown = {name: given[name] for name in _SHOWN if given.get(name) is not None}
        state.server_info.append(ApplicationServerInfo({**_SHOWN, **shown, "app": self}))

    @classmethod
    def _serve_prepared(
        cls,
        primary: Any = None,
        *,
        app_loader: Any = None,
        factory: Callable[[], Any] | None = None,
    ) -> None:
        cls._prepared[:] = [one for one in cls._prepared if cls._app_registry.get(one[0].name) is one[0]]
        if not cls._prepared and primary is None and not (factory or app_loader) and not cls._app_registry:
            raise RuntimeError("Did not find any applications.")
        super()._serve_prepared(primary, app_loader=app_loader, factory=factory)

    def create_server(
        self,
        host: str | None = None,
        port: int | None = None,
        return_asyncio_server: bool = True,
        asyncio_server_kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> "AsyncioServer":
        """A server for the running loop.

        Args:
            host: HOST.
            port: PORT.
            return_asyncio_server: False: ``await`` starts it.
            asyncio_server_kwargs: Of these ``start_serving`` is looked at.
            options: As for `run`.
        """
        from vivace.compat.sanic.async_server import AsyncioServer

        options.pop("register_sys_signals", None)
        tuned = dict(asyncio_server_kwargs or {})
        listening = bool(tuned.pop("start_serving", True))
        given = {"host": host, "port": port, "asyncio_server_kwargs": tuned or None, **options}
        found = settle(self, given, "create_server")
        return AsyncioServer(
            self,
            found.settings,
            found.sock,
            ssl=found.ssl,
            serving=not return_asyncio_server,
            listening=listening,
        )
