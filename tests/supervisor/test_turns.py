"""Real workers share a socket evenly, and nobody waits long for one that was woken and does not come."""

import os
import re
import signal
import socket
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.supervisor.serving import Serving, until

APP = """
import os
from vivace import Vivace

app = Vivace("sample")


@app.get("/")
async def index(request):
    return {"pid": os.getpid()}
"""
RUN = ("-m", "vivace", "run", "sample:app", "--port", "0", "--no-access-log", "--loop")
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(autouse=True)
def app(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(APP)


def pid_of(answer: bytes) -> int:
    return int(re.findall(rb'"pid":(\d+)', answer)[0])


def workers_of(server: Serving, count: int) -> list[int]:
    seen: set[int] = set()

    def ask_once() -> bool:
        seen.add(pid_of(server.get().encode()))
        return len(seen) >= count

    until(ask_once)
    return sorted(seen)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_four_workers_get_about_the_same_number_of_connections_and_requests(
    tmp_path: Path, loop: str
) -> None:
    with Serving([*RUN, loop, "--workers", "4"], tmp_path) as server, ExitStack() as open_ones:
        workers_of(server, 4)
        requests: Counter[int] = Counter()
        kept: Counter[int] = Counter()
        for number in range(400):
            client = server.connect()
            client.sendall(GET)
            pid = pid_of(client.recv(65536))
            requests[pid] += 1
            if number % 5:
                client.close()
            else:
                kept[pid] += 1
                open_ones.enter_context(client)
            time.sleep(0.002)
        for counted in (requests, kept):
            assert len(counted) == 4, counted
            assert max(counted.values()) < 2 * min(counted.values()), counted


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_connection_does_not_wait_for_a_worker_that_stands_still(tmp_path: Path, loop: str) -> None:
    with Serving([*RUN, loop, "--workers", "2"], tmp_path) as server:
        still, other = workers_of(server, 2)
        os.kill(still, signal.SIGSTOP)
        try:
            slowest = 0.0
            for _ in range(20):
                start = time.monotonic()
                with server.connect() as client:
                    client.sendall(GET)
                    assert pid_of(client.recv(65536)) == other
                slowest = max(slowest, time.monotonic() - start)
            assert slowest < 0.25 + 0.25
        finally:
            os.kill(still, signal.SIGCONT)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_worker_that_was_alone_and_is_not_any_more_still_serves(tmp_path: Path, loop: str) -> None:
    with Serving([*RUN, loop, "--supervise", "on"], tmp_path) as server:
        server.get()
        server.signal(signal.SIGTTIN)
        server.wait_for("worker 2 serves")
        assert len(workers_of(server, 2)) == 2
        with socket.create_connection(("127.0.0.1", server.port), 5) as client:
            client.sendall(GET)
            assert b"200 OK" in client.recv(65536)


HELD = """
import os, time


def app(environ, start_response):
    until = environ["QUERY_STRING"]
    while until and not os.path.exists(until):
        time.sleep(0.01)
    start_response("200 OK", [("content-length", "2")])
    return [b"ok"]
"""


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_no_connection_goes_to_a_worker_without_a_thread_while_another_has_one(
    tmp_path: Path, loop: str
) -> None:
    (tmp_path / "sample.py").write_text(HELD)
    done = tmp_path / "done"
    argv = [*RUN, loop, "--workers", "2", "--threads", "1"]
    answered = 0
    with Serving(argv, tmp_path) as server, server.connect() as held:
        held.sendall(b"GET /?%s HTTP/1.1\r\nHost: x\r\n\r\n" % str(done).encode())
        time.sleep(0.2)  # to notice takes 10 ms; what comes sooner may wait
        for _ in range(40):
            with server.connect() as client:
                client.settimeout(5)
                client.sendall(GET)
                try:
                    answered += client.recv(4096).endswith(b"ok")
                except TimeoutError:
                    continue
        done.touch()
        assert held.recv(4096).endswith(b"ok")
    assert answered >= 38
