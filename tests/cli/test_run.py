"""`vivace run` and `python web.py` as a platform starts them."""

import re
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.supervisor.serving import APP, Serving, ask, exchange, is_refused, read_all, until

WEB = """
import os

from sample import app

if __name__ == '__main__':
    app.run(
        host='0.0.0.0',
        port=int(os.environ.get('PORT', 8000)),
        workers=int(os.environ.get('WEB_CONCURRENCY', 1)),
        debug=bool(os.environ.get('DEBUG', ''))
    )
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(APP)
    (tmp_path / "web.py").write_text(WEB)


def pids(server: Serving, count: int) -> set[str]:
    seen: set[str] = set()
    deadline = time.monotonic() + 20
    while len(seen) < count and time.monotonic() < deadline:
        found = re.search(r'"pid":\s*(\d+)', server.get())
        assert found is not None
        seen.add(found[1])
    return seen


@pytest.mark.parametrize("arguments", [["web.py"], ["-m", "vivace", "run", "sample:app"]])
def test_a_procfile_line_with_the_variables_of_a_platform(tmp_path: Path, arguments: list[str]) -> None:
    with Serving(arguments, tmp_path, {"PORT": "0", "WEB_CONCURRENCY": "2"}) as server:
        server.wait_for(r"Listening on http://0\.0\.0\.0:\d+(, http://\[::\]:\d+)?\n")
        server.wait_for("2 worker processes")
        assert len(pids(server, 2)) == 2
        with server.connect() as client:
            ask(client, "/slow")
            server.wait_for("slow began")
            server.signal(signal.SIGTERM)
            until(lambda: is_refused(server.port))
            (tmp_path / "go").touch()
            assert "200 OK" in read_all(client)
        assert server.wait() == 0


def test_debug_of_a_platform(tmp_path: Path) -> None:
    with Serving(["web.py"], tmp_path, {"PORT": "0", "DEBUG": "1"}) as server:
        server.wait_for("Debug mode, one server for development and production")
        assert server.stop() == 0


def test_one_worker_of_app_run_serves_in_this_process_and_run_returns(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text("from sample import app, say\napp.run(port=0)\nsay('returned')\n")
    with Serving(["web.py"], tmp_path) as server:
        assert pids(server, 1) == {str(server.process.pid)}
        assert server.stop() == 0
        server.wait_for("returned")


def test_a_developer_is_served_on_the_own_machine_only(tmp_path: Path) -> None:
    with Serving(["-m", "vivace", "run", "--port", "0"], tmp_path, {"VIVACE_APP": "sample:app"}) as server:
        server.wait_for(r"Listening on http://127\.0\.0\.1:\d+")
        server.wait_for(r"Serving sample:app \(native: ")
        server.wait_for("One server for development and production")
        assert server.stop() == 0


def test_the_target_may_stand_in_a_file_and_be_a_usual_name(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.vivace]\napp = "sample:app"\nport = 0\n')
    with Serving(["-m", "vivace", "run"], tmp_path) as server:
        server.wait_for("Serving sample:app")
    (tmp_path / "pyproject.toml").unlink()
    (tmp_path / "web.py").unlink()
    (tmp_path / "sample.py").rename(tmp_path / "main.py")
    with Serving(["-m", "vivace", "run", "--port", "0"], tmp_path) as server:
        server.wait_for("Serving main.py")


def test_the_message_of_the_start_can_be_left_out(tmp_path: Path) -> None:
    options = ["sample:app", "--no-motd", "--uds", "web.sock"]
    with Serving(["-m", "vivace", "run", *options], tmp_path) as server:
        with socket.socket(socket.AF_UNIX) as client:
            until(lambda: client.connect_ex(str(tmp_path / "web.sock")) == 0)
            assert "200 OK" in exchange(client, "/")
        assert server.stop() == 0
        assert "Serving" not in server.log


@pytest.mark.parametrize("workers", ["1", "2"])
def test_options_beat_what_the_app_sets_and_code_beats_the_environment(tmp_path: Path, workers: str) -> None:
    (tmp_path / "sample.py").write_text(
        APP
        + "\n\napp.config.THREADS = 2\napp.config.BODY_TIMEOUT = 7\napp.config.PORT = 9"
        + "\n\n@app.get('/config')\nasync def shown(request):\n    c = app.config"
        + "\n    return [c.THREADS, c.BODY_TIMEOUT, c.HEAD_TIMEOUT, c.WRITE_TIMEOUT]\n"
    )
    (tmp_path / "vivace.toml").write_text("write-timeout = 8\nbody-timeout = 8\n")
    options = ["sample:app", "--port", "0", "--threads", "3", "--workers", workers]
    with Serving(["-m", "vivace", "run", *options], tmp_path, {"VIVACE_HEAD_TIMEOUT": "6"}) as server:
        answer = server.get("/config")
        assert re.search(r"\[3,\s*7(\.0)?,\s*6(\.0)?,\s*8(\.0)?\]", answer), answer
        assert server.stop() == 0
        assert server.log.count("PORT of application code comes too late") == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_garbage_of_a_platform_costs_one_warning(tmp_path: Path, workers: str) -> None:
    environ = {"WEB_CONCURRENCY": "many", "PORT": ""}
    options = ["sample:app", "--port", "0", "--workers", workers]
    with Serving(["-m", "vivace", "run", *options], tmp_path, environ) as server:
        assert "200 OK" in server.get()
        assert server.stop() == 0
        assert server.log.count("WEB_CONCURRENCY='many'") == 1
        assert server.log.count("PORT=''") == 1


@pytest.mark.parametrize(
    ("call", "code", "text"),
    [
        ("app.run(prot=1)", 1, "prot"),
        ("app.run(port='x')", 2, "PORT: 'x' (from app.run())"),
        ("app.run(host='256.1.1.1.1', port=0)", 4, "cannot resolve the host '256.1.1.1.1'"),
    ],
)
def test_mistakes_in_app_run(tmp_path: Path, call: str, code: int, text: str) -> None:
    (tmp_path / "web.py").write_text(f"from sample import app\n{call}\n")
    with Serving(["web.py"], tmp_path) as server:
        assert server.wait() == code
        assert text in server.log


def test_a_privileged_port(tmp_path: Path) -> None:
    first = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if not first.exists() or int(first.read_text()) <= 81:
        pytest.skip("any port may be bound here")
    # Root without CAP_NET_BIND_SERVICE (10), by PR_CAPBSET_DROP (24): what prctl(2) offers.
    start = (
        "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 10, 0, 0, 0);"
        "os.execv(sys.executable, [sys.executable, '-m', 'vivace', 'run', 'sample:app', '--port', '81'])"
    )
    with Serving(["-c", start], tmp_path) as server:
        assert server.wait() == 4
        assert "127.0.0.1:81" in server.log
        assert "1024" in server.log
        assert "Traceback" not in server.log


def test_the_cost_of_a_start(tmp_path: Path) -> None:
    """Start to first answer: 300 ms on an idle machine; here it is only kept from growing wild."""
    start = time.monotonic()
    with Serving(["-m", "vivace", "run", "sample:app", "--port", "0"], tmp_path) as server:
        assert "200 OK" in server.get()
        took = time.monotonic() - start
        assert server.stop() == 0
    assert took < 3.0


def test_the_command_line_loads_neither_framework_nor_server(tmp_path: Path) -> None:
    code = "import sys, vivace.cli.group; print(*sys.modules, file=sys.stderr)"
    with Serving(["-c", code], tmp_path) as process:
        assert process.wait() == 0
        loaded = set(process.log.split())
    assert "vivace.cli.group" in loaded
    assert not loaded & {"asyncio", "ssl", "vivace.framework", "vivace.server", "vivace.supervisor", "uvloop"}
