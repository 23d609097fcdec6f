"""Groups of a real server: two workers, a hub beside them, and kill -9 of each of them."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.supervisor.serving import Serving

APP = """
import os
from vivace import Vivace

app = Vivace("groups")
app.hub.topic("room:*", delivery="resume", history=1000)
got = []


@app.after_server_start
async def listen(app):
    for topic in ("room:1", "fast"):
        following = app.hub.follow(topic, lambda item: got.append((item.topic, getattr(item, "data", "gap"))))
        await following.ready()


@app.get("/got/<topic>")
async def show(request, topic):
    return {"pid": os.getpid(), "got": [data for name, data in got if name == topic]}


@app.get("/publish/<topic>/<number:int>")
async def publish(request, topic, number):
    return {"pid": os.getpid(), "position": str(await app.hub.publish(topic, number))}


@app.get("/sync/<number:int>")
def publish_sync(request, number):
    return {"position": str(app.hub.publish_sync("room:1", number))}


@app.get("/past/<since>")
async def past(request, since):
    async with app.hub.subscribe("room:1", since=since, max_queue=1000) as messages:
        count = len(messages._queue)
        return {"recovered": messages.recovered, "got": [(await anext(messages)).data for _ in range(count)]}


@app.get("/hub")
async def hub(request):
    return {"pid": os.getpid(), "hub": await app.hub.ask_stats()}
"""

PATIENCE = 15.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder: Path = tmp_path_factory.mktemp("groups")
    (folder / "app.py").write_text(APP)
    arguments = ["-m", "vivace", "run", "app:app", "--workers", "2", "--bind", "127.0.0.1:0"]
    with Serving(arguments, folder) as serving:
        yield serving
        assert serving.stop() == 0


def ask(server: Serving, path: str) -> Any:
    head, _, body = server.get(path).partition("\r\n\r\n")
    assert " 200 " in head.splitlines()[0], head + body
    return json.loads(body)


def ask_until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def by_worker(server: Serving, topic: str) -> dict[int, list[Any]]:
    """What each of the two workers got."""
    found: dict[int, list[Any]] = {}

    def look() -> bool:
        answer = ask(server, f"/got/{topic}")
        found[answer["pid"]] = answer["got"]
        return len(found) == 2

    ask_until(look)
    return found


def test_every_worker_gets_every_message_once(server: Serving) -> None:
    by_worker(server, "fast")
    pids = {ask(server, f"/publish/fast/{number}")["pid"] for number in range(20)}
    ask_until(lambda: all(len(got) == 20 for got in by_worker(server, "fast").values()))
    assert all(sorted(got) == list(range(20)) for got in by_worker(server, "fast").values())
    assert pids
    stats = ask(server, "/hub")["hub"]
    assert stats["processes"] == 2
    assert stats["topics"] == 2


def test_kill_9_of_the_hub_and_of_a_worker_lose_nothing(server: Serving) -> None:
    positions = []
    for number in range(40):
        if number == 10:
            os.kill(ask(server, "/hub")["hub"]["pid"], signal.SIGKILL)
        path = f"/sync/{number}" if number % 2 else f"/publish/room:1/{number}"
        positions.append(ask(server, path)["position"])
    ask_until(lambda: all(len(got) == 40 for got in by_worker(server, "room:1").values()))
    workers = by_worker(server, "room:1")
    assert all(got == list(range(40)) for got in workers.values())
    assert len({position.partition(":")[0] for position in positions}) == 1
    ask_until(lambda: all(got[-1] == "gap" for got in by_worker(server, "fast").values()))

    os.kill(min(workers), signal.SIGKILL)
    positions += [ask(server, f"/publish/room:1/{number}")["position"] for number in range(40, 50)]
    server.wait_for(r"worker \d \(pid \d+\) ended with SIGKILL")
    for _ in range(4):  # by either worker
        answer = ask(server, f"/past/{positions[4]}")
        assert answer == {"recovered": True, "got": list(range(5, 50))}
