"""`vivace config`: each setting, its value, and where it came from."""

from typing import Any

import click

from vivace.cli.from_uwsgi import as_toml
from vivace.cli.options import SettingsCommand, given, setting_options
from vivace.config import Config, reference

__all__ = ["command"]


@click.command(cls=SettingsCommand, name="config")
@click.option(
    "--reference", "as_reference", is_flag=True, help="Print the table of all settings as Markdown."
)
@click.option(
    "--from-uwsgi", type=click.Path(), metavar="FILE", help="Print a file of uWSGI as a vivace.toml instead."
)
@click.option("--changed", is_flag=True, help="Only what is not at its default.")
@setting_options
def command(as_reference: bool, from_uwsgi: str | None, changed: bool, **options: Any) -> None:
    """Print each setting, its value and where it came from, as `vivace run` would take them here."""
    if as_reference:
        click.echo(reference(), nl=False)
        return
    if from_uwsgi is not None:
        click.echo(as_toml(from_uwsgi), nl=False)
        return
    config = Config.load(overrides=given(options))
    rows = [row for row in config.as_rows() if not changed or row[2] != "default"]
    names = max((len(name) for name, _, _ in rows), default=0)
    values = min(max((len(value) for _, value, _ in rows), default=0), 40)
    for name, value, source in rows:
        click.echo(f"{name:{names}}  {value:{values}}  {source}")
    for warning in config.warnings:
        click.echo(f"Warning: {warning}", err=True)
