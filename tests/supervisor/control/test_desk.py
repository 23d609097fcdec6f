"""The control socket and the address for probes pass from one supervisor to the next, and back."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.conftest import find_free_port
from tests.supervisor.serving import APP, Serving, until

RUN = ("-m", "vivace", "run", "sample.py", "--port", "0", "--workers", "2", "--no-access-log")


class Desk:
    """A server with a control socket at a path and an address for probes."""

    def __init__(self, folder: Path) -> None:
        (folder / "sample.py").write_text(APP)
        (folder / "vivace.toml").write_text("keep_alive_timeout = 10\n")
        self.folder = folder
        self.port = find_free_port()
        options = ("--control", "ctl.sock", "--admin-bind", f"127.0.0.1:{self.port}")
        self.serving = Serving([*RUN, *options], folder)

    def ready(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/-/ready")
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    def pid(self) -> int:
        """Of the supervisor that hears."""
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(self.folder / "ctl.sock"))
                client.sendall(b'{"command": "status"}\n')
                return int(json.loads(client.makefile().readline())["server"]["pid"])
            except (OSError, ValueError):
                return 0

    def upgrade(self) -> int:
        self.serving.signal(signal.SIGUSR2)
        new = int(self.serving.wait_for(r"a new supervisor starts as pid (\d+)")[1])
        self.serving.wait_for(rf"the new supervisor \(pid {new}\) serves")
        return new


def test_the_next_supervisor_has_them_once_it_serves(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with desk.serving as server:
        assert server.port
        assert desk.ready() == 200
        new = desk.upgrade()
        until(lambda: desk.pid() == new)
        until(lambda: desk.ready() == 200)
        assert server.process.wait(20) == 0
        assert desk.pid() == new
        os.kill(new, signal.SIGTERM)
        until(lambda: desk.ready() == 0)
        until(lambda: not (tmp_path / "ctl.sock").exists())
    assert "Traceback" not in server.log


def test_they_come_back_if_it_ends_before_the_old_one(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with desk.serving as server, server.connect() as kept:
        kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        kept.recv(65536)
        new = desk.upgrade()
        until(lambda: desk.pid() == new)
        os.kill(new, signal.SIGTERM)
        server.wait_for("this one serves again")
        until(lambda: desk.pid() == server.process.pid)
        until(lambda: desk.ready() == 200)
        assert server.stop() == 0
        assert not (tmp_path / "ctl.sock").exists()


PYTHON = shutil.which("python3", path="/usr/bin:/bin") or ""
"""One that another user may run."""


@pytest.mark.skipif(os.geteuid() != 0 or not PYTHON, reason="it takes another user with a Python")
def test_another_user_is_not_heard(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(APP)
    with Serving([*RUN, "--control", f"@vivace-test-{os.getpid()}"], tmp_path) as server:
        assert server.port
        code = "import socket as s; c = s.socket(s.AF_UNIX); c.connect('\\0vivace-test-%d'); print(c.recv(9))"
        command = [PYTHON, "-c", code % os.getpid()]
        done = subprocess.run(
            command, cwd="/", capture_output=True, text=True, user=65534, timeout=20, check=False
        )
        assert done.stdout == "b''\n", done
