"""Every page is true: its code runs, its links lead somewhere, its generated parts are current."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs.runner import Reader, blocks
from vivace.config import SETTINGS, reference
from vivace.ext import Extension

pytestmark = pytest.mark.once

PAGES = sorted([*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md"), *(ROOT / "examples").rglob("*.md")])
WITH_CODE = [
    page for page in PAGES if any(b.language in {"python", "console"} for b in blocks(page.read_text()))
]
LANGUAGES = {"python", "console", "text", "toml", "html", "ini"}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def names() -> Iterator[None]:
    """What a page declares for the whole process is forgotten with the page."""
    before = dict(Extension._name_registry)
    yield
    Extension._name_registry.clear()
    Extension._name_registry.update(before)


@pytest.mark.usefixtures("names")
@pytest.mark.skipif(shutil.which("curl") is None, reason="the pages ask with curl")
@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_code_does_what_the_page_says(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    Reader(folder, tmp_path / "server.log").follow(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_say_what_they_are(page: Path) -> None:
    languages = {block.language for block in blocks(page.read_text())}
    assert languages <= LANGUAGES


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not target.startswith(("http://", "https://", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name}: {target}"


def test_reference_of_settings_is_current() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    assert page.endswith(reference()), "docs/settings.md is out of date: make docs"


def test_every_setting_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    assert [s.name for s in SETTINGS if f"| `{s.name}` |" not in page] == []


def test_architecture_names_folders_that_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    tree = next(block.text for block in blocks(page) if "src/vivace/" in block.text)
    named = [line.split()[0] for line in tree.splitlines() if re.match(r"^  \w+(/|\.py)", line)]
    assert named
    for name in named:
        assert (ROOT / "src" / "vivace" / name).exists(), name
    present = {
        p.name for p in (ROOT / "src" / "vivace").iterdir() if p.is_dir() and (p / "__init__.py").exists()
    }
    assert present == {name.rstrip("/") for name in named if name.endswith("/")}
