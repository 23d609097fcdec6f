"""The gate of the benchmark: who does his duty passes, and what one leaves out is named."""

import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench import duties
from tests.conftest import ROOT, Launch

APPS = ROOT / "bench" / "apps"


@contextmanager
def careless(answer: bytes) -> Iterator[int]:
    """The port of a server that answers all octets that come together with `answer`."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(65536):
                self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("interface", "threads"), [("asgi", "4"), ("wsgi", "0"), ("wsgi", "4")])
def test_we_skip_no_duty(launch: Launch, free_port: int, interface: str, threads: str) -> None:
    argv = [sys.executable, "-m", "vivace", "run", f"duties:{interface}", f"--port={free_port}"]
    server = launch([*argv, f"--threads={threads}"], free_port, cwd=APPS)
    assert server.get()[0] == 200
    assert duties.skipped(free_port, interface) == []


def test_a_server_that_only_greets_skips_all_but_what_it_cannot_get_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(duties, "SECONDS", 0.5)
    with careless(b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nHello, World!") as port:
        assert duties.skipped(port, "asgi") == list(duties.DUTIES["asgi"])
        assert duties.skipped(port, "wsgi") == list(duties.DUTIES["wsgi"])


def test_a_server_that_answers_nothing_has_done_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duties, "SECONDS", 0.05)
    with careless(b"") as port:
        assert duties.skipped(port, "asgi") == list(duties.DUTIES["asgi"])


def test_a_port_without_a_server_has_done_none(free_port: int) -> None:
    assert duties.skipped(free_port, "wsgi") == list(duties.DUTIES["wsgi"])


@pytest.mark.parametrize(("content", "done"), [(b"", True), (b"Hello", False)])
def test_content_behind_the_answer_to_head_is_seen(content: bytes, done: bool) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + content
    with careless(answer) as port, duties.connected(port) as client:
        assert duties.head(client) is done


@pytest.mark.parametrize(
    ("answer", "done"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", True),
        (b"", True),
        (b"HTTP/1.1 200 OK\r\n\r\n", False),
        (b"HTTP/1.1 500 Oh\r\n\r\n", False),
    ],
)
def test_a_request_is_refused_by_400_or_by_the_end(answer: bytes, done: bool) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(answer)
    theirs.shutdown(socket.SHUT_WR)
    client = duties.Client(ours)
    assert duties.host(client) is done
    client.close()
    theirs.close()


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\nhi", (200, b"hi")),
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", (200, b"to the end")),
        (b"HTTP/1.1 100 Continue\r\n\r\n", (100, b"")),
        (b"HTTP/1.1 400\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", (400, b"abc")),
    ],
)
def test_responses_of_each_framing_are_read(data: bytes, answer: tuple[int, bytes]) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(data)
    theirs.close()
    client = duties.Client(ours)
    found = client.read()
    client.close()
    assert (found.status, found.content) == answer


@pytest.mark.parametrize(
    "data",
    [
        b"Hello, World!\r\n\r\n",
        b"HTTP/1.1 200 OK\n\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhi\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_response_is_an_error(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(data)
    theirs.close()
    client = duties.Client(ours)
    with pytest.raises(ValueError, match=r"line|version|too early|literal"):
        client.read()
    client.close()
