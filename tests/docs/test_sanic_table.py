"""The table of Sanic's features: each row says what is so in one of four words, and names its tests."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.conftest import ROOT

STATES = ("works", "differs", "planned", "not planned")
SECTIONS = ["1.", *(f"2.{number}" for number in range(1, 20)), "3.", "5."]


class Row(NamedTuple):
    """A row of a table: where it stands, and its cells."""

    place: str
    cells: list[str]


def rows() -> Iterator[Row]:
    """The rows of all tables of the page, in order."""
    section = ""
    for number, line in enumerate((ROOT / "docs" / "sanic-table.md").read_text().splitlines(), 1):
        if line.startswith("## "):
            section = line.split()[1]
        elif line.startswith("| ") and not line.endswith("| Tests |"):
            yield Row(f"{section} line {number}", [cell.strip() for cell in line.strip("|").split(" | ")])


ROWS = list(rows())


def test_every_section_of_the_inventory_has_rows() -> None:
    assert list(dict.fromkeys(row.place.split()[0] for row in ROWS)) == SECTIONS


def test_a_row_says_what_is_so_and_which_tests_hold_it() -> None:
    for row in ROWS:
        assert len(row.cells) == 3, row
        _, state, tests = row.cells
        assert re.match(rf"(?:{'|'.join(STATES)})\b", state), row
        named = re.findall(r"`([^`]+)`", tests)
        assert named or (tests == "-" and not state.startswith("works")), row
        for name in named:
            assert (ROOT / "tests" / f"{name}.py").is_file(), name


def test_a_difference_says_why_or_what_is_there_instead() -> None:
    for row in ROWS:
        if row.cells[1].startswith(("differs", "not planned")):
            assert len(row.cells[1].split()) > 2, row
