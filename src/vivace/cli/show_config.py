"""`vivace config`: each setting, its value, and where it came from."""

from typing import Any

import click

from vivace.cli.from_uwsgi import as_toml, is_uwsgi_file
from vivace.cli.options import SettingsCommand, given, setting_options
from vivace.cli.procfile import is_procfile
from vivace.config import Config, reference

__all__ = ["command"]


@click.command(cls=SettingsCommand, name="config")
@click.argument("target", required=False)
@click.option(
    "--reference", "as_reference", is_flag=True, help="Print the table of all settings as Markdown."
)
@click.option(
    "--from-uwsgi", type=click.Path(), metavar="FILE", help="Print a file of uWSGI as a vivace.toml instead."
)
@click.option("--changed", is_flag=True, help="Only what is not at its default.")
@setting_options
def command(
    target: str | None, as_reference: bool, from_uwsgi: str | None, changed: bool, **options: Any
) -> None:
    """Print each setting, its value and where it came from, as `vivace run` would take them here. With TARGET
    the app is imported, as `vivace run TARGET` does, and what its code sets counts too.
    """
    if as_reference:
        click.echo(reference(), nl=False)
        return
    if from_uwsgi is not None:
        click.echo(as_toml(from_uwsgi), nl=False)
        return
    config = _config_of(target, given(options))
    rows = [row for row in config.as_rows() if not changed or row[2] != "default"]
    names = max((len(name) for name, _, _ in rows), default=0)
    values = min(max((len(value) for _, value, _ in rows), default=0), 40)
    for name, value, source in rows:
        click.echo(f"{name:{names}}  {value:{values}}  {source}")
    for warning in config.warnings:
        click.echo(f"Warning: {warning}", err=True)


def _config_of(target: str | None, overrides: dict[str, object]) -> Config:
    """What `vivace run` would serve with."""
    config = Config.load(overrides=overrides)
    if target is None:
        return config
    if is_uwsgi_file(target) or is_procfile(target):
        raise click.UsageError(f"{target} is no app: `vivace config --from-uwsgi FILE` shows a file of uWSGI")
    from vivace.supervisor.loading.app_config import app_config
    from vivace.supervisor.loading.job import Job
    from vivace.supervisor.loading.target import load_app

    loaded = load_app(target, config)
    return app_config(Job(lambda: loaded, config, overrides), loaded)
