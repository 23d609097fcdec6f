"""A real server tells of what happens to it, from a process beside it, whatever kind of app it serves."""

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import find_free_port
from tests.supervisor.serving import Serving, until

NATIVE = """
import json, os
from vivace import Vivace

app = Vivace("shop")


@app.get("/")
async def index(request):
    return {"pid": os.getpid()}


@app.on_alarm("worker.*", "companion.down")
async def tell(alarm):
    with open("told", "a") as file:
        print(json.dumps([alarm.event, alarm.subject, alarm.resolved, os.getpid()]), file=file)
"""
WSGI = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b""]
"""


def told(folder: Path) -> list[Any]:
    path = folder / "told"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_function_hears_of_a_crash_and_of_its_end(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(NATIVE)
    arguments = ["-m", "vivace", "run", "shop:app", "--port", str(find_free_port()), "--workers", "2"]
    with Serving(arguments, tmp_path) as server:
        server.wait_for("http://")
        killed = _worker_of(server)
        os.kill(killed, signal.SIGKILL)
        until(lambda: len(told(tmp_path)) == 2)
        first, second = told(tmp_path)
        assert first[0] == second[0] == "worker.crash"
        assert re.fullmatch(r"worker [12]", first[1])
        assert (first[1], first[2], second[2]) == (second[1], False, True)
        assert first[3] not in (killed, server.process.pid)
        os.kill(first[3], signal.SIGKILL)  # what tells of alarms died: the next one tells of that
        until(lambda: len(told(tmp_path)) == 3)
        assert told(tmp_path)[2][:3] == ["companion.down", "process alarms", False]
        server.process.terminate()
        assert server.process.wait(20) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_hosted_app_has_alarms_of_the_configuration(tmp_path: Path, workers: str) -> None:
    (tmp_path / "old.py").write_text(WSGI)
    command = "exec:sh -c 'echo $ALARM_EVENT $ALARM_STATE >> said'"
    said = tmp_path / "said"
    (tmp_path / "vivace.toml").write_text(f'[[alarm]]\non = "worker.crash"\nto = "{command}"\n')
    port = find_free_port()
    arguments = ["-m", "vivace", "run", "old:app", "--port", str(port), "--workers", workers]
    with Serving(arguments, tmp_path) as server:
        server.wait_for("http://")
        os.kill(_worker_of(server), signal.SIGKILL)
        until(lambda: said.exists() and said.read_text().count("\n") == 2)
        assert said.read_text() == "worker.crash firing\nworker.crash resolved\n"


def _worker_of(server: Serving) -> int:
    """The process that answers, or any that was forked to: a grandchild that holds the listening socket."""
    found = psutil.Process(server.process.pid).children(recursive=True)
    return next(one.pid for one in reversed(found) if "worker" in " ".join(one.cmdline()))
