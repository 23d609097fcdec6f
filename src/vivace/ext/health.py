"""A path that tells whether this process serves: for load balancers and for people.

``Health(app)`` declares it; the extension ``health`` does it by settings.

Rules of this file:

- It speaks of the process that answers: the others are the supervisor's, which replaces those that die.
- While the server is stopping, or a ready check of the app fails, the answer is 503, so that nothing new is
  sent here.
"""

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vivace.ext.extension import Extension
from vivace.framework.blueprint import Blueprint
from vivace.framework.response import HTTPResponse, json

if TYPE_CHECKING:
    from vivace.ext.extend import Extend
    from vivace.framework.app import Vivace
    from vivace.framework.request import Request

__all__ = ["Health", "HealthExtension"]


class Health:
    """The path of one app.

    Args:
        app: The app.
        prefix: Where it is.
        uri: Goes behind the prefix.
    """

    def __init__(self, app: "Vivace[Any, Any]", prefix: str = "/__health__", uri: str = "") -> None:
        self._app = app
        self._started = time.time()
        kind = type(app).__name__
        self._names = f"{kind}-Main", f"{kind}-Server-0-0"
        blueprint = Blueprint(f"{kind}Health", url_prefix=prefix)
        blueprint.add_route(self._answer, uri, name="info")
        app.blueprint(blueprint)
        app.register_listener(self._note_start, "before_server_start", priority=1)

    def _note_start(self, _app: Any) -> None:
        self._started = time.time()

    async def _answer(self, _request: "Request") -> HTTPResponse:
        state = self._app.state
        main, server = self._names
        own = {
            "server": True,
            "state": "STOPPING" if state.is_stopping else "ACKED" if state.is_started else "STARTED",
            "pid": os.getpid(),
            "start_at": datetime.fromtimestamp(self._started, UTC).isoformat(),
            "starts": 1,
            "serving": state.is_started and not state.is_stopping,
        }
        checks = self._app.ready_checks
        if checks:
            own["checks"] = checks.passed
        if self._app.groups_up is not None:
            own["groups"] = "up" if self._app.groups_up else "degraded"  # no reason to be sent nothing
        status = 503 if state.is_stopping or not checks.passed else 200
        return json({main: {"pid": os.getppid()}, server: own}, status=status)


class HealthExtension(Extension):
    """HEALTH and HEALTH_ENDPOINT."""

    name = "health"

    def included(self) -> bool:
        """HEALTH."""
        return bool(self.config.HEALTH)

    def startup(self, bootstrap: "Extend") -> None:
        """Declare the path if HEALTH_ENDPOINT is set."""
        del bootstrap
        if self.config.HEALTH_ENDPOINT:
            Health(self.app, self.config.HEALTH_URL_PREFIX, self.config.HEALTH_URI_TO_INFO)
