"""Companions of a real server: started, replaced, started again, stopped."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.supervisor.serving import Serving, change, until

APP = """
import asyncio, os, sys
from vivace import Vivace
from vivace.framework.beside import Companion

app = Vivace("shop")
VERSION = 1


def say(text):
    os.write(2, (text + "\\n").encode())


@app.get("/")
async def index(request):
    return {"pid": os.getpid()}


async def mail(context):
    say(f"mail {context.index} v{VERSION} began as {os.getpid()}")
    await context.stopping.wait()
    say("mail stopped")


def plain(context):
    say(f"plain began as {os.getpid()}")
    while not context.wait(10):
        pass
    say("plain stopped")


app.companions += [Companion("mail", mail), Companion("plain", plain)]

if __name__ == "__main__":
    app.run(port=0)
"""
RUN = ("-m", "vivace", "run", "app:app", "--port", "0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the app is."""
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def pid_of(server: Serving, name: str, count: int = 1) -> int:
    """The process id that a companion said."""
    return int(server.wait_for(rf"{name}.* began as (\d+)\n", count)[1])


def status(server: Serving, folder: Path) -> dict[str, Any]:
    """What `vivace ctl status` tells."""
    found = subprocess.run(
        [sys.executable, "-m", "vivace", "ctl", "status", "--json", "--pid", str(server.process.pid)],
        cwd=folder,
        capture_output=True,
        check=True,
        timeout=20,
    )
    answer: dict[str, Any] = json.loads(found.stdout)
    return answer


@pytest.mark.parametrize("arguments", [RUN, (*RUN, "--preload", "off"), ("app.py",)])
def test_they_run_even_beside_one_worker_and_stop_with_it(folder: Path, arguments: tuple[str, ...]) -> None:
    with Serving(arguments, folder) as server:
        mail, plain = pid_of(server, "mail"), pid_of(server, "plain")
        worker = json.loads(server.get().rpartition("\r\n\r\n")[2])["pid"]
        parents = {psutil.Process(pid).ppid() for pid in (mail, plain, worker)}
        assert parents == {server.process.pid}
        assert "shop: service mail" in " ".join(psutil.Process(mail).cmdline())
        assert server.stop() == 0
        server.wait_for("mail stopped")
        server.wait_for("plain stopped")


def test_one_that_dies_is_started_again_and_shown(folder: Path) -> None:
    with Serving(RUN, folder) as server:
        assert server.port
        first = pid_of(server, "mail")
        os.kill(first, signal.SIGKILL)
        assert pid_of(server, "mail", 2) != first
        server.wait_for(rf"service mail \(pid {first}\) ended with SIGKILL; it is started again now")
        rows = {one["name"]: one for one in status(server, folder)["beside"]}
        assert (rows["mail"]["restarts"], rows["mail"]["state"]) == (1, "ready")
        assert rows["mail"]["last_exit"]["how"] == "ready: SIGKILL"
        assert rows["plain"]["kind"] == "service"


def test_the_level_of_the_log_reaches_them_and_those_that_come_later(folder: Path) -> None:
    wait = "    while logging.getLogger().level != logging.DEBUG:\n        await asyncio.sleep(0.01)\n"
    change(
        folder / "app.py",
        "async def mail(context):\n",
        f"import logging\n\n\nasync def mail(context):\n{wait}",
    )
    with Serving(RUN, folder) as server:
        assert server.port
        ctl = [sys.executable, "-m", "vivace", "ctl", "log-level", "debug", "--pid", str(server.process.pid)]
        subprocess.run(ctl, check=True, capture_output=True, timeout=20)
        os.kill(pid_of(server, "mail"), signal.SIGKILL)
        pid_of(server, "mail", 2)


def test_new_code_takes_over_and_code_that_fails_does_not(folder: Path) -> None:
    with Serving(RUN, folder) as server:
        old = pid_of(server, "mail")
        assert server.port
        change(folder / "app.py", "VERSION = 1", "VERSION = nothing")
        server.signal(signal.SIGHUP)
        server.wait_for("the old one goes on serving")
        assert psutil.pid_exists(old)
        change(folder / "app.py", "VERSION = nothing", "VERSION = 2")
        server.signal(signal.SIGHUP)
        server.wait_for(r"mail 0 v2 began")
        until(lambda: not psutil.pid_exists(old))
        server.wait_for("mail stopped")


def test_they_end_when_the_supervisor_is_killed(folder: Path) -> None:
    with Serving(RUN, folder) as server:
        pids = [pid_of(server, "mail"), pid_of(server, "plain")]
        assert server.port
        server.process.kill()
        assert until(lambda: not any(psutil.pid_exists(pid) for pid in pids)) < 5.0


def test_one_that_does_not_stop_is_cancelled_and_one_that_blocks_is_killed(folder: Path) -> None:
    change(folder / "app.py", "    await context.stopping.wait()", "    await asyncio.sleep(99)")
    change(folder / "app.py", "    while not context.wait(10):", "    while not context.wait(10) or True:")
    change(folder / "app.py", 'Companion("plain", plain)', 'Companion("plain", plain, grace=0.5)')
    change(folder / "app.py", 'Companion("mail", mail)', 'Companion("mail", mail, grace=0.6)')
    with Serving(RUN, folder) as server:
        plain = pid_of(server, "plain")
        assert server.port
        assert server.stop() == 0
        server.wait_for(rf"service plain \(pid {plain}\) did not end in time: killed")
        assert "mail stopped" not in server.log
        assert not re.search(r"mail \(pid \d+\) did not end", server.log)


def test_what_the_function_raises_is_logged_with_its_name(folder: Path) -> None:
    change(folder / "app.py", "    await context.stopping.wait()", "    raise ValueError('no stamps')")
    with Serving(RUN, folder) as server:
        server.wait_for(r"service mail ended with an error(.|\n)*ValueError: no stamps")
        server.wait_for(r"service mail \(pid \d+\) ended with exit code 1; it is started again in")
        assert server.get().startswith("HTTP/1.1 200")


def test_a_companion_has_the_background_part_of_a_budget(folder: Path) -> None:
    change(
        folder / "app.py",
        "    await context.stopping.wait()",
        "    say(f'mail may open {app_budget.share}')\n    await context.stopping.wait()",
    )
    change(
        folder / "app.py",
        "VERSION = 1",
        "VERSION = 1\napp_budget = app.budget('postgres', limit=20, background={'mail': 3})",
    )
    with Serving(RUN, folder) as server:
        server.wait_for("mail may open 3")


@pytest.mark.parametrize("arguments", [RUN, ("app.py",)])
def test_sanics_manager_is_taken_from_main_process_ready(folder: Path, arguments: tuple[str, ...]) -> None:
    change(
        folder / "app.py",
        "app.companions +=",
        """
def counter(name):
    import time
    say(f"{name} began as {os.getpid()}")
    time.sleep(99)


@app.main_process_ready
async def ready(app, _):
    app.manager.manage("counter", counter, {"name": "counter"})
    app.manager.manage("again", counter, {"name": "again"}, transient=True)


app.companions +=""",
    )
    with Serving(arguments, folder) as server:
        found, first = pid_of(server, "counter"), pid_of(server, "again")
        server.signal(signal.SIGHUP)
        assert pid_of(server, "again", 2) != first
        assert psutil.pid_exists(found)
        assert server.stop() == 0
        assert not psutil.pid_exists(found)


def test_a_new_supervisor_has_its_own(folder: Path) -> None:
    with Serving(RUN, folder) as server:
        old = pid_of(server, "mail")
        assert server.port
        server.signal(signal.SIGUSR2)
        assert server.process.wait(20) == 0
        new = pid_of(server, "mail", 2)
        assert psutil.pid_exists(new)
        assert not psutil.pid_exists(old)
