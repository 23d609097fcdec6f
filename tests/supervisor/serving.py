"""A server as a process of its own, for tests: on a free port, watched by its log, never left behind."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import vivace
from vivace.supervisor.fleet.patience import ECHO

PATIENCE = 20.0
"""Seconds after which a condition is given up; the machine may be busy."""

APP = """
import asyncio, os, sys, time
from vivace import Vivace

app = Vivace("sample")


def say(text):
    print(text, file=sys.stderr, flush=True)


@app.get("/")
async def index(request):
    return {"pid": os.getpid()}


@app.get("/slow")
async def slow(request):
    say("slow began")
    try:
        while not os.path.exists("go"):
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        say("slow was cancelled")
        raise
    return {"pid": os.getpid()}


@app.get("/block")
async def block(request):
    say("block began")
    blocked_here()
    return {}


def blocked_here():
    while True:
        time.sleep(0.01)


@app.get("/think")
def think(request):
    say("think began")
    thinking_here()
    return {}


def thinking_here():
    while not os.path.exists("thought"):
        time.sleep(0.01)


@app.get("/stop")
async def stop(request):
    app.stop()
    return {}


@app.after_server_stop
async def stopped(app):
    say(f"stopped {os.getpid()}")
"""


class Serving:
    """A running server.

    Args:
        arguments: Of the interpreter: ``-m vivace run ...`` or the name of a script.
        cwd: Where it runs.
        environ: On top of an environment without any variable that Vivace reads.
    """

    def __init__(self, arguments: Sequence[str], cwd: Path, environ: Mapping[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=cwd,
            env={**clean_environment(), "VIVACE_LOG_FORMAT": "text", **(environ or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):  # its workers too; the session is ours alone
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        self._thread.join(PATIENCE)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._more:
                self.lines.append(line)
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    @property
    def log(self) -> str:
        """What it wrote to standard error so far."""
        return "".join(self.lines)

    def wait_for(self, pattern: str, count: int = 1, patience: float = PATIENCE) -> re.Match[str]:
        """Wait until the log matches `pattern` `count` times; the last of these matches."""
        with self._more:
            found = self._more.wait_for(lambda: len(self._find(pattern)) >= count or self._ended, patience)
            matches = self._find(pattern)
            if not found or len(matches) < count:
                raise AssertionError(f"{pattern!r} did not come; the log is:\n{self.log}")
            return matches[count - 1]

    def _find(self, pattern: str) -> list[re.Match[str]]:
        return list(re.finditer(pattern, self.log))

    @property
    def port(self) -> int:
        """Where it listens; waits for the start."""
        return int(self.wait_for(r"Listening on http://[0-9.]+:(\d+)")[1])

    def connect(self) -> socket.socket:
        """A new connection."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def get(self, path: str = "/") -> str:
        """The whole answer to a request on a connection of its own."""
        with self.connect() as client:
            return exchange(client, path)

    def signal(self, number: int) -> None:
        """Send a signal to the process that was started."""
        self.process.send_signal(number)

    def signal_again(self, number: int) -> None:
        """Send another one, late enough to be no echo of the one before."""
        time.sleep(ECHO + 0.05)
        self.signal(number)

    def wait(self, patience: float = PATIENCE) -> int:
        """Wait for the end; the exit code."""
        code = self.process.wait(patience)
        self._thread.join(patience)
        return code

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()


def clean_environment() -> dict[str, str]:
    """The environment without what Vivace reads, and with this Vivace importable from any folder."""
    names = {"PORT", "WEB_CONCURRENCY", "DEBUG"}
    kept = {k: v for k, v in os.environ.items() if k not in names and not k.startswith("VIVACE_")}
    if "VIVACE_PURE" in os.environ:
        kept["VIVACE_PURE"] = os.environ["VIVACE_PURE"]
    kept["PYTHONPATH"] = str(Path(vivace.__file__).parents[1])
    return kept


def exchange(client: socket.socket, path: str) -> str:
    """Send a request that asks for the end of the connection, and read to that end."""
    ask(client, path)
    return read_all(client)


def ask(client: socket.socket, path: str) -> None:
    """Send a request."""
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())


def read_all(client: socket.socket) -> str:
    """Read until the peer closes."""
    data = b""
    while piece := client.recv(65536):
        data += piece
    return data.decode()


def change(path: Path, old: str, new: str) -> None:
    """Replace a part of a program that is served, so that it is noticed."""
    text = path.read_text()
    assert old in text
    # Made elsewhere: who looks meanwhile would see a file that is cut, or two changes.
    fresh = path.parent.parent / f"{path.name}.fresh"
    fresh.write_text(text.replace(old, new))
    # A compiled copy of the same second and length would be taken for this one.
    os.utime(fresh, (0, path.stat().st_mtime + 2 + len(text)))
    fresh.replace(path)


def until(condition: Callable[[], bool], patience: float = PATIENCE) -> float:
    """Wait for a condition; the seconds that it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < patience, "the condition did not come true"
        time.sleep(0.005)
    return time.monotonic() - start


def is_refused(port: int) -> bool:
    """Whether nobody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return True
    return False
