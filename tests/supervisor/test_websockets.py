"""Real processes: what the clients of WebSockets are told when a server stops or restarts."""

import os
import re
import signal
import socket
from pathlib import Path

import psutil
import pytest

from tests.supervisor.serving import Serving, until

APP = """
import os
from vivace import Vivace

app = Vivace("sockets")


@app.get("/")
async def index(request):
    return {"pid": os.getpid(), "supervisor": os.getppid()}


@app.websocket("/ws")
async def echo(request, ws):
    async for message in ws:
        await ws.send(message)
"""
RUN = ("-m", "vivace", "run", "sample.py", "--port", "0", "--no-access-log")
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MASK = b"\0\0\0\0"


def read_exactly(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = client.recv(size - len(data))
        assert piece, f"it ended after {data!r}"
        data += piece
    return data


def open_socket(server: Serving) -> socket.socket:
    """A WebSocket that has echoed once."""
    client = server.connect()
    client.settimeout(10)
    client.sendall(HANDSHAKE)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += read_exactly(client, 1)
    assert head.startswith(b"HTTP/1.1 101 ")
    client.sendall(b"\x81\x82" + MASK + b"hi")
    assert read_exactly(client, 4) == b"\x81\x02hi"
    return client


def close_code(client: socket.socket) -> int:
    """The code with which the server closes; the close is answered."""
    kind, size = read_exactly(client, 2)
    assert kind == 0x88
    reason = read_exactly(client, size)
    client.sendall(b"\x88\x82" + MASK + reason[:2])
    assert client.recv(1) == b""
    return int.from_bytes(reason[:2], "big")


@pytest.fixture(autouse=True)
def app(tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(APP)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_closes_with_1001(tmp_path: Path, workers: str) -> None:
    with Serving([*RUN, "--workers", workers], tmp_path) as server, open_socket(server) as client:
        server.signal(signal.SIGTERM)
        assert close_code(client) == 1001
        assert server.wait() == 0


def test_a_worker_that_is_recycled_waits_for_them_and_no_stop_does(tmp_path: Path) -> None:
    with Serving([*RUN, "--workers", "2", "--max-requests", "2"], tmp_path) as server:
        with open_socket(server) as client:
            for _ in range(8):
                server.get()
            server.wait_for("is recycled: enough requests")
            server.wait_for("serves as pid")
            for text in (b"ok", b"hi"):
                client.sendall(b"\x81\x82" + MASK + text)
                assert read_exactly(client, 4) == b"\x81\x02" + text
            server.signal(signal.SIGTERM)
            assert close_code(client) in (1001, 1012)
        assert server.wait() == 0
        assert "killed" not in server.log


def test_a_restart_closes_with_1012(tmp_path: Path) -> None:
    with Serving([*RUN, "--workers", "2"], tmp_path) as server, open_socket(server) as client:
        supervisor = int(re.findall(r'"supervisor":(\d+)', server.get())[0])
        old = psutil.Process(supervisor).children()
        os.kill(supervisor, signal.SIGHUP)
        assert close_code(client) == 1012
        server.wait_for("restarted: generation 2 serves")
        until(
            lambda: not any(process.is_running() for process in old)
        )  # before, one may take the next client
        with open_socket(server) as again:
            assert server.get()
            again.sendall(b"\x81\x82" + MASK + b"ok")
            assert read_exactly(again, 4) == b"\x81\x02ok"
