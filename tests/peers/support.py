"""Servers for the tests of this folder, and small clients whose every octet is chosen by the test.

Rules of this file:

- A server is the real command in a process of its own, on a port that the system chose.
- What a test waits for is a condition, with `PATIENCE` as its bound; nothing sleeps for a while.
- A test that fails shows what the server wrote (`Serving.wait_for`, `assert ..., server.log`).
"""

import http.client
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.supervisor.serving import PATIENCE, Serving, until

__all__ = [
    "APP", "BUILDS", "PATIENCE", "Answer", "Build", "Serving", "ask_json", "count", "curl", "exchange",
    "head_of", "need", "peak", "read_answer", "reset_peak", "serve", "until", "url_of",
]  # fmt: skip

APP = Path(__file__).with_name("app.py")


class Build(NamedTuple):
    """One way to run the server.

    Attributes:
        name: For the test's id.
        arguments: Of `vivace run`.
        environ: Of the process.
    """

    name: str
    arguments: tuple[str, ...]
    environ: Mapping[str, str]


BUILDS = (
    Build("compiled-uvloop", ("--loop", "uvloop"), {}),
    Build("pure-asyncio", ("--loop", "asyncio"), {"VIVACE_PURE": "1"}),
)


@contextmanager
def serve(folder: Path, build: Build, *arguments: str, **environ: str) -> Iterator[Serving]:
    """`vivace run` of the app on a free port; stopped with exit code 0 unless the test stopped it before."""
    command = ["-m", "vivace", "run", str(APP), "--port", "0", *build.arguments, *arguments]
    with Serving(command, folder, {**build.environ, **environ}) as server:
        assert server.port
        yield server
        if server.process.poll() is None:
            assert server.stop() == 0, server.log


def url_of(server: Serving, path: str = "/") -> str:
    """The absolute URL of a path."""
    return f"http://127.0.0.1:{server.port}{path}"


def need(tool: str) -> str:
    """The path of a program; skips the test if the machine has none."""
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed (Debian package {tool})")
    return found


def curl(server: Serving, path: str, *arguments: str, given: bytes | None = None) -> tuple[int, bytes, str]:
    """Run curl: its exit code, what it wrote, and what it told with ``-v``."""
    command = [need("curl"), "-q", "-sS", "-v", "--max-time", "20", "--path-as-is"]
    command = [*command, url_of(server, path), *arguments]
    done = subprocess.run(command, input=given, capture_output=True, timeout=30, check=False)
    return done.returncode, done.stdout, done.stderr.decode("latin-1")


class Answer(NamedTuple):
    """A response.

    Attributes:
        status: 100 to 599.
        fields: By lower-case name; the values of a repeated one are joined by commas.
        body: Whole.
    """

    status: int
    fields: dict[str, str]
    body: bytes


def read_answer(client: socket.socket, method: str = "GET") -> Answer:
    """Read one response from a socket."""
    response = http.client.HTTPResponse(client, method=method)
    try:
        response.begin()
        fields = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, fields, response.read())
    finally:
        response.close()


def exchange(server: Serving, octets: bytes, method: str = "GET") -> Answer:
    """Send octets on a connection of their own, and read the response."""
    with server.connect() as client:
        client.sendall(octets)
        return read_answer(client, method)


def head_of(target: str, method: str = "GET", *fields: str) -> bytes:
    """The head of a request, with any target."""
    lines = [f"{method} {target} HTTP/1.1", "Host: server.test", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def ask_json(server: Serving, path: str) -> Any:
    """What the app says, on a connection of its own."""
    return json.loads(exchange(server, head_of(path, "GET", "Connection: close")).body)


def count(server: Serving, what: str) -> int:
    """How often the app counted something."""
    found: int = ask_json(server, "/seen/" + what)["count"]
    return found


def reset_peak(pid: int) -> int:
    """Start a new measurement of a process; octets that it holds now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _status(pid, "VmRSS")


def peak(pid: int) -> int:
    """The most octets that a process held at a time since `reset_peak`."""
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"the system does not tell {name}")
