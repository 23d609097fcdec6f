"""The example of a Procfile platform: what PORT, WEB_CONCURRENCY and DEBUG do, and how it stops."""

import json
import shutil
import socket
import sys
import time
from pathlib import Path

import psutil

from tests.conftest import ROOT, Launch, ServerProcess

EXAMPLE = ROOT / "examples" / "web"
VIVACE = str(Path(sys.executable).with_name("vivace"))

SLOW = """
import asyncio
from vivace import Vivace
app = Vivace("project")

@app.get("/")
async def index(request):
    return "here"

@app.get("/slow")
async def slow(request):
    print("SLOW STARTED", flush=True)
    await asyncio.sleep(1)
    return "finished"
"""


def workers_seen(server: ServerProcess, wanted: int) -> set[int]:
    """The process ids that answer, asked until `wanted` are known or 10 s are over."""
    seen: set[int] = set()
    deadline = time.monotonic() + 40
    while len(seen) < wanted and time.monotonic() < deadline:
        seen.add(json.loads(server.get("/")[2])["worker"])
    return seen


def test_procfile_line_serves_on_the_port_of_the_platform(launch: Launch, free_port: int) -> None:
    command = (EXAMPLE / "Procfile").read_text().removeprefix("web: ").split()
    assert command == ["python", "web.py"]
    server = launch([sys.executable, "web.py"], free_port, cwd=EXAMPLE, PORT=str(free_port))
    assert json.loads(server.get("/")[2])["hello"] == "world"
    assert server.stop() == 0


def test_two_workers_serve_and_stop_with_their_parent(launch: Launch, free_port: int) -> None:
    server = launch(
        [sys.executable, "web.py"], free_port, cwd=EXAMPLE, PORT=str(free_port), WEB_CONCURRENCY="2"
    )
    seen = workers_seen(server, 2)
    assert len(seen) == 2
    assert server.process.pid not in seen
    assert server.stop() == 0
    assert not any(psutil.pid_exists(worker) for worker in seen)


def test_request_in_flight_is_finished(launch: Launch, free_port: int, tmp_path: Path) -> None:
    shutil.copy(EXAMPLE / "web.py", tmp_path)
    (tmp_path / "project.py").write_text(SLOW)
    server = launch(
        [sys.executable, "web.py"], free_port, cwd=tmp_path, PORT=str(free_port), WEB_CONCURRENCY="2"
    )
    with socket.create_connection(("127.0.0.1", free_port), timeout=10) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        deadline = time.monotonic() + 40
        while "SLOW STARTED" not in server.output and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.stop() == 0
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\nfinished")


def test_debug_variable_turns_debug_mode_on(launch: Launch, free_port: int, tmp_path: Path) -> None:
    shutil.copy(EXAMPLE / "web.py", tmp_path)
    (tmp_path / "project.py").write_text(
        "from vivace import Vivace\n"
        "app = Vivace('project')\n"
        "@app.get('/')\n"
        "async def index(request):\n"
        "    return {'debug': app.debug}\n"
    )
    server = launch([sys.executable, "web.py"], free_port, cwd=tmp_path, PORT=str(free_port), DEBUG="1")
    assert json.loads(server.get("/")[2]) == {"debug": True}


def test_our_own_command_reads_the_same_variables(launch: Launch, free_port: int) -> None:
    server = launch(
        [VIVACE, "run", "project:app"], free_port, cwd=EXAMPLE, PORT=str(free_port), WEB_CONCURRENCY="2"
    )
    assert len(workers_seen(server, 2)) == 2
    assert server.stop() == 0
