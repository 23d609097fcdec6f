"""The compiled parts are there when they should be, and `VIVACE_PURE=1` leaves them out."""

import os
import shutil
import subprocess
import sys
import tomllib

import pytest

from tests.conftest import ROOT, clean_environment

DECLARED = [
    extension["name"]
    for extension in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["ext-modules"]
]
CODE = """
import importlib, sys
import vivace
from vivace._build import compiled_modules
for name in {names}:
    try:
        importlib.import_module(name)
    except ImportError:
        pass
print(*compiled_modules())
"""


def compiled(pure: str) -> set[str]:
    environment = clean_environment()
    environment.pop("VIVACE_PURE", None)
    answer = subprocess.run(
        [sys.executable, "-c", CODE.format(names=DECLARED)],
        capture_output=True,
        text=True,
        check=True,
        env={**environment, "VIVACE_PURE": pure},
    )
    return set(answer.stdout.split())


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler: the package runs as plain Python")
@pytest.mark.skipif(os.environ.get("VIVACE_PURE") == "1", reason="this run is the plain one")
def test_every_declared_extension_was_built() -> None:
    assert compiled("0") == set(DECLARED)


def test_pure_takes_the_python_source_of_every_module() -> None:
    # A leaf has no Python source of its own name; its twin decides not to import it.
    leaves = {name for name in DECLARED if name.rsplit(".", 1)[1].startswith("_")}
    assert compiled("1") <= leaves
