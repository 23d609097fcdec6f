"""How an app is started, stopped and tested: the methods of an app that reach up to the server.

Rules of this file:

- Nothing of the server, the command line or the test clients is imported before a method asks for it; these
  are the framework's upward edges.
- `run` takes every argument that Sanic's documents name; one that has no effect here is said once, in a
  sentence.
"""

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vivace.config import SETTINGS
from vivace.framework.registry import Registry

if TYPE_CHECKING:
    from vivace.testing.pairs import SanicASGITestClient, SanicTestClient

__all__ = ["Runnable"]


class Runnable(Registry):
    """What can be run and tested; the base of an app.

    Args:
        name: Of the app.
        ctx: Anything that belongs to the program.

    Attributes:
        stopper: What `stop` calls; the server sets it.
    """

    __slots__ = ("_clients", "stopper")

    def __init__(self, name: str, ctx: Any = None) -> None:
        super().__init__(name, ctx)
        self.stopper: Callable[[], None] | None = None
        self._clients: dict[str, Any] = {}

    def run(
        self,
        host: str | None = None,
        port: int | None = None,
        debug: bool | None = None,
        *,
        unix: str | None = None,
        workers: int | None = None,
        access_log: bool | None = None,
        backlog: int | None = None,
        motd: bool | None = None,
        dev: bool = False,
        **settings: Any,
    ) -> None:
        """Serve until a signal ends it: the command line's `vivace run`, from the program itself.

        Args:
            host: HOST.
            port: PORT.
            debug: DEBUG.
            unix: UNIX: the path of a socket, instead of host and port.
            workers: WORKERS.
            access_log: ACCESS_LOG.
            backlog: BACKLOG.
            motd: MOTD.
            dev: DEBUG and AUTO_RELOAD.
            settings: Any other setting by its name in lower case.

        Raises:
            TypeError: There is no such setting.
        """
        from vivace.cli.serve import run_app

        names = {setting.name for setting in SETTINGS}
        unknown = [name for name in settings if name.upper() not in names]
        if unknown:
            raise TypeError(f"run() got an unexpected argument {unknown[0]!r}: it is no setting either")
        overrides = {name.upper(): value for name, value in settings.items()}
        if dev:
            overrides.setdefault("AUTO_RELOAD", True)
            debug = True if debug is None else debug
        run_app(
            self,
            host=host,
            port=port,
            unix=unix,
            workers=workers,
            debug=debug,
            access_log=access_log,
            backlog=backlog,
            motd=motd,
            config_overrides=overrides,
        )

    def stop(self) -> None:
        """Let the server end as after SIGTERM: no new connections, requests in flight are finished."""
        if self.stopper is not None:
            self.stopper()
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    # Tests

    @property
    def test_client(self) -> "SanicTestClient":
        """Sanic's client for tests: ``request, response = app.test_client.get("/")``.

        It serves the app on a free port for each call. New tests are better served by `vivace.testing`.
        """
        client = self._clients.get("test")
        if client is None:
            from vivace.testing.pairs import SanicTestClient

            client = self._clients["test"] = SanicTestClient(self)  # type: ignore[arg-type]
        return client

    @property
    def asgi_client(self) -> "SanicASGITestClient":
        """The same in this process: ``request, response = await app.asgi_client.get("/")``."""
        client = self._clients.get("asgi")
        if client is None:
            from vivace.testing.pairs import SanicASGITestClient

            client = self._clients["asgi"] = SanicASGITestClient(self)  # type: ignore[arg-type]
        return client
