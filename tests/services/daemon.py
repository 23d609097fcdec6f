"""A program that serves on a port of the loopback interface, and whatever can happen to one.

Rules of this file:

- It is ended by its own process, politely first.
- Freezing and thawing are signals: a frozen server's connections look alive, and nothing answers.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Daemon"]

PATIENCE = 20.0
"""Seconds for a start or a stop; the machine may be busy."""


class Daemon:
    """One server.

    Args:
        argv: How it is started.
        port: Where it listens on 127.0.0.1 then.
        folder: It works in there, and its log goes there.

    Attributes:
        port: The same.
        folder: The same.
    """

    def __init__(self, argv: Sequence[str], port: int, folder: Path) -> None:
        self.port = port
        self.folder = folder
        self._argv = list(argv)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> str:
        """Everything that it printed so far."""
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start it, and return when it accepts connections."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._argv,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._accepts():
            assert self._process.poll() is None, f"the server ended:\n{self.output}"
            assert time.monotonic() < deadline, f"the server does not answer:\n{self.output}"
            time.sleep(0.01)

    def _accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def stop(self, sent: signal.Signals = signal.SIGTERM) -> None:
        """End it, and return when it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        self._tell(process, signal.SIGCONT)
        self._tell(process, sent)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def freeze(self) -> None:
        """Let it do nothing from now on; its kernel still accepts connections and acknowledges octets."""
        assert self._process is not None
        self._tell(self._process, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._tell(self._process, signal.SIGCONT)

    @staticmethod
    def _tell(process: "subprocess.Popen[bytes]", sent: signal.Signals) -> None:
        if process.poll() is None:
            os.kill(process.pid, sent)
