"""What a message to many costs: one to 10,000 sockets, deliveries per second of CPU, memory of who waits.

    python -m bench.broadcast [--sockets 10000] [--json FILE]

Rules of this file:

- One worker on CPU 0, the clients on another; every figure is of one run: of times the shortest of its
  rounds, of CPU the middle one. Beside them stand what the kernel takes alone, and the library `websockets`.
- Deliveries are counted where they arrive, CPU where it is spent: in the server's process.
"""

import argparse
import contextlib
import json
import os
import resource
import socket
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.proc import Server
from bench.sockets import Swarm

ROUNDS = 7
FRAME = 2
"""Octets of a frame besides a small message."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def ask(port: int, path: str) -> dict[str, Any]:
    """The answer of the app."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def private(pid: int) -> int:
    """Memory that is the process's own, in octets."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


@contextlib.contextmanager
def serving(target: str, folder: Path) -> Iterator[Server]:
    """One worker, in one process; of others a module of `bench.apps` that is told the port."""
    port = free_port()
    argv = [sys.executable, "-m", "vivace", "run", target, "--bind", f"127.0.0.1:{port}"]
    if ":" not in target:
        argv = [sys.executable, "-m", f"bench.apps.{target}", str(port)]
    env = {"VIVACE_ACCESS_LOG": "false", "VIVACE_WEBSOCKET_PING_INTERVAL": "0", "VIVACE_WORKERS": "1"}
    path = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")]))
    server = Server(target, argv, port, {**env, "PYTHONPATH": path}, Path.cwd(), folder / "server.log")
    server.wait_for_answer()
    try:
        yield server
    finally:
        server.stop()


def fan_out(port: int, sockets: int) -> tuple[float, float]:
    """Milliseconds from `publish` until the last of many sockets has the message, and the server's part."""
    swarm = Swarm(port, "/join/many", sockets)
    size = 64
    taken, used = [], []
    for _ in range(ROUNDS):
        told = ask(port, f"/publish/many?size={size}")
        last = swarm.read(sockets * (size + FRAME))
        taken.append(1000 * (last - told["began"]))
        used.append(1000 * (ask(port, "/cpu")["cpu"] - told["cpu"]))
        time.sleep(0.1)
    swarm.close()
    return min(taken), statistics.median(used)


def rate(port: int, sockets: int, burst: int) -> float:
    """Deliveries for each second of the server's CPU, so many messages each 2 ms."""
    swarm = Swarm(port, f"/join/rate{burst}", sockets)
    size, rounds = 64, 40
    found = []
    for _ in range(3):
        path = f"/publish/rate{burst}?size={size}&count={burst}&rounds={rounds}&pause=0.002"
        told = ask(port, path)
        swarm.read(sockets * burst * rounds * (size + FRAME))
        found.append(sockets * burst * rounds / (ask(port, "/cpu")["cpu"] - told["cpu"]))
    swarm.close()
    return float(statistics.median(found))


def memory(server: Server, path: str, sockets: int) -> float:
    """KiB of the server for each client that waits; compression was agreed upon."""
    warm = Swarm(server.port, path, 200, deflate=True)
    before = private(server.pid)
    swarm = Swarm(server.port, path, sockets, deflate=True)
    time.sleep(0.5)
    found = (private(server.pid) - before) / sockets / 1024
    swarm.close()
    warm.close()
    return found


def measure(sockets: int) -> dict[str, Any]:
    """All figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found: dict[str, Any] = {"sockets": sockets}
        for what, app, path in (
            ("idle_native_kib", "app", "/idle"),
            ("idle_joined_kib", "app", "/join/idle"),
            ("idle_asgi_kib", "echo_asgi", "/idle"),
        ):
            with serving(f"bench.apps.groups:{app}", folder) as server:
                found[what] = memory(server, path, 2_000)
        for other in ("floor", "websockets_app"):
            with serving(other, folder) as server:
                found[f"{other}_last_ms"], found[f"{other}_cpu_ms"] = fan_out(server.port, sockets)
        with serving("bench.apps.groups:app", folder) as server:
            found["last_ms"], found["cpu_ms"] = fan_out(server.port, sockets)
            for burst in (1, 10, 50):
                found[f"deliveries_per_cpu_second_{burst}"] = rate(server.port, min(sockets, 1_000), burst)
    return found


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, {1})
    found = measure(given.sockets)
    for what, value in found.items():
        print(f"{what:>32}  {value:,.1f}")
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
