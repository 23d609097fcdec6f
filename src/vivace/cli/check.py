"""`vivace check`: which Python, which build, and whether this machine is fit to serve.

Rules of this file: it changes nothing; what stops a start makes the exit code 1 (2 and 3 as `vivace run`),
what only costs speed is a note.
"""

import importlib
import importlib.machinery
import os
import platform
import resource
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import click

import vivace as package
from vivace._build import PURE, compiled_modules
from vivace.cli.check_beside import missing_programs, names_beside, unusable_places
from vivace.cli.from_uwsgi import is_uwsgi_file, uwsgi_reader
from vivace.config import Config, available_cpus
from vivace.config.alarms import doubts, parse_alarms
from vivace.errors import ConfigError

__all__ = ["command"]

_FEW_FILES: Final = 4096
_PACKAGES: Final = ("uvloop", "msgspec", "click", "multipart")


@click.command(name="check")
@click.argument("target", required=False)
@click.pass_context
def command(ctx: click.Context, target: str | None) -> None:
    """Say which Python and which build run here, and check the configuration, and TARGET if one is named.

    TARGET is an app, or a file of uWSGI, as `vivace run` takes it.
    """
    problems: list[str] = []
    notes: list[str] = []
    target, config = _read(target)
    _show_python()
    _show_build(problems, notes)
    _show_packages(problems)
    _show_limits(notes)
    _show_config(config)
    app = _show_app(target, config) if target else None
    _show_beside(app, config, problems)
    _show_budgets(config, problems)
    _look_at_hub(config, problems)
    notes += config.warnings
    notes += [doubt for rule in parse_alarms(config.ALARM) for doubt in doubts(rule.on)]
    for note in notes:
        click.echo(f"note: {note}")
    for problem in problems:
        click.echo(f"problem: {problem}", err=True)
    ctx.exit(1 if problems else 0)


def _read(target: str | None) -> tuple[str, Config]:
    """The app that is meant, or an empty text, and the settings."""
    if target is None or not is_uwsgi_file(target):
        config = Config.load()
        return target or config.APP, config
    named, given, warn = uwsgi_reader(target)({})
    config = Config.load(overrides=given)
    warn(config)
    return named or config.APP, config


def _line(name: str, value: object) -> None:
    click.echo(f"{name:10} {value}")


def _show_python() -> None:
    _line("vivace", f"{package.__version__} in {Path(package.__file__).parent}")
    _line("python", f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}")
    _line("platform", platform.platform())


def _show_build(problems: list[str], notes: list[str]) -> None:
    for name in [] if PURE else _extensions():
        try:
            importlib.import_module(name)
        except ImportError as error:
            problems.append(f"the compiled module {name} does not load: {error}")
    loaded = compiled_modules()
    if PURE:
        _line("build", "pure Python, forced by VIVACE_PURE=1")
    elif loaded:
        _line("build", f"compiled: {', '.join(loaded)}")
    else:
        _line("build", "pure Python")
        notes.append(
            "nothing is compiled: install a C compiler and reinstall, requests cost about twice as much so"
        )


def _extensions() -> list[str]:
    """The names of the compiled modules that lie in the package and fit this Python."""
    root = Path(package.__file__).parent
    names = set()
    for path in root.rglob("*"):
        name, dot, ending = path.name.partition(".")
        if dot + ending in importlib.machinery.EXTENSION_SUFFIXES:
            names.add(".".join([*path.parent.relative_to(root.parent).parts, name]))
    return sorted(names)


def _show_packages(problems: list[str]) -> None:
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            if name == "uvloop":
                found.append("no uvloop (asyncio's own loop is used)")
            else:
                problems.append(f"{name} is not installed: pip install {name}")
    _line("packages", ", ".join(found))


def _show_limits(notes: list[str]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    _line("files", f"{_limit(soft)} open files (may be raised to {_limit(hard)})")
    if soft != resource.RLIM_INFINITY and soft < _FEW_FILES:
        notes.append(f"{soft} open files bound the connections of a worker: raise the limit (ulimit -n)")
    _line("processors", f"{available_cpus()} of {os.cpu_count() or 1} available")


def _limit(number: int) -> str:
    return "unlimited" if number == resource.RLIM_INFINITY else str(number)


def _show_config(config: Config) -> None:
    changed = [f"{name}={value}" for name, value, source in config.as_rows() if source != "default"]
    _line("settings", ", ".join(changed) or "all at their defaults")


def _show_budgets(config: Config, problems: list[str]) -> None:
    """The connections that each worker may open; `vivace budget explain` asks the database too."""
    from vivace.config.budget import describe, refusal
    from vivace.framework.budget import all_budgets

    for budget in all_budgets(config):
        if budget.has_limit:
            _line("budget", describe(budget.plan).removeprefix("Budget "))
            problem = refusal(budget.plan)
            problems.extend([problem] if problem else [])


def _look_at_hub(config: Config, problems: list[str]) -> None:
    """Whether the hub can be as its settings say; nothing is connected."""
    from vivace.hub.checks import check_settings

    try:
        config.warnings.extend(check_settings(config))
    except ConfigError as error:
        problems.append(str(error))


def _show_beside(app: Any, config: Config, problems: list[str]) -> None:
    if names := names_beside(app, config):
        _line("beside", ", ".join(names))
    problems.extend(missing_programs(config))
    problems.extend(unusable_places(config))


def _show_app(target: str, config: Config) -> Any:
    from vivace.interfaces.mounts import describe_mounts
    from vivace.supervisor.loading.target import load_app

    loaded = load_app(target, config)
    mounts = loaded.mounts
    if loaded.kind == "native":
        from vivace.interfaces.native import finalize_app

        finalize_app(loaded.app)
        mounts = loaded.app.mounts
    _line("app", f"{loaded.target} ({loaded.kind}: {loaded.why})")
    for mount in describe_mounts(mounts):
        _line("mounted", mount)
    return loaded.app
