"""What is going on with an app: `app.state`, for programs that want to know.

Rules of this file:

- Everything is read from where it is kept; nothing is kept twice.
"""

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

from vivace.config import Config

if TYPE_CHECKING:
    from vivace.framework.app import Vivace

__all__ = ["AppState", "Mode", "Server", "ServerStage"]


class Mode(StrEnum):
    """Whether errors show what is behind them."""

    PRODUCTION = "production"
    DEBUG = "debug"


class ServerStage(IntEnum):
    """How far the server is."""

    STOPPED = 1
    PARTIAL = 2
    SERVING = 3


class Server(StrEnum):
    """What serves the app: this package, or another server by ASGI."""

    SANIC = "sanic"
    ASGI = "asgi"


class AppState:
    """A view of an app and its settings.

    Attributes:
        app: The app.
        is_started: Its server is starting, serves, or stops.
        is_running: Every listener of the start has run, the last ones of the stop have not.
        is_stopping: Its server is on its way down.
        fast: Kept for programs that say it.
        coffee: The same.
        verbosity: The same.
        server_info: What is known of servers that were prepared; nothing is added here.
    """

    __slots__ = (
        "app",
        "coffee",
        "fast",
        "is_running",
        "is_started",
        "is_stopping",
        "server_info",
        "verbosity",
    )

    primary = True
    ssl = None
    sock = None

    def __init__(self, app: "Vivace[Any, Any]") -> None:
        self.app = app
        self.is_started = False
        self.is_running = False
        self.is_stopping = False
        self.fast = self.coffee = False
        self.verbosity = 0
        self.server_info: list[Any] = []

    @property
    def _config(self) -> Config:
        return self.app.config  # type: ignore[no-any-return]  # of any subclass

    @property
    def mode(self) -> Mode:
        """DEBUG, as one of two words."""
        return Mode.DEBUG if self._config.DEBUG else Mode.PRODUCTION

    @mode.setter
    def mode(self, value: str) -> None:
        self._config.DEBUG = Mode(value.lower()) is Mode.DEBUG

    @property
    def stage(self) -> ServerStage:
        """Whether it is started."""
        return ServerStage.SERVING if self.is_started else ServerStage.STOPPED

    @property
    def server(self) -> Server:
        """What serves the app."""
        return Server.ASGI if self.asgi else Server.SANIC

    @property
    def asgi(self) -> bool:
        """Whether another server calls it."""
        return self.app.asgi

    @property
    def reload_dirs(self) -> set[str]:
        """What is watched besides the program; nothing is."""
        return set()

    @property
    def name(self) -> str:
        """That of the app."""
        return self.app.name

    @property
    def is_debug(self) -> bool:
        """DEBUG."""
        return self._config.DEBUG

    @property
    def host(self) -> str:
        """HOST."""
        return self._config.HOST

    @property
    def port(self) -> int:
        """PORT."""
        return self._config.PORT

    @property
    def unix(self) -> str:
        """UNIX."""
        return self._config.UNIX

    @property
    def workers(self) -> int:
        """WORKERS."""
        return self._config.WORKERS

    @property
    def auto_reload(self) -> bool:
        """AUTO_RELOAD."""
        return self._config.AUTO_RELOAD

    def enter(self, stage: str) -> None:
        """Note that the listeners of a stage are about to run."""
        if stage == "before_server_start":
            self.is_started = True
        elif stage == "after_server_stop":
            self.is_running = False

    def leave(self, stage: str) -> None:
        """Note that they have."""
        if stage == "after_server_start":
            self.is_running = True
        elif stage == "before_server_stop":
            self.is_stopping = True
        elif stage == "after_server_stop":
            self.is_started = self.is_running = self.is_stopping = False
