"""`vivace run`: serve an app."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from vivace.cli.from_uwsgi import is_uwsgi_file, uwsgi_reader
from vivace.cli.options import SettingsCommand, given, setting_options
from vivace.cli.procfile import is_procfile, run_procfile
from vivace.config import Config

__all__ = ["command"]


@click.command(cls=SettingsCommand, name="run")
@click.argument("target", required=False)
@click.option(
    "--mount",
    multiple=True,
    metavar="PREFIX=TARGET",
    help="Serve another app below a path, such as /old=legacy.wsgi; may be given several times.",
)
@click.option(
    "--static",
    multiple=True,
    metavar="PREFIX=FOLDER",
    help="Send files below a path without the app, such as /static=build; may be given several times.",
)
@click.option(
    "--budget",
    multiple=True,
    metavar="NAME=LIMIT",
    help="Share connections out among workers, such as postgres=20; may be given several times.",
)
@click.option("--sanic", is_flag=True, help="Let `import sanic` in the app give Vivace.")
@setting_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    target: str | None,
    mount: tuple[str, ...],
    static: tuple[str, ...],
    budget: tuple[str, ...],
    sanic: bool,
    **options: Any,
) -> None:
    """Serve TARGET, a Vivace, ASGI or WSGI app: module:app, module, file.py:app, file.py, or a factory,
    module:create_app. A Django project: project.asgi or project.wsgi. Or a Procfile whose web line says
    vivace run ...: its other processes run beside the workers. Or a file of uWSGI, such as uwsgi.ini.

    Without TARGET: app of [tool.vivace] in pyproject.toml or of vivace.toml, VIVACE_APP, else app.py, main.py
    or web.py. The environment may set PORT, WEB_CONCURRENCY and DEBUG, and VIVACE_<NAME> for every setting.
    """
    if target is not None and is_procfile(target):
        run_procfile(ctx, target)
        return
    from vivace.supervisor.launch import launch
    from vivace.supervisor.loading.job import Job
    from vivace.supervisor.loading.target import Loaded, find_target, load_app

    if sanic:
        import_module("vivace.compat.sanic").install()  # by its name: this layer knows nothing above it
    overrides = given(options)
    if mount:
        overrides["MOUNTS"] = list(mount)
    if static:
        overrides["STATIC"] = list(static)
    if budget:
        overrides["BUDGETS"] = Config.load(overrides=overrides).add_budgets(list(budget))
    uwsgi = uwsgi_reader(target) if target is not None and is_uwsgi_file(target) else None

    def start(wanted: dict[str, Any]) -> Job:
        if uwsgi is None:
            config = Config.load(overrides=wanted)
            return job(config, wanted, target or config.APP or find_target(Path()))
        named, wanted, warn = uwsgi(wanted)
        config = Config.load(overrides=wanted)
        warn(config)
        return job(config, wanted, named or config.APP or find_target(Path()))

    def job(config: Config, wanted: Mapping[str, Any], named: str) -> Job:
        def load() -> Loaded:
            from vivace.supervisor.loading.budgets import load_with_budgets  # never in the supervisor

            return load_with_budgets(lambda: load_app(named, config), config)

        return Job(load, config, wanted, again=again)

    def again(settings: Mapping[str, Any]) -> Job:
        return start({**overrides, **settings})

    ctx.exit(launch(start(overrides)))
