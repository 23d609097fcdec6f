"""Real processes: start, serve, stop, and what happens when one of them dies."""

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.supervisor.serving import APP, PATIENCE, Serving, ask, exchange, is_refused, read_all, until

RUN = ("-m", "vivace", "run", "sample:app", "--port", "0", "--no-access-log")


@pytest.fixture(autouse=True)
def app(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(APP)


def serve(tmp_path: Path, *options: str) -> Serving:
    return Serving([*RUN, *options], tmp_path)


def pid_of(answer: str) -> int:
    assert answer.startswith("HTTP/1.1 200 OK"), answer
    return int(answer.rpartition(":")[2].rstrip("}"))


def workers_of(server: Serving, count: int) -> set[int]:
    """The process ids that answer, once `count` were seen."""
    seen: set[int] = set()

    def ask_once() -> bool:
        seen.add(pid_of(server.get()))
        return len(seen) >= count

    until(ask_once)
    return seen


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_the_request_in_flight(tmp_path: Path, workers: str, number: int) -> None:
    with serve(tmp_path, "--workers", workers) as server, server.connect() as client:
        ask(client, "/slow")
        server.wait_for("slow began")
        server.signal(number)
        until(lambda: is_refused(server.port))
        (tmp_path / "go").touch()
        assert "200 OK" in read_all(client)
        client.close()
        assert server.wait() == 0
        assert server.log.count("stopped ") == int(workers)
        assert server.log.count("stopping: waiting for 1 request, at most 15 s") == 1
        assert "Traceback" not in server.log


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_an_idle_server_ends_idle_connections_soon(tmp_path: Path, loop: str) -> None:
    with serve(tmp_path, "--loop", loop) as server, server.connect() as idle:
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(1000).endswith(b"}")
        start = time.monotonic()
        server.signal(signal.SIGTERM)
        assert idle.recv(1000) == b""
        idle.close()
        assert server.wait() == 0
        assert 1.5 < time.monotonic() - start < 3.5
        assert "stopping" not in server.log


def test_workers_share_the_port(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2") as server:
        assert "2 worker processes" in server.wait_for(".*supervisor pid.*")[0]
        pids = workers_of(server, 2)
        assert server.process.pid not in pids
        assert server.stop() == 0
        assert all(is_gone(pid) for pid in pids)


def test_a_killed_worker_is_replaced_within_a_second_while_others_serve(tmp_path: Path) -> None:
    failed: list[str] = []
    served: list[float] = []
    over = threading.Event()

    def load() -> None:
        while not over.is_set():
            try:
                assert "200 OK" in server.get()
                served.append(time.monotonic())
            except (OSError, AssertionError) as error:
                failed.append(repr(error))

    with serve(tmp_path, "--workers", "2") as server:
        victim = workers_of(server, 2).pop()
        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            before = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            server.wait_for("serves as pid")
            after = time.monotonic()
        finally:
            over.set()
            for thread in threads:
                thread.join(PATIENCE)
        assert after - before < 1.0
        assert f"(pid {victim}) ended with SIGKILL" in server.log
        assert any(before < moment < after for moment in served), "the other worker serves on"
        assert len(failed) <= 3, "only what the dead worker had in its hands is lost"
        assert victim not in workers_of(server, 2)
        assert server.stop() == 0


def test_workers_leave_with_their_supervisor(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2") as server:
        pids = workers_of(server, 2)
        os.kill(server.process.pid, signal.SIGKILL)
        assert until(lambda: all(is_gone(pid) for pid in pids)) < 1 + _slack()
        assert until(lambda: is_refused(server.port)) < 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_signal_forces(tmp_path: Path, workers: str) -> None:
    server = serve(tmp_path, "--workers", workers, "--graceful-shutdown-timeout", "60")
    with server, server.connect() as client:
        ask(client, "/slow")
        server.wait_for("slow began")
        server.signal(signal.SIGTERM)
        until(lambda: is_refused(server.port))
        server.signal_again(signal.SIGTERM)
        server.wait_for("slow was cancelled")
        assert server.wait() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_that_is_passed_on_is_one_request(tmp_path: Path, workers: str) -> None:
    with serve(tmp_path, "--workers", workers) as server, server.connect() as client:
        ask(client, "/slow")
        server.wait_for("slow began")
        os.killpg(server.process.pid, signal.SIGINT)
        server.signal(signal.SIGTERM)  # as managers of processes do when they get Ctrl-C themselves
        until(lambda: is_refused(server.port))
        (tmp_path / "go").touch()
        assert "200 OK" in read_all(client)
        client.close()
        assert server.wait() == 0


def test_a_third_signal_ends_a_single_process_on_the_spot_and_well(tmp_path: Path) -> None:
    server = serve(tmp_path, "--workers", "1", "--graceful-shutdown-timeout", "60")
    with server, server.connect() as client:
        ask(client, "/block")
        server.wait_for("block began")
        server.signal(signal.SIGTERM)
        server.signal_again(signal.SIGTERM)
        server.signal_again(signal.SIGTERM)
        assert server.wait() == 0
        assert "the stop was forced twice" in server.log


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_graceful_time_bounds_a_stop(tmp_path: Path, workers: str) -> None:
    server = serve(tmp_path, "--workers", workers, "--graceful-shutdown-timeout", "0.2")
    with server, server.connect() as client:
        ask(client, "/slow")
        server.wait_for("slow began")
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 3
        assert "slow was cancelled" in server.log


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_blocked_loop_does_not_outlive_the_stop_and_shows_what_blocks(tmp_path: Path, workers: str) -> None:
    server = serve(tmp_path, "--workers", workers, "--graceful-shutdown-timeout", "0")
    with server, server.connect() as client:
        ask(client, "/block")
        server.wait_for("block began")
        start = time.monotonic()
        code = server.stop()
        assert time.monotonic() - start < 6
        assert code == 0
        assert "in blocked_here" in server.log


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_blocked_thread_does_not_outlive_the_stop_either(tmp_path: Path, workers: str) -> None:
    server = serve(tmp_path, "--workers", workers, "--graceful-shutdown-timeout", "0")
    with server, server.connect() as client:
        ask(client, "/think")
        server.wait_for("think began")
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 6
        if workers == "1":
            assert "in thinking_here" in server.log


def test_a_thread_finishes_its_request_before_the_stop(tmp_path: Path) -> None:
    with serve(tmp_path) as server, server.connect() as client:
        ask(client, "/think")
        server.wait_for("think began")
        server.signal(signal.SIGTERM)
        until(lambda: is_refused(server.port))
        (tmp_path / "thought").touch()
        assert "200 OK" in read_all(client)
        client.close()
        start = time.monotonic()
        assert server.wait() == 0
        assert time.monotonic() - start < 2


def test_signals_that_mean_nothing_yet_are_harmless(tmp_path: Path) -> None:
    for workers in ("1", "2"):
        with serve(tmp_path, "--workers", workers) as server:
            pids = workers_of(server, int(workers))
            for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGWINCH):
                server.signal(number)
                for pid in pids:
                    os.kill(pid, number)
            assert pid_of(server.get()) in pids
            assert server.stop() == 0


def test_ctrl_c_reaches_the_whole_group_and_is_heeded_once(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2") as server, server.connect() as client:
        ask(client, "/slow")
        server.wait_for("slow began")
        os.killpg(server.process.pid, signal.SIGINT)
        until(lambda: is_refused(server.port))
        (tmp_path / "go").touch()
        assert "200 OK" in read_all(client)
        client.close()
        assert server.wait() == 0
        assert "Traceback" not in server.log


def test_a_platform_that_signals_every_process_gets_a_graceful_stop(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2") as server, server.connect() as client:
        ask(client, "/slow")
        server.wait_for("slow began")
        os.killpg(server.process.pid, signal.SIGTERM)
        until(lambda: is_refused(server.port))
        (tmp_path / "go").touch()
        assert "200 OK" in read_all(client)
        client.close()
        assert server.wait() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_app_may_stop_its_server(tmp_path: Path, workers: str) -> None:
    with serve(tmp_path, "--workers", workers) as server:
        assert "200 OK" in server.get("/stop")
        assert server.wait() == 0
        assert server.log.count("stopped ") == int(workers)


# Starts that fail


@pytest.mark.parametrize("workers", ["1", "3"])
def test_an_import_that_fails_is_told_once_with_the_users_frames(tmp_path: Path, workers: str) -> None:
    (tmp_path / "sample.py").write_text("import vivace\n\ndef work():\n    return 1 / 0\n\nwork()\n")
    with serve(tmp_path, "--workers", workers) as server:
        assert server.wait() == 3
        assert server.log.count("Traceback") == server.log.count("\nZeroDivisionError") == 1
        assert server.log.count('  File "') == 2
        assert "line 4, in work" in server.log


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_listener_that_fails_at_the_start(tmp_path: Path, workers: str) -> None:
    text = '\n\n@app.before_server_start\nasync def connect(app):\n    raise OSError("no database")\n'
    (tmp_path / "sample.py").write_text(APP + text)
    with serve(tmp_path, "--workers", workers) as server:
        assert server.wait() == 3
        assert "no database" in server.log
        assert "in connect" in server.log


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_in_use(tmp_path: Path, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with serve(tmp_path, "--port", str(port), "--workers", workers) as server:
            assert server.wait() == 4
            assert f"127.0.0.1:{port}" in server.log
            assert "in use" in server.log
            assert "Traceback" not in server.log


def test_a_stop_during_the_import_is_clean(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(
        "import sys, time\nprint('importing', file=sys.stderr, flush=True)\ntime.sleep(60)\n"
    )
    for workers in ("1", "2"):
        with serve(tmp_path, "--workers", workers) as server:
            server.wait_for("importing")
            assert server.stop() == 0
            assert "Traceback" not in server.log


def test_a_stop_during_a_slow_start_is_clean(tmp_path: Path) -> None:
    listener = 'async def wait(app):\n    say("starting")\n    await asyncio.sleep(60)\n'
    (tmp_path / "sample.py").write_text(f"{APP}\n\n@app.before_server_start\n{listener}")
    for workers in ("1", "2"):
        with serve(tmp_path, "--workers", workers) as server:
            server.wait_for("starting", count=int(workers))
            assert server.stop() == 0
            assert "Traceback" not in server.log


def test_a_crash_loop_later_backs_off_and_heals(tmp_path: Path) -> None:
    text = 'import os\nif os.path.exists("bad"):\n    raise RuntimeError("bad deploy")\n'
    (tmp_path / "sample.py").write_text(text + APP)
    with serve(tmp_path, "--workers", "2", "--preload", "off") as server:
        victim = workers_of(server, 2).pop()
        (tmp_path / "bad").touch()
        os.kill(victim, signal.SIGKILL)
        server.wait_for(r"ended with exit code 3; it is replaced in \d")
        assert "200 OK" in server.get()
        assert "bad deploy" in server.log
        (tmp_path / "bad").unlink()
        server.wait_for("serves as pid")
        assert server.stop() == 0


# Unix sockets


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_unix_socket_is_made_and_removed(tmp_path: Path, workers: str) -> None:
    path = tmp_path / "web.sock"
    with serve(tmp_path, "--uds", "web.sock", "--uds-mode", "600", "--workers", workers) as server:
        server.wait_for(f"unix:{path}")
        assert path.stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            assert "200 OK" in exchange(client, "/")
        assert server.stop() == 0, server.log
        assert not path.exists()


def test_a_socket_that_somebody_else_made_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    with serve(tmp_path, "--uds", "web.sock") as server:
        server.wait_for("unix:")
        path.unlink()
        path.write_text("other")
        assert server.stop() == 0
        assert path.read_text() == "other"


THREAD_COUNTER = """
import os
import sys
print("threads", os.environ.get("VIVACE_THREADS"), file=sys.stderr)
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"x"]
"""


def test_an_app_reads_how_many_threads_it_may_use_wherever_that_was_said(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(THREAD_COUNTER)
    with serve(tmp_path, "--threads", "7") as server:
        server.wait_for("threads 7")
    with serve(tmp_path) as server:
        server.wait_for("threads None")


def _slack() -> float:
    """What a busy machine may add to a time that is measured."""
    return min(os.getloadavg()[0], 4.0) / 4


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_signal_in_the_last_moment_does_not_change_the_exit_code(tmp_path: Path, workers: str) -> None:
    (tmp_path / "sample.py").write_text(APP)
    way = ("-m", "vivace", "run", "sample.py", "--port", "0", "--workers", workers, "--no-access-log")
    with Serving(way, tmp_path) as server:
        port = server.port
        server.signal(signal.SIGTERM)
        until(lambda: is_refused(port))
        while server.process.poll() is None:
            server.signal(signal.SIGTERM)
            time.sleep(0.02)
        assert server.process.returncode == 0
