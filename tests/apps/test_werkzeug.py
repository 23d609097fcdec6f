"""`vivace run werkzeug.testapp:test_app` as a platform starts it: variables in, `SIGTERM` out."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.supervisor.serving import PATIENCE, Serving, is_refused

TARGET = "werkzeug.testapp:test_app"


@contextmanager
def platform(folder: Path, port: int, *arguments: str, **environ: str) -> Iterator[Serving]:
    """What a Procfile with `vivace run werkzeug.testapp:test_app` starts."""
    command = ["-m", "vivace", "run", TARGET, *arguments]
    with Serving(command, folder, {"PORT": str(port), **environ}) as server:
        assert server.port == port
        yield server


def ask(port: int) -> httpx2.Response:
    with httpx2.Client(trust_env=False, timeout=PATIENCE) as client:
        return client.get(f"http://127.0.0.1:{port}/some/path?q=1", headers={"x-thing": "<b>"})


@pytest.mark.parametrize("threads", ["4", "0"])
def test_the_app_sees_a_whole_environ(tmp_path: Path, free_port: int, threads: str) -> None:
    with platform(tmp_path, free_port, "--threads", threads) as server:
        answer = ask(free_port)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
        for shown in ("WSGI Information", "/some/path", "wsgi.input_terminated", "&lt;b&gt;", "HTTP_X_THING"):
            assert shown in answer.text
        assert server.stop() == 0


def test_two_processes_say_so_and_stop_on_one_signal(tmp_path: Path, free_port: int) -> None:
    with platform(tmp_path, free_port, WEB_CONCURRENCY="2") as server:
        server.wait_for("2 worker processes")
        server.wait_for(rf"Listening on http://0\.0\.0\.0:{free_port}")
        assert "wsgi.multiprocess" in ask(free_port).text
        with socket.create_connection(("127.0.0.1", free_port), PATIENCE) as kept:
            kept.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert kept.recv(15) == b"HTTP/1.1 200 OK"
            server.signal(signal.SIGTERM)
            assert server.wait() == 0, "an idle client does not hold it up"
        assert is_refused(free_port)


def test_the_command_by_its_own_name_finds_modules_that_are_installed(tmp_path: Path, free_port: int) -> None:
    with platform(tmp_path, free_port, "--workers", "2", "--no-access-log") as server:
        assert ask(free_port).status_code == 200
        server.signal(signal.SIGINT)
        assert server.wait() == 0
