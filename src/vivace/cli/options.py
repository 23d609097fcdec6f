"""The options of the command line, made from the declarations of the settings.

Rules of this file: an option hands on text; whether it is a good value is decided in one place, the setting.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from vivace.config import SETTINGS, Setting

__all__ = ["SettingsCommand", "given", "setting_options"]

_F = TypeVar("_F", bound=Callable[..., Any])

_ELSEWHERE: Final = {
    "--certfile": "--cert",
    "--graceful-timeout": "--graceful-shutdown-timeout",
    "--keyfile": "--key",
    "--limit-concurrency": "--max-concurrent-requests",
    "--limit-max-requests": "--max-requests",
    "--reload": "--auto-reload",
    "--reload-dir": "--reload-dirs",
    "--ssl-certfile": "--cert",
    "--ssl-keyfile": "--key",
    "--timeout-graceful-shutdown": "--graceful-shutdown-timeout",
    "--timeout-keep-alive": "--keep-alive-timeout",
    "--timeout-worker-healthcheck": "--loop-timeout",
    "--umask": "--uds-mode",
    "--unix": "--uds",
    "--ws-max-size": "--websocket-max-size",
}
"""What other servers call options that we have: letters that are alike would suggest something else."""


class _SettingOption(click.Option):
    """An option that knows under which heading it is shown."""

    group = ""


class SettingsCommand(click.Command):
    """A command whose help shows the options of settings under the headings of the settings."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; an option of another server leads to ours."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            ours = _ELSEWHERE.get(error.option_name)
            if ours is None:
                raise
            raise click.NoSuchOption(error.option_name, possibilities=[ours], ctx=ctx) from error

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The sections of the help."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                sections.setdefault(getattr(parameter, "group", "Options"), []).append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def setting_options(function: _F) -> _F:
    """Give a command one option per setting."""
    parameters = [_make_option(setting) for setting in SETTINGS if setting.option]
    function.__dict__.setdefault("__click_params__", []).extend(reversed(parameters))
    return function


def given(arguments: dict[str, Any]) -> dict[str, object]:
    """Of a command's arguments, the settings that were given, by their names."""
    names = {setting.name for setting in SETTINGS}
    return {k.upper(): v for k, v in arguments.items() if v not in (None, ()) and k.upper() in names}


def _make_option(setting: Setting) -> click.Option:
    flag = setting.option
    if setting.kind == "bool":
        flag = f"{flag}/--no-{flag.removeprefix('--')}"
    option = _SettingOption(
        [flag, setting.name.lower()],
        default=None,
        multiple=setting.kind in ("binds", "networks", "paths", "places"),
        type=click.BOOL if setting.kind == "bool" else click.STRING,
        metavar=None if setting.kind == "bool" else _metavar(setting),
        help=f"{setting.help}{_default_note(setting)}",
    )
    option.group = setting.group
    return option


def _metavar(setting: Setting) -> str:
    if setting.choices:
        return "|".join(setting.choices)
    return {
        "int": "N",
        "float": "SECONDS",
        "workers": "N|auto",
        "mode": "OCTAL",
        "binds": "ADDRESS",
        "networks": "NETWORK",
    }.get(setting.kind, "TEXT")


def _default_note(setting: Setting) -> str:
    shown = setting.show(setting.default)
    return f" [{shown}{' ' + setting.unit if setting.unit else ''}]" if shown else ""
