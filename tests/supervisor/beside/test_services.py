"""Services and pools in processes of their own: what is sent arrives, a crash reaches its caller only."""

import json
import os
import random
import select
import signal
import socket
import threading
from pathlib import Path

import psutil
import pytest

from tests.supervisor.beside.test_companions import status
from tests.supervisor.serving import PATIENCE, Serving, ask, change, until

APP = """
import asyncio, os, sys, time
from vivace import QueueFull, Vivace, WorkerDied

app = Vivace("shop")
VERSION = 1


def say(text):
    os.write(2, (text + "\\n").encode())


@app.service(max_queue=6000)
async def counter(service):
    say(f"counter v{VERSION} runs as {os.getpid()}")
    count = 0
    async for number in service.messages:
        count += 1
        if number == "how many":
            say(f"counted {count - 1}")


@app.service(max_queue=100)
async def stuck(service):
    await service.stopping.wait()


def load():
    say(f"pool runs as {os.getpid()}")
    return {"pid": os.getpid()}


@app.pool(size=2, init=load, max_queue=4)
def work(model, what):
    if what == "die":
        os.kill(os.getpid(), 9)
    if what == "wait":
        while not os.path.exists("go"):
            time.sleep(0.01)
    return model["pid"]


@app.pool(size=2, init=load)
def echo(model, number):
    time.sleep(0.002)
    return number


@app.get("/echo/<number:int>")
async def echoed(request, number):
    return {"number": await echo(number)}


@app.pool
async def long(what):
    say("long began")
    try:
        await asyncio.sleep(99)
    finally:
        say("long was cancelled")


@app.pool
async def words(count):
    for number in range(count):
        yield f"word {number} "


@app.get("/count/<most:int>")
async def count(request, most):
    for number in range(most):
        await counter.send(number)
    await counter.send("how many")
    return {}


@app.get("/stuck/<most:int>")
async def fill(request, most):
    taken = refused = 0
    for number in range(most):
        try:
            await stuck.send(number)
            taken += 1
        except QueueFull:
            refused += 1
    return {"taken": taken, "refused": refused}


@app.get("/work/<what>")
async def call(request, what):
    return {"pid": await work(what)}


@app.get("/long")
async def longest(request):
    await long("x")
    return {}


@app.get("/words/<most:int>")
async def stream(request, most):
    response = await request.respond(content_type="text/plain")
    async for word in words(most):
        await response.send(word)
    await response.eof()
"""
RUN = ("-m", "vivace", "run", "app:app", "--port", "0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the app is."""
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def body_of(answer: str) -> dict[str, int]:
    """The JSON of an answer."""
    found: dict[str, int] = json.loads(answer.rpartition("\r\n\r\n")[2])
    return found


def test_five_thousand_messages_of_one_request_all_arrive(folder: Path) -> None:
    with Serving((*RUN, "--workers", "2"), folder) as server:
        assert server.get("/count/5000").startswith("HTTP/1.1 200")
        server.wait_for("counted 5000")
        assert body_of(server.get("/stuck/250")) == {"taken": 100, "refused": 150}
        assert server.stop() == 0
        server.wait_for("service stuck ends with 100 messages that it has not read")


def test_a_process_that_dies_takes_its_own_call_with_it_and_no_other(folder: Path) -> None:
    with Serving(RUN, folder) as server:
        assert server.port
        server.wait_for("pool runs as", 2)
        answers: list[str] = []
        threads = [
            threading.Thread(target=lambda what=what: answers.append(server.get(f"/work/{what}")))
            for what in ("fine", "die", "fine", "fine")
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join(20)
        states = sorted(answer.split(" ", 2)[1] for answer in answers)
        assert states == ["200", "200", "200", "503"]
        assert "had this call is gone" in next(answer for answer in answers if " 503 " in answer)
        server.wait_for(r"pool work \d \(pid \d+\) ended with SIGKILL; it is started again now")
        server.wait_for("pool runs as", 3)
        assert server.get("/work/fine").startswith("HTTP/1.1 200")


def test_a_full_pool_is_a_503_and_a_client_that_leaves_cancels_his_call(folder: Path) -> None:
    with Serving(RUN, folder) as server:
        clients = [server.connect() for _ in range(7)]
        for client in clients:
            ask(client, "/work/wait")
        (refused,), _, _ = select.select(clients, [], [], PATIENCE)
        assert "503 Service Unavailable" in _rest(refused)
        (folder / "go").touch()
        pids = {body_of(_rest(client))["pid"] for client in clients if client is not refused}
        assert len(pids) == 2
        for client in clients:
            client.close()
        with server.connect() as client:
            ask(client, "/long")
            server.wait_for("long began")
        server.wait_for("long was cancelled")


def _rest(client: socket.socket) -> str:
    data = b""
    while piece := client.recv(65536):
        data += piece
    return data.decode()


def test_results_are_streamed(folder: Path) -> None:
    with Serving(RUN, folder) as server:
        assert server.get("/words/200").count("word ") == 200


def test_new_code_takes_over_without_an_error(folder: Path) -> None:
    with Serving((*RUN, "--workers", "2"), folder) as server:
        old = int(server.wait_for(r"counter v1 runs as (\d+)")[1])
        assert server.get("/count/10").startswith("HTTP/1.1 200")
        change(folder / "app.py", "VERSION = 1", "VERSION = 2")
        states: set[str] = set()
        over = threading.Event()

        def load() -> None:
            while not over.is_set():
                for path in ("/count/3", "/work/fine"):
                    answer = server.get(path)
                    states.add("200" if answer.startswith("HTTP/1.1 200") else answer + server.log)

        thread = threading.Thread(target=load)
        thread.start()
        server.signal(signal.SIGHUP)
        server.wait_for("counter v2 runs as")
        until(lambda: not psutil.pid_exists(old))
        over.set()
        thread.join(20)
        assert states == {"200"}
        until(lambda: {one["generation"] for one in status(server, folder)["beside"]} == {2})


def test_a_killed_service_is_back_for_the_next_message(folder: Path) -> None:
    with Serving(RUN, folder) as server:
        first = int(server.wait_for(r"counter v1 runs as (\d+)")[1])
        assert server.get("/count/1").startswith("HTTP/1.1 200")
        os.kill(first, signal.SIGKILL)
        server.wait_for(r"counter v1 runs as \d+", 2)
        assert server.get("/count/2").startswith("HTTP/1.1 200")
        server.wait_for("counted 2")


@pytest.mark.once
def test_kills_at_random_moments_cost_calls_but_never_give_a_wrong_answer(folder: Path) -> None:
    with Serving((*RUN, "--workers", "2"), folder) as server:
        assert server.port
        answers: list[tuple[int, str]] = []

        def load(first: int) -> None:
            answers.extend((number, server.get(f"/echo/{number}")) for number in range(first, first + 100))

        threads = [threading.Thread(target=load, args=(100 * n,)) for n in range(4)]
        for one in threads:
            one.start()
        chance = random.Random(7)
        while any(one.is_alive() for one in threads):
            rows = [one for one in status(server, folder)["beside"] if one["name"] == "echo" and one["pid"]]
            for row in rows[: chance.randint(0, 1)]:
                os.kill(row["pid"], signal.SIGKILL)
        for one in threads:
            one.join()
        good = [(number, answer) for number, answer in answers if answer.startswith("HTTP/1.1 200")]
        assert all(body_of(answer) == {"number": number} for number, answer in good)
        assert len(good) >= 350
        assert all(" 503 " in answer[:20] for number, answer in answers if (number, answer) not in good)
        server.wait_for("pool echo . .* ended with SIGKILL")


STUCK = """
import time
import vivace.framework.processes.pool as pools
from vivace import Vivace

pools.STUCK = 0.2
app = Vivace("stuck")


@app.pool(timeout=0.5)
async def spin(what):
    while what == "stuck":
        pass
    return what


@app.pool(timeout=0.5)
def hang(what):
    if what == "stuck":
        time.sleep(1000)
    return what


@app.get("/<name>/<what>")
async def call(request, name, what):
    return {"said": await {"spin": spin, "hang": hang}[name](what)}
"""


@pytest.mark.parametrize("name", ["spin", "hang"])
def test_a_call_that_never_ends_costs_its_process_and_the_next_ones_are_answered(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "app.py").write_text(STUCK)
    with Serving(RUN, tmp_path) as server:
        assert server.get(f"/{name}/stuck").startswith("HTTP/1.1 503")
        server.wait_for(f"pool {name}: 1 calls go on beyond their time")
        until(lambda: server.get(f"/{name}/well").startswith("HTTP/1.1 200"))
        assert server.stop() == 0
