"""Files whose touch restarts the app."""

import logging
import os
from pathlib import Path

import pytest

from tests.supervisor.serving import APP, Serving
from vivace.supervisor.chores.touched import LOOK_EVERY, TouchWatch

RUN = ("-m", "vivace", "run", "sample.py", "--port", "0", "--no-access-log")


def test_a_touch_is_one_restart_however_many_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "vivace")
    names = [tmp_path / "a", tmp_path / "b", tmp_path / "not there yet"]
    for name in names[:2]:
        name.touch()
    asked: list[int] = []
    watch = TouchWatch(os.pathsep.join(map(str, names)), lambda: asked.append(1))
    watch.look(10.0)
    assert (asked, watch.due) == ([], 10.0 + LOOK_EVERY)
    for name in names[:2]:
        os.utime(name, ns=(1, 1))
    watch.look(11.0)
    assert asked == [1]
    names[2].touch()
    watch.look(12.0)
    assert asked == [1, 1], "one that comes is touched"
    assert str(names[2]) in caplog.messages[-1]
    names[2].unlink()
    watch.look(13.0)
    assert asked == [1, 1], "one that goes is not"


def test_without_files_there_is_nothing_to_look_at() -> None:
    assert TouchWatch("", lambda: None).due == float("inf")


def test_a_touch_brings_new_code(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(APP)
    (tmp_path / "reload.txt").touch()
    with Serving([*RUN, "--touch-reload", "reload.txt"], tmp_path) as server:
        server.wait_for("1 worker process")
        os.utime(tmp_path / "reload.txt", ns=(1, 1))
        server.wait_for(r"reload\.txt was touched \(TOUCH_RELOAD\): the app is restarted")
        server.wait_for("generation 2")
        assert "200 OK" in server.get()
        assert server.stop() == 0
