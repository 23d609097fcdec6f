"""What is going on with an app: `app.state`, for programs that want to know.

Rules of this file:

- Everything is read from where it is kept; nothing is kept twice.
"""

from typing import TYPE_CHECKING, Any

from vivace.config import Config

if TYPE_CHECKING:
    from vivace.framework.app import Vivace

__all__ = ["AppState"]


class AppState:
    """A view of an app and its settings.

    Attributes:
        app: The app.
        is_started: Its server accepts connections.
        is_stopping: Its server is on its way down.
    """

    __slots__ = ("app", "is_started", "is_stopping")

    def __init__(self, app: "Vivace[Any, Any]") -> None:
        self.app = app
        self.is_started = False
        self.is_stopping = False

    @property
    def _config(self) -> Config:
        return self.app.config  # type: ignore[no-any-return]  # of any subclass

    @property
    def is_running(self) -> bool:
        """Whether it is started and does not stop yet."""
        return self.is_started and not self.is_stopping

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
        """Note a stage of the server's life."""
        if stage in ("after_server_start", "before_server_stop"):
            self.is_started, self.is_stopping = True, stage == "before_server_stop"
        elif stage == "after_server_stop":
            self.is_started = self.is_stopping = False
