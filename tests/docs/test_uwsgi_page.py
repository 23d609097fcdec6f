"""The page for those who come from uWSGI names every option, the document's first."""

import re

import pytest

from tests.conftest import ROOT
from tests.documents.programs import TEXTS
from vivace.compat.uwsgi.rules import ACTS, ELSEWHERE, NOT_NEEDED
from vivace.config import SETTINGS

PAGE = (ROOT / "docs" / "from-uwsgi.md").read_text()
SPOKEN_OF = {
    "attach-daemon", "smart-attach-daemon", "stats", "harakiri", "offload-threads", "static-map", "threads",
    "cheaper", "cheaper-algo", "logger", "alarm", "log-alarm", "spooler", "mule", "cron", "fs-reload",
    "signal-timer", "gevent",
}  # fmt: skip
"""What the document speaks of beside the options in its files."""


def rows(title: str) -> list[list[str]]:
    part = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]


def options(title: str) -> list[str]:
    return [name for row in rows(title) for name in re.findall(r"`([^`]+)`", row[0])]


def in_the_documents_files() -> set[str]:
    texts = [path.read_text() for path in TEXTS.glob("uwsgi_*.lines")]
    return {line.partition("=")[0].strip() for text in texts for line in text.splitlines() if "=" in line}


@pytest.mark.parametrize(
    ("title", "table"),
    [("Options that become something", ACTS), ("Options that need nothing", NOT_NEEDED),
     ("Options that stand elsewhere", ELSEWHERE)],
)  # fmt: skip
def test_every_option_is_in_the_page_once(title: str, table: dict[str, object]) -> None:
    found = options(title)
    assert sorted(found) == sorted(table)


def test_the_page_says_what_the_warnings_say() -> None:
    for name, why in rows("Options that stand elsewhere") + rows("Options that need nothing"):
        for option in re.findall(r"`([^`]+)`", name):
            assert {**ELSEWHERE, **NOT_NEEDED}[option] == why


def test_every_option_of_the_document_is_mapped() -> None:
    files = in_the_documents_files()
    assert {"http-socket", "master", "processes", "die-on-term", "module", "memory-report", "stats"} <= files
    assert files | SPOKEN_OF <= {*ACTS, *NOT_NEEDED, *ELSEWHERE}


def test_the_settings_that_options_become_are_there() -> None:
    known = {setting.name for setting in SETTINGS}
    for row in rows("Options that become something"):
        for name in re.findall(r"`([A-Z_]+)`", row[1]):
            assert name in known, row
