"""The table of promises: none is left out, and each that holds names a test that exists."""

import re

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "promises.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:2] == "| "
]
NUMBERED = [row for row in ROWS if row[0].isdigit()]
NAME = re.compile(r"`([a-z_/]+\.py)::(\w+)`")
NAMED = NAME.findall(PAGE)


REAL_TIME = (ROOT / "docs" / "real-time.md").read_text()


def test_every_statement_has_its_row() -> None:
    assert [int(row[0]) for row in NUMBERED] == list(range(1, 66))


def test_every_thing_that_uwsgi_is_kept_for_has_its_row() -> None:
    rows = [row for row in ROWS if re.fullmatch(r"2\.\d+", row[0])]
    assert [row[0] for row in rows] == [f"2.{number}" for number in range(1, 17)]
    assert all(NAME.search(row[3]) for row in rows)


def test_states_are_said_in_known_words() -> None:
    for number, _, state, tests in NUMBERED:
        assert re.match(r"(yes|other|not yet)\b", state), number
        assert state.startswith("not yet") == (tests == "-"), number


def test_every_pain_of_the_document_has_its_row() -> None:
    rows = [line.split("|") for line in REAL_TIME.splitlines() if line[:2] == "| " and line[2].isdigit()]
    assert [int(row[1]) for row in rows] == list(range(1, 13))
    assert all(NAME.search(row[4]) for row in rows)


def test_the_tests_that_are_named_exist() -> None:
    assert len(NAMED) > 65
    for place, name in [*NAMED, *NAME.findall(REAL_TIME)]:
        text = (ROOT / "tests" / place).read_text()
        assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), f"{place}::{name}"
