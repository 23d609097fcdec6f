"""`app.run()`: what `python web.py` does.

One worker serves in this process; several are forked from it, which shares what the app has already imported.
At a restart the program is run again: it then finds itself summoned, and makes workers instead of a server.
"""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vivace.config import Config
from vivace.errors import ConfigError, StartupError
from vivace.framework.arguments import RunArguments, settle

if TYPE_CHECKING:
    from vivace.supervisor.loading.job import Job

__all__ = ["run_app"]

_SOURCE = "app.run()"


def run_app(app: Any, given: Mapping[str, Any]) -> None:
    """Serve `app` until a signal ends it; arguments that are None leave the setting as it is.

    Args:
        app: A Vivace app.
        given: The arguments of `app.run` by name.

    Raises:
        TypeError: There is no such argument.
        SystemExit: With 2 for a setting, 3 for an app that fails to start, 4 for an address that cannot be
            used, 1 for anything else that goes wrong. After a stop by a signal it returns.
        StartupError: It was called while `vivace run` imports the app.
    """
    _refuse_while_loading()
    try:
        code = _run(app, settle(app, given))
    except (ConfigError, StartupError) as error:
        sys.stderr.write(f"Error: {error}\n")
        raise SystemExit(error.exit_code if isinstance(error, StartupError) else 2) from error
    if code:
        raise SystemExit(code)


def _run(app: Any, given: RunArguments) -> int:
    from vivace.supervisor.generations.generation import summons
    from vivace.supervisor.launch import launch, serve_as_template

    called = summons()
    settings = {**given.settings, **(called.settings if called is not None else {})}
    app.config.override(settings, _SOURCE)
    job = _make_job(app, given, settings)
    if called is None:
        return launch(job)
    return serve_as_template(job, called)


def _make_job(app: Any, given: RunArguments, settings: Mapping[str, object]) -> "Job":
    from vivace.interfaces.kind import classify
    from vivace.supervisor.loading.budgets import load_with_budgets
    from vivace.supervisor.loading.job import Job
    from vivace.supervisor.loading.target import Loaded, mount_all

    config: Config = app.config
    kind, why = classify(app)
    name = str(getattr(app, "name", type(app).__name__))
    loaded = Loaded(name, app, kind, why)
    return Job(
        lambda: load_with_budgets(lambda: mount_all(loaded, config), config),
        config,
        settings,
        final=True,
        sock=given.sock,
        signals=given.signals,
        main=not given.single,
        ssl=given.ssl,
    )


def _refuse_while_loading() -> None:
    from vivace.supervisor.loading.target import is_loading

    if is_loading():
        raise StartupError(
            "app.run() was called while `vivace run` imports this file; put it under"
            ' `if __name__ == "__main__":`, or start the file with python',
            stage="run",
        )
