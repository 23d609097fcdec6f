"""A server under systemd, as a whole: what it says, when, and what its app does not see.

For tests/supervisor/telling/test_systemd.py, once the supervisor calls Notifier, PidFile and set_title.
"""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import Launch
from tests.supervisor.serving import until
from vivace.supervisor.chores.housekeeping import EXTENSION

RUN = [sys.executable, "-m", "vivace", "run", "app.py"]
APP = """
import os
from vivace import Vivace, json
app = Vivace("systemd")

@app.get("/")
async def seen(request):
    names = ("LISTEN_", "NOTIFY_", "WATCHDOG_", "FDSTORE")
    return json(sorted(name for name in os.environ if name.startswith(names)))
"""


class Systemd:
    """The other side of NOTIFY_SOCKET."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "n")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(15)
        self.told: list[dict[str, str]] = []

    def wait_for(self, **wanted: str) -> dict[str, str]:
        """The next message that has these fields."""
        while True:
            data = self.socket.recv(4096).decode()
            message = dict(line.split("=", 1) for line in data.splitlines())
            self.told.append(message)
            if wanted.items() <= message.items():
                return message


@pytest.fixture
def systemd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Systemd]:
    other = Systemd(tmp_path_factory.mktemp("n"))
    yield other
    other.socket.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_life_of_a_service_is_told(
    launch: Launch, free_port: int, tmp_path: Path, systemd: Systemd, workers: str
) -> None:
    (tmp_path / "app.py").write_text(APP)
    given = {"NOTIFY_SOCKET": systemd.path, "WATCHDOG_USEC": "400000"}
    options = ["--port", str(free_port), "--workers", workers, "--pid-file", "server.pid"]
    server = launch([*RUN, *options], free_port, cwd=tmp_path, **given)
    systemd.wait_for(READY="1")
    assert (tmp_path / "server.pid").read_text() == f"{server.process.pid}\n"
    assert json.loads(server.get("/")[2]) == []
    systemd.wait_for(WATCHDOG="1")
    server.process.send_signal(signal.SIGHUP)
    assert int(systemd.wait_for(RELOADING="1")["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    systemd.wait_for(READY="1")
    assert server.stop() == 0
    systemd.wait_for(STOPPING="1")
    assert not (tmp_path / "server.pid").exists()


def test_a_long_start_and_a_stop_ask_for_time(
    launch: Launch, free_port: int, tmp_path: Path, systemd: Systemd
) -> None:
    (tmp_path / "app.py").write_text(APP)
    server = launch([*RUN, "--port", str(free_port)], free_port, cwd=tmp_path, NOTIFY_SOCKET=systemd.path)
    systemd.wait_for(READY="1")
    assert {"EXTEND_TIMEOUT_USEC": str(int(EXTENSION * 1_000_000))} in systemd.told
    assert server.stop() == 0
    systemd.wait_for(STOPPING="1")
    assert int(systemd.wait_for()["EXTEND_TIMEOUT_USEC"]) > 15_000_000


def test_a_second_server_with_the_same_pid_file_is_refused(
    launch: Launch, free_port: int, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(APP)
    server = launch([*RUN, "--port", str(free_port), "--pid-file", "p"], free_port, cwd=tmp_path)
    until((tmp_path / "p").exists)  # it is written once the server serves, the port was open before
    again = subprocess.run(
        [*RUN, "--port", "0", "--pid-file", "p"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert again.returncode == 2
    assert f"names the process {server.process.pid}, which runs" in again.stderr


def test_titles_say_who_is_who(launch: Launch, free_port: int, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    server = launch([*RUN, "--port", str(free_port), "--workers", "2"], free_port, cwd=tmp_path)
    deadline, title = time.monotonic() + 10, ""
    while time.monotonic() < deadline:
        title = Path(f"/proc/{server.process.pid}/cmdline").read_bytes().rstrip(b"\0").decode()
        if title.startswith("systemd: supervisor"):
            break
        time.sleep(0.02)
    assert title.startswith("systemd: supervisor")
    family = psutil.Process(server.process.pid).children(recursive=True)
    titles = [" ".join(one.cmdline()).strip("\0 ") for one in family]
    assert titles.count("systemd: template gen 1") == 1, "it goes on under no title of the supervisor's"
