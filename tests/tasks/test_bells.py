"""Bells: who hears, who is gone, and who cannot be judged."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import clean_environment
from vivace.tasks.bells import Bell, Bells

HANG = """
import sys, time
from pathlib import Path
from vivace.tasks.bells import Bells
bell = Bells(Path(sys.argv[1])).hang()
print(bell.worker, flush=True)
time.sleep(60)
"""


@contextmanager
def hung(bells: Bells) -> Iterator[Bell]:
    bell = bells.hang()
    yield bell
    bell.close()


def rings(bell: Bell) -> bool:
    heard = bool(select.select([bell], [], [], 0)[0])
    bell.hush()
    return heard


def test_all_who_hang_a_bell_hear(tmp_path: Path) -> None:
    here, there = Bells(tmp_path / "bells"), Bells(tmp_path / "bells")
    with hung(here) as two:
        with hung(there) as one:
            assert here.place == there.place
            assert there.ring() == 2
            assert (rings(one), rings(two), rings(one)) == (True, True, False)
        assert there.ring() == 1


def test_a_bell_that_rang_often_is_no_trouble(tmp_path: Path) -> None:
    bells = Bells(tmp_path / "bells")
    with hung(bells) as bell:
        for _ in range(2000):
            assert bells.ring() == 1
        assert rings(bell)
        assert not rings(bell)


def test_a_process_that_was_killed_is_known_to_be_gone(tmp_path: Path) -> None:
    bells = Bells(tmp_path / "bells")
    argv = [sys.executable, "-c", HANG, str(tmp_path / "bells")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=clean_environment()) as process:
        assert process.stdout is not None
        worker = process.stdout.readline().strip()
        assert bells.gone({worker, "elsewhere-1-ab"}) == set()
        process.kill()
        process.wait()
        assert bells.gone({worker, "elsewhere-1-ab"}) == {worker}
        assert bells.gone({worker}) == {worker}  # its file is gone too
    assert not list((tmp_path / "bells").glob("*.bell"))


def test_a_folder_whose_path_is_too_long_for_a_socket_will_do(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120) / "bells"
    if not Path("/proc/self/fd").exists():
        pytest.skip("only Linux has another name for it")
    bells = Bells(folder)
    with hung(bells) as bell:
        assert bells.ring() == 1
        assert rings(bell)
        assert bells.gone({bell.worker}) == set()


def test_the_folder_is_nobody_elses_business_and_git_does_not_see_it(tmp_path: Path) -> None:
    bells = Bells(tmp_path / ".vivace" / "bells")
    assert (tmp_path / ".vivace" / ".gitignore").read_text() == "*\n"
    assert os.stat(tmp_path / ".vivace").st_mode & 0o077 == 0
    bells.close()
