"""A real terminal, in which a program for people can be looked at: tmux.

Rules of this file: it has a socket of its own, and ends with the test.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["Terminal", "open_terminal"]


class Terminal:
    """A terminal of 180 columns and 24 lines.

    Args:
        tmux: The program.
        socket: Where its server listens.
    """

    def __init__(self, tmux: str, socket: Path) -> None:
        self._base = [tmux, "-S", str(socket)]

    def run(self, command: str) -> None:
        """Run a command of a shell in it."""
        size = ["-x", "180", "-y", "24"]
        clean = ["env", "-u", "COLUMNS", "-u", "LINES", "TERM=screen", "LC_ALL=C.UTF-8"]
        self._tmux("new-session", "-d", *size, *clean, "sh", "-c", f"{command} 2>&1; sleep 30")

    def send(self, *keys: str) -> None:
        """Press keys, such as ``q`` or ``Enter``."""
        self._tmux("send-keys", *keys)

    @property
    def screen(self) -> str:
        """What can be seen."""
        return self._tmux("capture-pane", "-p")

    def close(self) -> None:
        """End it with what runs in it."""
        self._tmux("kill-server")

    def _tmux(self, *arguments: str) -> str:
        command = [*self._base, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20).stdout


@contextmanager
def open_terminal(folder: Path) -> Iterator[Terminal]:
    """A terminal; the test is skipped where there is no tmux."""
    tmux = shutil.which("tmux")
    if tmux is None:
        pytest.skip("there is no tmux to look through")
    terminal = Terminal(tmux, folder / "tmux.sock")
    try:
        yield terminal
    finally:
        terminal.close()
