"""The process of the hub: made when somebody needs it, again when it dies, and nobody who waits is lost."""

import json
import os
import re
import signal
import socket
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.supervisor.beside.test_companions import status
from tests.supervisor.serving import Serving, until
from vivace.supervisor.beside.folder import LONGEST, Folder

APP = """
import asyncio, os, sys
from vivace import Vivace

app = Vivace("shop")


def say(text):
    os.write(2, (text + "\\n").encode())


@app.before_server_start
async def where(app):
    say("the hub is at " + os.environ["VIVACE_HUB"])


@app.get("/follow")
async def follow(request):
    async def read():
        async with app.hub.subscribe("news") as sub:
            say("follows")
            async for item in sub:
                say(f"{os.getpid()} got {getattr(item, 'data', item)!r}")

    app.add_task(read)
    return {"pid": os.getpid()}


@app.get("/publish/<text>")
async def publish(request, text):
    await app.hub.publish("news", text)
    return {"pid": os.getpid()}
"""
RUN = ("-m", "vivace", "run", "app:app", "--port", "0", "--workers", "2")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the app is."""
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def hub_of(server: Serving, folder: Path) -> dict[str, Any]:
    """The row of the hub; empty if there is none."""
    return next((one for one in status(server, folder)["beside"] if one["kind"] == "hub"), {})


def test_it_is_made_when_somebody_needs_it_and_goes_with_the_server(folder: Path) -> None:
    with Serving(RUN, folder) as server:
        place = Path(server.wait_for(r"the hub is at (\S+)")[1])
        assert server.port
        assert place.parent.stat().st_mode & 0o777 == 0o700
        assert hub_of(server, folder) == {}
        server.get("/follow")
        server.wait_for("follows")
        server.get("/publish/hello")
        server.wait_for("got 'hello'")
        hub = hub_of(server, folder)
        assert hub["state"] == "ready"
        assert psutil.Process(hub["pid"]).cmdline()[0].startswith("shop: hub")
        assert server.stop() == 0
        assert not psutil.pid_exists(hub["pid"])
        assert not place.parent.exists()


def test_who_connects_while_no_hub_runs_waits_for_the_next_one(folder: Path) -> None:
    with Serving(RUN, folder) as server:
        place = server.wait_for(r"the hub is at (\S+)")[1]
        server.get("/follow")
        server.wait_for("follows")
        first = hub_of(server, folder)["pid"]
        os.kill(first, signal.SIGKILL)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(place)
            server.wait_for(rf"hub \(pid {first}\) ended with SIGKILL; it is started again now")
            until(lambda: hub_of(server, folder).get("pid") not in (None, 0, first))
        server.get("/publish/again")
        server.wait_for("got 'again'")
        assert hub_of(server, folder)["restarts"] == 1


def test_a_new_supervisor_goes_on_with_the_same_socket(folder: Path) -> None:
    with Serving(RUN, folder) as server:
        place = server.wait_for(r"the hub is at (\S+)")[1]
        assert server.port
        server.get("/follow")
        server.wait_for("follows")
        hub = hub_of(server, folder)["pid"]
        server.signal(signal.SIGUSR2)
        new = int(server.wait_for(r"a new supervisor starts as pid (\d+)")[1])
        assert server.process.wait(20) == 0
        assert server.wait_for(r"the hub is at (\S+)", 4)[1] == place
        assert not psutil.pid_exists(hub)
        server.get("/follow")
        server.wait_for("follows", 2)
        server.get("/publish/later")
        server.wait_for("got 'later'")
        os.kill(new, signal.SIGTERM)
        until(lambda: not psutil.pid_exists(new) or psutil.Process(new).status() == psutil.STATUS_ZOMBIE)
        assert not Path(place).exists()


def test_the_folder_of_a_killed_server_is_removed_by_the_next(folder: Path) -> None:
    with Serving(RUN, folder) as server:
        left = Path(server.wait_for(r"the hub is at (\S+)")[1])
        assert server.port
        server.process.kill()
        server.wait()
    assert left.exists()
    with Serving(RUN, folder) as server:
        server.wait_for(r"the hub is at (\S+)")
        assert not left.parent.exists()


def test_a_long_name_of_the_folder_above_leaves_room_for_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    made = Folder()
    assert len(made.path) <= LONGEST + 30
    assert os.stat(made.path).st_mode & 0o777 == 0o700
    made.close({}, remove=True)
    assert not os.path.exists(made.path)


def test_a_place_that_was_asked_for_and_cannot_be_had_ends_the_start(folder: Path) -> None:
    """Others look for the hub there: without it they would wait, and nobody would know why."""
    taken = folder / "taken"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(taken))
        other.listen()
        for place, why in (
            (folder / "none" / "hub", "No such file or directory"),
            (taken, "another server answers"),
            (folder / ("x" * 120), "longer than 107 octets"),
        ):
            environ = {"VIVACE_HUB_SOCKET": str(place), "VIVACE_CONTROL": str(folder / "ctl")}
            with Serving(RUN, folder, environ) as server:
                assert server.wait() == 4
                assert re.search(f"HUB_SOCKET: .*{why}", server.log)
                assert "Traceback" not in server.log
            assert not (folder / "ctl").exists()
    assert taken.exists()


def test_what_it_says_names_it_and_is_said_once(folder: Path) -> None:
    with Serving(RUN, folder, {"VIVACE_LOG_FORMAT": "json"}) as server:
        place = server.wait_for(r"the hub is at (\S+)")[1]
        assert server.port
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.settimeout(20)
            stranger.connect(place)
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert stranger.recv(1) == b""
        line = server.wait_for(r".*a process sent what is no frame of the hub.*")[0]
        assert json.loads(line)["role"] == "hub"
        server.get("/follow")
        server.wait_for("follows")
        assert server.log.count("is no frame of the hub") == 1
