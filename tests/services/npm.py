"""Packages of npm, and programs for Node that use them: `Npm(folder)` installs what a folder's lock says.

Rules of this file:

- A folder holds ``package.json`` and ``package-lock.json``, whose entries have versions and checksums but no
  addresses (``omit-lockfile-registry-resolved``): they come from whatever registry npm is set up with.
- They are installed beside the interpreter's environment, once for each lock; nothing is written to the tree.
- Where there is no Node, or npm can reach no registry, tests are skipped and say so.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest

from tests.conftest import ROOT

__all__ = ["Node", "Npm", "npm_clients"]

PATIENCE = 120.0
"""Seconds for an installation."""


class Npm:
    """The packages of a lock, installed.

    Args:
        folder: Holds ``package.json`` and ``package-lock.json``.

    Attributes:
        modules: The folder ``node_modules``.
    """

    def __init__(self, folder: Path) -> None:
        self.node, npm = shutil.which("node"), shutil.which("npm")
        if self.node is None or npm is None:
            pytest.skip("Node is not installed (Debian packages nodejs and npm)")
        lock = (folder / "package-lock.json").read_bytes()
        version = subprocess.run([self.node, "--version"], capture_output=True, check=True).stdout
        cache = Path(sys.prefix) / "npm"
        place = cache / hashlib.sha256(lock + version).hexdigest()[:16]
        self.modules = place / "node_modules"
        if not (place / "done").exists():
            cache.mkdir(exist_ok=True)
            with (cache / "lock").open("w") as mutex:
                fcntl.flock(mutex, fcntl.LOCK_EX)
                if not (place / "done").exists():
                    _install(npm, folder, place)

    def run(self, script: Path, *arguments: str, seconds: float = 50.0) -> subprocess.CompletedProcess[str]:
        """Run a program to its end; AssertionError with what it said if it fails."""
        done = subprocess.run(
            [self._program, str(script), *arguments],
            env=self.environment,
            cwd=self.modules.parent,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, f"{script.name} failed:\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, script: Path, *arguments: str) -> "Node":
        """Start a program."""
        return Node([self._program, str(script), *arguments], self.environment, self.modules.parent)

    @property
    def environment(self) -> dict[str, str]:
        """Where programs find the packages."""
        return {**os.environ, "NODE_PATH": str(self.modules), "NODE_NO_WARNINGS": "1"}

    @property
    def _program(self) -> str:
        assert self.node is not None
        return self.node


class Node:
    """A running program, whose lines can be waited for; it is ended with its ``with`` block."""

    def __init__(self, argv: list[str], environment: dict[str, str], folder: Path) -> None:
        self.process = subprocess.Popen(
            argv, env=environment, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def line(self) -> str:
        """The next line that it prints; empty at its end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def tell(self, line: str) -> None:
        """Give it a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.communicate()


def _install(npm: str, folder: Path, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(folder / name, place / name)
    argv = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    try:
        done = subprocess.run(argv, cwd=place, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm could not install {folder} in {PATIENCE:g} s")
    if done.returncode != 0:
        pytest.skip(f"npm cannot install {folder.relative_to(ROOT)}: {done.stderr.strip()[-300:]}")
    (place / "done").touch()


@pytest.fixture(scope="session")
def npm_clients() -> Npm:
    """The clients of ``tests/peers/npm``: what Apollo and others make for GraphQL."""
    return Npm(ROOT / "tests" / "peers" / "npm")
