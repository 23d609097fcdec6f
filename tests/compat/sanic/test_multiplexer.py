"""`app.m`: a worker's way to the process that keeps the workers."""

import os
from typing import Any

import pytest

from tests.supervisor.serving import Serving, until
from vivace.compat.sanic.app import Sanic
from vivace.compat.sanic.multiplexer import WorkerMultiplexer, WorkerState
from vivace.errors import SanicException

PROGRAM = """
import os
from sanic import Sanic
from sanic.response import json

app = Sanic("workers", configure_logging=False)


@app.get("/")
async def who(request):
    return json({"pid": request.app.m.pid, "name": request.app.m.name, "main": os.getppid()})


@app.get("/scale/<number:int>")
async def scale(request, number):
    request.app.m.scale(number)
    return json(None)


@app.get("/restart")
async def restart(request):
    request.app.m.restart(all_workers=True)
    return json(None)


@app.get("/terminate")
async def terminate(request):
    request.app.m.terminate()
    return json(None)


if __name__ == "__main__":
    app.run(port=0, workers=2, access_log=False)
"""


@pytest.fixture
def app() -> Sanic:
    return Sanic("alone")


def test_an_app_that_no_supervisor_runs_has_none(app: Sanic) -> None:
    with pytest.raises(AttributeError, match=r"app\.restart\(\), app\.scale"):
        app.m  # noqa: B018 - the access is the test


def test_a_worker_commands_its_server(app: Sanic) -> None:
    asked: list[Any] = []
    app.restarter = asked.append
    app.scaler = asked.append
    app.stopper = lambda: asked.append("stop")
    assert app.m is app.multiplexer
    app.m.restart("Sanic-Server-0-0", zero_downtime=True)
    app.m.reload()
    app.m.scale(3)
    app.m.terminate(early=True)
    assert asked == [{}, {}, 3, "stop"]


def test_no_server_has_no_or_countless_workers(app: Sanic) -> None:
    app.restarter = lambda _: None
    for number in (0, -1, 257, True, "3"):
        with pytest.raises(ValueError, match="whole number from 1 to 256"):
            app.m.scale(number)  # type: ignore[arg-type]


def test_the_state_of_a_worker_takes_keys_of_the_program_only(app: Sanic) -> None:
    app.restarter = lambda _: None
    state = app.m.state
    assert isinstance(state, WorkerState)
    assert (state["pid"], state["state"], state["serving"]) == (os.getpid(), "ACKED", True)
    state["fruit"] = "apple"
    state.update({"fruit": "pear"})
    assert dict(app.m.workers[app.m.name])["fruit"] == "pear"
    del state["fruit"]
    assert "fruit" not in state
    with pytest.raises(SanicException, match="'pid' of a worker's state is kept by the server"):
        state.update({"pid": 1})
    with pytest.raises(SanicException, match="kept by the server"):
        del state["state"]
    app.m.set_serving(False)
    assert state["serving"] is False


def test_processes_of_a_program_come_later(app: Sanic) -> None:
    with pytest.raises(SanicException, match="mailer: processes beside the workers come with a later"):
        WorkerMultiplexer(app).manage("mailer", print, {})


def test_workers_of_a_program_scale_restart_and_end_their_server(tmp_path: Any) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    with Serving(["-m", "vivace.compat.sanic", "program.py"], tmp_path) as server:
        assert '"name":"Sanic-Server-' in server.get()
        server.get("/scale/3")
        server.wait_for("2 workers become 3")
        server.get("/restart")
        server.wait_for("restarted: generation 2 serves")
        until(lambda: "pid" in server.get())
        server.get("/terminate")
        assert server.wait() == 0
