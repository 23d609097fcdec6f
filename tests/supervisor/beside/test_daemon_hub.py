"""The hub of a server, found by the foreign programs that it starts."""

from pathlib import Path

import pytest

from tests.services.redis import RedisServer, redis_server
from tests.supervisor.beside.test_daemons import configure
from tests.supervisor.serving import Serving, until

__all__ = ["redis_server"]

APP = """
import os
from vivace import Vivace

app = Vivace("shop")


def say(text):
    os.write(2, (text + "\\n").encode())


@app.before_server_start
async def where(app):
    say(f"{app.name} has its hub at {os.environ.get('VIVACE_HUB')}")


@app.get("/follow")
async def follow(request):
    async def read():
        async with app.hub.subscribe("news") as sub:
            say("follows")
            async for item in sub:
                say(f"got {getattr(item, 'data', item)!r}")

    app.add_task(read)
    return {}


@app.get("/ask")
async def ask(request):
    from jobs import shout

    shout.delay("from celery")
    return {}
"""
TELLER = """
import os, time
from vivace import Hub

print("the hub is", os.environ.get("VIVACE_HUB"), flush=True)
while not os.path.exists("go"):
    time.sleep(0.01)
Hub().publish_sync("news", "from a daemon")
time.sleep(99)
"""
JOBS = """
import os
from celery import Celery
from vivace import Hub

app = Celery("jobs", broker=os.environ["BROKER"])
app.conf.broker_connection_retry_on_startup = True


@app.task
def shout(text):
    Hub().publish_sync("news", text)
"""
RUN = ("-m", "vivace", "run", "app:app", "--port", "0", "--workers", "2")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the app is, and programs that are none."""
    for name, text in (("app", APP), ("teller", TELLER), ("jobs", JOBS)):
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


def test_a_daemon_publishes_to_those_who_follow_in_workers(folder: Path) -> None:
    configure(folder, '[[daemon]]\nname = "teller"\ncmd = ["PYTHON", "teller.py"]\n')
    with Serving(RUN, folder) as server:
        place = server.wait_for(r"shop has its hub at (\S+)")[1]
        server.wait_for(f"the hub is {place}")
        server.get("/follow")
        server.wait_for("follows")
        (folder / "go").touch()
        server.wait_for("got 'from a daemon'")


@pytest.mark.parametrize("place", ["", "hub.sock"])
def test_one_that_outlives_the_server_is_told_of_a_place_that_stays_only(folder: Path, place: str) -> None:
    setting = f'hub-socket = "{place}"\n' if place else ""
    (folder / "said.py").write_text(TELLER.partition("while")[0])
    keys = 'cmd = ["PYTHON", "said.py"]\nadopt = true\nrestart = "never"\n'
    configure(folder, f'{setting}[[daemon]]\nname = "teller"\n{keys}')
    with Serving(RUN, folder) as server:
        assert server.port
        log = folder / ".vivace" / "daemon-teller.log"
        until(lambda: log.exists() and "\n" in log.read_text())
        assert log.read_text() == f"the hub is {folder / place if place else None}\n"


def test_a_server_that_is_a_daemon_has_a_hub_of_its_own(folder: Path) -> None:
    (folder / "inner.py").write_text(APP.replace('"shop"', '"inner"'))
    cmd = '["PYTHON", "-m", "vivace", "run", "inner:app", "--port", "0"]'
    env = 'env = { VIVACE_DAEMON = "[]" }'
    configure(folder, f'[[daemon]]\nname = "inner"\ncmd = {cmd}\n{env}\n')
    with Serving(RUN, folder) as server:
        server.wait_for("inner has its hub at None")
        server.wait_for("shop has its hub at /")


@pytest.mark.once
def test_a_worker_of_celery_that_is_a_daemon_publishes(folder: Path, redis_server: RedisServer) -> None:
    pytest.importorskip("celery")
    cmd = '["PYTHON", "-m", "celery", "-A", "jobs", "worker", "--pool", "prefork", "-c", "1"]'
    configure(folder, f'[[daemon]]\nname = "celery"\ncmd = {cmd}\n')
    with Serving(RUN, folder, {"BROKER": redis_server.url}) as server:
        assert server.port
        server.get("/follow")
        server.wait_for("follows")
        server.get("/ask")
        server.wait_for("got 'from celery'", patience=60)
