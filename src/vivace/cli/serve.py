"""`app.run()`: what `python web.py` does.

One worker serves in this process; several are forked from it, which shares what the app has already imported.
"""

import sys
from collections.abc import Mapping
from typing import Any

from vivace.config import Config
from vivace.errors import ConfigError, StartupError

__all__ = ["run_app"]

_SOURCE = "app.run()"


def run_app(
    app: Any,
    *,
    host: str | None = None,
    port: int | None = None,
    unix: str | None = None,
    workers: int | None = None,
    debug: bool | None = None,
    access_log: bool | None = None,
    backlog: int | None = None,
    motd: bool | None = None,
    config_overrides: Mapping[str, object] | None = None,
    **settings: Any,
) -> None:
    """Serve `app` until a signal ends it; arguments that are None leave the setting as it is.

    Args:
        app: A Vivace app.
        host: HOST, the address to listen on.
        port: PORT; 0 lets the system choose.
        unix: UNIX, the path of a Unix socket to listen on instead.
        workers: WORKERS, the number of processes.
        debug: DEBUG.
        access_log: ACCESS_LOG.
        backlog: BACKLOG.
        motd: MOTD, whether the start is announced.
        config_overrides: Any other setting by its name.
        settings: The same, as arguments in lower case.

    Raises:
        SystemExit: With 2 for a setting, 3 for an app that fails to start, 4 for an address that cannot be
            used, 1 for anything else that goes wrong. After a stop by a signal it returns.
        StartupError: It was called while `vivace run` imports the app.
    """
    named = {
        "HOST": host,
        "PORT": port,
        "UNIX": unix,
        "WORKERS": workers,
        "DEBUG": debug,
        "ACCESS_LOG": access_log,
        "BACKLOG": backlog,
        "MOTD": motd,
    }
    every = {**named, **(config_overrides or {}), **settings}
    given = {name.upper(): value for name, value in every.items() if value is not None}
    _refuse_while_loading()
    try:
        code = _run(app, given)
    except (ConfigError, StartupError) as error:
        sys.stderr.write(f"Error: {error}\n")
        raise SystemExit(error.exit_code if isinstance(error, StartupError) else 2) from None
    if code:
        raise SystemExit(code)


def _run(app: Any, given: dict[str, object]) -> int:
    from vivace.interfaces.kind import classify
    from vivace.supervisor.supervisor import launch
    from vivace.supervisor.target import Loaded, mount_all
    from vivace.supervisor.worker import Job

    config: Config = app.config
    config.override(given, _SOURCE)
    kind, why = classify(app)
    name = str(getattr(app, "name", type(app).__name__))
    loaded = Loaded(name, app, kind, why)
    return launch(Job(lambda: mount_all(loaded, config), config, given, final=True))


def _refuse_while_loading() -> None:
    from vivace.supervisor.target import is_loading

    if is_loading():
        raise StartupError(
            "app.run() was called while `vivace run` imports this file; put it under"
            ' `if __name__ == "__main__":`, or start the file with python',
            stage="run",
        )
