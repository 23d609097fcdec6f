"""A limit is shared out so that the sum never exceeds it, and a sum that cannot work says what would."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivace.config import Config
from vivace.config.budget import (
    WAYS_OUT,
    Declaration,
    Plan,
    describe,
    merge_budgets,
    name_budget,
    parse_budgets,
    read_variables,
    refusal,
    show_budgets,
    table,
)
from vivace.errors import ConfigError

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
COUNTS = st.integers(0, 40)
PLANS = st.builds(
    Plan,
    name=NAMES,
    limit=st.integers(1, 2000),
    reserve=st.integers(0, 200),
    background=st.lists(st.tuples(NAMES, COUNTS), max_size=3).map(tuple),
    instances=st.integers(1, 20),
    surge=st.integers(0, 20),
    aliases=st.integers(1, 3),
    workers=st.integers(1, 64),
    overlap=st.integers(0, 64),
    leased=st.none(),
)
DECLARATIONS = st.builds(
    Declaration,
    limit=st.none() | st.integers(1, 999),
    reserve=st.none() | COUNTS,
    background=st.none() | st.dictionaries(NAMES, COUNTS, min_size=1).map(lambda d: tuple(d.items())),
    instances=st.none() | st.integers(1, 99) | st.from_regex(r"[A-Z][A-Z_]{0,8}", fullmatch=True),
    surge=st.none() | COUNTS,
    aliases=st.none() | st.integers(1, 9),
    url=st.none() | st.from_regex(r"[A-Z][A-Z_]{0,8}", fullmatch=True),
    waits=st.none() | st.integers(0, 1),
).filter(lambda said: said != Declaration())


@given(PLANS, st.integers(0, 300), st.integers(0, 300))
def test_a_lease_is_never_exceeded_and_more_of_it_takes_nothing_away(
    plan: Plan, tokens: int, more: int
) -> None:
    few, many = plan.lease(tokens), plan.lease(tokens + more)
    behind = sum(count for _, count in plan.background)
    if few.works:
        assert sum(few.share(slot) for slot in range(few.slots)) + behind <= tokens
        assert many.works
        assert few.workers <= many.workers <= plan.workers
        assert all(few.share(slot) <= many.share(slot) for slot in range(few.slots))
    else:
        assert max(tokens - behind, 0) // plan.aliases <= plan.overlap


def test_few_leased_connections_mean_few_workers() -> None:
    plan = Plan("pg", 20, 2, workers=4)
    assert [(plan.lease(n).workers, plan.lease(n).works) for n in (1, 2, 3, 5, 9)] == [
        (0, False),
        (1, True),
        (2, True),
        (4, True),
        (4, True),
    ]
    assert [plan.lease(9).share(slot) for slot in range(5)] == [2, 2, 2, 2, 1]
    assert "leased by this machine" in "\n".join(table(plan.lease(9)))


@given(PLANS)
def test_the_sum_never_exceeds_the_limit(plan: Plan) -> None:
    shares = [plan.share(slot) for slot in range(plan.slots)]
    background = sum(count for _, count in plan.background)
    assert sum(shares) == plan.rest
    assert sum(shares) + min(background, plan.machine) <= plan.machine
    everywhere = (plan.instances + plan.surge) * plan.machine
    assert everywhere + plan.reserve <= plan.limit or plan.machine == 0


@given(PLANS)
def test_shares_differ_by_one_at_most_and_the_lowest_slots_have_more(plan: Plan) -> None:
    shares = [plan.share(slot) for slot in range(plan.slots)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] - shares[-1] <= 1
    assert plan.least == shares[-1] == plan.share(None)


@given(PLANS)
def test_nothing_that_could_be_given_is_kept_back(plan: Plan) -> None:
    whole = plan.limit - plan.reserve
    if whole >= 0:
        assert whole - (plan.instances + plan.surge) * plan.machine < plan.instances + plan.surge


@given(PLANS)
def test_a_sum_that_cannot_work_is_refused_with_ways_out_that_work(plan: Plan) -> None:
    said = refusal(plan)
    assert bool(said) == (plan.least < plan.aliases)
    if not said:
        return
    _, ways = said.split("The cheapest ways out:\n")
    assert 2 <= len(ways.splitlines()) <= WAYS_OUT
    for number, way in enumerate(ways.splitlines(), 1):
        assert way.startswith(f"{number}. ")
        assert helps(plan, way[3:]), way


def helps(plan: Plan, way: str) -> bool:
    """Whether the plan works when one does what a line of the refusal says."""
    numbers = [int(word) for word in way.replace(",", " ").split() if word.isdecimal()]
    if "--workers" in way:
        return plan._replace(workers=numbers[0]).works
    if "--overlap" in way:
        return plan._replace(overlap=numbers[0]).works
    if "surge" in way:
        return plan._replace(surge=0).works
    if "reserve" in way:
        return plan._replace(reserve=numbers[0]).works
    if "database" in way:
        return plan._replace(limit=numbers[0]).works
    return "pgbouncer" in way


@pytest.mark.parametrize(
    ("plan", "shares"),
    [
        (Plan("heroku", 20, 2, workers=2), [6, 6, 6]),
        (Plan("channels", 20, 2, workers=3), [5, 5, 4, 4]),
        (Plan("alone", 20, 2), [9, 9]),
        (Plan("uneven", 20, 2, (("jobs", 2),), workers=4), [4, 3, 3, 3, 3]),
        (Plan("many", 100, 10, instances=3, surge=1, workers=4, overlap=0), [6, 6, 5, 5]),
    ],
)
def test_what_each_worker_gets(plan: Plan, shares: list[int]) -> None:
    assert [plan.share(slot) for slot in range(plan.slots)] == shares


def test_there_is_nothing_for_a_slot_that_does_not_exist() -> None:
    plan = Plan("postgres", 20, 2, workers=2)
    for slot in (-1, 3):
        with pytest.raises(ValueError, match=f"slot {slot} is none of the 3 slots of budget postgres"):
            plan.share(slot)


def test_the_line_of_the_start() -> None:
    assert describe(Plan("postgres", 20, 2, workers=2)) == (
        "Budget postgres: 20 connections, 2 kept for people and migrations;"
        " 2 workers + 1 during restarts: 6 each"
    )
    assert describe(Plan("pg", 100, 10, (("jobs", 2),), 2, 1, workers=4, overlap=0)) == (
        "Budget pg: 100 connections, 10 kept for people and migrations, 2 for jobs;"
        " 4 workers on each of 2 machines + 1 during deploys: 7 each"
    )
    assert describe(Plan("pg", 20, 2, workers=3)).endswith(": 4 or 5 each")


def test_the_table() -> None:
    lines = table(Plan("pg", 20, 2, (("jobs", 2),), workers=4))
    assert [line.split() for line in lines[-3:]] == [
        ["4", "workers", "+", "1", "during", "restarts", "16"],
        ["slot", "0", "4"],
        ["slots", "1", "to", "4,", "each", "3"],
    ]
    assert len({len(line) for line in lines}) == 1


@given(st.dictionaries(NAMES, DECLARATIONS, max_size=3))
def test_text_that_is_shown_is_read_again(budgets: dict[str, Declaration]) -> None:
    assert parse_budgets(show_budgets(budgets)) == budgets


@pytest.mark.parametrize(
    "value",
    [
        "postgres=20,reserve=3,background=jobs:2 redis=30",
        ["postgres=20,background=jobs:2", "postgres=reserve=3", "Redis=30"],
        {"postgres": {"limit": 20, "reserve": 3, "background": {"jobs": 2}}, "redis": 30},
        {"postgres": {"limit": "20", "reserve": "3", "background": {"JOBS": "2"}}, "REDIS": "30"},
    ],
)
def test_every_form_says_the_same(value: object) -> None:
    assert parse_budgets(value) == {
        "postgres": Declaration(20, 3, (("jobs", 2),)),
        "redis": Declaration(30),
    }


@pytest.mark.parametrize(
    "value",
    [
        *(
            "postgres",
            "postgres=",
            "postgres=0",
            "postgres=-1",
            "postgres=2O",
            "postgres=20,20",
            "=20",
            "1a=2",
        ),
        *("p=20,reserve=x", "p=20,colour=3", "p=20,reserve=1,reserve=2", "p=20,url=postgres://secret@host"),
        *("p=1e3", "p=\u0662", "p=9999999999", {"p": True}, {"p": 1.5}, {"p": {"limit": 20, "color": 1}}),
        *(
            "p=20,waits=2",
            {"p": {"limit": 20, "instances": 0}},
            {"p": {"aliases": 0}},
            {"p": {}},
            {3: 20},
            20,
        ),
    ],
)
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"BUDGETS: .* expected a name and a limit such as postgres=20"):
        Config(BUDGETS=value)


def test_defaults_of_what_was_not_said() -> None:
    assert Plan.of("p", Declaration(20), 1, 2, 1) == Plan("p", 20, 2, workers=2)
    assert Plan.of("p", Declaration(101), 1, 2, 1).reserve == 11
    assert Plan.of("p", Declaration(20, reserve=0), 1, 2, 1).reserve == 0


def test_the_later_beats_the_earlier_number_by_number() -> None:
    merged = merge_budgets(parse_budgets("pg=10,reserve=4"), parse_budgets("pg=20"), parse_budgets("r=5"))
    assert merged == {"pg": Declaration(20, 4), "r": Declaration(5)}


def test_one_name_however_it_is_written() -> None:
    assert name_budget("Main-DB") == name_budget("main_db") == "main_db"


def test_variables_of_the_platform() -> None:
    environ = {"BUDGET_PG": "20", "BUDGET_MAIN_DB": " 30,reserve=3 ", "BUDGET_PG_SHARE": "6"}
    environ |= {"BUDGET_BLANK": "  ", "BUDGET_PERIOD": "monthly", "BUDGET_": "3", "HOUSEHOLD_BUDGET_PG": "9"}
    found, ignored = read_variables(environ)
    assert found == {"pg": Declaration(20), "main_db": Declaration(30, 3)}
    assert ignored == ["BUDGET_PERIOD='monthly' in the environment was ignored; expected a limit such as 20"]


def test_variables_change_what_files_say_number_by_number() -> None:
    environ = {"VIVACE_BUDGETS": "pg=10,reserve=4 redis=9", "BUDGET_PG": "20", "BUDGET_PERIOD": "monthly"}
    config = Config.load(environ)
    assert config.BUDGETS == "pg=20,reserve=4 redis=9"
    assert config.sources["BUDGETS"] == "environment BUDGET_PG"
    assert [warning[:13] for warning in config.warnings] == ["BUDGET_PERIOD"]
