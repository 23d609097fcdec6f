"""The pages for those who come from another server name each of its options, and claim only what is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from gunicorn.config import KNOWN_SETTINGS  # type: ignore[import-untyped]

from tests.conftest import ROOT, clean_environment

PAGES = {name: (ROOT / "docs" / f"from-{name}.md").read_text() for name in ("uvicorn", "gunicorn", "daphne")}
ANSWERS = {"no", "not yet", "not needed"}
"""What the second column says where we have nothing of that name."""


def tables(page: str) -> list[list[str]]:
    """The rows of a page's tables of options: what they call it, what we do, the remark."""
    rows = [line for line in page.partition("\n## Signals")[0].splitlines() if line.startswith("| `")]
    rows += [line for line in page.partition("\n## Settings")[2].splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in dict.fromkeys(rows)]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def theirs(name: str) -> list[str]:
    """What the page has in the first column of its tables."""
    return [option for row in tables(PAGES[name]) for option in quoted(row[0])]


def printed_options(command: str, *arguments: str) -> set[str]:
    """The long options that a command's help begins a line with."""
    argv = [str(Path(sys.executable).with_name(command)), *arguments, "--help"]
    environment = {**clean_environment(), "COLUMNS": "300"}
    answer = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment)
    lines = [line for line in answer.stdout.splitlines() if re.match(r" +-", line)]
    return {option for line in lines for option in re.findall(r"(?<![\w-])--[a-z0-9_-]+", line[:60])}


def test_every_option_of_uvicorn_is_in_its_page_once() -> None:
    found = theirs("uvicorn")
    assert set(found) == printed_options("uvicorn")
    assert len(found) == len(set(found))


def test_every_option_of_daphne_is_in_its_page_once() -> None:
    pytest.importorskip("daphne")
    found = [name for name in theirs("daphne") if name.startswith("--")]
    assert set(found) == printed_options("daphne") - {"--help"}
    assert len(found) == len(set(found))


def test_every_setting_of_gunicorn_is_in_its_page_once() -> None:
    found = [name for name in theirs("gunicorn") if not name.startswith("-")]
    assert set(found) == {setting.name for setting in KNOWN_SETTINGS}
    assert len(found) == len(set(found))


def test_options_of_gunicorn_that_are_not_called_like_their_setting_are_in_its_page() -> None:
    found = set(theirs("gunicorn"))
    for setting in KNOWN_SETTINGS:
        long = {option for option in setting.cli or () if option.startswith("--")}
        if "--" + str(setting.name).replace("_", "-") not in long:
            assert long <= found, setting.name


@pytest.mark.parametrize("name", sorted(PAGES))
def test_what_the_pages_say_we_have_is_there(name: str) -> None:
    ours = printed_options("vivace", "run")
    for row in tables(PAGES[name]):
        options = [option for option in quoted(row[1]) if option.startswith("--")]
        assert options or quoted(row[1]) or row[1] in ANSWERS, row
        assert set(options) <= ours, row


@pytest.mark.parametrize("name", sorted(PAGES))
def test_options_of_ours_in_the_text_of_the_pages_are_there(name: str) -> None:
    known = printed_options("vivace", "run") | printed_options("vivace") | set(theirs(name))
    commands = {"--name", "--no-control-socket"}
    for text in quoted(re.sub(r"```.*?```", "", PAGES[name], flags=re.DOTALL)):
        for option in re.findall(r"(?<![\w-])--[a-z0-9_-]+", text):
            assert option in known | commands, f"`{text}`"
