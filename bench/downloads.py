"""What ten slow downloads cost everybody else: `python -m bench.downloads [wsgi|asgi|native]`.

One worker sends a file of 30 MB to ten clients that read slowly; beside them a client asks for hello. Its
99th percentile is compared with that of an idle server; ops.md R2.6 wants no more than 5 ms between the two.

Rules of this file: the clients are threads of this process; a server of its own is started and ended.
"""

import contextlib
import http.client
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

CLIENTS: Final = 10
SIZE: Final = 30 << 20
RATE: Final = 2 << 20
"""Octets that a slow client reads in a second."""
REQUESTS: Final = 10_000
ALLOWED: Final = 0.005
"""Seconds by which the percentile may grow."""
PORT: Final = 8093

APPS: Final = {
    "wsgi": (
        'def app(environ, start):\n    start("200 OK", [("Content-Length", "5")])\n    return [b"hello"]\n'
    ),
    "asgi": (
        'async def app(scope, receive, send):\n    if scope["type"] == "http":\n'
        '        fields = [(b"content-length", b"5")]\n'
        '        await send({"type": "http.response.start", "status": 200, "headers": fields})\n'
        '        await send({"type": "http.response.body", "body": b"hello"})\n'
    ),
    "native": (
        "from vivace import Vivace, text\napp = Vivace('hello')\n"
        "@app.get('/')\nasync def hello(request):\n    return text('hello')\n"
    ),
}


def ask(count: int) -> list[float]:
    """Seconds that each of so many requests took, over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
    took: list[float] = []
    for _ in range(count):
        begun = time.perf_counter()
        connection.request("GET", "/")
        connection.getresponse().read()
        took.append(time.perf_counter() - begun)
    connection.close()
    return sorted(took)


def download(stop: threading.Event, counts: list[int]) -> None:
    """Read the file again and again, slowly, until told to stop."""
    while not stop.is_set():
        with socket.create_connection(("127.0.0.1", PORT), 30) as client:
            client.sendall(b"GET /static/big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while not stop.is_set() and (data := client.recv(65536)):
                counts.append(len(data))
                time.sleep(len(data) / RATE)


def wait_until_serving() -> None:
    """Return when the server accepts.

    Raises:
        SystemExit: It does not within 10 s.
    """
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORT), 1):
            return
        time.sleep(0.05)
    raise SystemExit("the server did not start")


def measure(kind: str, folder: Path) -> bool:
    """Print the figures of one kind of app; whether they are good."""
    (folder / "hello.py").write_text(APPS[kind])
    command = ["run", "hello.py", "--static", "/static=files", "--port", str(PORT), "--no-access-log"]
    server = subprocess.Popen(
        [sys.executable, "-m", "vivace", *command, "--threads", "1"], cwd=folder, stderr=subprocess.DEVNULL
    )
    try:
        wait_until_serving()
        ask(200)
        idle = ask(REQUESTS)
        stop, counts = threading.Event(), list[int]()
        clients = [threading.Thread(target=download, args=(stop, counts)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        busy = ask(REQUESTS)
        stop.set()
        for client in clients:
            client.join()
    finally:
        server.terminate()
        server.wait()
    first, second = idle[len(idle) * 99 // 100], busy[len(busy) * 99 // 100]
    good = second - first <= ALLOWED
    print(
        f"{kind}: p99 idle {first * 1000:.2f} ms, with {CLIENTS} downloads ({sum(counts) >> 20} MiB sent)"
        f" {second * 1000:.2f} ms, median {busy[len(busy) // 2] * 1000:.2f} ms: {'good' if good else 'BAD'}"
    )
    return good


def main() -> int:
    """Measure the kinds that the command line names, or all."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "files").mkdir()
        with (folder / "files" / "big").open("wb") as file:
            file.truncate(SIZE)
        good = [measure(kind, folder) for kind in sys.argv[1:] or APPS]
        return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
