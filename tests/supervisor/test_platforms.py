"""The rules of platforms: Heroku's Procfile, PORT and signals; the first process of a container."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.cases import free_port
from bench.stage import Stage, app_text, until
from tests.docs.runner import blocks
from vivace.config import Config

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
GRANTED = 30.0
"""Seconds between Heroku's SIGTERM and its SIGKILL."""
QUOTA = 512 * 2**20
"""Octets of the smallest dyno."""


def block_of(page: str, name: str) -> str:
    """The block that a page writes to a file."""
    found = [
        b.text for b in blocks((ROOT / "docs" / page).read_text()) if (b.mark, b.argument) == ("file", name)
    ]
    assert len(found) == 1, name
    return found[0]


@contextmanager
def dyno(folder: Path, *, boot: float = 0.0, workers: str = "2", **more: str) -> Iterator[Stage]:
    """A dyno that runs the ``web`` line of the page's Procfile, as the platform does: by a shell."""
    (folder / "trial.py").write_text(app_text(folder, boot=boot, package="vivace"))
    line = re.search(r"^web:\s*(.+)$", block_of("deploy-heroku.md", "Procfile"), re.MULTILINE)
    assert line is not None
    command = line[1].replace("vivace run shop:app", f"{sys.executable} -m vivace run trial:app")
    port = free_port()
    environ = {"PORT": str(port), "WEB_CONCURRENCY": workers, "DYNO": "web.1", **more}
    with Stage(["bash", "-c", command], folder, environ) as stage:
        stage.port = port
        yield stage


def tell_all(stage: Stage, number: int) -> None:
    """Every process of the dyno gets the signal at once."""
    for pid in stage.family():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def test_a_dyno_listens_at_its_port_and_finishes_what_it_began(tmp_path: Path) -> None:
    with dyno(tmp_path) as stage:
        stage.wait_until_serving()
        until(lambda: "2 worker processes" in stage.log)
        assert "http://0.0.0.0:" in stage.log
        answers: list[str] = []
        slow = threading.Thread(target=lambda: answers.append(stage.ask("/slow?1", 10.0)))
        slow.start()
        until(lambda: bool(_established(stage)), 5.0)
        tell_all(stage, signal.SIGTERM)
        slow.join()
        assert stage.wait(GRANTED / 3) == 0
        assert answers[0].startswith("1 ")
        assert not stage.family()
        assert "Traceback" not in stage.log


def _established(stage: Stage) -> list[str]:
    place = f"{stage.port:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return [line for line in lines if line.split()[1].endswith(place) and line.split()[3] == "01"]


def test_a_dyno_that_is_stuck_is_gone_before_the_platform_kills_it(tmp_path: Path) -> None:
    assert Config().GRACEFUL_SHUTDOWN_TIMEOUT + 3 < GRANTED
    with dyno(tmp_path, workers="1", VIVACE_GRACEFUL_SHUTDOWN_TIMEOUT="1") as stage:
        stage.wait_until_serving()
        stuck = threading.Thread(target=stage.ask, args=("/slow?60", 40.0))
        stuck.start()
        until(lambda: bool(_established(stage)), 5.0)
        tell_all(stage, signal.SIGTERM)
        assert stage.wait(1 + 3) == 0
        stuck.join()


def test_a_dyno_that_still_boots_stops_too(tmp_path: Path) -> None:
    with dyno(tmp_path, boot=20.0) as stage:
        until(lambda: stage.noted("imported"))
        tell_all(stage, signal.SIGTERM)
        assert stage.wait(5.0) == 0


def test_a_small_dyno_is_large_enough(tmp_path: Path) -> None:
    with dyno(tmp_path, workers="4") as stage:
        stage.wait_until_serving()
        until(lambda: "4 worker processes" in stage.log)
        assert sum(map(_proportional, stage.family())) < QUOTA // 4


def _proportional(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"PORT": ""}, "PORT"),
        ({"PORT": "http"}, "PORT"),
        ({"PORT": "99999"}, "PORT"),
        ({"PORT": "-1"}, "PORT"),
        ({"WEB_CONCURRENCY": ""}, "WEB_CONCURRENCY"),
        ({"WEB_CONCURRENCY": "many"}, "WEB_CONCURRENCY"),
        ({"WEB_CONCURRENCY": "0"}, "WEB_CONCURRENCY"),
        ({"WEB_CONCURRENCY": "-2"}, "WEB_CONCURRENCY"),
        ({"WEB_CONCURRENCY": "1.5"}, "WEB_CONCURRENCY"),
    ],
)
def test_senseless_variables_cost_a_warning_and_no_more(
    tmp_path: Path, variables: Mapping[str, str], named: str
) -> None:
    (tmp_path / "trial.py").write_text(app_text(tmp_path, package="vivace"))
    argv = [sys.executable, "-m", "vivace", "run", "trial:app", "--no-access-log"]
    given = {"PORT": "{port}", **variables}
    if given["PORT"] != "{port}":  # then only the command line keeps tests from the one port of all
        argv += ["--port", "{port}"]
    port = free_port()
    with Stage([word.replace("{port}", str(port)) for word in argv], tmp_path, _with(given, port)) as stage:
        stage.port = port
        stage.wait_until_serving()
        until(lambda: "Listening on" in stage.log)
        warnings = [line for line in stage.log.splitlines() if '"warning"' in line]
        assert len(warnings) == 1, warnings
        assert f"{named}=" in warnings[0]
        stage.send(signal.SIGTERM)
        assert stage.wait(10.0) == 0


def _with(given: Mapping[str, str], port: int) -> dict[str, str]:
    return {name: value.replace("{port}", str(port)) for name, value in given.items()}


# The first process of a container

CONTAINED = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
"""A process tree of its own; what follows is its first process."""


def can_contain(*more: str) -> bool:
    """Whether this system lets us."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*CONTAINED, *more, "true"], capture_output=True, check=False).returncode == 0


needs_containers = pytest.mark.skipif(not can_contain(), reason="unshare is not permitted here")
ORPHANS = """

@app.get("/orphans")
async def orphans(request):
    for _ in range(5):
        if os.fork() == 0:
            if os.fork() == 0:
                os.execv("/bin/true", ["true"])
            os._exit(0)
        os.wait()
    return framework.text("1 0")


@app.get("/zombies")
async def zombies(request):
    found = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            found += open(f"/proc/{name}/stat").read().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            pass
    return framework.text(f"{found} {os.getppid()}")
"""


@pytest.mark.parametrize("workers", ["1", "2"])
@needs_containers
def test_the_first_process_of_a_container_reaps_and_heeds_signals(tmp_path: Path, workers: str) -> None:
    (tmp_path / "trial.py").write_text(app_text(tmp_path, package="vivace") + ORPHANS)
    run = [sys.executable, "-m", "vivace", "run", "trial:app", "--port", "{port}", "--workers", workers]
    with Stage([*CONTAINED, *run], tmp_path) as stage:
        stage.wait_until_serving()
        for _ in range(3):
            assert stage.ask("/orphans") == "1 0"
        assert until(lambda: stage.ask("/zombies") == "0 1", 5.0) < 5.0, stage.ask("/zombies")
        (first,) = _children(stage.process.pid)
        os.kill(first, signal.SIGTERM)
        assert stage.wait(8.0) == 0
        assert "Traceback" not in stage.log


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@needs_containers
def test_nothing_has_to_be_writable(tmp_path: Path) -> None:
    """A read-only root file system, and no home; the user without a name is the Dockerfile's."""
    (tmp_path / "trial.py").write_text(_without_notes(app_text(tmp_path, package="vivace")))
    run = f"exec {sys.executable} -m vivace run trial:app --port {{port}} --workers 2"
    script = f"mount --make-rprivate / && mount -o remount,ro,bind / && {run}"
    with Stage([*CONTAINED, "bash", "-c", script], tmp_path, {"HOME": "/nonexistent"}) as stage:
        stage.wait_until_serving()
        assert "Traceback" not in stage.log
        (first,) = _children(stage.process.pid)
        os.kill(first, signal.SIGTERM)
        assert stage.wait(8.0) == 0


def _without_notes(text: str) -> str:
    return text.replace("    with open(", "    return\n    with open(")
