"""A file of uWSGI as a target: who beats whom, and what a restart reads."""

import signal
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Launch, find_free_port
from vivace.cli.from_uwsgi import is_uwsgi_file, uwsgi_reader

RUN = [sys.executable, "-m", "vivace", "run", "uwsgi.ini"]
APP = """
import os
def application(environ, start_response):
    start_response("200 OK", [])
    return [os.environ["MODE"].encode(), b" ", os.path.basename(os.getcwd()).encode()]
"""


def write(folder: Path, mode: str, inner: str) -> None:
    (folder / inner).mkdir(exist_ok=True)
    (folder / inner / "shop.py").write_text(APP)
    (folder / "uwsgi.ini").write_text(
        f"[uwsgi]\nhttp = :{find_free_port()}\nmodule = shop\nchdir = {inner}\npythonpath = .\n"
        f"env = MODE={mode}\nprocesses = 2\n"
    )


def test_the_command_line_wins_and_a_restart_reads_the_file_again(
    launch: Launch, free_port: int, tmp_path: Path
) -> None:
    write(tmp_path, "one", "first")
    server = launch([*RUN, "--port", str(free_port)], free_port, cwd=tmp_path)
    assert server.get("/")[2] == b"one first"
    write(tmp_path, "two", "second")
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 40
    while server.get("/")[2] != b"two second":
        assert time.monotonic() < deadline, server.output
        time.sleep(0.05)
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("target", "is_one"),
    [
        ("uwsgi.ini", True),
        ("uwsgi.ini:web", True),
        ("none.ini", False),
        ("shop.py:app", False),
        ("shop", False),
    ],
)
def test_which_target_is_a_file_of_uwsgi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, is_one: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "uwsgi.ini").touch()
    (tmp_path / "shop.py").touch()
    assert is_uwsgi_file(target) == is_one


def test_a_section_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "uwsgi.ini").write_text("[web]\nmodule = a\n[other]\nmodule = b\n")
    target, settings, _ = uwsgi_reader("uwsgi.ini:other")({})
    assert (target, settings) == ("b:application", {"THREADS": 1})
