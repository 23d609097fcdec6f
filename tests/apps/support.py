"""Servers for the tests of this folder: an app of another framework, run by `vivace run`.

Rules of this file:

- Apps say what happened to them on standard error (`note`), and wait for files that tests make
  (`wait_for_gate`): whoever waits, waits for a condition.
- The words that a test looks for in the log are its own: one server answers many tests.
"""

import asyncio
import itertools
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.conftest import ROOT
from tests.supervisor.serving import PATIENCE, Serving, until

__all__ = [
    "GATES", "PATIENCE", "Hosted", "Serving", "host", "need", "note", "until", "wait_for_gate",
    "wait_for_gate_in_thread",
]  # fmt: skip

GATES = "APPS_GATES"
"""The environment variable that tells an app the folder of its gates."""
_words = itertools.count(1)


class Hosted:
    """A running app.

    Attributes:
        server: Its process.
        client: Keeps connections, follows no redirect.
    """

    def __init__(self, server: Serving, gates: Path) -> None:
        self.server = server
        self.client = self.make_client()
        self._gates = gates

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://127.0.0.1:{self.server.port}"

    def make_client(self) -> httpx2.Client:
        """A client with cookies and connections of its own."""
        return httpx2.Client(base_url=self.url, trust_env=False, timeout=PATIENCE)

    def word(self) -> str:
        """A word that nothing else in the log or among the gates is."""
        return f"word{next(_words)}x"

    def open(self, gate: str) -> None:
        """Let the app go on that waits for a gate."""
        (self._gates / gate).touch()

    def noted(self, text: str, count: int = 1) -> None:
        """Wait until the app, or the server, wrote a text `count` times."""
        self.server.wait_for(re.escape(text), count)


@contextmanager
def host(folder: Path, target: str, *arguments: str, **environ: str) -> Iterator[Hosted]:
    """`vivace run` of an app on a free port; it stops with exit code 0 unless the test stopped it before.

    Args:
        folder: For the gates.
        target: A module of this folder and a name in it, such as ``flask_app:app``.
        arguments: More of `vivace run`.
        environ: More of the environment.
    """
    command = ["-m", "vivace", "run", f"tests.apps.{target}", "--port", "0", *arguments]
    with Serving(command, ROOT, {GATES: str(folder), **environ}) as server:
        hosted = Hosted(server, folder)
        with hosted.client:
            yield hosted
        if server.process.poll() is None:
            assert server.stop() == 0, server.log


def need(tool: str) -> str:
    """The path of a program; skips the test if the machine has none."""
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed (Debian package {tool})")
    return found


def note(text: str) -> None:
    """Say something to the test; called by apps."""
    sys.stderr.write(text + "\n")  # one write, that no other thread can split
    sys.stderr.flush()


async def wait_for_gate(gate: str) -> None:
    """Wait until the test opens a gate; called by apps."""
    while not _is_open(gate):
        await asyncio.sleep(0.005)


def wait_for_gate_in_thread(gate: str) -> None:
    """As `wait_for_gate`, for code that blocks."""
    while not _is_open(gate):
        time.sleep(0.005)


def _is_open(gate: str) -> bool:
    return (Path(os.environ[GATES]) / gate).exists()
