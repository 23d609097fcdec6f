"""What a budget gives to each driver's pool, which numbers count, and what it refuses."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from vivace import Vivace
from vivace.config import Config
from vivace.errors import ConfigError, DeclarationError, StartupError
from vivace.framework.budget import Budget, all_budgets, bound_by_budgets, fit_threads, forget
from vivace.testing import Client


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("VIVACE_SLOT", "VIVACE_WORKERS", "VIVACE_OVERLAP", "BUDGET_PG", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    forget()
    yield
    forget()


def budget(said: str = "", **values: Any) -> Budget:
    config = Config(BUDGETS=said) if said else Config()
    config.WORKERS = values.pop("workers", 2)
    return Vivace("budgets", config).budget("pg", **{"limit": 20, **values})


def test_two_workers_of_a_plan_of_twenty_get_six_each(monkeypatch: pytest.MonkeyPatch) -> None:
    pg = budget()
    assert (pg.slot, pg.share, pg.machine, pg.plan.slots) == (None, 6, 18, 3)
    monkeypatch.setenv("VIVACE_SLOT", "2")
    assert (pg.slot, pg.share) == (2, 6)


def test_a_process_that_does_not_know_its_slot_takes_the_least(monkeypatch: pytest.MonkeyPatch) -> None:
    pg = budget(workers=3)
    assert pg.share == 4
    for slot, share in enumerate([5, 5, 4, 4]):
        monkeypatch.setenv("VIVACE_SLOT", str(slot))
        assert pg.share == share


def test_there_is_nothing_for_a_slot_beyond_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    pg = budget()
    monkeypatch.setenv("VIVACE_SLOT", "3")
    with pytest.raises(ConfigError, match="slot 3 is none of the 3 slots of budget pg"):
        pg.asyncpg()


def test_the_supervisor_knows_the_number_of_workers_better(monkeypatch: pytest.MonkeyPatch) -> None:
    pg = budget()
    monkeypatch.setenv("VIVACE_WORKERS", "5")
    assert pg.share == 3
    monkeypatch.setenv("VIVACE_WORKERS", "1")  # before the slot is known: the larger number is the safe one
    assert pg.share == 6
    monkeypatch.setenv("VIVACE_SLOT", "0")
    assert pg.share == 9
    monkeypatch.setenv("VIVACE_OVERLAP", "0")
    assert pg.share == 18


def test_a_background_process_gets_what_is_said_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pg = budget(background={"jobs": 3})
    assert pg.share == 5
    monkeypatch.setenv("VIVACE_SLOT", "jobs")
    assert (pg.share, pg.slot) == (3, None)
    monkeypatch.setenv("VIVACE_SLOT", "mail")
    with pytest.raises(ConfigError, match="nothing for VIVACE_SLOT='mail'; background processes are: jobs"):
        pg.share  # noqa: B018


def test_what_is_said_outside_beats_the_program_number_by_number() -> None:
    pg = budget("pg=40", reserve=4)
    assert (pg.plan.limit, pg.plan.reserve) == (40, 4)


def test_machines_are_counted_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    pg = budget(instances="WEB_INSTANCES")
    monkeypatch.delenv("WEB_INSTANCES", raising=False)
    assert pg.machine == 18
    monkeypatch.setenv("WEB_INSTANCES", " 2 ")
    assert pg.machine == 9
    monkeypatch.setenv("WEB_INSTANCES", "two")
    with pytest.raises(ConfigError, match="WEB_INSTANCES='two' is no number of machines"):
        pg.machine  # noqa: B018


def test_arguments_for_each_driver() -> None:
    pg = budget()
    assert pg.asyncpg() == {"min_size": 1, "max_size": 6, "max_inactive_connection_lifetime": 60.0}
    assert pg.psycopg() == pg.django() == {"min_size": 1, "max_size": 6, "max_idle": 60.0}
    assert pg.sqlalchemy() == {"pool_size": 6, "max_overflow": 0}
    assert pg.redis() == {"max_connections": 6, "timeout": 20}


def test_arguments_may_be_less_than_the_share() -> None:
    pg = budget()
    assert pg.asyncpg(max_size=2, timeout=3)["max_size"] == 2
    assert pg.psycopg(max_size=None)["max_size"] == 1
    assert pg.sqlalchemy(max_overflow=2) == {"pool_size": 4, "max_overflow": 2}
    assert pg.redis(max_connections=3)["max_connections"] == 3


@pytest.mark.parametrize(
    ("driver", "more"),
    [
        ("asyncpg", {"max_size": 7}),
        ("asyncpg", {"min_size": 10}),
        ("psycopg", {"max_size": 7}),
        ("psycopg", {"max_size": None, "min_size": 7}),
        ("django", {"max_size": 10}),
        ("sqlalchemy", {"pool_size": 6, "max_overflow": 1}),
        ("redis", {"max_connections": 7}),
    ],
)
def test_arguments_above_the_share_are_refused(driver: str, more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"budget pg: .* is more than the 6 connections of this process"):
        getattr(budget(), driver)(**more)


@pytest.mark.parametrize("more", [{"pool_size": 0}, {"max_overflow": -1, "pool_size": 3}])
def test_arguments_that_mean_no_bound_are_refused(more: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="is no bound"):
        budget().sqlalchemy(**more)


def test_a_pool_made_before_the_workers_were_counted_is_refused_later() -> None:
    config = Config()
    pg = Vivace("budgets", config).budget("pg", limit=20)
    assert pg.sqlalchemy()["pool_size"] == 9
    pg.verify()
    config.WORKERS = 2
    with pytest.raises(ConfigError, match=r"pool of 9 .* 2 workers, of which this one has 6: .*WEB_CONCURR"):
        pg.verify()


def test_two_pools_of_a_worker_divide_its_share() -> None:
    pg = budget(aliases=2)
    assert (pg.share, pg.pool, pg.django()["max_size"]) == (6, 3, 3)
    with pytest.raises(ConfigError, match="more than the 3 connections of each of 2 pools"):
        pg.asyncpg(max_size=4)


def test_a_sum_that_cannot_work_is_refused_with_the_table() -> None:
    with pytest.raises(ConfigError, match=r"(?s)not every worker gets.*1\. fewer workers: --workers 17 "):
        budget(workers=18).asyncpg()


@pytest.mark.parametrize("probe", [False, True])
async def test_it_is_refused_at_the_start_too(probe: bool) -> None:
    app = Vivace("budgets", Config(WORKERS=18))
    app.budget("pg", limit=20, probe=probe)
    with pytest.raises(StartupError, match=r"(?s)before_server_start: budget pg: not every worker .*3\. "):
        async with Client(app):
            pass


def test_a_limit_has_to_come_from_somewhere() -> None:
    pg = budget(limit=None)
    with pytest.raises(ConfigError, match="give limit=, BUDGET_PG=20 or --budget pg=20"):
        pg.share  # noqa: B018


@pytest.mark.parametrize("values", [{"limit": 0}, {"limit": "x"}, {"background": {"a b": 1}}, {"surge": -1}])
def test_numbers_that_cannot_be_are_refused_where_they_stand(values: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError, match="budget 'pg'"):
        budget(**values)
    with pytest.raises(DeclarationError, match="no name of a budget"):
        Vivace("budgets").budget("1", limit=20)


def test_the_hub_counts_where_its_engine_is_the_resource() -> None:
    config = Config(BUDGETS="redis=30 pg=20", HUB_URL="redis://:secret@cache:6379/1", WORKERS=2)
    app = Vivace("budgets", config)
    assert app.budget("redis", url="redis://cache:6379/0").plan.background == (("hub", 2),)
    assert app.budget("redis", url="redis://cache:6379", background={"hub": 3}).plan.background == (
        ("hub", 3),
    )
    assert app.budget("redis", url="redis://cache:6379", background={"jobs": 3}).machine == 27
    assert app.budget("redis", url="redis://cache:6379", background={"jobs": 3}).plan.rest == 22
    assert app.budget("redis", url="redis://other:6379").plan.background == ()
    assert app.budget("pg", url="postgres://cache:6379").plan.background == ()


def test_a_worker_above_its_share_is_replaced_where_that_is_wanted() -> None:
    assert not budget().recycle
    assert budget(enforce="recycle").recycle
    with pytest.raises(DeclarationError, match="enforce='kill' is none of warn, recycle"):
        budget(enforce="kill")


def test_the_url_comes_from_where_the_platform_puts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://one")
    monkeypatch.setenv("MAIN_URL", "postgres://two")
    assert budget().url is None
    assert budget("pg=20,url=MAIN_URL").url == "postgres://two"
    assert Vivace("budgets").budget("postgres", limit=20).url == "postgres://one"
    assert Vivace("budgets").budget("postgres", limit=20, url="postgres://x").url == "postgres://x"


def test_every_budget_of_the_process_is_known() -> None:
    pg = budget()
    found = all_budgets(Config(BUDGETS="pg=5 redis=30"))
    assert found[0] is pg
    assert [b.name for b in found] == ["pg", "redis"]
    assert found[1].plan.limit == 30


def test_threads_without_a_pool_are_no_more_than_connections() -> None:
    pg = budget(limit=8)
    assert pg.share == 2
    assert fit_threads(2, [pg], explicit=True) == (2, "")
    assert fit_threads(0, [pg], explicit=True) == (0, "")
    threads, text = fit_threads(4, [pg], explicit=False)
    assert threads == 2
    assert text.startswith("THREADS is 2 instead of 4: a worker has 2 connections of budget pg")
    with pytest.raises(ConfigError, match=r"THREADS is 4, but .* use --threads 2, or a pool that lets"):
        fit_threads(4, [pg], explicit=True)
    pg.django()
    assert fit_threads(4, [pg], explicit=True) == (4, "")
    assert fit_threads(4, [budget(limit=8, waits=True)], explicit=True) == (4, "")
    assert fit_threads(4, [budget("pg=waits=1", limit=8)], explicit=True) == (4, "")


def test_threads_of_a_configuration_are_lowered() -> None:
    config = Config(BUDGETS="pg=8", WORKERS=2)
    assert bound_by_budgets(config, explicit=False)
    assert config.THREADS == 2
    assert not bound_by_budgets(config, explicit=False)


async def test_a_gate_lets_the_share_pass() -> None:
    pg = budget(limit=8)
    async with pg.lease(), pg.lease():
        with pytest.raises(TimeoutError):
            async with pg.lease(0.01):
                raise AssertionError("passed")
    await asyncio.sleep(0)
    with pg.lease(0):
        assert pg.waits
