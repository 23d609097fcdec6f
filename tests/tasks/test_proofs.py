"""What is promised of tasks and schedules, with processes that are killed and a real disk that is full."""

import asyncio
import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import ROOT, clean_environment
from tests.supervisor.serving import Serving, until
from tests.tasks.conftest import spool_url
from tests.tasks.test_runner import running
from vivace.config import Config
from vivace.tasks.book import Book

PATIENCE = 60.0
SCHEDULER = """
import asyncio, signal, sys
from vivace.config import Config
from vivace.tasks.book import Book
from vivace.tasks.schedule import Cron
from vivace.tasks.scheduler import Scheduler

book = Book("shop", lambda: config)
config = Config({"TASKS_URL": sys.argv[1]})
book.declare_schedule(lambda slot: None, Cron("* * * * * *"), name="tick", overlap="allow", catch_up="all")
print("begins", flush=True)
asyncio.run(Scheduler(book).run(asyncio.Event()))
"""


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return spool_url(request, tmp_path)


class Machine:
    """A scheduler of a machine of its own: it shares nothing with others but the spool."""

    def __init__(self, url: str, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCHEDULER, url],
            env={**clean_environment(), "STATE_DIRECTORY": str(folder)},
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"begins\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.mark.once
@pytest.mark.timeout(180)
async def test_each_slot_is_run_once_while_schedulers_of_two_machines_are_killed(
    url: str, tmp_path: Path
) -> None:
    restarts = 20 if url.startswith("sqlite") else 4
    seen: Counter[int] = Counter()
    config = Config({"TASKS_URL": url})
    book = Book("shop", lambda: config)

    def tick(slot: datetime) -> None:
        seen[int(slot.timestamp())] += 1

    book.declare(tick)
    begun = int(time.time())
    make = partial(Machine, url)
    machines = [await asyncio.to_thread(make, tmp_path / f"machine{n}") for n in range(2)]
    try:
        async with running(book):
            for turn in range(restarts):
                await asyncio.sleep(random.random() * 0.2)
                machines[turn % 2].kill()
                machines[turn % 2] = await asyncio.to_thread(make, tmp_path / f"machine{turn % 2}")
            last = max(int(time.time()) + 1, begun + 5)  # also where all of that was quick
            async with asyncio.timeout(PATIENCE):
                while not any(slot > last for slot in seen):
                    await asyncio.sleep(0.02)
    finally:
        for machine in machines:
            machine.kill()
    book.close()
    slots = range(min(seen), last)
    assert len(slots) >= 2
    assert {slot: seen[slot] for slot in slots} == dict.fromkeys(slots, 1)


@pytest.mark.once
@pytest.mark.timeout(180)
def test_no_task_is_lost_when_runners_and_supervisors_are_killed() -> None:
    """`python -m bench.tasks kills 1000` does it in full."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.tasks", "kills", "12"],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "the file: ok\nlost: 0; left behind: 0" in done.stdout


# A disk without room

FULL = """
from vivace import Vivace

app = Vivace("full")


@app.task(keep="1h")
def note(text: str) -> int:
    return len(text)


@app.get("/note")
async def take(request):
    return {"id": (await note.enqueue("x" * 5000)).id}
"""


@pytest.fixture
def own_disk() -> list[str]:
    """What a command begins with that may mount what it likes, and nobody else sees it."""
    own = ["unshare", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*own, "true"], check=False).returncode:
        pytest.skip("unshare is not permitted here")
    return own


@pytest.fixture
def server(tmp_path: Path, own_disk: list[str]) -> Iterator[Serving]:
    """A server whose spool is on a disk of 512 KiB."""
    (tmp_path / "web.py").write_text(FULL)
    disk = tmp_path / "disk"
    disk.mkdir()
    run = f"{sys.executable} -m vivace run web.py --port 0 --workers 1 --task-workers 1"
    argv = [*own_disk, "bash", "-c", f"mount -t tmpfs -o size=512k none {disk} && exec {run}"]
    start = f"import os; os.execvp({argv[0]!r}, {argv!r})"
    with Serving(["-c", start], tmp_path, {"STATE_DIRECTORY": str(disk)}) as made:
        assert made.port
        yield made


CHECK = (
    "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('PRAGMA integrity_check').fetchone())"
)


@pytest.mark.once
@pytest.mark.timeout(180)
def test_a_server_whose_disk_is_full_says_so_and_goes_on_when_there_is_room(
    server: Serving, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"

    def inside(*command: str) -> str:
        argv = ["nsenter", "--mount", "--target", str(server.process.pid), *command]
        return subprocess.run(argv, cwd=tmp_path, check=True, stdout=subprocess.PIPE, text=True).stdout

    def done() -> int:
        url = f"sqlite:///{disk}/tasks.sqlite3"
        listed = inside(sys.executable, "-m", "vivace", "tasks", "list", "--json", "--url", url)
        states: dict[str, int] = json.loads(listed)["states"]
        return 0 if states.keys() - {"done"} else states["done"]

    kept = 0
    while "200 OK" in (answer := server.get("/note")):
        kept += 1
    assert "503 Service Unavailable" in answer
    assert kept > 5
    server.wait_for(r"the spool .*/tasks\.sqlite3 has no room .*: make room on its disk")
    assert "503 Service Unavailable" in server.get("/note")
    inside("mount", "-o", "remount,size=16m", str(disk))
    assert "200 OK" in server.get("/note")
    until(lambda: done() == kept + 1, PATIENCE)
    assert inside(sys.executable, "-c", CHECK, f"{disk}/tasks.sqlite3") == "ok\n"
