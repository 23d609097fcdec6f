"""Two whole servers with many workers on a Redis of a small plan: two connections each, each message once."""

import http.client
import json
import socket
import sys
import threading
from pathlib import Path

import pytest

from tests.conftest import Launch, ServerProcess, find_free_port
from tests.services.redis import StartRedis

pytestmark = pytest.mark.once

APP = """
from vivace import Gap, Vivace, json

app = Vivace("shop")
app.hub.topic("kept:*", delivery="resume", history=100, ttl=60)

@app.post("/say/<topic:str>")
async def say(request, topic):
    return json({"pos": str(await app.hub.publish(topic, request.json))})

@app.get("/hear/<topic:str>")
async def hear(request, topic):
    async with app.hub.subscribe(topic) as messages:
        response = await request.respond(content_type="text/plain")
        await response.send("ready\\n")
        async for message in messages:
            if not isinstance(message, Gap):
                await response.send(f"{message.data}\\n")
"""


def ask(server: ServerProcess, method: str, path: str, body: object = None) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=45)
    connection.request(method, path, json.dumps(body), {"Connection": "close"})
    return connection.getresponse()


class Ear(threading.Thread):
    """Hears so many messages of a topic."""

    def __init__(self, server: ServerProcess, topic: str, count: int) -> None:
        super().__init__(daemon=True)
        self._count = count
        self.heard: list[str] = []
        self._answer = ask(server, "GET", f"/hear/{topic}")
        assert self._answer.readline() == b"ready\n"
        self.start()

    def run(self) -> None:
        while len(self.heard) < self._count:
            self.heard.append(self._answer.readline().decode().strip())
        self._answer.close()


def test_eight_workers_hold_four_connections_and_hear_everything(
    start_redis: StartRedis, launch: Launch, tmp_path: Path
) -> None:
    redis = start_redis(maxclients="6")  # 4, and one for this test's questions
    (tmp_path / "shop.py").write_text(APP)
    machines = []
    for _ in range(2):
        port = find_free_port()
        argv = [sys.executable, "-m", "vivace", "run", "shop", "--workers", "4", "--port", str(port)]
        machines.append(launch(argv, port, cwd=tmp_path, VIVACE_HUB_URL=redis.url))
    one, two = machines
    ears = [Ear(server, topic, 20) for server in machines for topic in ("fast", "kept:1") for _ in range(3)]
    clients = redis.clients()
    assert sorted(client["flags"] for client in clients) == ["N", "N", "P", "P"]
    assert all(client["name"] == f"shop@{socket.gethostname()}/hub" for client in clients)
    only_two = Ear(two, "here", 1)
    assert redis.ask("PUBSUB", "NUMSUB", "vivace/0/here", "vivace/0/fast") == [
        "vivace/0/here",
        1,
        "vivace/0/fast",
        2,
    ]
    for number in range(20):
        for topic in ("fast", "kept:1"):
            assert ask(machines[number % 2], "POST", f"/say/{topic}", number).status == 200
    ask(one, "POST", "/say/here", "end")
    for ear in (*ears, only_two):
        ear.join(30)
    numbers = [str(number) for number in range(20)]
    assert only_two.heard == ["end"]
    for ear in ears:
        assert sorted(ear.heard, key=int) == numbers
    for server in machines:
        assert server.stop() == 0
    assert redis.clients() == []
