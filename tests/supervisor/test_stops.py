"""Real processes that stop: nobody who was let in is lost, and nobody holds the stop up."""

import os
import re
import signal
import socket
import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.supervisor.serving import Serving, is_refused, read_all, until

APP = """
import asyncio, os, sys
from vivace import Vivace

app = Vivace("sample")


def say(text):
    print(text, file=sys.stderr, flush=True)


@app.get("/")
async def index(request):
    return {"pid": os.getpid()}


@app.get("/slow")
async def slow(request):
    say("slow began")
    await asyncio.sleep(60)
    return {}


@app.get("/stubborn")
async def stubborn(request):
    say("stubborn began")
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass


@app.get("/stream")
async def stream(request):
    response = await request.respond(content_type="text/plain")
    while True:
        await response.send("part")
        await asyncio.sleep(0.05)


@app.get("/polite")
async def polite(request):
    response = await request.respond(content_type="text/plain")
    await response.send("part")
    await request.draining()
    await response.send("goodbye")


@app.before_server_stop
async def before(app):
    say(f"before stop {os.getpid()}")


@app.after_server_stop
async def after(app):
    say(f"after stop {os.getpid()}")
    if os.environ.get("HANGS"):
        await asyncio.sleep(60)
"""
RUN = ("-m", "vivace", "run", "sample:app", "--port", "0", "--no-access-log")
GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
BOTH = pytest.mark.parametrize("workers", ["1", "2"])


@pytest.fixture(autouse=True)
def app(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(APP)


def serve(tmp_path: Path, *options: str, **environ: str) -> Serving:
    return Serving([*RUN, *options], tmp_path, environ)


def answer(client: socket.socket) -> bytes:
    """The answer to a request on a connection that may be kept."""
    data = b""
    while not data.endswith(b"}"):
        piece = client.recv(65536)
        if not piece:
            raise ConnectionResetError(f"closed after {data!r}")
        data += piece
    return data.lower()


def end(server: Serving) -> float:
    """Wait for a clean end; the seconds that it took."""
    start = time.monotonic()
    assert server.wait() == 0
    return time.monotonic() - start


@BOTH
def test_an_idle_server_stops_within_300_ms(tmp_path: Path, workers: str) -> None:
    with serve(tmp_path, "--workers", workers) as server:
        server.get()
        times = []
        server.signal(signal.SIGTERM)
        times.append(end(server))
        assert min(times) < 0.3 + _slack()
        assert "WARNING" not in server.log


@BOTH
def test_whoever_is_connected_before_a_stop_is_answered(tmp_path: Path, workers: str) -> None:
    with serve(tmp_path, "--workers", workers) as server, ExitStack() as open_ones:
        clients = [open_ones.enter_context(server.connect()) for _ in range(200)]
        server.signal(signal.SIGTERM)
        server.wait_for("before stop", count=int(workers))
        for client in clients:
            client.sendall(GET)
        answers = [answer(client) for client in clients]
        assert sum(b"connection: close" in one and b"200 ok" in one for one in answers) == 200
        for client in clients:
            client.close()
        assert end(server) < 3


@BOTH
def test_whoever_gets_in_while_it_stops_is_answered_and_others_are_refused(
    tmp_path: Path, workers: str
) -> None:
    with serve(tmp_path, "--workers", workers) as server:
        port = server.port
        failed: list[str] = []
        answered = 0

        def connect_again_and_again() -> None:
            nonlocal answered
            while True:
                try:
                    client = socket.create_connection(("127.0.0.1", port), 5)
                except OSError:
                    return
                with client:
                    try:
                        client.sendall(GET)
                        answer(client)
                        answered += 1
                    except OSError as error:
                        failed.append(repr(error))

        threads = [threading.Thread(target=connect_again_and_again) for _ in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: answered > 200)
        server.signal(signal.SIGTERM)
        for thread in threads:
            thread.join(10)
        assert failed == []
        assert end(server) < 3


@BOTH
def test_a_request_on_a_kept_connection_during_the_stop_is_answered(tmp_path: Path, workers: str) -> None:
    with serve(tmp_path, "--workers", workers) as server, server.connect() as kept, server.connect() as fresh:
        kept.sendall(GET)
        assert b"connection: close" not in answer(kept)
        server.signal(signal.SIGTERM)
        until(lambda: is_refused(server.port))
        time.sleep(0.5)
        for client in (kept, fresh):
            client.sendall(GET)
            assert b"connection: close" in answer(client)
            assert client.recv(1) == b""
            client.close()
        assert end(server) < 3


def test_connections_that_idle_longer_than_the_window_hold_up_nothing(tmp_path: Path) -> None:
    with serve(tmp_path, "--keep-alive-timeout", "30") as server, server.connect() as idle:
        idle.sendall(GET)
        answer(idle)
        time.sleep(3)
        server.signal(signal.SIGTERM)
        assert end(server) < 0.5 + _slack()
        assert idle.recv(1) == b""


@BOTH
def test_clients_that_hammer_never_prevent_a_stop(tmp_path: Path, workers: str) -> None:
    with serve(tmp_path, "--workers", workers) as server:
        port = server.port
        stop = threading.Event()
        bad: list[str] = []

        def hammer() -> None:
            while not stop.is_set():
                try:
                    client = socket.create_connection(("127.0.0.1", port), 5)
                except OSError:
                    return
                with client:
                    try:
                        while True:
                            client.sendall(GET)
                            if b"connection: close" in answer(client):
                                break
                    except OSError as error:
                        bad.append(repr(error))

        threads = [threading.Thread(target=hammer) for _ in range(16)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        server.signal(signal.SIGTERM)
        took = end(server)
        stop.set()
        for thread in threads:
            thread.join(10)
        assert took < 3
        assert bad == []


@BOTH
def test_a_hundred_stuck_connections_do_not_prolong_a_stop(tmp_path: Path, workers: str) -> None:
    options = ("--workers", workers, "--graceful-shutdown-timeout", "1")
    with serve(tmp_path, *options) as server, ExitStack() as open_ones:
        stuck = [
            b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /stubborn HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHo",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
        ]
        for number in range(100):
            client = open_ones.enter_context(server.connect())
            client.sendall(stuck[number % len(stuck)])
        server.wait_for("stubborn began", count=20)
        server.signal(signal.SIGTERM)
        assert end(server) < 1 + 3
        assert "requests cut: " in server.log
        assert server.log.count("after stop") == int(workers)


@BOTH
def test_a_second_signal_forces_within_two_seconds_and_says_what_was_cut(
    tmp_path: Path, workers: str
) -> None:
    with serve(tmp_path, "--workers", workers) as server, server.connect() as slow, server.connect() as idle:
        slow.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        idle.sendall(GET)
        answer(idle)
        server.wait_for("slow began")
        server.signal(signal.SIGTERM)
        server.wait_for("stopping: waiting for 1 request")
        server.signal_again(signal.SIGINT)
        assert end(server) < 2
        assert re.findall("WARNING.*", server.log) == [
            "WARNING vivace.server: the stop is forced: 1 request cut: 'GET /slow'"
        ]
        assert server.log.count("before stop") == server.log.count("after stop") == int(workers)
        assert b"503" in slow.recv(1000)


@BOTH
def test_listeners_of_the_stop_run_once_and_are_bounded(tmp_path: Path, workers: str) -> None:
    options = ("--workers", workers, "--stop-listeners-timeout", "0.5")
    with serve(tmp_path, *options, HANGS="1") as server:
        server.get()
        server.signal(signal.SIGTERM)
        assert end(server) < 2
        assert server.log.count("after stop") == int(workers)
        assert server.log.count("a stop listener did not end in time") == int(workers)


@BOTH
def test_a_delay_keeps_accepting_before_the_stop(tmp_path: Path, workers: str) -> None:
    with serve(tmp_path, "--workers", workers, "--shutdown-delay", "1") as server:
        port = server.port
        server.signal(signal.SIGTERM)
        server.wait_for("stopping: not ready any more, accepting for 1 s")
        start = time.monotonic()
        while not is_refused(port):
            assert time.monotonic() - start < 3
            time.sleep(0.02)
        assert 0.8 < time.monotonic() - start < 2.5
        assert server.wait() == 0


@BOTH
def test_a_second_signal_cuts_the_delay(tmp_path: Path, workers: str) -> None:
    with serve(tmp_path, "--workers", workers, "--shutdown-delay", "30") as server:
        server.get()
        server.signal(signal.SIGTERM)
        server.wait_for("accepting for 30 s")
        server.signal_again(signal.SIGTERM)
        assert end(server) < 2


def test_kubernetes_is_given_time(tmp_path: Path) -> None:
    with serve(tmp_path, KUBERNETES_SERVICE_HOST="10.0.0.1") as server:
        server.get()
        server.signal(signal.SIGTERM)
        server.wait_for("accepting for 5 s")
        assert "200 OK" in server.get()


@pytest.mark.parametrize("path", ["/stream"])
@BOTH
def test_a_stream_that_is_cut_is_seen_to_be_cut(tmp_path: Path, workers: str, path: str) -> None:
    with serve(tmp_path, "--workers", workers, "--graceful-shutdown-timeout", "0.5") as server:
        with server.connect() as new, server.connect() as old:
            new.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            old.sendall(f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
            for client in (new, old):
                until(partial(_has_part, client))
            server.signal(signal.SIGTERM)
            try:
                rest = read_all(new)
            except ConnectionResetError:
                rest = ""
            assert not rest.endswith("0\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                read_all(old)
        assert end(server) < 3


@BOTH
def test_a_stream_may_end_by_itself_before_it_is_cut(tmp_path: Path, workers: str) -> None:
    with serve(tmp_path, "--workers", workers) as server, server.connect() as client:
        client.sendall(b"GET /polite HTTP/1.1\r\nHost: x\r\n\r\n")
        until(partial(_has_part, client))
        server.signal(signal.SIGTERM)
        assert read_all(client).endswith("goodbye\r\n0\r\n\r\n")
        client.close()
        assert end(server) < 3
        assert "WARNING" not in server.log


def _has_part(client: socket.socket) -> bool:
    return b"part" in client.recv(65536)


@pytest.mark.parametrize("way", ["debug", "auto-reload"])
def test_who_develops_gets_an_end_at_once(tmp_path: Path, way: str) -> None:
    with serve(tmp_path, f"--{way}") as server, server.connect() as page:
        page.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        until(partial(_has_part, page))
        server.signal(signal.SIGINT)
        assert end(server) < 1 + _slack()


def test_a_unix_socket_is_left_by_those_who_are_let_in(tmp_path: Path) -> None:
    options = [*RUN[:4], "--no-access-log", "--uds", "here.sock", "--workers", "2"]
    with Serving(options, tmp_path) as server, ExitStack() as open_ones:
        server.wait_for("Listening on unix:")
        clients = []
        for _ in range(50):
            client = open_ones.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(tmp_path / "here.sock"))
            clients.append(client)
        server.signal(signal.SIGTERM)
        server.wait_for("before stop", count=2)
        for client in clients:
            client.sendall(GET)
        assert sum(b"connection: close" in answer(client) for client in clients) == 50
        for client in clients:
            client.close()
        assert end(server) < 3
        assert not os.path.exists(tmp_path / "here.sock")


def _slack() -> float:
    """What a busy machine may add to a time that is measured."""
    return min(os.getloadavg()[0], 4.0) / 4
