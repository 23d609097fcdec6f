"""`vivace exec`: commands of an app from the command line."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import clean_environment

PROGRAM = """
from {module} import {name}

app = {name}("shop")


@app.command
async def seed(count: int, table: str = "items"):
    "Fill a table."
    return f"{{count}} rows in {{table}}"


@app.command(name="silent")
def other():
    pass
"""


def execute(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vivace", "exec", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=clean_environment(),
        check=False,
    )


@pytest.mark.parametrize(
    ("module", "name", "options"), [("vivace", "Vivace", []), ("sanic", "Sanic", ["--sanic"])]
)
def test_a_command_runs_with_its_options(tmp_path: Path, module: str, name: str, options: list[str]) -> None:
    (tmp_path / "shop.py").write_text(PROGRAM.format(module=module, name=name))
    done = execute(tmp_path, *options, "shop:app", "seed", "--count", "3", "--table=users")
    assert (done.returncode, done.stdout) == (0, "3 rows in users\n")


def test_commands_are_listed_and_unknown_ones_refused(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(PROGRAM.format(module="vivace", name="Vivace"))
    assert execute(tmp_path, "shop:app").stdout == "seed\nsilent\n"
    assert execute(tmp_path, "shop:app", "silent").stdout == ""
    done = execute(tmp_path, "shop:app", "nope")
    assert (done.returncode, done.stderr) == (2, "Error: Command 'nope' not found in app\n")
    done = execute(tmp_path, "shop:app", "seed", "--count", "many")
    assert done.returncode == 2
    assert "argument --count: invalid int value: 'many'" in done.stderr
