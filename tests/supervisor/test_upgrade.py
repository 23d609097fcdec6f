"""Real processes: a supervisor is replaced by the next one, and clients notice nothing."""

import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.supervisor.serving import Serving, is_refused, until
from tests.supervisor.test_restart import clients

APP = """
import os
from vivace import Vivace

app = Vivace("sample")
VERSION = 1


@app.get("/")
async def index(request):
    return {"version": VERSION, "supervisor": os.getppid()}


if __name__ == "__main__":
    app.run(port=0, workers=2, access_log=False)
"""
RUN = ("-m", "vivace", "run", "sample.py", "--port", "0", "--no-access-log", "--workers", "2")
PROGRAM = ("sample.py",)


@pytest.fixture(autouse=True)
def app(tmp_path: Path) -> Path:
    path = tmp_path / "sample.py"
    path.write_text(APP)
    return path


def supervisor_of(server: Serving) -> int:
    return int(re.findall(r'"supervisor":(\d+)', server.get())[0])


def upgrade(server: Serving, old: int, count: int = 1) -> int:
    """Replace a supervisor; the process id of the new one, once the old one's workers retire."""
    os.kill(old, signal.SIGUSR2)
    new = int(server.wait_for(r"a new supervisor starts as pid (\d+)", count=count)[1])
    server.wait_for(rf"the new supervisor \(pid {new}\) serves")
    return new


def end(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    until(lambda: _is_gone(pid))


def _is_answered(path: Path) -> bool:
    """Whether the control socket of a server answers."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        try:
            client.connect(str(path))
            client.sendall(b'{"command": "status"}\n')
            return client.recv(1) == b"{"
        except OSError:
            return False


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("way", [RUN, PROGRAM], ids=["command", "program"])
def test_a_supervisor_is_replaced_twice_and_no_request_fails(
    tmp_path: Path, app: Path, way: tuple[str, ...]
) -> None:
    with Serving(way, tmp_path) as server:
        first = server.process.pid
        with clients(server) as some:
            app.write_text(APP.replace("VERSION = 1", "VERSION = 2"))
            os.utime(app, (0, 0))
            second = upgrade(server, first)
            assert server.process.wait(20) == 0
            assert not is_refused(server.port)
            third = upgrade(server, second, count=2)
            until(lambda: _is_gone(second))
            assert supervisor_of(server) == third
        assert {re.findall(r'"version":(\d)', one)[0] for one in some.values} == {"1", "2"}
        end(third)
        until(lambda: is_refused(server.port))
        assert "Traceback" not in server.log


def test_a_new_supervisor_that_fails_leaves_the_old_one_serving(tmp_path: Path, app: Path) -> None:
    with Serving(RUN, tmp_path) as server, clients(server):
        first = server.process.pid
        app.write_text("raise RuntimeError('a bad deploy')")
        os.utime(app, (0, 0))
        os.kill(first, signal.SIGUSR2)
        server.wait_for("a bad deploy")
        server.wait_for("the new supervisor ended with exit code 3: this one goes on serving")
        assert supervisor_of(server) == first
        app.write_text(APP)
        second = upgrade(server, first, count=2)
        assert server.process.wait(20) == 0
        assert supervisor_of(server) == second


def test_the_old_supervisor_serves_again_if_the_new_one_ends_before_it(tmp_path: Path) -> None:
    (tmp_path / "vivace.toml").write_text('pid_file = "here.pid"\nkeep_alive_timeout = 10\n')
    with Serving(RUN, tmp_path) as server:
        first = server.process.pid
        with server.connect() as kept, clients(server):
            # It holds a worker of the old supervisor until the new one is gone.
            kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            kept.recv(65536)
            second = upgrade(server, first)
            assert int((tmp_path / "here.pid").read_text()) == second
            os.kill(second, signal.SIGTERM)
            server.wait_for("the new supervisor ended with exit code 0: this one serves again")
            until(lambda: supervisor_of(server) == first)
            until(lambda: int((tmp_path / "here.pid").read_text()) == first)
        end(first)
        assert not (tmp_path / "here.pid").exists()
        assert is_refused(server.port)


def test_a_stop_while_a_new_supervisor_starts_ends_both(tmp_path: Path) -> None:
    with Serving([*RUN, "--pid-file", "pid"], tmp_path) as server:
        old = supervisor_of(server)
        os.kill(old, signal.SIGUSR2)
        server.wait_for(r"a new supervisor starts as pid (\d+)")
        end(old)
        assert server.wait() == 0
        assert "goes on serving" not in server.log
        assert not (tmp_path / "pid").exists()


def test_a_new_supervisor_that_dies_at_once_gives_back_what_it_took(tmp_path: Path) -> None:
    with Serving([*RUN, "--pid-file", "pid", "--control", "c.sock"], tmp_path) as server:
        old = supervisor_of(server)
        os.kill(old, signal.SIGUSR2)
        new = int(server.wait_for(r"a new supervisor starts as pid (\d+)")[1])
        until(lambda: (tmp_path / "pid").read_text() == f"{new}\n")
        os.kill(new, signal.SIGKILL)
        server.wait_for("this one goes on serving|this one serves again")
        until(lambda: (tmp_path / "pid").read_text() == f"{old}\n")
        until(lambda: _is_answered(tmp_path / "c.sock"))
        assert supervisor_of(server) == old


def test_a_second_signal_while_one_is_on_its_way_is_ignored(tmp_path: Path) -> None:
    with Serving(RUN, tmp_path) as server:
        server.get()
        server.signal(signal.SIGUSR2)
        new = server.wait_for(r"a new supervisor starts as pid (\d+)")[1]
        server.signal(signal.SIGUSR2)
        server.wait_for(rf"SIGUSR2 is ignored: a new supervisor \(pid {new}\) is on its way already")
        assert server.process.wait(20) == 0
        end(int(new))


def test_a_stop_while_the_new_one_starts_stops_both(tmp_path: Path) -> None:
    with Serving(RUN, tmp_path) as server:
        server.get()
        server.signal(signal.SIGUSR2)
        new = int(server.wait_for(r"a new supervisor starts as pid (\d+)")[1])
        server.signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        until(lambda: _is_gone(new))
        assert is_refused(server.port)


def test_a_unix_socket_and_the_pid_file_go_on_with_the_new_one(tmp_path: Path) -> None:
    options = ("-m", "vivace", "run", "sample.py", "--uds", "here.sock", "--pid-file", "here.pid")
    with Serving([*options, "--supervise", "on", "--no-access-log"], tmp_path) as server:
        server.wait_for("Listening on unix:")
        first = server.process.pid
        until((tmp_path / "here.pid").exists)
        second = upgrade(server, first)
        assert server.process.wait(20) == 0
        assert int((tmp_path / "here.pid").read_text()) == second
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "here.sock"))
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert f'"supervisor":{second}' in client.recv(65536).decode()
        end(second)
        assert not (tmp_path / "here.sock").exists()
        assert not (tmp_path / "here.pid").exists()


def test_systemd_is_told_of_the_new_main_process(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        with Serving(RUN, tmp_path, {"NOTIFY_SOCKET": str(tmp_path / "notify")}) as server:
            server.get()
            second = upgrade(server, server.process.pid)
            told = ""
            while f"MAINPID={second}" not in told or told.count("READY=1") < 2:
                told += systemd.recv(4096).decode()
            assert server.process.wait(20) == 0
            assert "STOPPING=1" not in told
            end(second)
            while "STOPPING=1" not in told:
                told += systemd.recv(4096).decode()


def test_a_server_with_budgets_is_not_doubled(tmp_path: Path) -> None:
    with Serving([*RUN, "--budget", "postgres=20"], tmp_path) as server:
        server.get()
        server.signal(signal.SIGUSR2)
        server.wait_for("SIGUSR2 is ignored: budgets share connections out")
        assert server.stop() == 0


def test_a_stop_is_handed_on_to_nobody_once_the_new_one_serves(tmp_path: Path) -> None:
    with Serving(RUN, tmp_path) as server, server.connect() as kept:
        kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        kept.recv(65536)
        second = upgrade(server, server.process.pid)
        start = time.monotonic()
        server.signal(signal.SIGTERM)
        server.signal_again(signal.SIGINT)
        assert server.process.wait(20) == 0
        assert time.monotonic() - start < 3
        assert supervisor_of(server) == second
        end(second)
