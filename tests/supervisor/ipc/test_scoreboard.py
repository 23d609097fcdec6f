"""What workers say of themselves in shared memory, and what is read of it when they cannot be asked."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.supervisor.serving import Serving, ask, until
from vivace.supervisor.ipc.scoreboard import PLACES, TEXT_SIZE, Phase, Reading, Scoreboard


@pytest.fixture
def board() -> Scoreboard:
    return Scoreboard()


def read(board: Scoreboard, slot: int = 0) -> Reading:
    reading = board.read(slot, os.getpid())
    assert reading is not None
    return reading


def test_what_is_written_is_read(board: Scoreboard) -> None:
    entry = board.enter(3, 7)
    assert entry is not None
    assert read(board, 3).phase is Phase.BOOTING
    assert read(board, 3).late(time.monotonic()) == 0.0
    entry.enter(Phase.SERVING)
    entry.beat(100.0, 0.5, 12, 1, 2, 3, 4, "GET /old", 99.0, 6, 5, 0.1, 0.2, True)
    reading = read(board, 3)
    assert reading[:2] == (os.getpid(), 7)
    assert reading.phase is Phase.SERVING
    assert reading[4:18] == (100.0, 0.5, 12, 1, 2, 3, 4, 6, 5, 99.0, 0.1, 0.2, True, "GET /old")
    assert reading.late(104.0) == 4.0
    board.close()


def test_who_is_suspected_of_blocking(board: Scoreboard) -> None:
    entry = board.enter(0, 1)
    assert entry is not None
    entry.beat(time.monotonic(), 0.0, 1, 0, 1, 1, 0, "GET /old", 1.0)
    assert read(board).suspect == "GET /old"
    entry.note("GET", b"/new")
    assert read(board).suspect == "GET /new"
    entry.blocked_by("GET /this")
    assert read(board).suspect == "GET /this"
    entry.beat(time.monotonic() + 1, 0.0, 1, 0, 0, 1, 0, "", 0.0)
    assert read(board).suspect == "GET /new"
    board.close()


def test_other_processes_and_places_that_are_not_there_say_nothing(board: Scoreboard) -> None:
    assert board.read(0, os.getpid()) is None
    board.enter(0, 1)
    assert board.read(0, os.getpid() + 1) is None
    assert board.read(1, os.getpid()) is None
    assert board.enter(PLACES, 1) is None
    assert board.read(PLACES, os.getpid()) is None
    assert board.enter(PLACES - 1, 1) is not None
    board.close()


def test_a_new_worker_begins_with_a_clean_place(board: Scoreboard) -> None:
    entry = board.enter(0, 1)
    assert entry is not None
    entry.note("GET", b"/secret")
    board.enter(0, 2)
    assert read(board).newest == ""
    assert read(board).generation == 2
    board.close()


def test_texts_are_cut_and_made_printable(board: Scoreboard) -> None:
    entry = board.enter(0, 1)
    assert entry is not None
    entry.note("GET", b"/" + b"a" * TEXT_SIZE)
    assert read(board).newest == "GET /" + "a" * (TEXT_SIZE - 1)
    entry.note("GET", b"/\x1b[2J\xff")
    assert read(board).newest == "GET /\\x1b[2J\\xff"
    board.close()


def test_a_worker_that_died_while_it_wrote_is_read_all_the_same(board: Scoreboard) -> None:
    entry = board.enter(0, 1)
    assert entry is not None
    entry._begin()
    assert read(board).generation == 1
    board.close()


def test_memory_is_shared_by_fork_and_by_descriptor(board: Scoreboard) -> None:
    pid = os.fork()
    if pid == 0:
        entry = board.enter(5, 9)
        os._exit(0 if entry is not None else 1)
    os.waitpid(pid, 0)
    other = Scoreboard(os.dup(board.descriptor))
    assert other.descriptor == -1
    for one in (board, other):
        reading = one.read(5, pid)
        assert reading is not None
        assert reading.generation == 9
    other.close()
    board.close()


APP = """
import asyncio, os, re, sys, time
from vivace import Vivace

app = Vivace("sample")


@app.get("/")
async def index(request):
    return {"pid": os.getpid()}


@app.get("/wait")
async def wait(request):
    await asyncio.sleep(60)


@app.get("/block/<way>")
async def block(request, way):
    await asyncio.sleep(0.01)
    if way == "sleep":
        time.sleep(60)
    else:
        re.match(r"(a+)+$", "a" * 60 + "b")


if __name__ == "__main__":
    app.run(port=0, workers=1, supervise="on", access_log=False)
"""
WAYS = {
    "command": ("-m", "vivace", "run", "sample.py", "--port", "0", "--supervise", "on"),
    "program": ("sample.py",),
}


def board_of(supervisor: int) -> Scoreboard:
    """The memory of a server, opened from outside."""
    for name in os.listdir(f"/proc/{supervisor}/fd"):
        path = f"/proc/{supervisor}/fd/{name}"
        if "vivace-scoreboard" in os.readlink(path):
            return Scoreboard(os.open(path, os.O_RDWR))
    raise AssertionError("it has no scoreboard")


def first_worker(server: Serving) -> int:
    return int(server.get().rpartition(":")[2].rstrip("}"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("block", ["sleep", "regex"])
def test_a_blocked_worker_is_seen_from_outside_with_its_request(tmp_path: Path, way: str, block: str) -> None:
    (tmp_path / "sample.py").write_text(APP)
    with Serving(WAYS[way], tmp_path) as server:
        board = board_of(int(server.wait_for(r"supervisor pid (\d+)")[1]))
        pid = first_worker(server)

        def reading() -> Reading:
            found = board.read(0, pid)
            assert found is not None
            return found

        with server.connect() as waiting, server.connect() as blocking:
            ask(waiting, "/wait?token=secret")
            until(lambda: reading().oldest == "GET /wait")
            assert reading().active == 1
            assert reading().served >= 2
            ask(blocking, f"/block/{block}?token=secret")
            until(lambda: reading().late(time.monotonic()) > 1.5)
            assert reading().suspect == f"GET /block/{block}"
            if block == "sleep":
                until(lambda: reading().blocking == "GET /block/sleep")
        board.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_generation_that_follows_has_the_same_memory(tmp_path: Path, way: str) -> None:
    (tmp_path / "sample.py").write_text(APP)
    with Serving(WAYS[way], tmp_path) as server:
        supervisor = int(server.wait_for(r"supervisor pid (\d+)")[1])
        board = board_of(supervisor)
        os.kill(supervisor, signal.SIGHUP)
        server.wait_for("restarted: generation 2 serves")

        def newest() -> list[tuple[int, Phase]]:
            pid = first_worker(server)
            readings = [reading for slot in range(4) if (reading := board.read(slot, pid)) is not None]
            return [(reading.generation, reading.phase) for reading in readings]

        until(lambda: newest() == [(2, Phase.SERVING)])
        board.close()


def title_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()


def test_the_title_of_a_worker_says_what_it_does(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(APP)
    with Serving(WAYS["command"], tmp_path) as server, server.connect() as client:
        pid = first_worker(server)
        until(lambda: title_of(pid) == "sample: worker 1 gen 1 [busy 0]")
        ask(client, "/wait")
        until(lambda: title_of(pid) == "sample: worker 1 gen 1 [busy 1]")
