"""`/-/live` and `/-/ready`: what they say, when, and how fast."""

import http.client
import json
import os
import re
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import find_free_port
from tests.supervisor.serving import APP, Serving, ask, until
from vivace.supervisor.stats.health import CLIENTS, LONGEST_HEAD

RUN = ("-m", "vivace", "run", "sample.py", "--port", "0", "--workers", "2", "--no-access-log")


class Probed:
    """A server with an address for probes."""

    def __init__(self, folder: Path, *options: str, code: str = APP) -> None:
        (folder / "sample.py").write_text(code)
        self.port = find_free_port()
        self.serving = Serving([*RUN, "--admin-bind", f"127.0.0.1:{self.port}", *options], folder)

    def probe(self, path: str, method: str = "GET") -> tuple[int, dict[str, object]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            body = response.read()
            assert response.getheader("cache-control") == "no-store"
            return response.status, json.loads(body or b"{}")
        finally:
            connection.close()

    def talk(self, data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), 10) as client:
            client.sendall(data)
            got = b""
            while piece := client.recv(65536):
                got += piece
            return got


def test_a_server_that_serves_is_live_and_ready(tmp_path: Path) -> None:
    probed = Probed(tmp_path)
    with probed.serving as server:
        assert server.port
        assert probed.probe("/-/ready") == (200, {"ready": True, "workers": 2, "wanted": 2})
        assert probed.probe("/-/live?why") == (200, {"live": True, "workers": 2, "wanted": 2})
        assert probed.probe("/-/ready", "HEAD") == (200, {})
        assert probed.probe("/-/ready", "POST")[0] == 405
        assert probed.probe("/") == (404, {"paths": ["/-/live", "/-/ready", "/metrics", "/stats"]})
        assert probed.talk(b"\r\n\r\n").startswith(b"HTTP/1.1 404 ")
        assert probed.talk(b"GET HTTP://x/-/ready?a HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        assert probed.talk(b"GET /-/ready HTTP/1.1\r\nx: " + b"x" * LONGEST_HEAD) == b""
        assert server.stop() == 0


def test_a_server_that_starts_is_neither(tmp_path: Path) -> None:
    code = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\n" + APP
    probed = Probed(tmp_path, code=code)
    with probed.serving as server:
        server.wait_for("health is told at")
        assert probed.probe("/-/ready")[0] == 503
        assert probed.probe("/-/live")[0] == 503
        (tmp_path / "go").touch()
        until(lambda: probed.probe("/-/ready")[0] == 200)


def test_readiness_is_over_first_when_a_stop_is_asked_for(tmp_path: Path) -> None:
    probed = Probed(tmp_path, "--shutdown-delay", "20")
    with probed.serving as server:
        port = server.port
        assert probed.probe("/-/ready")[0] == 200
        server.signal(signal.SIGTERM)
        until(lambda: probed.probe("/-/ready")[0] == 503)
        assert probed.probe("/-/live")[0] == 200
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            ask(client, "/")
            assert client.recv(12) == b"HTTP/1.1 200"
        server.signal_again(signal.SIGTERM)
        assert server.wait() == 0


def test_probes_are_answered_while_every_worker_is_blocked(tmp_path: Path) -> None:
    probed = Probed(tmp_path)
    with probed.serving as server:
        clients = [server.connect() for _ in range(8)]
        for client in clients:
            ask(client, "/block")
        server.wait_for("block began", 2)
        times = []
        for _ in range(50):
            began = time.monotonic()
            assert probed.probe("/-/ready")[0] == 200
            times.append(time.monotonic() - began)
        assert sorted(times)[25] < 0.010
        for client in clients:
            client.close()


def test_silent_clients_keep_nobody_out(tmp_path: Path) -> None:
    probed = Probed(tmp_path)
    with probed.serving as server:
        assert server.port
        silent = [socket.create_connection(("127.0.0.1", probed.port), 10) for _ in range(CLIENTS + 10)]
        assert probed.probe("/-/ready")[0] == 200
        silent[-1].settimeout(10)
        assert silent[-1].recv(1) == b""  # after some seconds without a request
        for client in silent:
            client.close()


SLOW_START = """

@app.before_server_start
async def wait(app):
    while os.path.exists("no"):
        await asyncio.sleep(0.01)
"""


def test_without_a_worker_that_serves_it_is_not_ready(tmp_path: Path) -> None:
    probed = Probed(tmp_path, code=APP + SLOW_START)
    with probed.serving as server:
        pids: set[int] = set()

        def both_seen() -> bool:
            found = re.search(r'"pid":(\d+)', server.get())
            assert found is not None
            pids.add(int(found[1]))
            return len(pids) == 2

        until(both_seen)
        (tmp_path / "no").touch()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        until(lambda: probed.probe("/-/ready") == (503, {"ready": False, "workers": 0, "wanted": 2}))
        assert probed.probe("/-/live")[0] == 503
        (tmp_path / "no").unlink()
        until(lambda: probed.probe("/-/ready")[0] == 200)


CHECK = """

@app.ready_check
def file():
    if os.path.exists("broken"):
        raise OSError("it is broken")
"""


def test_the_checks_of_an_app_decide_whether_it_is_ready(tmp_path: Path) -> None:
    probed = Probed(tmp_path, "--ready-check-interval", "0.1", code=APP + CHECK)
    with probed.serving as server:
        assert server.port
        until(lambda: probed.probe("/-/ready") == (200, {"ready": True, "workers": 2, "wanted": 2}))
        (tmp_path / "broken").touch()
        unready = {"ready": False, "workers": 2, "wanted": 2, "unready": 2}
        until(lambda: probed.probe("/-/ready") == (503, unready))
        assert probed.probe("/-/live")[0] == 200
        assert "200 OK" in server.get(), "it goes on serving"
        server.wait_for("not ready: the check file fails: OSError: it is broken", count=2)
        (tmp_path / "broken").unlink()
        until(lambda: probed.probe("/-/ready")[0] == 200)
        server.wait_for("ready again: the check file passes")


@pytest.mark.parametrize(
    ("bind", "code", "text"),
    [("fd://3", 4, "ADMIN_BIND takes no inherited descriptors"), ("nonsense", 2, "ADMIN_BIND")],
)
def test_an_address_that_cannot_be_used_ends_the_start(
    tmp_path: Path, bind: str, code: int, text: str
) -> None:
    (tmp_path / "sample.py").write_text(APP)
    arguments: Sequence[str] = [*RUN, "--admin-bind", bind]
    with Serving(arguments, tmp_path) as server:
        assert server.wait() == code
        assert text in server.log


def test_an_address_that_is_taken_is_told_with_the_option_that_chose_it(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with Serving([*RUN, "--admin-bind", where], tmp_path) as server:
            assert server.wait() == 4
            assert f"cannot listen on {where}: the port is in use" in server.log
            assert "or choose another with --admin-bind." in server.log


def test_a_unix_socket_does_too(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(APP)
    with Serving([*RUN, "--admin-bind", "unix:admin.sock"], tmp_path) as server:
        assert server.port
        server.wait_for(f"health is told at unix:{tmp_path}/admin.sock/-/live")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "admin.sock"))
            client.sendall(b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
        assert server.stop() == 0
    assert not (tmp_path / "admin.sock").exists()
