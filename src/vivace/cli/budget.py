"""`vivace budget explain`: who may open how many connections, and whether the database agrees.

Rules of this file: it starts nothing; a budget that cannot work, or that the database does not grant, makes
the exit code 2, as for `vivace run`.
"""

import asyncio
from typing import Any

import click

from vivace.cli.options import SettingsCommand, given, setting_options
from vivace.config import Config
from vivace.config.budget import table
from vivace.errors import ConfigError
from vivace.framework.budget import Budget, all_budgets
from vivace.framework.probe import ask, can_ask, excess, problem_with
from vivace.supervisor.loading.budgets import place_process

__all__ = ["command", "show_budget"]


@click.group(name="budget")
def command() -> None:
    """Connections that workers share."""


@command.command(cls=SettingsCommand, name="explain")
@click.argument("target", required=False)
@click.option("--budget", multiple=True, metavar="NAME=LIMIT", help="As for `vivace run`.")
@click.option("--probe/--no-probe", default=True, help="Ask the database what it allows [yes].")
@setting_options
def explain(target: str | None, budget: tuple[str, ...], probe: bool, **options: Any) -> None:
    """Print the arithmetic of each budget, of those of TARGET too, and what the database allows."""
    config = Config.load(overrides=given(options))
    if budget:
        config.add_budgets(list(budget))
    place_process(config, None)
    if target or config.APP:
        from vivace.supervisor.loading.target import load_app

        load_app(target or config.APP, config)
    found = all_budgets(config)
    if not found:
        click.echo("There is no budget; say one: --budget postgres=20, BUDGET_POSTGRES=20 or app.budget(...)")
    for number, one in enumerate(found):
        if number:
            click.echo()
        for line in show_budget(one, probe=probe):
            click.echo(line)


def show_budget(budget: Budget, *, probe: bool) -> list[str]:
    """The lines about one budget.

    Args:
        budget: With a limit.
        probe: Ask the database.

    Raises:
        ConfigError: It cannot work, or the database does not grant it.
    """
    budget.share_of(None)
    lines = table(budget.plan)
    if probe and budget.url is not None and can_ask(budget.url):
        lines += _show_answer(budget, budget.url)
    return lines


def _show_answer(budget: Budget, url: str) -> list[str]:
    try:
        found = asyncio.run(ask(url))
    except OSError as error:
        return [f"the database cannot be asked what it allows: {error}"]
    problem = problem_with(budget.plan, found)
    if problem:
        raise ConfigError(problem, key="BUDGETS")
    most, whose = found.limit
    lines = [f"{whose} allows {most}, {found.used} of them in use by {found.role}"]
    return [*lines, *filter(None, [excess(budget.plan, found)])]
