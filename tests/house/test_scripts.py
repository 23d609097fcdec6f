"""What `make` calls can be run, and says what is wrong when it cannot."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

SCRIPTS = [
    path
    for path in [ROOT / ".ci" / "run", *sorted((ROOT / "scripts").iterdir())]
    if path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/env bash")
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_can_be_executed_and_parsed(script: Path) -> None:
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)


def setup(tmp_path: Path, python: str) -> subprocess.CompletedProcess[str]:
    """What `scripts/setup` says about an interpreter; a folder of its own as the environment."""
    environment = {**os.environ, "PYTHON": python, "VENV": str(tmp_path / "venv")}
    return subprocess.run(
        [ROOT / "scripts" / "setup"], env=environment, capture_output=True, text=True, check=False
    )


def test_missing_interpreter_is_named(tmp_path: Path) -> None:
    answer = setup(tmp_path, "python-that-is-not-here")
    assert answer.returncode == 1
    assert "'python-that-is-not-here' is not a Python 3.11 or later" in answer.stderr


def test_old_interpreter_is_refused(tmp_path: Path) -> None:
    old = tmp_path / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    answer = setup(tmp_path, str(old))
    assert answer.returncode == 1
    assert "make PYTHON=" in answer.stderr


def test_make_says_what_can_be_made() -> None:
    answer = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("run", "test", "lint", "docs", "bench"):
        assert f"make {target}" in answer.stdout
