"""The files of the document on uWSGI, as real servers: `vivace run uwsgi.ini` for `uwsgi uwsgi.ini`."""

import json
import shutil
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Launch, ServerProcess, clean_environment, find_free_port
from tests.documents.programs import code, program

RUN = [sys.executable, "-m", "vivace", "run", "uwsgi.ini"]
pytest.importorskip("werkzeug")


def start(launch: Launch, folder: Path, text: str, port: int) -> ServerProcess:
    (folder / "uwsgi.ini").write_text(text)
    return launch(RUN, port, cwd=folder, PORT=str(port))


def wait_for(server: ServerProcess, said: str) -> None:
    deadline = time.monotonic() + 40
    while said not in server.output:
        assert time.monotonic() < deadline, server.output
        time.sleep(0.02)


def test_the_first_file_serves_on_the_port_of_the_platform(
    launch: Launch, free_port: int, tmp_path: Path
) -> None:
    server = start(launch, tmp_path, code("uwsgi_first"), free_port)
    wait_for(server, "4 worker processes")
    status, _, body = server.get("/")
    assert status == 200
    assert b"WSGI Information" in body
    assert server.stop() == 0
    assert "has no effect" not in server.output
    assert "is no option" not in server.output


def test_the_second_file_tells_its_figures_to_this_machine_only(
    launch: Launch, free_port: int, tmp_path: Path
) -> None:
    figures = find_free_port()
    text = program("uwsgi_stats", port=f":22222=:{figures}")
    server = start(launch, tmp_path, text, free_port)
    wait_for(server, f"127.0.0.1:{figures} is taken")
    wait_for(server, "4 worker processes")
    assert server.get("/")[0] == 200
    with socket.create_connection(("127.0.0.1", figures), 10) as client:  # as uwsgitop does
        told = json.loads(client.makefile("rb").read())
    assert [worker["id"] for worker in told["workers"]] == [1, 2, 3, 4]
    assert server.stop() == 0


def test_the_third_file_says_its_address_before_it_loads_the_app(
    launch: Launch, free_port: int, tmp_path: Path
) -> None:
    if not shutil.which("/sbin/ifconfig"):
        pytest.skip("ifconfig is not installed")
    (tmp_path / "uwsgi.ini").write_text(
        program("uwsgi_address", port=f":22222=:{find_free_port()}", path="ifconfig eth0=ifconfig lo")
    )
    server = launch(RUN, free_port, cwd=tmp_path, PORT=str(free_port))
    wait_for(server, "inet 127.0.0.1")
    wait_for(server, "4 worker processes")
    assert server.output.index("inet 127.0.0.1") < server.output.index("4 worker processes")
    assert server.get("/")[0] == 200
    assert server.stop() == 0


STUCK = """
import os, threading


def app(environ, start_response):
    if environ["PATH_INFO"] == "/stuck":
        wait_for_nobody()
    start_response("200 OK", [("content-type", "text/plain")])
    return [str(os.getpid()).encode()]


def wait_for_nobody():
    threading.Event().wait()
"""


def test_harakiri_answers_shows_where_and_replaces_the_worker(
    launch: Launch, free_port: int, tmp_path: Path
) -> None:
    (tmp_path / "stuck.py").write_text(STUCK)
    text = code("uwsgi_first").replace("processes = 4", "processes = 1")
    text = text.replace("werkzeug.testapp:test_app", "stuck:app") + "harakiri = 1\n"
    server = start(launch, tmp_path, text, free_port)
    wait_for(server, "1 worker process")
    before = server.get("/")[2]
    assert server.get("/stuck")[0] == 503
    wait_for(server, "in wait_for_nobody")
    wait_for(server, "threads late=1 of 1")
    deadline = time.monotonic() + 40
    while (found := server.get("/"))[0] != 200 or found[2] == before:
        assert time.monotonic() < deadline, server.output
    assert server.stop() == 0


def test_a_port_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "uwsgi.ini").write_text(code("uwsgi_first"))
    server = ServerProcess(RUN, 0, clean_environment(), tmp_path, tmp_path / "log")
    try:
        assert server.process.wait(15) == 2
        assert "uwsgi.ini, line 2: there is no variable PORT in the environment" in server.output
    finally:
        server.remove()
