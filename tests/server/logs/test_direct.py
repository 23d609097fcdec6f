"""Without LOG_TO the log is written at once, and a standard error that nobody reads holds nobody up."""

import contextlib
import fcntl
import os
import pty
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import clean_environment, find_free_port
from vivace.server.logs import direct
from vivace.server.logs.direct import DirectLog, write_now
from vivace.server.logs.shipper import count_dropped

PATIENCE = 40.0

APP = """
import logging, os, signal
from vivace import Vivace, text

app = Vivace("shop")
log = logging.getLogger("shop")
count = 0

@app.get("/lines/<many:int>")
async def lines(request, many):
    global count
    for _ in range(many):
        count += 1
        log.info("line %d of %d %s", count, os.getpid(), "x" * 200)
    return text("logged")

@app.get("/exit")
async def leave(request):
    log.error("the last words")
    os._exit(3)

@app.get("/kill")
async def kill(request):
    log.error("the last words %s", "y" * 9000)
    os.kill(os.getpid(), signal.SIGKILL)
"""


class Unread:
    """A server whose standard error is a pipe that is read only when somebody asks."""

    def __init__(self, folder: Path, *options: str) -> None:
        (folder / "shop.py").write_text(APP)
        self.port = find_free_port()
        self.reading, writing = os.pipe()
        argv = [sys.executable, "-m", "vivace", "run", "shop:app", "--port", str(self.port), *options]
        self.process = subprocess.Popen(
            argv, cwd=folder, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=writing
        )
        os.close(writing)
        self.seen = b""

    def get(self, path: str) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            head = f"GET {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n"
            connection.sendall(head.encode())
            with connection.makefile("rb") as file:
                return file.read()

    def wait_until_serving(self) -> None:
        until(lambda: self.process.poll() is not None or self._is_there())
        assert self.process.poll() is None

    def _is_there(self) -> bool:
        with contextlib.suppress(OSError):
            return b"logged" in self.get("/lines/0")
        return False

    def read(self) -> bytes:
        """Something more of what it said; empty at the end."""
        data = os.read(self.reading, 65_536)
        self.seen += data
        return data

    def read_all(self) -> str:
        """Until nobody can write any more."""
        while self.read():
            continue
        return self.seen.decode()

    def remove(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                child.kill()
        self.process.kill()
        self.process.wait()
        os.close(self.reading)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Unread]]:
    with contextlib.ExitStack() as stack:

        def start(*options: str) -> Unread:
            server = Unread(tmp_path, *options)
            stack.callback(server.remove)
            server.wait_until_serving()
            return server

        yield start


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def numbers_by_process(told: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, process in re.findall(r"line (\d+) of (\d+) x{200}", told):
        found.setdefault(process, []).append(int(number))
    return found


@pytest.mark.parametrize("workers", ["1", "2"])
def test_requests_are_answered_while_nobody_reads_the_log(serve: Callable[..., Unread], workers: str) -> None:
    server = serve("--workers", workers, "--log-buffer", "500")
    for _ in range(100):
        assert b"logged" in server.get("/lines/100")
    server.process.terminate()
    assert server.process.wait(PATIENCE) == 0
    found = numbers_by_process(server.read_all())
    assert found
    # The first are there, and none has overtaken another.
    assert all(seen == list(range(1, len(seen) + 1)) for seen in found.values())


def test_whoever_reads_again_is_told_what_is_missing(serve: Callable[..., Unread]) -> None:
    server = serve("--log-buffer", "500")
    for _ in range(100):
        assert b"logged" in server.get("/lines/100")
    while b"lines of the log were dropped" not in server.seen:
        server.read()
    assert b"logged" in server.get("/lines/1")
    server.process.terminate()
    told = server.read_all()
    assert server.process.wait(PATIENCE) == 0
    (numbers,) = numbers_by_process(told).values()
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 10_001
    dropped = sum(map(int, re.findall(r"(\d+) lines of the log were dropped: stderr", told)))
    assert dropped + len(numbers) in range(10_001, 10_011)  # a few others of the server may have gone too


@pytest.mark.parametrize(("path", "status"), [("/exit", 3), ("/kill", -9)])
def test_the_last_words_are_there(serve: Callable[..., Unread], path: str, status: int) -> None:
    server = serve("--log-format", "text")
    server.get("/lines/50")
    with contextlib.suppress(OSError):
        server.get(path)
    assert server.process.wait(PATIENCE) == status
    told = server.read_all()
    (numbers,) = numbers_by_process(told).values()
    assert numbers == list(range(1, 51))
    assert re.search(r"ERROR shop: the last words( y{9000})? \[", told.splitlines()[-1])


# One descriptor


def make_pipe(_: Path) -> tuple[int, int]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 8192)
    return reading, writing


def make_fifo(folder: Path) -> tuple[int, int]:
    os.mkfifo(folder / "fifo")
    reading = os.open(folder / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reading, True)
    return reading, os.open(folder / "fifo", os.O_WRONLY)


def make_socket(_: Path) -> tuple[int, int]:
    one, other = socket.socketpair()
    return one.detach(), other.detach()


def make_terminal(_: Path) -> tuple[int, int]:
    reading, writing = pty.openpty()
    return reading, writing


MAKERS = [make_pipe, make_fifo, make_socket, make_terminal]


@pytest.fixture(params=MAKERS)
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Where it is read, and where it is written."""
    found = request.param(tmp_path)
    yield found
    for one in found:
        os.close(one)


def fill(writing: int, size: int = 512) -> int:
    done = 0
    while count := write_now(writing, b"z" * (size - 1) + b"\n"):
        done += count
    return done


def read_lines(reading: int, last: str) -> list[str]:
    data = b""
    while last.encode() + b"\n" not in data.replace(b"\r", b""):
        data += os.read(reading, 65_536)
    lines = data.decode().replace("\r", "").splitlines()
    return [line.lstrip("z") for line in lines if line.strip("z")]


def test_what_is_full_is_not_waited_for(ends: tuple[int, int]) -> None:
    reading, writing = ends
    assert fill(writing) > 0
    assert write_now(writing, b"more\n") == 0
    assert os.get_blocking(writing)
    until(lambda: os.read(reading, 65_536) and write_now(writing, b"more\n") == 5)


@pytest.mark.parametrize("make", [make_pipe, make_fifo])
def test_an_old_kernel_can_do_it_too(
    make: Callable[[Path], tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "_NO_WAIT", 0)
    reading, writing = make(tmp_path)
    assert fill(writing) > 0
    monkeypatch.setattr(direct, "_write_anew", direct._write_if_ready)
    assert write_now(writing, b"more\n") == 0
    os.read(reading, 1 << 20)
    assert write_now(writing, b"x" * 4096) == 4096
    assert write_now(writing, b"x" * 4097) == 0
    os.close(reading)
    os.close(writing)


def test_a_file_takes_what_is_written(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        assert write_now(file.fileno(), b"x" * 100_000) == 100_000
    with Path(os.devnull).open("wb") as file:
        assert write_now(file.fileno(), b"more\n") == 5


def test_order_is_kept_whatever_had_to_wait(ends: tuple[int, int]) -> None:
    reading, writing = ends
    log = DirectLog(writing, 10_000)
    log.write(20, "at once")
    fill(writing)
    for number in range(300):
        log.write(20, f"{number} " + "ñ" * (3000 if number % 50 == 7 else 20))
    log.write(20, "the end")
    lines = read_lines(reading, "the end")
    until(lambda: log.sent)
    log.write(20, "after")
    log.write(20, "all")
    lines += read_lines(reading, "all")
    log.close()
    expected = [str(number) for number in range(300)]
    assert [line.partition(" ")[0] for line in lines] == ["at", *expected, "the", "after", "all"]
    assert lines[8].count("ñ") == 3000
    assert log.dropped == 0


def test_the_oldest_go_and_are_counted(capfd: pytest.CaptureFixture[str]) -> None:
    reading, writing = make_pipe(Path())
    fill(writing, 4096)
    log = DirectLog(writing, 10)
    before = count_dropped()
    log.write(20, "under way")
    until(lambda: log._under_way)
    for number in range(11):
        log.write(20, str(number))
    assert log.dropped == 1
    assert count_dropped() == before + 1
    log.close(0.01)
    assert "11 lines of the log are lost: stderr did not take them" in capfd.readouterr().err
    os.read(reading, 65_536)
    assert log._thread is not None
    log._thread.join(PATIENCE)
    os.close(reading)
    os.close(writing)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_fork_has_none_of_the_lines_that_wait_and_the_parent_all() -> None:
    reading, writing = make_pipe(Path())
    fill(writing, 4096)
    log = DirectLog(writing, 100)
    log.write(20, "long " + "x" * 9000)
    until(lambda: log._under_way)
    log.write(20, "waits")
    child = os.fork()
    if not child:
        code = len(log._waiting) + log._lines + log._under_way + (log._thread is not None)
        log.write(20, "of the child")
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    log.write(20, "the end")
    lines = read_lines(reading, "the end")
    log.close()
    assert [line.split()[0] for line in lines] == ["long", "waits", "the"]
    os.close(reading)
    os.close(writing)
