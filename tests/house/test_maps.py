"""Who comes to a large folder is told what is where: its docstring names each file of it, and no others."""

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

LARGE = 20
"""Files from which on names alone are no map any more."""
ENTRY = re.compile(r" {4}((?:[a-z_0-9]+/?(?:, )?)+),?(?: {2,}.*)?")
"""Names of files and folders with commas between them, and behind them what they are for."""
LINE = re.compile(r"(?: {4})?([a-z_0-9]+)(?:\.py|/) +\w")
"""The other form: one file in a line."""


def has_map(folder: Path) -> bool:
    return len(list(folder.glob("*.py"))) > LARGE or folder.is_relative_to(ROOT / "src/vivace/supervisor")


FOLDERS = [path.parent for path in (ROOT / "src" / "vivace").rglob("__init__.py") if has_map(path.parent)]
FOLDERS.append(ROOT / "bench")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_large_folder_tells_what_is_where(folder: Path) -> None:
    told = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()), clean=False) or ""
    found = [match for line in told.splitlines() if (match := ENTRY.fullmatch(line) or LINE.match(line))]
    named = {name.strip("/") for match in found for name in match[1].split(", ")}
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    parts = {path.parent.name for path in folder.glob("*/__init__.py")}
    assert not files - named, "files that the docstring of the folder's __init__.py does not name"
    assert not named - files - parts, "it names what is not there"
