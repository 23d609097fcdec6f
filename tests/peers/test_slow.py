"""Slow clients of every kind, all at once, while a well-behaved one is served as if they were not there."""

import select
import socket
import threading
import time
from collections.abc import Callable

import psutil
import pytest

from tests.peers.support import PATIENCE, Serving, exchange, head_of, read_answer

GOOD_ANSWER = 1.0
"""Seconds: no promise, but far below what a client would wait that was held up by another one."""


class Slow:
    """A client that drips `octets` forever, or nothing at all, and reads nothing before it is over.

    Attributes:
        received: What the server said before it closed.
        seconds: How long the server bore it.
    """

    def __init__(self, server: Serving, first: bytes, drip: bytes = b"", small_window: bool = False) -> None:
        self.received = b""
        self.seconds = 0.0
        self._drip = drip
        self._process = psutil.Process(server.process.pid)
        self._reads = not small_window
        self._client = socket.socket()
        if small_window:
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._client.settimeout(0.05)
        self._client.connect(("127.0.0.1", server.port))
        self._client.sendall(first)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        start = time.monotonic()
        try:
            while time.monotonic() - start < PATIENCE:
                if not self._step():
                    self.seconds = time.monotonic() - start
                    return
        finally:
            self._client.close()

    def _step(self) -> bool:
        """Whether the server still bears it."""
        try:
            if self._drip:
                self._client.send(self._drip)
            if not self._reads:
                time.sleep(0.05)  # the pace of a slow client is time and nothing else
                return self._is_held()
            piece = self._client.recv(65536)
            self.received += piece
            return bool(piece)
        except TimeoutError:
            return True
        except OSError:
            return False

    def _is_held(self) -> bool:
        """Whether the server has this connection: the end of it cannot pass a window that is closed."""
        port = self._client.getsockname()[1]
        return any(
            one.status != psutil.CONN_LISTEN and one.raddr.port == port
            for one in self._process.net_connections("tcp")
        )

    def join(self) -> None:
        self._thread.join(PATIENCE + 5)
        assert self.seconds, "the server never ended it"


KINDS: dict[str, tuple[Callable[[Serving], Slow], bytes]] = {
    "silent": (lambda server: Slow(server, b""), b""),
    "slow head": (lambda server: Slow(server, b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"x"), b"HTTP/1.1 408 "),
    "stalled head": (lambda server: Slow(server, b"GET / HT"), b"HTTP/1.1 408 "),
    "idle": (lambda server: Slow(server, head_of("/")), b"HTTP/1.1 200 "),
    "stalled body": (
        lambda server: Slow(server, head_of("/echo", "POST", "Content-Length: 100") + b"x"),
        b"HTTP/1.1 408 ",
    ),
    "stalled chunk": (
        lambda server: Slow(server, head_of("/digest", "POST", "Transfer-Encoding: chunked") + b"a\r\nx"),
        b"HTTP/1.1 408 ",
    ),
    "slow reader of a stream": (
        lambda server: Slow(server, head_of("/fault/download"), small_window=True),
        b"",
    ),
    "slow reader of a response": (lambda server: Slow(server, head_of("/large"), small_window=True), b""),
    "waits for a handler": (lambda server: Slow(server, head_of("/fault/never")), b"HTTP/1.1 503 "),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_slow_client_is_ended(hasty: Serving, kind: str) -> None:
    make, expected = KINDS[kind]
    slow = make(hasty)
    slow.join()
    assert slow.received.startswith(expected)
    assert slow.received.count(b"HTTP/1.1") == bool(expected)
    # Half a second is the time-out; waiting after the answer and the coarse clock come on top.
    assert slow.seconds < 10


def test_a_slow_reader_that_is_dropped_leaves_nothing_in_the_kernel(hasty: Serving) -> None:
    """Without a reset the kernel keeps about 3 MB of output for each of them, for minutes."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", hasty.port))
        client.sendall(head_of("/fault/download"))
        poll = select.poll()
        poll.register(client, 0)  # for errors only
        assert poll.poll(2500), "no reset came"


def test_slow_clients_cost_others_nothing(hasty: Serving) -> None:
    slow = [make(hasty) for make, _ in KINDS.values() for _ in range(5)]
    times = []
    over = time.monotonic() + 2
    while time.monotonic() < over:
        start = time.monotonic()
        with hasty.connect() as client:
            for _ in range(5):
                client.sendall(head_of("/echo", "POST", "Content-Length: 4") + b"good")
                assert read_answer(client).body == b"good"
        times.append(time.monotonic() - start)
    for one in slow:
        one.join()
    assert max(times) < GOOD_ANSWER
    assert exchange(hasty, head_of("/")).status == 200


def test_a_slow_client_that_goes_on_is_served(hasty: Serving) -> None:
    """Time-outs are about standing still: who moves is not punished for taking longer than any of them."""
    body = b"moving on"
    with hasty.connect() as client:
        client.sendall(head_of("/digest", "POST", f"Content-Length: {len(body)}"))
        start = time.monotonic()
        for octet in body:
            client.sendall(bytes((octet,)))
            time.sleep(0.12)  # the pace of the client is what is tested
        assert time.monotonic() - start > 1
        assert read_answer(client).status == 200
