"""The pid file: written whole, locked, taken over when it is left over, removed only while it is ours."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vivace.errors import StartupError
from vivace.supervisor.telling.pidfile import PidFile

HOLDER = """
import sys
from vivace.supervisor.telling.pidfile import PidFile
file = PidFile(sys.argv[1])
file.write()
print("written", flush=True)
sys.stdin.read()
file.remove()
"""


@contextmanager
def other_process(*argv: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline().strip() == "written"
        yield process
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "server.pid"


def test_it_names_this_process_and_goes_with_it(path: Path) -> None:
    file = PidFile(str(path))
    file.check()
    assert not path.exists()
    file.write()
    assert path.read_text() == f"{os.getpid()}\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(path.parent) == [path.name]
    file.write()
    file.remove()
    assert os.listdir(path.parent) == []
    file.remove()


def test_without_a_path_nothing_is_done() -> None:
    file = PidFile("")
    file.check()
    file.write()
    file.remove()


def test_a_live_server_is_named(path: Path) -> None:
    with other_process(HOLDER, str(path)) as process:
        for step in (PidFile(str(path)).check, PidFile(str(path)).write):
            with pytest.raises(StartupError, match=f"names the process {process.pid}, which runs") as caught:
                step()
            assert caught.value.exit_code == 2
        assert path.read_text() == f"{process.pid}\n"
        assert os.listdir(path.parent) == [path.name]
        # The next supervisor may take it from the one that it replaces.
        successor = PidFile(str(path), before=process.pid)
        successor.check()
        successor.write()
        assert path.read_text() == f"{os.getpid()}\n"
    assert path.read_text() == f"{os.getpid()}\n"  # the old one left it alone
    successor.remove()
    assert not path.exists()


def test_a_live_process_without_a_lock_counts_too(path: Path) -> None:
    """Another program wrote the file."""
    with other_process("print('written', flush=True); input()") as process:
        path.write_text(f"{process.pid}")
        with pytest.raises(StartupError, match=f"process {process.pid}, which runs"):
            PidFile(str(path)).check()
        # ... but not if the process began after the file was written: then it only has the same number.
        long_ago = time.time() - 3600
        os.utime(path, (long_ago, long_ago))
        PidFile(str(path)).check()


@pytest.mark.parametrize("content", ["", "\n", "garbage", "-1", "0", "999999999", "{own}"])
def test_what_is_left_over_is_taken_over(path: Path, content: str) -> None:
    path.write_text(content.replace("{own}", str(os.getpid())))
    file = PidFile(str(path))
    file.check()
    file.write()
    assert path.read_text() == f"{os.getpid()}\n"
    file.remove()
    assert not path.exists()


def test_a_file_that_somebody_replaced_is_left_alone(path: Path) -> None:
    file = PidFile(str(path))
    file.write()
    path.unlink()
    path.write_text("17\n")
    file.remove()
    assert path.read_text() == "17\n"


def test_a_child_neither_removes_nor_holds_it(path: Path) -> None:
    file = PidFile(str(path))
    file.write()
    pid = os.fork()
    if pid == 0:
        file.remove()
        file.close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert path.exists()
    file.remove()
    assert not path.exists()


def test_a_folder_that_is_not_there_is_named_before_the_start(path: Path) -> None:
    with pytest.raises(StartupError, match=r"server.pid cannot be written: no such folder") as caught:
        PidFile(str(path.parent / "none" / "server.pid")).check()
    assert caught.value.exit_code == 2


def test_a_file_that_cannot_be_written_is_named(path: Path) -> None:
    path.mkdir()
    file = PidFile(str(path))
    with pytest.raises(StartupError, match=r"server.pid cannot be written"):
        file.write()
    assert os.listdir(path.parent) == [path.name]
