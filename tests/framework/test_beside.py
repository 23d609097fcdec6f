"""What an app declares of processes beside its workers."""

import os

import pytest

from vivace import ConfigError, Vivace
from vivace.errors import DeclarationError
from vivace.framework.beside import Companion, Context, all_companions
from vivace.framework.budget import forget
from vivace.supervisor.loading.budgets import place_background


async def idle(context: Context) -> None:
    """Run until it is asked to stop."""
    await context.stopping.wait()


def test_a_companion_is_declared_and_found_with_the_app_that_has_it() -> None:
    app, below = Vivace("above"), Vivace("below")
    app.mount("/below", below)
    app.companions.append(Companion("mail", idle))
    below.companions.append(Companion("search", idle, instances=2))
    assert [(p.app.name, p.companion.name) for p in all_companions(app)] == [
        ("above", "mail"),
        ("below", "search"),
    ]


def test_an_app_of_another_kind_has_none() -> None:
    assert list(all_companions(lambda environ, start: [])) == []


def test_two_of_one_name_are_refused_and_both_apps_named() -> None:
    app, below = Vivace("upper"), Vivace("lower")
    app.mount("/below", below)
    for one in (app, below):
        one.companions.append(Companion("mail", idle))
    with pytest.raises(DeclarationError, match=r"'mail', of upper and of lower"):
        list(all_companions(app))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": ""}, "names no process"),
        ({"name": "a b"}, "names no process"),
        ({"restart": "often"}, "expected one of always, on-failure, never"),
        ({"instances": -1}, "expected 0 or more"),
        ({"grace": -0.1}, "expected seconds, or None"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        Companion(**{"name": "mail", "main": idle, **given})  # type: ignore[arg-type]


def test_the_number_of_processes_may_come_from_the_configuration() -> None:
    app = Vivace("counted")
    app.config.WORKERS = 3
    assert Companion("a", idle, instances=lambda config: config.WORKERS * 2).count(app.config) == 6
    assert Companion("a", idle, instances=lambda config: -1).count(app.config) == 0
    assert Companion("a", idle, instances=0).count(app.config) == 0


async def test_a_context_says_once_that_it_is_ready_and_hears_that_it_shall_stop() -> None:
    said: list[str] = []
    app = Vivace("told")
    context = Context(app, app.config, "mail", 1, lambda: said.append("ready"))
    context.ready()
    context.ready()
    assert said == ["ready"]
    assert not context.wait(0)
    context.stop()
    await context.stopping.wait()
    assert context.wait()


def test_what_sanics_manager_is_given_becomes_a_companion() -> None:
    app = Vivace("managed")
    got: list[int] = []

    def take(value: int) -> None:
        got.append(value)

    app.manager.manage("counter", got.append, {}, transient=True)
    app.manager.manage("once", take, {"value": 7}, workers=2)
    app.manager.manage("later", print, auto_start=False)
    app.manager.manage("later", print, auto_start=False)
    counter, once, later = app.companions
    assert (counter.restart, counter.keeps, counter.kind) == ("on-failure", False, "process")
    assert (once.restart, once.keeps, once.instances) == ("never", True, 2)
    assert later.instances == 0
    context = Context(app, app.config, "once")
    once.main(context)
    assert got == [7]
    with pytest.raises(SystemExit):
        context.stop()
    with pytest.raises(DeclarationError, match="already"):
        app.manager.manage("once", print, {})


def test_processes_of_one_name_share_the_background_part_of_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Vivace("sharing")
    budget = app.budget("companions", limit=20, background={"jobs": 4})
    assert budget.share_of("jobs") == 4
    assert budget.share_of("jobs/2") == 2
    assert budget.share_of("jobs/4") == 1
    with pytest.raises(ConfigError, match="4 connections for jobs, which are 5 processes"):
        budget.share_of("jobs/5")
    monkeypatch.setenv("VIVACE_SLOT", "before")
    place_background(app.config, ("mail", "jobs"), 2)
    assert (os.environ["VIVACE_SLOT"], budget.share) == ("jobs/2", 2)
    place_background(app.config, ("mail", "service"), 1)
    assert os.environ["VIVACE_SLOT"] == "mail"
    with pytest.raises(ConfigError, match="nothing for VIVACE_SLOT='mail'"):
        assert budget.share
    forget()
