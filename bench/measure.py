"""The measurements: each takes running servers and returns plain numbers.

Rules of this file:

- Rounds are interleaved: every server in turn, several times; a busy moment of the machine hits all alike.
- The load comes from CPU 1 and goes to 127.0.0.1; every burst has an end.
- The figure is CPU of the server, not throughput: it does not drift when the machine is busy.
"""

import contextlib
import re
import resource
import shutil
import socket
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.proc import Server, cpu_seconds, peak_rss, pinned, reset_peak, rss

MIB = 1 << 20
GIB = 1 << 30


@dataclass
class Burst:
    """What one run of the load generator saw.

    Attributes:
        requests: Answers received.
        errors: Connections that failed and answers that were not 2xx or 3xx.
        p99: The latency that 99 % stay under, in seconds; None if it is not known.
    """

    requests: int
    errors: int
    p99: float | None


@dataclass
class Cost:
    """The samples of one server in one group.

    Attributes:
        cpu: CPU seconds per request, one a round.
        rate: Requests per second, one a round.
        p99: Latencies in seconds, one a round.
        errors: Summed over the rounds.
        rss: Resident octets after the last round.
    """

    cpu: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    errors: int = 0
    rss: int = 0

    @property
    def median(self) -> float:
        """CPU seconds per request, the median of the rounds."""
        return statistics.median(self.cpu)


@dataclass
class Transfer:
    """CPU seconds per GiB, one a round, and how far the resident memory rose above its start, in octets."""

    cpu: list[float] = field(default_factory=list)
    growth: int = 0

    @property
    def median(self) -> float:
        """CPU seconds per GiB, the median of the rounds."""
        return statistics.median(self.cpu)


def parse_wrk(output: str) -> Burst:
    """Read the report of `wrk --latency`."""
    requests = re.search(r"(\d+) requests in", output)
    errors = sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", output))
    errors += sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", output))
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\b", output)
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
    return Burst(int(requests[1]) if requests else 0, errors, float(p99[1]) * unit[p99[2]] if p99 else None)


def burst(url: str, seconds: int, connections: int, headers: Sequence[str]) -> Burst:
    """Load `url` with wrk."""
    fields = [part for header in headers for part in ("-H", header)]
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *fields, url]
    answer = subprocess.run(pinned(1, argv), capture_output=True, text=True, check=False)
    return parse_wrk(answer.stdout)


def requests(
    servers: Mapping[str, Server],
    path: str,
    headers: Sequence[str],
    *,
    rounds: int,
    seconds: int,
    connections: int,
    tell: Callable[[str], None],
) -> dict[str, Cost]:
    """CPU per request of every server by case name, after a warm-up of one second each."""
    costs = {name: Cost() for name in servers}
    for server in servers.values():
        burst(f"{server.url}{path}", 1, connections, headers)
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        for name, server in servers.items():
            before = cpu_seconds(server.pid)
            seen = burst(f"{server.url}{path}", seconds, connections, headers)
            _add(costs[name], seen, cpu_seconds(server.pid) - before, seconds)
    for name, server in servers.items():
        costs[name].rss = rss(server.pid)
    return costs


def _add(cost: Cost, seen: Burst, spent: float, seconds: int) -> None:
    cost.errors += seen.errors
    if seen.requests:
        cost.cpu.append(spent / seen.requests)
        cost.rate.append(seen.requests / seconds)
    if seen.p99 is not None:
        cost.p99.append(seen.p99)


def make_file(folder: Path, mib: int) -> Path:
    """A file of so many MiB, none of them like another."""
    file = folder / f"{mib}.bin"
    if not file.exists():
        with file.open("wb") as output:
            for number in range(mib):
                output.write(number.to_bytes(4, "big") * (MIB // 4))
    return file


def transfers(
    servers: Mapping[str, Server],
    direction: str,
    file: Path,
    *,
    rounds: int,
    repeats: int,
    tell: Callable[[str], None],
) -> dict[str, Transfer]:
    """CPU per GiB and growth of memory; `direction` is ``download`` or ``upload``.

    One MiB goes before, so that what a first transfer loads does not count as growth. What a server fails at
    is told and not counted.
    """
    found = {name: Transfer() for name in servers}
    moved = file.stat().st_size * repeats / GIB
    small = make_file(file.parent, 1)
    for server in servers.values():
        _move(server, direction, small, 1, tell)
    for _ in range(rounds):
        for name, result in found.items():
            server = servers[name]
            resident = rss(server.pid)
            reset_peak(server.pid)
            before = cpu_seconds(server.pid)
            if _move(server, direction, file, repeats, tell):
                result.cpu.append((cpu_seconds(server.pid) - before) / moved)
                result.growth = max(result.growth, peak_rss(server.pid) - resident)
    return found


def _move(server: Server, direction: str, file: Path, repeats: int, tell: Callable[[str], None]) -> bool:
    """Whether all of it was moved."""
    base = f"http://127.0.0.1:{server.port}"
    if direction == "download":
        what = ["-o", "/dev/null", f"{base}/files/{file.name}?n=[1-{repeats}]"]
    else:
        what = ["-o", "/dev/null", "-H", "Expect:", "-T", str(file), f"{base}/upload?n=[1-{repeats}]"]
    answer = subprocess.run(pinned(1, ["curl", "-sSf", *what]), capture_output=True, text=True, check=False)
    if answer.returncode:
        tell(f"{server.name} fails at {file.name}: {answer.stderr.strip()}")
    return answer.returncode == 0


REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def idle(server: Server, connections: int) -> float:
    """Octets of resident memory per connection that sent one request and stays open.

    Raises:
        ConnectionError: The server closed one of them.
    """
    allow_open_files(connections + 256)
    _ask_once(socket.create_connection(("127.0.0.1", server.port), timeout=5)).close()
    before = rss(server.pid)
    with contextlib.ExitStack() as opened:
        clients: list[socket.socket] = []
        for _ in range(connections):
            client = opened.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=5))
            clients.append(_ask_once(client))
        growth = rss(server.pid) - before
        for client in clients:
            _check_open(client)
        return growth / connections


def _check_open(client: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        client.setblocking(False)
        raise ConnectionError(f"the server closed an idle connection: {client.recv(1)!r}")


def _ask_once(client: socket.socket) -> socket.socket:
    client.sendall(REQUEST)
    answer = b""
    while not answer.endswith((b"Hello, World!", b"0\r\n\r\n")):
        piece = client.recv(4096)
        if not piece:
            raise ConnectionError(f"the server closed an idle connection after {answer!r}")
        answer += piece
    return client


def allow_open_files(wanted: int) -> None:
    """Raise the soft limit of open files of this process, and of those that it starts.

    Raises:
        RuntimeError: The hard limit is lower than `wanted`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise RuntimeError(f"{wanted} open files are needed, {hard} is the hard limit (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def missing_tools() -> list[str]:
    """The programs that the benchmark uses and that are not on the path."""
    return [name for name in ("wrk", "nginx", "curl", "taskset") if shutil.which(name) is None]
